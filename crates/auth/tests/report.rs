//! What a lease's outcome does to its profile, and what may be done next.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use coderclaw_auth::{Ask, Auth, Halt, Lease, Moved, Next, Outcome, Runner};
use coderclaw_providers::{Failure, FailureKind, Scope};
use coderclaw_sandbox::{Fault, Options, Sandbox};
use coderclaw_types::{Clock, Code, Env, Millis, ProfileId};
use serde_json::{Value, json};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A state dir with two keys (`key:a`, `key:b` of `groq`), two setup-tokens and a key of `anthropic`, and two logins of
/// `openai-codex`.
struct World {
    sandbox: Sandbox,
    dir: tempfile::TempDir,
    at: Arc<AtomicI64>,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        let at = Arc::new(AtomicI64::new(1_800_000_000_000));
        let hand = Arc::clone(&at);
        let clock = Clock::from_fn(move || Millis(hand.load(Ordering::Relaxed)));
        let sandbox = Sandbox::start(Options::new(clock.clone())).unwrap();
        let dir = tempfile::tempdir().unwrap();
        private(&dir.path().join("providers/openai-codex.toml"), &sandbox.model_manifest("openai-codex"));
        let world = Self { sandbox, dir, at, clock };
        let mut profiles = serde_json::Map::new();
        for id in ["a", "b"] {
            let key = format!("key-canary-{id}");
            profiles.insert(format!("groq:{id}"), json!({"type": "api_key", "provider": "groq", "key": key}));
            let token = format!("sk-ant-oat01-{}", id.repeat(80));
            profiles.insert(
                format!("anthropic:{id}"),
                json!({"type": "token", "provider": "anthropic", "token": token}),
            );
            profiles.insert(format!("openai-codex:{id}"), world.login(id));
        }
        let key = "sk-ant-api03-canary";
        profiles
            .insert("anthropic:key".into(), json!({"type": "api_key", "provider": "anthropic", "key": key}));
        private(&world.store(), &json!({"version": 1, "profiles": profiles}).to_string());
        world
    }

    fn login(&self, id: &str) -> Value {
        let grant = self.sandbox.grant(id);
        let now = self.now().0;
        json!({
            "type": "oauth", "provider": "openai-codex", "access": grant.access.expose(),
            "refresh": grant.refresh.expose(), "expires": now + HOUR, "issuedAt": now - 10 * MINUTE,
        })
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("agents/main/agent/auth-profiles.json")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("agents/main/agent/auth-state.json")
    }

    fn usage(&self, id: &str) -> Value {
        let Ok(text) = std::fs::read_to_string(self.state()) else { return Value::Null };
        serde_json::from_str::<Value>(&text).unwrap()["usageStats"][id].clone()
    }

    fn now(&self) -> Millis {
        Millis(self.at.load(Ordering::Relaxed))
    }

    fn pass(&self, ms: i64) {
        self.at.fetch_add(ms, Ordering::Relaxed);
    }

    fn auth(&self) -> Auth {
        let vars = [("CODERCLAW_STATE_DIR".into(), self.dir.path().into())];
        Auth::open(Env::new(vars, None, "/".into()), self.clock.clone(), Runner::Thread).unwrap()
    }

    fn order(&self, provider: &str, ids: &[&str]) {
        let mut store: Value = serde_json::from_str(&std::fs::read_to_string(self.store()).unwrap()).unwrap();
        let ids: Vec<String> = ids.iter().map(|id| format!("{provider}:{id}")).collect();
        store["order"][provider] = json!(ids);
        private(&self.store(), &store.to_string());
    }

    fn lease_for(&self, provider: &str, ask: &Ask) -> Result<Lease, Code> {
        let auth = self.auth();
        let (agent, manifest) = (auth.agent(None).unwrap(), auth.provider(provider).unwrap());
        auth.lease(&agent, manifest, ask).map_err(|e| e.code())
    }

    fn lease(&self, provider: &str) -> Lease {
        self.lease_for(provider, &Ask::default()).unwrap()
    }

    fn failed_for(&self, lease: &Lease, failure: &Failure, ask: &Ask) -> Next {
        let auth = self.auth();
        let agent = auth.agent(None).unwrap();
        let manifest = auth.provider(lease.provider.as_str()).unwrap();
        auth.report(&agent, manifest, lease, Outcome::Failed(failure), ask).unwrap()
    }

    fn failed(&self, lease: &Lease, failure: &Failure) -> Next {
        self.failed_for(lease, failure, &Ask::default())
    }

    fn worked(&self, lease: &Lease) {
        let auth = self.auth();
        let agent = auth.agent(None).unwrap();
        let manifest = auth.provider(lease.provider.as_str()).unwrap();
        let next = auth.report(&agent, manifest, lease, Outcome::Worked, &Ask::default()).unwrap();
        assert!(matches!(next, Next::Nothing));
    }

    /// How the profile stands, as `status` says it.
    fn state_of(&self, id: &str) -> (Code, Option<Millis>) {
        let auth = self.auth();
        let status = auth.status(&auth.agent(None).unwrap()).unwrap();
        let one = status.profiles.iter().find(|p| p.id.as_str() == id).unwrap();
        (one.state, one.until)
    }
}

fn private(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let next = path.with_extension("test");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    std::fs::rename(&next, path).unwrap();
}

fn failure(kind: FailureKind) -> Failure {
    Failure::own(kind, "in the provider's words")
}

fn until(kind: FailureKind, reset: Millis) -> Failure {
    Failure { reset: Some(reset), ..failure(kind) }
}

fn profile(lease: &Lease) -> &str {
    lease.profile.as_ref().unwrap().as_str()
}

fn pinned(id: &str) -> Ask {
    Ask { profile: Some(ProfileId::stored(id)), ..Ask::default() }
}

#[track_caller]
fn moved(next: Next) -> (Lease, Moved) {
    match next {
        Next::Retry { lease, moved: Some(moved) } => (*lease, moved),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn paused(next: Next) -> Halt {
    match next {
        Next::Pause(halt) => halt,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn stopped(next: Next) -> Halt {
    match next {
        Next::Stop(halt) => halt,
        other => panic!("{other:?}"),
    }
}

/// D2: only what speaks of the account or the credential touches the profile; everything else leaves no trace.
#[test]
fn d2_only_account_level_kinds_touch_a_profile() {
    for kind in FailureKind::ALL {
        let world = World::new();
        let lease = world.lease("groq");
        let before = std::fs::read(world.store()).unwrap();
        let next = world.failed(&lease, &failure(*kind));
        let touched = world.state().exists();
        assert_eq!(touched, matches!(kind.scope(), Scope::Account | Scope::Credential), "{kind:?}");
        if !touched {
            let expected = match kind {
                FailureKind::NotPermitted => "stop",
                FailureKind::ModelLimit
                | FailureKind::Unavailable
                | FailureKind::Network
                | FailureKind::Unknown => "same again",
                _ => "same",
            };
            let got = match next {
                Next::SameLogin { again: true, .. } => "same again",
                Next::SameLogin { again: false, .. } => "same",
                Next::Stop(_) => "stop",
                other => panic!("{kind:?}: {other:?}"),
            };
            assert_eq!(got, expected, "{kind:?}");
        }
        assert_eq!(std::fs::read(world.store()).unwrap(), before, "no failure changes a credential");
    }
}

/// B12: a token that is not allowed to do something keeps its health.
#[test]
fn b12_a_permission_is_no_defect() {
    let world = World::new();
    let lease = world.lease("anthropic");
    let halt = stopped(world.failed(&lease, &failure(FailureKind::NotPermitted)));
    assert_eq!((halt.code, halt.until), (Code::NotPermitted, None));
    assert_eq!(world.state_of(profile(&lease)).0, Code::Ok);
}

/// D4: the provider's time exactly; the ladder where there is none.
#[test]
fn d4_the_named_time_counts_and_no_other() {
    for (kind, code) in
        [(FailureKind::RateLimit, Code::Cooldown), (FailureKind::UsageLimit, Code::UsageLimit)]
    {
        let world = World::new();
        let lease = world.lease("groq");
        let reset = Millis(world.now().0 + 7 * HOUR + 123);
        let halt = paused(world.failed(&lease, &until(kind, reset)));
        assert_eq!((halt.until, halt.profile.as_ref()), (Some(reset), lease.profile.as_ref()));
        assert_eq!(world.state_of(profile(&lease)), (code, Some(reset)));
        world.pass(7 * HOUR + 122);
        assert_eq!(world.state_of(profile(&lease)).0, code);
        world.pass(1);
        assert_eq!(world.state_of(profile(&lease)).0, Code::Ok);

        let world = World::new();
        let lease = world.lease("groq");
        let halt = paused(world.failed(&lease, &failure(kind)));
        assert_eq!(halt.until, Some(Millis(world.now().0 + MINUTE)));
    }
}

/// D1: requests that were on their way together fail once; what is tried later and fails counts; after the time has
/// passed, counting starts again.
#[test]
fn d1_one_blow_counts_once() {
    let world = World::new();
    let together: Vec<Lease> = (0..20).map(|_| world.lease_for("groq", &pinned("groq:a")).unwrap()).collect();
    for lease in &together {
        world.pass(1);
        world.failed(lease, &failure(FailureKind::RateLimit));
    }
    let usage = world.usage("groq:a");
    assert_eq!((&usage["errorCount"], &usage["failureCounts"]["rate_limit"]), (&json!(1), &json!(1)));
    let first = Millis(world.now().0 - 19);
    assert_eq!(usage["cooldownUntil"], json!(first.0 + MINUTE));

    world.pass(1_000);
    let pinned_on = world.lease_for("groq", &pinned("groq:a")).unwrap();
    world.failed_for(&pinned_on, &failure(FailureKind::RateLimit), &pinned("groq:a"));
    assert_eq!(world.usage("groq:a")["cooldownUntil"], json!(world.now().0 + 5 * MINUTE), "the ladder");

    world.pass(5 * MINUTE + 1);
    let late = world.lease_for("groq", &pinned("groq:a")).unwrap();
    world.failed(&late, &failure(FailureKind::RateLimit));
    assert_eq!(world.usage("groq:a")["errorCount"], 1);
    assert_eq!(world.usage("groq:a")["cooldownUntil"], json!(world.now().0 + MINUTE));
}

/// D3: a success ends every block at once, for every process.
#[test]
fn d3_a_success_lifts_everything() {
    for kind in [
        FailureKind::RateLimit,
        FailureKind::UsageLimit,
        FailureKind::Billing,
        FailureKind::Unauthorized,
        FailureKind::Rejected,
        FailureKind::Revoked,
        FailureKind::AccountBlocked,
    ] {
        let world = World::new();
        let lease = world.lease("groq");
        let id = profile(&lease).to_owned();
        world.failed(&lease, &until(kind, Millis(world.now().0 + HOUR)));
        assert_ne!(world.state_of(&id).0, Code::Ok, "{kind:?}");
        world.worked(&lease);
        assert_eq!(world.state_of(&id), (Code::Ok, None), "{kind:?}");
        assert_eq!(world.usage(&id), json!({"lastUsed": world.now(), "errorCount": 0}), "{kind:?}");

        let auth = world.auth();
        let agent = auth.agent(None).unwrap();
        world.failed(&lease, &failure(kind));
        assert_eq!(auth.clear_cooldowns(&agent, None).unwrap(), [ProfileId::stored(&id)], "{kind:?}");
        assert_eq!(world.state_of(&id).0, Code::Ok);
    }
}

/// D3: what was said of one key is not said of the next.
#[test]
fn d3_another_key_under_the_same_id_is_another_matter() {
    let world = World::new();
    let lease = world.lease_for("groq", &pinned("groq:a")).unwrap();
    world.failed(&lease, &failure(FailureKind::Rejected));
    assert_eq!(world.state_of("groq:a").0, Code::Rejected);
    let text = std::fs::read_to_string(world.store()).unwrap();
    private(&world.store(), &text.replace("key-canary-a", "key-canary-new"));
    assert_eq!(world.state_of("groq:a").0, Code::Ok);
    let state = std::fs::read_to_string(world.state()).unwrap();
    assert!(!state.contains("canary"), "no key stands in the usage file");
}

/// D3: a success is written at most once a minute, and a rejected key does not come back after an hour.
#[test]
fn successes_are_noted_once_a_minute() {
    let world = World::new();
    let lease = world.lease("groq");
    world.worked(&lease);
    let first = std::fs::read(world.state()).unwrap();
    let state: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!(state["lastGood"]["groq"], profile(&lease));
    let began = world.now().0;
    world.pass(59_999);
    world.worked(&lease);
    assert_eq!(std::fs::read(world.state()).unwrap(), first);
    world.pass(1);
    world.worked(&lease);
    assert_eq!(world.usage(profile(&lease))["lastUsed"], json!(began + MINUTE));
    assert_ne!(profile(&world.lease("groq")), profile(&lease), "the other one's turn");
}

/// C15 and D8: a limit moves on along an order, in the same call, and the move is told; without one, nothing moves.
#[test]
fn c15_a_limit_moves_along_an_order_only() {
    for kind in [FailureKind::UsageLimit, FailureKind::RateLimit] {
        let world = World::new();
        let lease = world.lease("groq");
        assert_eq!(profile(&lease), "groq:a");
        paused(world.failed(&lease, &failure(kind)));

        let world = World::new();
        world.order("groq", &["b", "a"]);
        let lease = world.lease("groq");
        let reset = Millis(world.now().0 + HOUR);
        let (next, event) = moved(world.failed(&lease, &until(kind, reset)));
        assert_eq!((profile(&lease), profile(&next)), ("groq:b", "groq:a"));
        assert_eq!((event.from.as_str(), event.to.as_ref().unwrap().as_str()), ("groq:b", "groq:a"));
        let line = event.to_string();
        assert!(
            line.contains("groq:b") && line.contains("groq:a") && line.contains("in the provider's words")
        );
        // Both are at their limit: the one that recovers first is named.
        let sooner = Millis(world.now().0 + 20 * MINUTE);
        let next = world.failed(&next, &until(kind, sooner));
        assert_eq!(next.wait(world.now(), Duration::from_secs(20 * 60)), Some(Duration::from_secs(20 * 60)));
        assert_eq!(paused(next).until, Some(sooner));
    }
}

/// C15: a bill that is not paid moves on along an order only, and never from a subscription to a metered key by itself.
#[test]
fn c15_billing_and_metered_keys() {
    let world = World::new();
    let lease = world.lease("groq");
    let halt = stopped(world.failed(&lease, &failure(FailureKind::Billing)));
    assert_eq!((halt.code, halt.until), (Code::Disabled, Some(Millis(world.now().0 + 5 * HOUR))));

    let world = World::new();
    for id in ["a", "b"] {
        let lease = world.lease("anthropic");
        assert_eq!(profile(&lease), format!("anthropic:{id}"));
        let next = world.failed(&lease, &failure(FailureKind::Rejected));
        if id == "a" {
            assert_eq!(
                profile(&moved(next).0),
                "anthropic:b",
                "C16: one dead credential does not block the rest"
            );
        } else {
            let halt = stopped(next);
            assert_eq!((halt.code, halt.profile.unwrap().as_str()), (Code::Rejected, "anthropic:b"));
        }
    }
    world.order("anthropic", &["a", "key"]);
    assert_eq!(profile(&world.lease("anthropic")), "anthropic:key", "an order is consent");
}

/// C15: `metered_fallback` of the agent lets a key follow a subscription, also at its limit, also in a chat that has been
/// using it. It is no leave to go on to another account.
#[test]
fn c15_a_key_may_follow_where_the_agent_says_so() {
    for says_so in [false, true] {
        let world = World::new();
        let mut store: Value =
            serde_json::from_str(&std::fs::read_to_string(world.store()).unwrap()).unwrap();
        store["profiles"].as_object_mut().unwrap().remove("anthropic:b");
        private(&world.store(), &store.to_string());
        let toml = world.dir.path().join("agents/main/agent/agent.toml");
        private(&toml, &format!("metered_fallback = {says_so}\n"));
        let sessions =
            r#"{"chat": {"authProfileOverride": "anthropic:a", "authProfileOverrideSource": "auto"}}"#;
        private(&world.dir.path().join("agents/main/sessions/sessions.json"), sessions);
        let chat = Ask { session: Some("chat".into()), ..Ask::default() };
        let lease = world.lease_for("anthropic", &chat).unwrap();
        assert_eq!(profile(&lease), "anthropic:a");
        let reset = Millis(world.now().0 + HOUR);
        let next = world.failed_for(&lease, &until(FailureKind::UsageLimit, reset), &chat);
        if says_so {
            assert_eq!(profile(&moved(next).0), "anthropic:key");
            assert_eq!(profile(&world.lease_for("anthropic", &chat).unwrap()), "anthropic:key");
        } else {
            assert_eq!(paused(next).until, Some(reset));
            assert_eq!(world.lease_for("anthropic", &chat).unwrap_err(), Code::UsageLimit);
        }
        // A key at its limit is no subscription, and another account's key is another account.
        let lease = world.lease("groq");
        paused(world.failed(&lease, &failure(FailureKind::UsageLimit)));
    }
}

/// C5: with a user's pin there is never another profile, whatever fails.
#[test]
fn c5_a_pin_is_kept_through_every_failure() {
    let world = World::new();
    world.order("groq", &["a", "b"]);
    let sessions = r#"{"chat": {"authProfileOverride": "groq:a", "authProfileOverrideSource": "user"}}"#;
    private(&world.dir.path().join("agents/main/sessions/sessions.json"), sessions);
    let session = Ask { session: Some("chat".into()), ..Ask::default() };
    for ask in [&pinned("groq:a"), &session] {
        for kind in FailureKind::ALL {
            let lease = world.lease_for("groq", ask).unwrap();
            assert_eq!(profile(&lease), "groq:a", "{kind:?}");
            match world.failed_for(&lease, &failure(*kind), ask) {
                Next::Pause(_) | Next::Stop(_) | Next::SameLogin { .. } => {}
                other => panic!("{kind:?}: {other:?}"),
            }
        }
    }
}

/// D6: an account whose owner has to act is marked and named, and the next takes over.
#[test]
fn d6_a_blocked_account_makes_way() {
    let world = World::new();
    let lease = world.lease("groq");
    let (next, event) = moved(world.failed(&lease, &failure(FailureKind::AccountBlocked)));
    assert_eq!((profile(&next), event.code), ("groq:b", Code::AccountBlocked));
    assert_eq!(world.state_of("groq:a").0, Code::AccountBlocked);
    let halt = stopped(world.failed(&next, &failure(FailureKind::AccountBlocked)));
    assert!(halt.why.contains("groq:b") && halt.why.contains("in the provider's words"), "{}", halt.why);
    world.pass(48 * HOUR);
    assert_eq!(world.state_of("groq:a").0, Code::AccountBlocked, "waiting does not help");
}

/// A12: a token that the provider rejects is refreshed, once, and the request may be sent again with the new one.
#[test]
fn a12_a_rejected_token_is_refreshed_once() {
    for kind in [FailureKind::Rejected, FailureKind::Unauthorized, FailureKind::Revoked] {
        let world = World::new();
        let lease = world.lease("openai-codex");
        let Next::Retry { lease: new, moved: None } = world.failed(&lease, &failure(kind)) else {
            panic!("{kind:?}");
        };
        assert_eq!((profile(&new), new.after_rejection), (profile(&lease), true));
        assert_ne!(new.token, lease.token);
        assert_eq!(world.sandbox.counts().refreshes, 1);
        assert!(!world.state().exists(), "nothing is known to be wrong with the profile");
        // A second user of the old token gets the new one without a request.
        let Next::Retry { lease: same, .. } = world.failed(&lease, &failure(kind)) else { panic!() };
        assert_eq!((same.token == new.token, world.sandbox.counts().refreshes), (true, 1));

        // The new one is rejected as well: the other account, and the state says why.
        let (other, event) = moved(world.failed(&new, &failure(kind)));
        assert_ne!(profile(&other), profile(&new));
        assert_eq!(event.from.as_str(), profile(&new));
        let expected = match kind {
            FailureKind::Rejected => Code::Rejected,
            FailureKind::Revoked => Code::Revoked,
            _ => Code::Cooldown,
        };
        assert_eq!(world.state_of(profile(&new)).0, expected, "D7: only known words last");
        assert_eq!(world.sandbox.counts().refreshes, 1);
        // Once the token is due, a refresh brings another one, and that is tried.
        world.pass(2 * HOUR);
        assert_eq!(world.state_of(profile(&new)).0, Code::RefreshDue);
    }
}

/// C16: the refresh shows that the login is dead: the next of the same kind takes over in the same call.
#[test]
fn c16_a_dead_login_makes_way_in_the_same_call() {
    let world = World::new();
    let lease = world.lease("openai-codex");
    world.sandbox.kill_family(&lease.token);
    let (next, event) = moved(world.failed(&lease, &failure(FailureKind::Rejected)));
    assert_ne!(profile(&next), profile(&lease));
    assert_eq!(event.code, Code::NeedsLogin);
    assert_eq!(world.state_of(profile(&lease)).0, Code::NeedsLogin);
    world.sandbox.kill_family(&next.token);
    let halt = stopped(world.failed(&next, &failure(FailureKind::Rejected)));
    assert_eq!((halt.code, halt.profile.as_ref()), (Code::NeedsLogin, next.profile.as_ref()));
}

/// C15 and C16: also a move that a lease makes by itself is told.
#[test]
fn c15_a_lease_that_moved_says_so() {
    let world = World::new();
    world.order("openai-codex", &["a", "b"]);
    let first = world.lease("openai-codex");
    assert_eq!((profile(&first), &first.moved), ("openai-codex:a", &None));
    world.sandbox.kill_family(&first.token);
    world.pass(2 * HOUR);
    let lease = world.lease("openai-codex");
    let told = lease.moved.as_ref().unwrap();
    assert_eq!(profile(&lease), "openai-codex:b");
    assert_eq!(
        (told.from.as_str(), told.to.as_ref(), told.code),
        ("openai-codex:a", lease.profile.as_ref(), Code::NeedsLogin)
    );
    assert_eq!(world.lease("openai-codex").moved, None, "once");
}

/// C15: a refresh that cannot reach its server says nothing about the login, so nothing moves.
#[test]
fn c15_no_network_moves_nothing() {
    let world = World::new();
    let lease = world.lease("openai-codex");
    world.sandbox.script(Fault::status(503), 5);
    let halt = stopped(world.failed(&lease, &failure(FailureKind::Rejected)));
    assert_eq!((halt.code, halt.profile.as_ref()), (Code::Offline, lease.profile.as_ref()));
    assert!(!world.state().exists());
}

/// A chat waits for the account that it has been using, where no order says that another may take over; a new chat does not.
#[test]
fn a_chat_waits_for_its_account() {
    let world = World::new();
    let sessions = r#"{"chat": {"authProfileOverride": "groq:a", "authProfileOverrideSource": "auto"}}"#;
    private(&world.dir.path().join("agents/main/sessions/sessions.json"), sessions);
    let chat = Ask { session: Some("chat".into()), ..Ask::default() };
    let lease = world.lease_for("groq", &chat).unwrap();
    let reset = Millis(world.now().0 + HOUR);
    paused(world.failed_for(&lease, &until(FailureKind::UsageLimit, reset), &chat));
    assert_eq!(world.lease_for("groq", &chat).unwrap_err(), Code::UsageLimit);
    assert_eq!(profile(&world.lease("groq")), "groq:b");
    world.order("groq", &["a", "b"]);
    assert_eq!(profile(&world.lease_for("groq", &chat).unwrap()), "groq:b");
}

/// D3: while everything is set aside, one request in half a minute may see whether it is over, near the end.
#[test]
fn d3_one_probe_in_an_interval() {
    let world = World::new();
    for _ in 0..2 {
        let lease = world.lease("groq");
        world.failed(&lease, &until(FailureKind::RateLimit, Millis(world.now().0 + 10 * MINUTE)));
    }
    let probe = || {
        let auth = world.auth();
        let (agent, manifest) = (auth.agent(None).unwrap(), auth.provider("groq").unwrap());
        auth.probe_set_aside(&agent, manifest, &Ask::default()).unwrap()
    };
    let auth = world.auth();
    let (agent, manifest) = (auth.agent(None).unwrap(), auth.provider("groq").unwrap());
    let none = auth.lease(&agent, manifest, &Ask::default()).unwrap_err();
    let (ten, less) = (Duration::from_secs(600), Duration::from_secs(599));
    // D5: whoever may wait that long is told how long.
    assert_eq!((none.wait(world.now(), ten), none.wait(world.now(), less)), (Some(ten), None));
    assert!(probe().is_none(), "too early");
    world.pass(8 * MINUTE);
    let leases: Vec<_> = std::thread::scope(|scope| {
        let probes: Vec<_> = (0..8).map(|_| scope.spawn(probe)).collect();
        probes.into_iter().filter_map(|probe| probe.join().unwrap()).collect()
    });
    assert_eq!(leases.len(), 1, "of eight at once, one");
    world.pass(29_999);
    assert!(probe().is_none());
    world.pass(1);
    let lease = probe().unwrap();
    world.worked(&lease);
    assert_eq!(profile(&world.lease("groq")), profile(&lease));
    assert!(probe().is_none(), "there is one that may be used");
}

/// Twenty reports at once, from `Auth`s of their own: none is lost, and what others wrote stays.
#[test]
fn reports_at_once() {
    let world = World::new();
    private(&world.state(), r#"{"version":1,"theirs":7,"usageStats":{"groq:a":{"blockedModels":["x"]}}}"#);
    std::thread::scope(|scope| {
        for n in 0..20 {
            let world = &world;
            scope.spawn(move || {
                let id = if n % 2 == 0 { "groq:a" } else { "groq:b" };
                let lease = world.lease_for("groq", &pinned(id)).unwrap();
                world.failed_for(&lease, &failure(FailureKind::RateLimit), &pinned(id));
            });
        }
    });
    let state: Value = serde_json::from_str(&std::fs::read_to_string(world.state()).unwrap()).unwrap();
    assert_eq!(state["theirs"], 7);
    assert_eq!(state["usageStats"]["groq:a"]["blockedModels"], json!(["x"]));
    for id in ["groq:a", "groq:b"] {
        assert_eq!(state["usageStats"][id]["errorCount"], 10, "{id}");
    }
}

/// A key from the environment has no profile that could be marked.
#[test]
fn a_key_from_the_environment_leaves_no_trace() {
    let world = World::new();
    let vars = [
        ("CODERCLAW_STATE_DIR".into(), world.dir.path().into()),
        ("MISTRAL_API_KEY".into(), "env-canary".into()),
    ];
    let auth = Auth::open(Env::new(vars, None, "/".into()), world.clock.clone(), Runner::Thread).unwrap();
    let (agent, manifest) = (auth.agent(None).unwrap(), auth.provider("mistral").unwrap());
    let lease = auth.lease(&agent, manifest, &Ask::default()).unwrap();
    for kind in FailureKind::ALL {
        let next = auth.report(&agent, manifest, &lease, Outcome::Failed(&failure(*kind)), &Ask::default());
        assert!(!matches!(next.unwrap(), Next::Retry { .. } | Next::Nothing), "{kind:?}");
    }
    let worked = auth.report(&agent, manifest, &lease, Outcome::Worked, &Ask::default());
    assert!(matches!(worked.unwrap(), Next::Nothing) && !world.state().exists());
    let shown = format!(
        "{:?}",
        stopped(
            auth.report(
                &agent,
                manifest,
                &lease,
                Outcome::Failed(&failure(FailureKind::Rejected)),
                &Ask::default(),
            )
            .unwrap()
        )
    );
    assert!(shown.contains("env:MISTRAL_API_KEY") && !shown.contains("canary"), "{shown}");
}

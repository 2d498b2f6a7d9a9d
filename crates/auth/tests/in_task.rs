//! Refreshes in a task of this process, for programs that use the library and name no worker.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::HashSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use coderclaw_auth::{Ask, Auth, Runner};
use coderclaw_sandbox::{Fault, Options, Sandbox, User};
use coderclaw_types::{Clock, Code, Env, Millis, Secret, TokenHash};
use serde_json::{Value, json};

const ID: &str = "openai-codex:me@x.test";

struct World {
    sandbox: Sandbox,
    dir: tempfile::TempDir,
    clock: Clock,
    at: Arc<AtomicI64>,
}

impl World {
    fn new() -> Self {
        let at = Arc::new(AtomicI64::new(1_800_000_000_000));
        let hand = Arc::clone(&at);
        let clock = Clock::from_fn(move || Millis(hand.load(Ordering::Relaxed)));
        let sandbox = Sandbox::start(Options::new(clock.clone())).unwrap();
        sandbox.add_user(User { email: "me@x.test".into(), ..User::named("me") });
        sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
        let dir = tempfile::tempdir().unwrap();
        private(&dir.path().join("providers/openai-codex.toml"), &sandbox.manifest("openai-codex"));
        Self { sandbox, dir, clock, at }
    }

    fn move_clock(&self, by: Duration) {
        self.at.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// A store with one expired login; its refresh token.
    fn seed(&self) -> Secret {
        let grant = self.sandbox.grant("me");
        let now = self.clock.now().0;
        let entry = json!({
            "type": "oauth", "provider": "openai-codex", "access": grant.access.expose(),
            "refresh": grant.refresh.expose(), "expires": now - 1, "issuedAt": now - 3_600_000,
        });
        let mut profiles = serde_json::Map::new();
        profiles.insert(ID.into(), entry);
        private(&self.store(), &json!({"version": 1, "profiles": profiles}).to_string());
        grant.refresh
    }

    fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("agents/main/agent/auth-profiles.json")
    }

    fn entry(&self) -> Value {
        let text = std::fs::read_to_string(self.store()).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["profiles"][ID].clone()
    }

    fn auth(&self) -> Auth {
        let vars = [("CODERCLAW_STATE_DIR".into(), self.dir.path().into())];
        Auth::open(Env::new(vars, None, "/".into()), self.clock.clone(), Runner::Thread).unwrap()
    }

    fn token(&self, auth: &Auth) -> Result<Secret, Code> {
        let agent = auth.agent(None).unwrap();
        let manifest = auth.provider("openai-codex").unwrap();
        auth.lease(&agent, manifest, &Ask::default()).map(|lease| lease.token).map_err(|e| e.code())
    }
}

fn private(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let next = path.with_extension("test");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    std::fs::rename(&next, path).unwrap();
}

/// A1: 32 tasks of one process, some with an `Auth` of their own: one request, one token.
#[test]
fn a1_tasks_share_one_refresh() {
    for _ in 0..10 {
        let world = World::new();
        let refresh = world.seed();
        let shared = world.auth();
        let tokens: HashSet<String> = std::thread::scope(|scope| {
            let tasks: Vec<_> = (0..32)
                .map(|i| {
                    let auth = if i % 2 == 0 { shared.clone() } else { world.auth() };
                    let world = &world;
                    scope.spawn(move || world.token(&auth).unwrap().expose().to_owned())
                })
                .collect();
            tasks.into_iter().map(|task| task.join().unwrap()).collect()
        });
        assert_eq!(tokens.len(), 1);
        assert_eq!(world.sandbox.counts().refreshes_of(&TokenHash::of(&refresh)), 1);
        assert_eq!(world.sandbox.counts().reuses, 0);
        assert_eq!(world.entry()["access"], tokens.into_iter().next().unwrap());
    }
}

/// A5: another program has spent our token, and puts the successor into the store while we ask. The server's "already
/// used" is then no end: the successor is adopted.
#[test]
fn a5_a_successor_in_the_store_is_adopted() {
    let world = World::new();
    world.sandbox.policy(|policy| policy.reuse = coderclaw_sandbox::Reuse::Refuse);
    let refresh = world.seed();
    let auth = world.auth();
    let other = other_program_refreshes(&world, &refresh);
    let gate = world.sandbox.gate();
    let token = std::thread::scope(|scope| {
        let asker = scope.spawn(|| world.token(&auth).unwrap());
        assert!(gate.wait_arrived(Duration::from_secs(30)), "our token has been refused, the answer is held");
        let mut entry = world.entry();
        entry["access"] = other["access_token"].clone();
        entry["refresh"] = other["refresh_token"].clone();
        entry["expires"] = json!(world.clock.now().0 + 3_600_000);
        entry["issuedAt"] = json!(world.clock.now().0);
        let mut profiles = serde_json::Map::new();
        profiles.insert(ID.into(), entry);
        private(&world.store(), &json!({"version": 1, "profiles": profiles}).to_string());
        gate.open();
        asker.join().unwrap()
    });
    assert_eq!(token.expose(), other["access_token"]);
    assert_eq!(world.entry()["refresh"], other["refresh_token"]);
    assert_eq!(world.token(&auth).unwrap(), token, "and the refusal is forgotten with its token");
}

/// A refresh by a program that knows nothing of our locks: the tokens that it gets.
fn other_program_refreshes(world: &World, refresh: &Secret) -> Value {
    use std::io::{Read, Write};
    let address = world.sandbox.origin().strip_prefix("http://").unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    let body =
        json!({"grant_type": "refresh_token", "client_id": "other", "refresh_token": refresh.expose()});
    let body = body.to_string();
    write!(
        stream,
        "POST /oauth/token HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// A restored older copy: its token was spent, and is never sent again. Where an entry of the same grant holds the
/// successor, that is taken over; else only a login helps.
#[test]
fn a4_an_older_copy_that_comes_back_is_never_sent() {
    let world = World::new();
    let refresh = world.seed();
    let old = std::fs::read_to_string(world.store()).unwrap();
    let auth = world.auth();
    let token = world.token(&auth).unwrap();
    let clone = world.dir.path().join("agents/work/agent/auth-profiles.json");
    private(&clone, &std::fs::read_to_string(world.store()).unwrap());
    private(&world.store(), &old);
    assert_eq!(world.token(&world.auth()).unwrap(), token, "taken over from the other store");
    assert_eq!(world.entry()["access"], token.expose());
    std::fs::remove_file(&clone).unwrap();
    private(&world.store(), &old);
    assert_eq!(world.token(&world.auth()).unwrap_err(), Code::NeedsLogin);
    assert_eq!(std::fs::read_to_string(world.store()).unwrap(), old);
    assert_eq!(world.sandbox.counts().refreshes_of(&TokenHash::of(&refresh)), 1);
}

/// A11: offline, then back: the credential is untouched, tries are spaced, and it works again by itself.
#[test]
fn a11_a_passing_failure_passes() {
    let world = World::new();
    let refresh = world.seed();
    let auth = world.auth();
    let before = std::fs::read(world.store()).unwrap();
    let html = Fault::html_200();
    for fault in [Fault::status(500), Fault::status(403), Fault::DropBeforeRotate, html] {
        world.sandbox.script(fault.clone(), 1);
        let asked = world.sandbox.counts().refreshes;
        assert_eq!(world.token(&auth).unwrap_err(), Code::Offline, "{fault:?}");
        assert_eq!(world.token(&auth).unwrap_err(), Code::Offline);
        assert_eq!(world.sandbox.counts().refreshes, asked + 1, "the second was told without a request");
        assert_eq!(std::fs::read(world.store()).unwrap(), before);
        world.move_clock(Duration::from_secs(20 * 60));
    }
    assert!(world.sandbox.is_live(&refresh));
    assert!(world.token(&auth).is_ok());
}

/// Another person's tokens come back: they are not stored under this profile, and the profile needs a login.
#[test]
fn an_answer_for_somebody_else_is_not_stored() {
    let world = World::new();
    world.sandbox.add_user(User { email: "other@x.test".into(), ..User::named("other") });
    world.seed();
    let mut entry = world.entry();
    entry["sub"] = json!("me");
    let mut profiles = serde_json::Map::new();
    profiles.insert(ID.into(), entry);
    private(&world.store(), &json!({"version": 1, "profiles": profiles}).to_string());
    let before = std::fs::read(world.store()).unwrap();
    world.sandbox.script(Fault::OtherAccount, 1);
    assert_eq!(world.token(&world.auth()).unwrap_err(), Code::NeedsLogin);
    assert_eq!(std::fs::read(world.store()).unwrap(), before);
}

/// One agent's damaged store does not keep another agent from its login, before or after the answer.
#[test]
fn a_damaged_store_of_another_agent_is_in_nobodys_way() {
    let world = World::new();
    world.seed();
    let damaged = world.dir.path().join("agents/broken/agent/auth-profiles.json");
    private(&damaged, "{");
    let token = world.token(&world.auth()).unwrap();
    assert_eq!(world.entry()["access"], token.expose());
    assert_eq!(std::fs::read_to_string(&damaged).unwrap(), "{");
}

/// A19: what the entry says about the account is enough. Tokens that are no JWT, and an id_token that ended long ago,
/// keep neither a lease nor a refresh from working.
#[test]
fn a19_unreadable_tokens_block_nothing() {
    let world = World::new();
    world.seed();
    let rewrite = |change: fn(&mut Value, i64)| {
        let mut entry = world.entry();
        change(&mut entry, world.clock.now().0);
        let mut profiles = serde_json::Map::new();
        profiles.insert(ID.into(), entry);
        private(&world.store(), &json!({"version": 1, "profiles": profiles}).to_string());
    };
    rewrite(|entry, now| {
        entry["access"] = json!("opaque");
        entry["idToken"] = json!("not.a.jwt");
        entry["accountId"] = json!("acct-kept");
        entry["expires"] = json!(now + 3_000_000);
    });
    let auth = world.auth();
    let lease = |auth: &Auth| {
        let agent = auth.agent(None).unwrap();
        auth.lease(&agent, auth.provider("openai-codex").unwrap(), &Ask::default()).unwrap()
    };
    assert_eq!(lease(&auth).account_id.as_deref(), Some("acct-kept"));
    // The sandbox's own account name, so that the identity guard has nothing to say.
    rewrite(|entry, now| {
        entry.as_object_mut().unwrap().remove("accountId");
        entry["expires"] = json!(now - 1);
    });
    let renewed = lease(&auth);
    assert_ne!(renewed.token.expose(), "opaque");
    assert!(renewed.account_id.is_some());
    assert_eq!(world.entry()["idToken"], "not.a.jwt", "an unknown key stays");
}

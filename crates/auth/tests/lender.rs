//! Lending from memory: quick where nothing has changed, and never a moment longer.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use coderclaw_auth::{Ask, Auth, Lender, Runner};
use coderclaw_types::{Clock, Env, Millis};
use proptest::prelude::*;
use serde_json::json;

/// A year after any file here was written, so that all of them have settled.
const START: i64 = 4_000_000_000_000;
const MINUTE: i64 = 60_000;

struct World {
    dir: tempfile::TempDir,
    at: Arc<AtomicI64>,
    lender: Lender,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = Arc::new(AtomicI64::new(START));
        let hand = Arc::clone(&at);
        let clock = Clock::from_fn(move || Millis(hand.load(Ordering::Relaxed)));
        let vars = [("CODERCLAW_STATE_DIR".into(), dir.path().into())];
        let auth = Auth::open(Env::new(vars, None, "/".into()), clock, Runner::Thread).unwrap();
        Self { dir, at, lender: Lender::new(auth) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("agents/main/agent").join(name)
    }

    /// Two logins without refresh tokens: what is lent depends on files and time alone.
    fn store(&self, order: &[&str], work_lives: i64) {
        let login = |name: &str, lives: i64| json!({"type": "oauth", "provider": "openai-codex", "access": format!("access-{name}"), "expires": START + lives});
        let store = json!({
            "version": 1,
            "profiles": {"openai-codex:work": login("work", work_lives), "openai-codex:home": login("home", 60 * MINUTE)},
            "order": {"openai-codex": order.iter().map(|name| format!("openai-codex:{name}")).collect::<Vec<_>>()},
        });
        replace(&self.path("auth-profiles.json"), &store);
    }

    fn cool(&self, name: &str, until: i64) {
        let id = format!("openai-codex:{name}");
        let state =
            json!({"version": 1, "usageStats": {id: {"cooldownUntil": START + until, "errorCount": 1}}});
        replace(&self.path("auth-state.json"), &state);
    }

    fn pin(&self, name: &str) {
        let id = format!("openai-codex:{name}");
        let sessions = json!({"s": {"authProfileOverride": id, "authProfileOverrideSource": "user"}});
        replace(&self.dir.path().join("agents/main/sessions/sessions.json"), &sessions);
    }

    fn settings(&self, profile: &str) {
        replace(&self.path("agent.toml"), &format!("auth_profile = \"openai-codex:{profile}\"\n"));
    }

    fn wait(&self, ms: i64) {
        self.at.fetch_add(ms, Ordering::Relaxed);
    }

    /// What is lent, or the code of the failure; from memory, and by the resolver.
    fn both(&self, session: Option<&str>) -> (String, String) {
        let auth = self.lender.auth();
        let (agent, manifest) = (auth.agent(None).unwrap(), auth.provider("openai-codex").unwrap());
        let ask = Ask { session: session.map(str::to_owned), ..Ask::default() };
        let told = |lease: Result<coderclaw_auth::Lease, coderclaw_auth::LeaseError>| {
            lease.map_or_else(|e| e.code().to_string(), |lease| lease.profile.unwrap().to_string())
        };
        (told(self.lender.lease(&agent, manifest, &ask)), told(auth.lease(&agent, manifest, &ask)))
    }

    fn lent(&self) -> String {
        let (remembered, resolved) = self.both(None);
        assert_eq!(remembered, resolved);
        resolved
    }
}

/// No two versions of a file are of one size: the files here are changed within one tick of the kernel's clock.
fn replace(path: &Path, content: &dyn std::fmt::Display) {
    static VERSIONS: AtomicUsize = AtomicUsize::new(0);
    let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let next = path.with_extension("test");
    std::fs::write(&next, format!("{content}{}", " ".repeat(version))).unwrap();
    std::fs::rename(&next, path).unwrap();
}

/// How often this thread has read from a file, this time included.
fn reads() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// B5: once nothing changes any more, a token that is still good is lent without reading a single file.
#[test]
fn b5_what_has_not_changed_is_not_read_again() {
    let world = World::new();
    world.store(&["work", "home"], 30 * MINUTE);
    let auth = world.lender.auth();
    let (agent, manifest, ask) =
        (auth.agent(None).unwrap(), auth.provider("openai-codex").unwrap(), Ask::default());
    let read_by = |lend: &dyn Fn()| {
        let before = reads();
        lend();
        reads() - before
    };
    let (nothing, lend) = (read_by(&|| {}), || drop(world.lender.lease(&agent, manifest, &ask).unwrap()));
    assert!(read_by(&lend) > nothing, "the first time, the store is read");
    lend();
    assert_eq!(read_by(&|| (0..100).for_each(|_| lend())), nothing);
    world.store(&["work", "home"], 30 * MINUTE);
    assert!(read_by(&lend) > nothing, "the store is another one");
    lend();
    world.wait(9_000);
    assert_eq!(read_by(&lend), nothing);
    world.wait(1_000);
    assert!(read_by(&lend) > nothing, "now and then it looks all the same");
}

/// A10, B3: memory and resolver give the same answer after any change of files or time.
#[test]
fn a10_memory_agrees_with_the_resolver() {
    let change = prop_oneof![
        any::<bool>().prop_map(|work| Change::Order(if work { "work" } else { "home" })),
        (any::<bool>(), -2..90_i64).prop_map(|(work, minutes)| Change::Cool(work, minutes)),
        any::<bool>().prop_map(|work| Change::Pin(if work { "work" } else { "home" })),
        (1..40_i64).prop_map(Change::Live),
        (0..20_000_i64).prop_map(Change::Wait),
        (0..20_i64).prop_map(|minutes| Change::Wait(minutes * MINUTE)),
        Just(Change::Wait(-5_000)),
        Just(Change::Nothing),
        Just(Change::Logout),
        any::<bool>().prop_map(Change::Agent),
    ];
    proptest!(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }, |(changes in prop::collection::vec(change, 1..30))| {
        let world = World::new();
        let (mut order, mut lives) = (["work", "home"], 30 * MINUTE);
        world.store(&order, lives);
        for change in changes {
            match change {
                Change::Order(first) => order = if first == "work" { ["work", "home"] } else { ["home", "work"] },
                Change::Live(minutes) => lives = minutes * MINUTE,
                Change::Cool(work, minutes) => world.cool(if work { "work" } else { "home" }, minutes * MINUTE),
                Change::Pin(name) => world.pin(name),
                Change::Wait(ms) => world.wait(ms),
                Change::Agent(work) => world.settings(if work { "work" } else { "home" }),
                Change::Logout => drop(std::fs::remove_file(world.path("auth-profiles.json"))),
                Change::Nothing => {}
            }
            if matches!(change, Change::Order(_) | Change::Live(_)) || !world.path("auth-profiles.json").exists() && change != Change::Logout {
                world.store(&order, lives);
            }
            for session in [None, Some("s")] {
                for _ in 0..3 {
                    let (remembered, resolved) = world.both(session);
                    prop_assert_eq!(remembered, resolved);
                }
            }
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Order(&'static str),
    Live(i64),
    Cool(bool, i64),
    Pin(&'static str),
    Wait(i64),
    Agent(bool),
    Logout,
    Nothing,
}

/// A16: a wish for more time than the remembered token has is not answered from memory.
#[test]
fn a16_a_longer_wish_is_asked_anew() {
    let world = World::new();
    world.store(&["work"], 30 * MINUTE);
    assert_eq!((world.lent(), world.lent(), world.lent()).2, "openai-codex:work");
    let auth = world.lender.auth();
    let (agent, manifest) = (auth.agent(None).unwrap(), auth.provider("openai-codex").unwrap());
    let ask = |minutes: u64| Ask { min_validity: Duration::from_secs(minutes * 60), ..Ask::default() };
    assert!(world.lender.lease(&agent, manifest, &ask(29)).is_ok());
    let code = world.lender.lease(&agent, manifest, &ask(31)).unwrap_err().code();
    assert_eq!(code, auth.lease(&agent, manifest, &ask(31)).unwrap_err().code());
}

/// A10: the end of a token and of a cooldown count at the very millisecond.
#[test]
fn a10_memory_ends_when_time_alone_changes_the_answer() {
    let world = World::new();
    world.store(&["work", "home"], 5_000);
    let thrice = || [world.lent(), world.lent(), world.lent()];
    assert_eq!(thrice(), ["openai-codex:work"; 3]);
    world.wait(4_999);
    assert_eq!(thrice(), ["openai-codex:work"; 3]);
    world.wait(1);
    assert_eq!(thrice(), ["openai-codex:home"; 3]);
    world.store(&["work", "home"], 30 * MINUTE);
    world.cool("work", 9_000);
    assert_eq!(thrice(), ["openai-codex:home"; 3]);
    world.wait(3_999);
    assert_eq!(thrice(), ["openai-codex:home"; 3]);
    world.wait(1);
    assert_eq!(thrice(), ["openai-codex:work"; 3]);
}

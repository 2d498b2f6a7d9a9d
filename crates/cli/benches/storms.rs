//! Storms, measured: many processes of the binary find one login expired at the same moment.
//!
//! `cargo xtask bench` runs this and puts the figures beside their budgets. Each figure is the median of some storms.

#![allow(clippy::disallowed_methods, reason = "a measurement makes its own files and processes")]
#![allow(clippy::unwrap_used, reason = "a failed step is a failed measurement")]
#![allow(clippy::print_stdout, reason = "its figures are its output")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coderclaw_sandbox::{Fault, Options, Sandbox, User};
use coderclaw_types::{Clock, Millis};
use serde_json::json;

const PROVIDER: &str = "openai-codex";
const ROUNDS: usize = 5;

struct World {
    sandbox: Sandbox,
    dir: tempfile::TempDir,
}

fn now() -> Millis {
    Millis(0).plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

impl World {
    /// One expired login, and a server of its own.
    fn new() -> Self {
        let sandbox = Sandbox::start(Options::new(Clock::from_fn(now))).unwrap();
        sandbox.add_user(User::named("me"));
        sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
        let world = Self { sandbox, dir: tempfile::tempdir().unwrap() };
        world.private("providers/openai-codex.toml", &world.sandbox.manifest(PROVIDER));
        let (grant, ended) = (world.sandbox.grant("me"), now().0 - 1_000);
        let login = json!({
            "type": "oauth", "provider": PROVIDER, "access": grant.access.expose(), "refresh": grant.refresh.expose(),
            "expires": ended, "issuedAt": ended - 3_600_000,
        });
        let store = json!({"version": 1, "profiles": {"openai-codex:me": login}});
        world.private("agents/main/agent/auth-profiles.json", &store.to_string());
        world
    }

    fn private(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// How long after the last of `count` processes was started the last of them ended, in milliseconds.
    fn storm(&self, count: usize, should_succeed: bool) -> f64 {
        let start = |_| -> Child {
            Command::new(Path::new(env!("CARGO_BIN_EXE_coderclaw")))
                .args(["models", "auth", "token", "--provider", PROVIDER])
                .env_clear()
                .env("CODERCLAW_STATE_DIR", self.dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let children: Vec<Child> = (0..count).map(start).collect();
        let began = Instant::now();
        for mut child in children {
            assert_eq!(child.wait().unwrap().success(), should_succeed);
        }
        began.elapsed().as_secs_f64() * 1e3
    }
}

/// The most requests of all rounds, and the median time.
fn measured(count: usize, is_down: bool) -> (u32, f64) {
    let mut all: Vec<(u32, f64)> = (0..ROUNDS)
        .map(|_| {
            let world = World::new();
            if is_down {
                world.sandbox.script(Fault::status(503), 1_000);
            }
            let took = world.storm(count, !is_down);
            (world.sandbox.counts().refreshes, took)
        })
        .collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    (all.iter().map(|(requests, _)| *requests).max().unwrap_or_default(), all[ROUNDS / 2].1)
}

fn main() {
    for count in [2, 32, 256] {
        let (requests, ms) = measured(count, false);
        println!("{count} processes, requests: {requests}");
        println!("{count} processes, last served after the last start: {ms:.0} ms");
    }
    let (requests, ms) = measured(256, true);
    println!("256 processes, server down, requests: {requests}");
    println!("256 processes, server down, last answered after the last start: {ms:.0} ms");
}

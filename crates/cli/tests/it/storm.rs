//! Many processes, one login.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Fault, Reply};

use crate::world::{ME, Ran, TOKEN, World};

/// How many times a storm is repeated; `cargo xtask torture --times N` says otherwise.
fn rounds(usual: usize) -> usize {
    std::env::var("CODERCLAW_TORTURE").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// A1, A3: 32 processes ask for one expired token: one request, no reuse, and all get the same new token.
#[test]
fn a1_a_storm_causes_one_refresh() {
    let world = World::new();
    for round in 0..rounds(200) {
        let login = world.login(-1_000);
        world.seed("main", &[(ME, &login.entry)]);
        let before = world.sandbox.counts();
        let tokens: HashSet<String> = world.storm(32).into_iter().map(Ran::ok).collect();
        let after = world.sandbox.counts();
        assert_eq!(tokens.len(), 1, "round {round}: distinct tokens");
        assert_ne!(tokens.into_iter().next().unwrap().trim(), login.access.expose());
        assert_eq!(after.refreshes - before.refreshes, 1, "round {round}: requests");
        assert_eq!((after.reuses, world.sent(&login.refresh)), (0, 1), "round {round}");
    }
}

/// A1: 256 processes, once.
#[test]
fn a1_256_processes_cause_one_refresh() {
    let (world, login) = World::expired();
    let tokens: HashSet<String> = world.storm(256).into_iter().map(Ran::ok).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().refreshes), (1, 1));
}

/// A11: 256 processes and nobody at the other end: everybody is answered, few knock.
#[test]
fn a11_256_processes_with_the_server_gone() {
    let (world, login) = World::expired();
    world.sandbox.script(Fault::DropBeforeRotate, 1_000);
    for ran in world.storm(256) {
        assert_eq!(ran.code(), "offline", "{ran:?}");
    }
    assert!(world.sent(&login.refresh) <= 3, "{:?}", world.sandbox.counts());
}

/// A2: two agents with dirs of their own that hold the same grant queue on one lock; both end with the new token.
#[test]
fn a2_a_storm_over_two_agents_that_share_a_grant() {
    let world = World::new();
    let login = world.login(-1_000);
    world.seed("main", &[(ME, &login.entry)]);
    world.seed("work", &[("openai-codex:copied", &login.entry)]);
    let children: Vec<_> = (0..16)
        .map(|i| {
            let agent = if i % 2 == 0 { "main" } else { "work" };
            let mut command = world.command(TOKEN);
            world.start(command.args(["--agent", agent]))
        })
        .collect();
    let tokens: HashSet<String> =
        children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()).ok()).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (1, 0));
    let (one, two) = (world.entry("main", ME), world.entry("work", "openai-codex:copied"));
    assert_eq!(one["refresh"], two["refresh"]);
    assert_eq!(one["grant"], two["grant"]);
    assert!(one["grant"].is_string());
}

/// A11: 64 processes and a server that is down: few requests, quick answers, and the store as it was.
#[test]
fn a11_a_storm_on_a_server_that_is_down() {
    let (world, login) = World::expired();
    let store = std::fs::read(world.store()).unwrap();
    world.sandbox.script(Fault::status(503), 1_000);
    let began = Instant::now();
    for ran in world.storm(64) {
        assert_eq!(ran.code(), "offline", "{ran:?}");
        assert!(ran.stderr.contains("503"), "{ran:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(world.sandbox.counts().refreshes <= 3, "{:?}", world.sandbox.counts());
    assert_eq!(std::fs::read(world.store()).unwrap(), store);
    assert!(world.sandbox.is_live(&login.refresh));
}

/// A4, A15: 64 processes and a server that refuses the token: it is asked once or twice, the store stays as it was,
/// and everybody afterwards is told without a request.
#[test]
fn a15_a_storm_on_a_dead_login() {
    let (world, login) = World::expired();
    let store = std::fs::read(world.store()).unwrap();
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1_000);
    for ran in world.storm(64) {
        assert_eq!(ran.code(), "needs_login", "{ran:?}");
        assert!(ran.stderr.contains("coderclaw models auth login --provider openai-codex"), "{ran:?}");
    }
    let asked = world.sandbox.counts().refreshes;
    assert!((1..=3).contains(&asked), "{asked} requests");
    assert_eq!(world.token().code(), "needs_login");
    assert_eq!(world.sandbox.counts().refreshes, asked, "a quarantined login costs nothing");
    assert_eq!(std::fs::read(world.store()).unwrap(), store);
    assert_eq!(world.entry("main", ME)["refresh"], login.refresh.expose());
}

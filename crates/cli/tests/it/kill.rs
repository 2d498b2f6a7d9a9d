//! Killed at the worst moments: nothing is lost, and no spent token is sent. All others are in `points.rs`.

use std::time::Duration;

use coderclaw_sandbox::{Fault, Policy, Reuse};

use crate::world::{ME, TOKEN, World};

/// Long enough for any step on a busy machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A9: the asker is killed while the answer is on its way. The refresh goes on without it: one request in all, and the
/// next asker has the new token.
#[test]
fn a9_an_asker_killed_in_the_middle_loses_nothing() {
    let world = World::new();
    for round in 0..50 {
        let login = world.login(-1_000);
        world.seed("main", &[(ME, &login.entry)]);
        let gate = world.sandbox.gate();
        let mut asker = world.start(&mut world.command(TOKEN));
        assert!(gate.wait_arrived(PATIENCE), "round {round}: the request arrives");
        asker.kill().unwrap();
        asker.wait().unwrap();
        gate.open();
        let token = world.token().ok();
        assert_ne!(token.trim(), login.access.expose());
        assert_eq!(world.sent(&login.refresh), 1, "round {round}");
        assert_eq!(world.sandbox.counts().reuses, 0);
        world.wait_for_access("main", ME, token.trim());
    }
}

/// Ctrl-C reaches the whole process group; the worker is out of it, and finishes.
#[test]
fn a9_an_interrupt_of_the_whole_group_does_not_reach_the_worker() {
    use std::os::unix::process::CommandExt;
    let (world, login) = World::expired();
    let gate = world.sandbox.gate();
    let mut command = world.command(TOKEN);
    let mut asker = world.start(command.process_group(0));
    assert!(gate.wait_arrived(PATIENCE));
    let group = rustix::process::Pid::from_raw(i32::try_from(asker.id()).unwrap()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    asker.wait().unwrap();
    gate.open();
    assert_ne!(world.token().ok().trim(), login.access.expose());
    assert_eq!(world.sent(&login.refresh), 1);
}

/// A9: killed between sending and the answer: nobody knows whether the token was spent. With a server that has a
/// grace time the second try works; with a strict one it is refused, and the login is said to be interrupted.
#[test]
fn a9_a_worker_killed_with_the_answer_outstanding() {
    for (reuse, outcome) in
        [(Reuse::Grace(Duration::from_secs(600)), "ok"), (Reuse::KillFamily, "interrupted")]
    {
        let (mut world, login) = World::expired();
        world.sandbox.policy(|policy: &mut Policy| policy.reuse = reuse);
        world.set("CODERCLAW_FAULT", "refresh.sent:kill");
        assert!(world.token().code.is_some());
        world.unset("CODERCLAW_FAULT");
        let store = std::fs::read(world.store()).unwrap();
        // One more try is licensed, and spaced; the clock stands for the wait.
        world.shift_clock(Duration::from_secs(120));
        let ran = world.token();
        match outcome {
            "ok" => assert_ne!(ran.ok().trim(), login.access.expose()),
            code => {
                assert_eq!(ran.code(), code, "{ran:?}");
                assert_eq!(std::fs::read(world.store()).unwrap(), store);
                assert_eq!(world.token().code(), code, "and costs nothing afterwards");
            }
        }
        assert_eq!(world.sent(&login.refresh), 2, "one ambiguous sending licenses one more");
    }
}

/// A8: killed between the commits of two stores that hold clones of one login: both end with the new token, and no
/// spent token is sent.
#[test]
fn a8_killed_between_two_clones() {
    let (mut world, login) = World::expired();
    world.seed("work", &[("openai-codex:clone", &login.entry)]);
    world.set("CODERCLAW_FAULT", "refresh.applied_one@1:kill");
    let first = world.token().ok();
    let stale = ["main", "work"].map(|agent| {
        let id = if agent == "main" { ME } else { "openai-codex:clone" };
        world.entry(agent, id)["refresh"] == login.refresh.expose()
    });
    assert!(stale.contains(&true) && stale.contains(&false), "one store is behind: {stale:?}");
    world.unset("CODERCLAW_FAULT");
    for agent in ["work", "main"] {
        let ran = world.run(&[TOKEN, &["--agent", agent]].concat());
        assert_eq!(ran.ok(), first, "{agent}");
    }
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (1, 0));
}

/// A9: the server rotates and its answer is lost on the way. While the old access token works it is lent, and the
/// refresh token is left alone; afterwards one more try is made.
#[test]
fn a9_a_lost_answer_waits_for_the_end_of_the_access_token() {
    let mut world = World::new();
    let login = world.login(120_000);
    world.seed("main", &[(ME, &login.entry)]);
    world.sandbox.script(Fault::RotateThenDrop, 1);
    assert_eq!(world.token().ok().trim(), login.access.expose());
    assert_eq!(world.sent(&login.refresh), 1);
    for _ in 0..3 {
        assert_eq!(world.token().ok().trim(), login.access.expose());
    }
    assert_eq!(world.sent(&login.refresh), 1, "not while the access token works");
    world.shift_clock(Duration::from_secs(300));
    assert_eq!(world.token().code(), "interrupted");
    assert_eq!(world.sent(&login.refresh), 2);
}

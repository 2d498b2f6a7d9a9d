//! Claude Code and Codex CLI at the same time, with one login.

use std::time::Duration;

use crate::gateway_world::Gate;
use crate::room::{COMPANY, Room};
use crate::{claude_code, codex};

/// Both at once, each to its end.
fn at_once(room: &Room) {
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| codex::ask(room, &["say one"]));
        let two = scope.spawn(|| claude_code::ask(room, &["say two"]));
        (one.join().unwrap(), two.join().unwrap())
    });
    assert!(one.ok().contains("acct-me-1 sandbox-model: say one"));
    assert!(two.ok().contains("acct-me-1 sandbox-model: "));
}

/// A1: they find the login expired, and the provider sees one refresh for both: through their helpers, and once more
/// through the gateway.
#[test]
fn a1_one_refresh_for_both() {
    let room = codex::room(-1_000);
    room.connect("codex", None, &[]);
    room.connect("claude-code", None, &["--provider", COMPANY]);
    room.world.sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(40));
    at_once(&room);
    assert_eq!((room.refreshes(), room.world.sent(&room.login.refresh)), (1, 1));
    room.world.sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
    let gate = Gate::start(&room.world);
    room.connect("codex", Some(&gate), &[]);
    room.connect("claude-code", Some(&gate), &["--provider", COMPANY]);
    room.wait_for_the_end_of(&room.stored());
    at_once(&room);
    assert_eq!(room.refreshes(), 2);
    let counts = room.world.sandbox.counts();
    assert_eq!((counts.reuses, counts.refused), (0, 0), "no spent token was ever sent");
    assert_eq!(room.world.entry("main", "company:me@x.test")["access"], room.stored().expose());
    room.check_that_nothing_was_taken();
}

//! Codex CLI.

use std::path::PathBuf;

use coderclaw_sandbox::ModelFault;

use crate::gateway_world::Gate;
use crate::room::{BRIEF, LONG, Room, below, fetched};
use crate::running::Done;

fn binary() -> PathBuf {
    let native = below(&fetched("codex/node_modules/@openai"), "codex-");
    below(&native.join("vendor"), "").join("bin/codex")
}

/// A room with Codex in it, as somebody has set it up: a model, and nothing that it would send home.
pub(crate) fn room(left: i64) -> Room {
    let room = Room::new(left);
    let config = "# mine\nmodel = \"sandbox-model\"\ncheck_for_update_on_startup = false\n\n[analytics]\nenabled = false\n";
    room.world.private(&room.world.home().join(".codex/config.toml"), config);
    room
}

pub(crate) fn ask(room: &Room, arguments: &[&str]) -> Done {
    let arguments = [&["exec", "--skip-git-repo-check"], arguments].concat();
    room.run(room.command(&binary(), &arguments))
}

fn is_served(done: Done, text: &str) {
    let out = done.ok();
    assert!(out.contains(&format!("acct-me-1 sandbox-model: {text}")), "{out}");
}

/// A12: a prompt to its end, through a 401, and through a token that is rejected for good; a limit is said at once. The login
/// itself never leaves the store.
#[test]
fn a12_through_the_helper() {
    let room = room(LONG);
    room.connect("codex", None, &[]);
    is_served(ask(&room, &["say one"]), "say one");
    // The provider takes the token for ended, once: Codex asks the helper again.
    room.world.sandbox.script_turns(&ModelFault::Expired, 1);
    let (done, turns) = room.turns_of(|| ask(&room, &["say two"]));
    is_served(done, "say two");
    assert_eq!((turns, room.refreshes()), (2, 0));
    room.world.sandbox.reject_access(&room.login.access);
    is_served(ask(&room, &["say three"]), "say three");
    assert_eq!(room.refreshes(), 1);
    limit(&room);
    room.check_that_nothing_was_taken();
    wants_nothing_else(&room);
    room.world.run(&["disconnect", "codex", "--yes"]).ok();
    let config = std::fs::read_to_string(room.world.home().join(".codex/config.toml")).unwrap();
    assert!(config.starts_with("# mine") && !config.contains("coderclaw"), "{config}");
}

/// It looks for plugins, which no setting of its own switches off; it found a proxy that goes nowhere.
fn wants_nothing_else(room: &Room) {
    let known = ["CONNECT github.com:443", "CONNECT api.github.com:443", "CONNECT chatgpt.com:443"];
    let wanted = room.wanted_from_outside();
    assert!(wanted.iter().all(|one| known.contains(&one.as_str())), "{wanted:?}");
}

/// A limit is said in the provider's own words, after one request.
fn limit(room: &Room) {
    room.world.sandbox.script_turns(&ModelFault::UsageLimit(3_600), 9);
    let (done, turns) = room.turns_of(|| ask(room, &["say five"]));
    is_the_limit(done);
    assert_eq!(turns, 1);
    room.world.sandbox.clear_script();
}

fn is_the_limit(done: Done) {
    let seen = done.failed_at_once().to_lowercase();
    assert!(seen.contains("hit your usage limit") && seen.contains("try again at"), "{seen}");
}

/// A12: the same through the gateway, where the program sees none of it; and a login that is gone is said at once, with the
/// command to type.
#[test]
fn a12_through_the_gateway() {
    let room = room(LONG);
    let gate = Gate::start(&room.world);
    room.connect("codex", Some(&gate), &[]);
    is_served(ask(&room, &["say one"]), "say one");
    room.world.sandbox.script_turns(&ModelFault::Expired, 1);
    let done = ask(&room, &["say two"]);
    assert!(!done.err.contains("401"), "{}", done.err);
    is_served(done, "say two");
    assert_eq!(
        room.refreshes(),
        1,
        "a token that is rejected is refreshed before the request goes out again"
    );
    limit(&room);
    // Nothing is asked while the account waits for its limit, and the words are the same.
    let (done, turns) = room.turns_of(|| ask(&room, &["say six"]));
    is_the_limit(done);
    assert_eq!(turns, 0);
    room.end_of_the_login();
    let seen = ask(&room, &["say seven"]).failed_at_once();
    assert!(seen.contains("coderclaw models auth login --provider openai-codex"), "{seen}");
    assert!(!seen.contains("Reconnecting"), "{seen}");
    room.check_that_nothing_was_taken();
    wants_nothing_else(&room);
}

/// A token that ends between two prompts of one conversation: one refresh, either way.
#[test]
fn a_token_ends_between_two_prompts() {
    for is_through_gateway in [false, true] {
        let room = room(BRIEF);
        let gate = is_through_gateway.then(|| Gate::start(&room.world));
        room.connect("codex", gate.as_ref(), &[]);
        is_served(ask(&room, &["say one"]), "say one");
        assert_eq!(room.refreshes(), 0);
        room.wait_for_the_end_of(&room.login.access);
        is_served(ask(&room, &["resume", "--last", "say two"]), "say two");
        assert_eq!(room.refreshes(), 1);
    }
}

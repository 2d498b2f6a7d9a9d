//! Claude Code.

use std::path::PathBuf;
use std::process::Command;

use coderclaw_sandbox::ModelFault;
use serde_json::{Value, json};

use crate::gateway_world::Gate;
use crate::room::{BRIEF, COMPANY, LONG, Room, Talk, below, fetched};
use crate::running::Done;

fn binary() -> PathBuf {
    below(&fetched("claude-code/node_modules/@anthropic-ai"), "claude-code-").join("claude")
}

fn claude(room: &Room, arguments: &[&str]) -> Command {
    let arguments = [&["-p", "--model", "sandbox-model"], arguments].concat();
    let mut command = room.command(&binary(), &arguments);
    for name in [
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "DISABLE_TELEMETRY",
        "DISABLE_ERROR_REPORTING",
        "DISABLE_AUTOUPDATER",
    ] {
        command.env(name, "1");
    }
    command
}

pub(crate) fn ask(room: &Room, arguments: &[&str]) -> Done {
    room.run(claude(room, arguments))
}

/// The sandbox says who was served and repeats what it was asked, with all that Claude Code puts before it.
fn is_served(done: Done, account: &str, text: &str) {
    let out = done.ok();
    assert!(
        out.starts_with(&format!("{account} sandbox-model: ")) && out.trim_end().ends_with(text),
        "{out}"
    );
}

/// A token that ends between two prompts of one process: one refresh, either way.
#[test]
fn a_token_ends_between_two_prompts() {
    for is_through_gateway in [false, true] {
        let room = Room::new(BRIEF);
        let gate = is_through_gateway.then(|| Gate::start(&room.world));
        room.connect("claude-code", gate.as_ref(), &["--provider", COMPANY]);
        let arguments = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
        let mut talk = Talk::start(claude(&room, &arguments));
        let say = |text: &str| json!({"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": text}]}});
        let is_result = |line: &Value| line["type"] == "result";
        talk.say(&say("say one"));
        let first = talk.until(is_result);
        assert!(first["is_error"] == false && first["result"].to_string().contains("say one"), "{first}");
        assert_eq!(room.refreshes(), 0);
        room.wait_for_the_end_of(&room.login.access);
        talk.say(&say("say two"));
        let second = talk.until(is_result);
        assert!(second["is_error"] == false && second["result"].to_string().contains("say two"), "{second}");
        assert_eq!(room.refreshes(), 1);
    }
}

/// A12: with a company's own login: a prompt to its end, through a 401, and through a token that is rejected for good; a
/// limit is said at once.
#[test]
fn a12_through_the_helper() {
    let room = Room::new(LONG);
    room.connect("claude-code", None, &["--provider", COMPANY]);
    is_served(ask(&room, &["say one"]), "acct-me-1", "say one");
    room.world.sandbox.script_turns(&ModelFault::Expired, 1);
    let (done, turns) = room.turns_of(|| ask(&room, &["say two"]));
    is_served(done, "acct-me-1", "say two");
    assert_eq!((turns, room.refreshes()), (2, 0));
    room.world.sandbox.reject_access(&room.login.access);
    is_served(ask(&room, &["say three"]), "acct-me-1", "say three");
    assert_eq!(room.refreshes(), 1);
    limit(&room);
    room.check_that_nothing_was_taken();
    assert_eq!(room.wanted_from_outside(), Vec::<String>::new());
}

/// A limit is said after one request.
fn limit(room: &Room) {
    room.world.sandbox.script_turns(&ModelFault::UsageLimit(3_600), 9);
    let (done, turns) = room.turns_of(|| ask(room, &["say five"]));
    let seen = done.failed_at_once();
    assert!(seen.contains("Request rejected (429)") && seen.contains("limit"), "{seen}");
    assert_eq!(turns, 1);
    room.world.sandbox.clear_script();
}

/// A12: the same through the gateway, where the program sees none of it; and a login that is gone is said at once, with the
/// command to type.
#[test]
fn a12_through_the_gateway() {
    let room = Room::new(LONG);
    let gate = Gate::start(&room.world);
    room.connect("claude-code", Some(&gate), &["--provider", COMPANY]);
    is_served(ask(&room, &["say one"]), "acct-me-1", "say one");
    room.world.sandbox.script_turns(&ModelFault::Expired, 1);
    is_served(ask(&room, &["say two"]), "acct-me-1", "say two");
    assert_eq!(
        room.refreshes(),
        1,
        "a token that is rejected is refreshed before the request goes out again"
    );
    limit(&room);
    let (done, turns) = room.turns_of(|| ask(&room, &["say six"]));
    let seen = done.failed_at_once();
    assert!(seen.contains("usage limit") && seen.contains("min more"), "{seen}");
    assert_eq!(turns, 0, "nothing is asked while the account waits for its limit");
    room.end_of_the_login();
    let seen = ask(&room, &["say seven"]).failed_at_once();
    assert!(seen.contains("coderclaw models auth login --provider company"), "{seen}");
    room.check_that_nothing_was_taken();
    assert_eq!(room.wanted_from_outside(), Vec::<String>::new());
}

/// A subscription's setup-token, which no helper can give it: through the gateway it is served.
#[test]
fn a_setup_token_goes_through_the_gateway() {
    let room = Room::new(LONG);
    let gate = Gate::start(&room.world);
    room.connect("claude-code", Some(&gate), &[]);
    let (done, turns) = room.turns_of(|| ask(&room, &["say one"]));
    is_served(done, "work", "say one");
    assert_eq!(turns, 1);
    let call = room.turns().pop().unwrap();
    assert!(call.headers["anthropic-beta"].contains("oauth-2025-04-20"), "{call:?}");
    assert!(call.headers["anthropic-beta"].contains("claude-code-"), "its own words go along: {call:?}");
}

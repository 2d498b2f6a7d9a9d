//! The keys of the gateway: made once, counted at once, and each for what it is for.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use crate::chat::{HOME, WORK, calls, world};
use crate::gateway_world::{Gate, key, question, wait_until};
use crate::world::{ME, World};

/// A key is shown once and kept as a hash; without one, with a wrong one, an ended or a revoked one nobody gets in, each in
/// the client's own envelope; a new one counts at the next request.
#[test]
fn only_keys_that_count_get_in() {
    let mut world = world();
    let gate = Gate::start(&world);
    let none = gate.send("POST /v1/messages", &[("anthropic-version", "2023-06-01")], &question("x"));
    assert_eq!((none.status, none.code()), (403, "gateway_key_refused"));
    assert_eq!(none.json()["error"]["type"], "permission_error");
    let none = gate.send("POST /codex/responses", &[], "{}");
    assert_eq!((none.status, none.code()), (401, "gateway_key_refused"));
    assert!(none.json()["error"]["message"].as_str().unwrap().contains("coderclaw gateway keys add NAME"));
    let first = key(&world, &["first"]);
    assert!(first.starts_with("ccg_") && first.len() == 47, "{first}");
    gate.claude(&first, "x").ok();
    let file = world.state().join("gateway/keys.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&first[4..]), "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for wrong in ["", "ccg_", "ccg_x", &first[..46], &format!("{first}x"), &first.to_uppercase(), "Bearer"] {
        assert_eq!(gate.claude(wrong, "x").status, 403, "{wrong}");
    }
    let basic =
        gate.send("POST /v1/messages", &[("Authorization", &format!("Basic {first}"))], &question("x"));
    assert_eq!(basic.status, 403);
    let listed = world.run(&["gateway", "keys", "list", "--json"]).json();
    let one = &listed["keys"][0];
    assert_eq!(
        (&one["name"], &one["agentId"], one["key"].is_null()),
        (&json!("first"), &json!("main"), true)
    );
    assert_eq!(world.run(&["gateway", "keys", "add", "first"]).code(), "gateway_key_taken");
    // One that ends, seen by a gateway of tomorrow.
    let brief = key(&world, &["brief", "--expires", "1h"]);
    gate.claude(&brief, "x").ok();
    drop(gate);
    world.shift_clock(Duration::from_secs(3_700));
    let gate = Gate::start(&world);
    let ended = gate.claude(&brief, "x");
    assert!(ended.status == 403 && ended.text().contains("has ended"), "{}", ended.text());
    gate.claude(&first, "x").ok();
    world.run(&["gateway", "keys", "revoke", "first"]).ok();
    assert_eq!(gate.claude(&first, "x").status, 403);
    assert_eq!(world.run(&["gateway", "keys", "revoke", "first"]).code(), "unknown_gateway_key");
    assert_eq!(calls(&world).len(), 3);
    gate.wait_said("refused [gateway_key_refused] 403");
    for secret in [&first, &brief] {
        assert!(!gate.said().contains(secret.as_str()), "{}", gate.said());
    }
}

/// A key for one provider, one profile or one agent lends nothing else.
#[test]
fn a_key_lends_only_what_it_is_for() {
    let world = world();
    world.run(&["models", "auth", "order", "set", "--provider", "anthropic", HOME, WORK]).ok();
    world.run(&["agents", "add", "other"]).ok();
    let gate = Gate::start(&world);
    let work = key(&world, &["work", "--profile", WORK]);
    assert!(gate.claude(&work, "x").said().contains("work m: x"), "the order names another one first");
    let elsewhere = gate.codex(&work, "x");
    assert_eq!((elsewhere.status, elsewhere.code()), (401, "gateway_key_refused"));
    assert!(elsewhere.text().contains("is for anthropic, not for openai-codex"), "{}", elsewhere.text());
    let codex = key(&world, &["codex", "--provider", "openai-codex"]);
    gate.codex(&codex, "x").ok();
    for line in ["POST /v1/messages", "POST /anthropic/v1/messages"] {
        let refused = gate.send(line, &crate::gateway_world::claude(&codex), &question("x"));
        assert_eq!((refused.status, refused.code()), (403, "gateway_key_refused"), "{line}");
    }
    // An agent of its own has no logins, and borrows none.
    let other = key(&world, &["other", "--agent", "other"]);
    let refused = gate.claude(&other, "x");
    assert_eq!((refused.status, refused.code()), (403, "not_linked"), "{}", refused.text());
    assert!(refused.text().contains("coderclaw agents link other --to main"), "{}", refused.text());
    assert_eq!(calls(&world).len(), 2);
    let table = [
        (&["gateway", "keys", "add", "x", "--profile", "anthropic:nobody"][..], "unknown_profile"),
        (&["gateway", "keys", "add", "x", "--provider", "no-such"], "unknown_provider"),
        (&["gateway", "keys", "add", "x", "--provider", "anthropic", "--profile", ME], "usage"),
        (&["gateway", "keys", "add", "x", "--agent", "nobody"], "unknown_agent"),
        (&["gateway", "keys", "add", "  "], "usage"),
        (&["gateway", "keys", "add", "ccg_x"], "usage"),
    ];
    for (arguments, code) in table {
        assert_eq!(world.run(arguments).code(), code, "{arguments:?}");
    }
}

/// A file of keys that makes no sense lets nobody in, and is not replaced; looking at keys writes nothing.
#[test]
fn a_damaged_file_of_keys_lets_nobody_in() {
    let world = world();
    let before = world.everything();
    assert!(world.run(&["gateway", "keys", "list"]).ok().contains("No program has a gateway key"));
    assert_eq!(world.run(&["gateway", "keys", "revoke", "x"]).code(), "unknown_gateway_key");
    assert_eq!(world.everything(), before);
    let gate = Gate::start(&world);
    let good = key(&world, &["tool"]);
    gate.claude(&good, "x").ok();
    let path = world.state().join("gateway/keys.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    world.private(&path, "[[key]]\nid = 'x'\n");
    let broken = gate.claude(&good, "x");
    assert_eq!((broken.status, broken.code()), (500, "gateway_keys_invalid"));
    assert_eq!(world.run(&["gateway", "keys", "add", "y"]).code(), "gateway_keys_invalid");
    world.private(&path, &text);
    wait_until("the key counts again", || gate.claude(&good, "x").status == 200);
}

/// The key alone is on standard output, for a script; the words are beside it.
#[test]
fn the_key_is_alone_on_standard_output() {
    let world = World::new();
    let ran = world.run(&["gateway", "keys", "add", "laptop", "--expires", "30d"]);
    assert!(ran.stderr.contains("laptop: agent main, all providers, ends in 30 days"), "{}", ran.stderr);
    let out = ran.ok();
    assert!(out.starts_with("ccg_") && out.lines().count() == 1, "{out}");
}

//! `sessions list|show|unpin`.

use serde_json::{Value, json};

use crate::world::{ME, PROVIDER, TOKEN, World};

const LINES: &str = r#"{"type":"session","version":3,"id":"s-1"}
{"type":"message","id":"1","parentId":null,"message":{"role":"user","content":[{"type":"text","text":"hello"}]}}
{"type":"mess
{"type":"message","id":"2","parentId":"1","message":{"role":"assistant","stopReason":"stop","content":[{"type":"text","text":"hi\u001b[2J"}]}}
"#;

/// A session that is pinned to `profile`, beside one that is not.
fn world(profile: &str) -> World {
    let world = World::new();
    world.seed("main", &[(ME, &world.login(3_000_000).entry)]);
    let folder = world.state().join("agents/main/sessions");
    let sessions = json!({
        "agent:main:main": {
            "sessionId": "s-1", "updatedAt": 1_000, "authProfileOverride": profile, "authProfileOverrideSource": "user",
            "providerOverride": PROVIDER, "modelOverride": "gpt-5", "queueMode": "x",
            "authProfileParked": {"anthropic": "anthropic:work"},
        },
        "agent:main:notes": {"sessionId": "s-2", "updatedAt": 2_000},
    });
    world.private(&folder.join("sessions.json"), &sessions.to_string());
    world.private(&folder.join("s-1.jsonl"), LINES);
    world
}

fn index(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("agents/main/sessions/sessions.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn sessions_are_listed_and_looking_changes_nothing() {
    let world = world(ME);
    let before = world.picture();
    for command in [&["sessions", "--json"][..], &["sessions", "list", "--json"]] {
        let listed = world.run(command).json();
        assert_eq!(listed["count"], 2);
        assert_eq!(listed["sessions"][0]["key"], "agent:main:notes", "the last used first");
        let pinned = &listed["sessions"][1];
        assert_eq!(pinned["pin"], json!({"profileId": ME, "source": "user", "exists": true}));
        assert_eq!(pinned["parkedPins"], json!([{"provider": "anthropic", "profileId": "anthropic:work"}]));
        assert_eq!((&pinned["provider"], &pinned["model"]), (&json!(PROVIDER), &json!("gpt-5")));
    }
    let shown = world.run(&["sessions", "show", "main", "--json"]).json();
    assert_eq!((&shown["messageCount"], &shown["damagedLines"]), (&json!(2), &json!(1)));
    assert_eq!(shown["messages"][0], json!({"role": "user", "text": "hello"}));
    let text = world.run(&["sessions", "show", "agent:main:main", "--limit", "1"]).ok();
    assert!(text.contains("hi?[2J") && !text.contains("hello"), "{text}");
    let nobody = World::new();
    assert!(nobody.run(&["sessions"]).ok().contains("has no sessions"));
    assert_eq!(nobody.run(&["sessions", "--json"]).json()["sessions"], json!([]));
    assert_eq!(world.picture(), before);
}

/// C6: a session whose pinned profile is gone says so, uses nothing else, and works again once it is unpinned.
#[test]
fn c6_a_vanished_pin_is_reported_and_can_be_dropped() {
    let world = world("openai-codex:gone@x.test");
    let text = world.run(&["sessions", "list"]).ok();
    assert!(
        text.contains("no longer there") && text.contains("coderclaw sessions unpin agent:main:main"),
        "{text}"
    );
    let with_session = [TOKEN, &["--session", "main"]].concat();
    let refused = world.run(&with_session);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("openai-codex:gone@x.test"), "{refused:?}");
    let done = world.run(&["sessions", "unpin", "main", "--json"]).json();
    assert_eq!(done["unpinned"], json!(["openai-codex:gone@x.test", "anthropic:work"]));
    let entry = &index(&world)["agent:main:main"];
    assert_eq!((&entry["queueMode"], &entry["modelOverride"]), (&json!("x"), &json!("gpt-5")));
    assert!(
        entry.get("authProfileOverride").is_none() && entry.get("authProfileParked").is_none(),
        "{entry}"
    );
    world.run(&with_session).ok();
    assert!(world.run(&["sessions", "unpin", "main"]).ok().contains("nothing was changed"));
}

#[test]
fn an_unknown_session_and_a_damaged_index_are_told_apart() {
    let world = world(ME);
    for command in ["show", "unpin"] {
        let ran = world.run(&["sessions", command, "nosuch"]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stderr.contains("[unknown_session]") && ran.stderr.contains("agent:main:notes"),
            "{ran:?}"
        );
    }
    let path = world.state().join("agents/main/sessions/sessions.json");
    world.private(&path, "{\"agent:main:main\": {");
    for command in [&["sessions"][..], &["sessions", "unpin", "main"], &["sessions", "show", "main"]] {
        let ran = world.run(command);
        assert!(ran.stderr.contains("[corrupt]"), "{ran:?}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"agent:main:main\": {");
}

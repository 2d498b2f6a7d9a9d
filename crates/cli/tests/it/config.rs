//! `config get|set|unset|validate|path`: the file that people write by hand.

use serde_json::{Value, json};

use crate::world::{Ran, TOKEN, World};

const WRITTEN: &str = r#"// mine
{
  auth: { order: { 'openai-codex': ['openai-codex:me@x.test'] } }, // careful
  agents: { list: [ { id: 'work', name: 'W' } ] },
  models: { providers: { groq: { baseUrl: "https://api.groq.example", apiKey: '${GROQ}', models: [] } } },
  channels: { telegram: { botToken: "123:canary", chats: [+1, .5] } },
}
"#;

fn text(world: &World) -> String {
    std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap()
}

fn written() -> World {
    let mut world = World::new();
    world.config(WRITTEN);
    world.set("GROQ", "sk-groq-canary");
    world
}

fn refused(ran: &Ran, code: &str, says: &str) {
    assert_eq!(ran.code(), code, "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    assert!(ran.stderr.contains(says), "{says}: {ran:?}");
    assert!(ran.stderr.lines().count() <= 2, "{ran:?}");
}

#[test]
fn a_value_is_set_and_everything_around_it_stays() {
    let world = written();
    let ran = world.run(&["config", "set", "agents.list[0].name", "Work"]);
    assert!(ran.stdout.starts_with("Updated ") && ran.stdout.ends_with("/coderclaw.json\n"), "{ran:?}");
    assert_eq!(text(&world), WRITTEN.replace("'W'", "\"Work\""));
    world.run(&["config", "set", "agents.list[0].name", "W"]).ok();
    let again = world.run(&["config", "set", "agents.list[0].name", "W"]).ok();
    assert!(again.starts_with("Unchanged "), "{again}");
    let set = world.run(&["config", "set", "channels.telegram.chats", "[1, 2,]", "--json"]).json();
    assert_eq!((&set["updated"], &set["key"]), (&json!(true), &json!("channels.telegram.chats")));
    world.run(&["config", "unset", "channels.telegram.chats"]).ok();
    for kept in ["// mine", "// careful", "'${GROQ}'", "'openai-codex'", "123:canary"] {
        assert!(text(&world).contains(kept), "{kept}: {}", text(&world));
    }
    // Four changes, and one that was none.
    for (backup, exists) in [("bak", true), ("bak.3", true), ("bak.4", false)] {
        assert_eq!(world.state().join(format!("coderclaw.json.{backup}")).exists(), exists, "{backup}");
    }
}

#[test]
fn values_are_json5_or_else_text() {
    let world = World::new();
    for (typed, value) in [
        ("openai/gpt-5.2", json!("openai/gpt-5.2")),
        ("true", json!(true)),
        ("-3", json!(-3)),
        ("{a: [1, 'x'],}", json!({"a": [1, "x"]})),
        ("\"7\"", json!("7")),
        ("", json!("")),
        ("two words", json!("two words")),
    ] {
        world.run(&["config", "set", "ui.x", typed]).ok();
        assert_eq!(world.run(&["config", "get", "ui.x", "--json"]).json(), value, "{typed}");
    }
    refused(&world.run(&["config", "set", "ui.x", "two words", "--json-value"]), "usage", "not JSON5");
    assert_eq!(world.run(&["config", "get", "ui.x"]).ok(), "two words\n");
}

/// E11, G1: a secret comes by standard input or as a variable, and is shown to those only who ask for it.
#[test]
fn e11_secrets_come_by_standard_input_and_are_not_shown() {
    let world = written();
    let before = text(&world);
    let place = "models.providers.groq.apiKey";
    for arguments in [
        &["config", "set", place, "sk-canary"][..],
        &[
            "config",
            "set",
            "models.providers.groq",
            "{baseUrl: 'https://x', apiKey: 'sk-canary', models: []}",
        ],
        &["config", "set", "env.vars.OPENAI_API_KEY", "sk-canary"],
    ] {
        let ran = world.run(arguments);
        refused(&ran, "usage", "--stdin");
        assert!(!ran.stderr.contains("sk-canary"), "{ran:?}");
    }
    assert_eq!(text(&world), before);
    refused(&world.run(&["config", "set", place]), "input_required", "--stdin");
    let ran = world.run_with_input(&["config", "set", place, "--stdin"], "sk-new-canary\n");
    assert!(!ran.stdout.contains("canary"), "{ran:?}");
    ran.ok();
    assert_eq!(world.run(&["config", "get", place]).ok(), "(secret)\n");
    assert_eq!(world.run(&["config", "get", place, "--show-secrets"]).ok(), "sk-new-canary\n");
    for path in ["models", "channels", "channels.telegram.botToken"] {
        for more in [&[][..], &["--json"]] {
            let shown = world.run(&[&["config", "get", path], more].concat()).ok();
            assert!(shown.contains("(secret)") && !shown.contains("canary"), "{path}: {shown}");
        }
    }
    world.run(&["config", "set", place, "${GROQ}"]).ok();
    assert!(text(&world).contains("\"${GROQ}\""), "{}", text(&world));
    assert_eq!(world.run(&["config", "get", place, "--show-secrets"]).ok(), "sk-groq-canary\n");
}

#[test]
fn wrong_calls_each_have_their_sentence() {
    let world = written();
    let table: [(&[&str], &str, &str); 9] = [
        (&["get", "agents.gone"], "unknown_key", "nothing stands at `agents.gone`"),
        (&["get", "a..b"], "usage", "names no place"),
        (&["unset", "agents.gone"], "unknown_key", "nothing stands at"),
        (&["set", "agents.list.name", "x"], "usage", "`agents.list` is a list, not an object"),
        (&["set", "agents.list[7].id", "x"], "usage", "has 1 elements"),
        (&["set", "agents.list[0].defualt", "true"], "config_invalid", "did you mean `default`?"),
        (
            &["set", "auth.order.openai", "x"],
            "config_invalid",
            "should be a list of profile ids, and is text",
        ),
        (&["set", "agent.x", "1"], "config_invalid", "`agent` is no key that is known here; did you mean"),
        (&["set", "session.dmScope", "all"], "config_invalid", "should be one of main, per-peer"),
    ];
    for (arguments, code, says) in table {
        let arguments = [&["config"], arguments].concat();
        refused(&world.run(&arguments), code, says);
        let error = world.run(&[&arguments[..], &["--json"]].concat()).error_json();
        assert_eq!(error["code"], code, "{arguments:?}");
    }
    assert_eq!(text(&world), WRITTEN);
    assert!(!world.state().join("coderclaw.json.bak").exists());
}

/// A mistake in `auth` or `agents` stops what needs them; elsewhere it is told by `validate` and by changes.
#[test]
fn mistakes_are_placed_and_repaired() {
    let (world, _) = World::expired();
    world.config("{\n  auth: {\n    oder: {},\n  },\n  sesion: {},\n}\n");
    let stopped = world.run(TOKEN);
    refused(
        &stopped,
        "config_invalid",
        "coderclaw.json:3:5: `auth.oder` is no key that is known here; did you mean `order`?",
    );
    assert!(stopped.stderr.contains("next: coderclaw config validate"), "{stopped:?}");
    let ran = world.run(&["config", "validate"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("`sesion`") && ran.stdout.contains("2 mistakes"), "{ran:?}");
    let ran = world.run(&["config", "validate", "--json"]);
    assert_eq!(ran.code, Some(1));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["valid"], false);
    let issue = &report["issues"][0];
    assert_eq!(
        (&issue["path"], &issue["line"], &issue["column"], &issue["blocks"]),
        (&json!("auth.oder"), &json!(3), &json!(5), &json!(true))
    );
    assert_eq!(report["issues"][1]["blocks"], false);
    assert_eq!(world.run(&["config", "get", "auth", "--json"]).json(), json!({"oder": {}}));
    world.run(&["config", "unset", "auth.oder"]).ok();
    world.run(TOKEN).ok();
    let ran = world.run(&["config", "set", "agents.defaults.workspace", "/w"]);
    assert_eq!(ran.stderr, "note: the config has a mistake elsewhere; `coderclaw config validate` tells\n");
    world.run(&["config", "unset", "sesion"]).ok();
    let ran = world.run(&["config", "validate"]).ok();
    assert!(ran.ends_with("is as it should be.\n"), "{ran}");
    world.config("{torn");
    let ran = world.run(&["config", "validate", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["valid"], false);
    refused(&world.run(&["config", "set", "ui.x", "1"]), "config_invalid", "line 1");
    assert_eq!(text(&world), "{torn");
}

#[test]
fn included_files_are_read_and_not_written() {
    let (world, _) = World::expired();
    world.config("{ $include: ['./base.json5'], agents: { defaults: { workspace: '/w' } } } // top");
    world.private(
        &world.state().join("base.json5"),
        "{ agents: { list: [{ id: 'work', default: true }] },\n auth: { ordr: {} } }",
    );
    refused(&world.run(TOKEN), "config_invalid", "base.json5:2:10: `auth.ordr`");
    world.private(&world.state().join("base.json5"), "{ agents: { list: [{ id: 'work', default: true }] } }");
    assert_eq!(world.run(&["config", "get", "agents.list[0].id"]).ok(), "work\n");
    refused(&world.run(&["config", "set", "agents.list[0].name", "W"]), "not_writable", "base.json5");
    world.run(&["config", "set", "agents.defaults.workspace", "/v"]).ok();
    assert_eq!(
        text(&world),
        "{ $include: ['./base.json5'], agents: { defaults: { workspace: \"/v\" } } } // top"
    );
    world.config("{ $include: '../outside.json5' }");
    refused(&world.run(&["models", "status"]), "config_invalid", "cannot be read");
}

/// A state dir that is named and has no config never takes the one of the home folder.
#[test]
fn another_state_dirs_config_is_not_ours() {
    let world = World::new();
    world.private(&world.home().join(".coderclaw/coderclaw.json"), "{ agents: { list: [{ id: 'home' }] } }");
    let path = world.run(&["config", "path", "--json"]).json();
    assert_eq!(
        (path["path"].as_str(), &path["exists"]),
        (world.state().join("coderclaw.json").to_str(), &json!(false))
    );
    refused(&world.run(&["config", "get", "agents.list"]), "unknown_key", "nothing stands");
    let ran = world.run(&["config", "validate"]).ok();
    assert!(ran.contains("all defaults"), "{ran}");
}

/// The section `env` sets what is not set.
#[test]
fn variables_of_the_config_count_where_they_are_not_set() {
    let mut world = World::new();
    world.config("{ env: { vars: { GROQ_API_KEY: 'gsk-canary-config' } } }");
    let token = ["models", "auth", "token", "--provider", "groq"];
    assert_eq!(world.run(&token).ok(), "gsk-canary-config\n");
    world.set("GROQ_API_KEY", "gsk-canary-mine");
    assert_eq!(world.run(&token).ok(), "gsk-canary-mine\n");
}

/// Law 4: looks write nothing, lock nothing and make nothing.
#[test]
fn looks_at_the_config_change_nothing() {
    let world = written();
    let before = world.everything();
    for arguments in [
        &["config", "get", "agents"][..],
        &["config", "validate"],
        &["config", "path"],
        &["models", "list", "--json"],
        &["models", "aliases", "list"],
        &["models", "fallbacks", "list"],
    ] {
        world.run(arguments).ok();
    }
    assert_eq!(world.everything(), before);
}

/// Thirty-two processes that change different places lose nothing.
#[test]
fn changes_at_once_are_all_there() {
    let world = written();
    let children: Vec<_> = (0..32)
        .map(|n| world.start(&mut world.command(&["config", "set", &format!("ui.k{n}"), &n.to_string()])))
        .collect();
    for child in children {
        Ran::from(child.wait_with_output().unwrap()).ok();
    }
    let ui = world.run(&["config", "get", "ui", "--json"]).json();
    let wanted: serde_json::Map<String, Value> = (0..32).map(|n| (format!("k{n}"), json!(n))).collect();
    assert_eq!(ui, Value::Object(wanted));
    assert!(text(&world).starts_with("// mine") && text(&world).contains("// careful"));
}

/// Killed at any moment, the old config or the new one is there, and the next change works.
#[test]
fn killed_at_any_point_the_config_is_old_or_new() {
    for point in ["store.read", "store.write", "store.before_rename", "store.after_rename"] {
        for passage in ["@1", "@2"] {
            let mut world = written();
            world.set("CODERCLAW_FAULT", format!("{point}{passage}:kill"));
            let ran = world.run(&["config", "set", "agents.list[0].name", "Work"]);
            world.unset("CODERCLAW_FAULT");
            let new = WRITTEN.replace("'W'", "\"Work\"");
            let now = text(&world);
            assert!(
                now == WRITTEN || (now == new && (ran.code == Some(0) || point == "store.after_rename")),
                "{point}{passage}: {now}"
            );
            world.run(&["config", "set", "agents.list[0].name", "Again"]).ok();
            assert_eq!(world.run(&["config", "get", "agents.list[0].name"]).ok(), "Again\n");
        }
    }
    for fault in ["store.write:enospc", "store.before_rename:erofs"] {
        let mut world = written();
        world.set("CODERCLAW_FAULT", fault);
        refused(
            &world.run(&["config", "set", "agents.list[0].name", "Work"]),
            "not_writable",
            "cannot be written",
        );
        assert_eq!(text(&world), WRITTEN);
    }
}

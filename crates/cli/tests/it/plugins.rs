//! `plugins new` and `check`: manifests, good and bad.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::world::World;

fn check(world: &World, text: &str) -> crate::world::Ran {
    let path = world.path().join("acme.toml");
    world.private(&path, text);
    world.run(&["plugins", "check", "acme.toml", "--json"])
}

/// A new provider begins with a manifest that is good as it is: written once, never over another file, and tried on the
/// test server.
#[test]
fn a_new_provider_is_good_as_it_is() {
    let world = World::new();
    let said = world.run(&["plugins", "new", "acme"]).ok();
    let path = world.state().join("providers/acme.toml");
    assert!(said.contains(path.to_str().unwrap()) && said.contains("plugins check"), "{said}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    assert_eq!(world.run(&["plugins", "new", "acme"]).code(), "plugin_exists");
    assert_eq!(world.run(&["plugins", "new", "openai"]).code(), "plugin_exists");
    for bad in ["../x", "", "a b", "Acme"] {
        let refused = world.run(&["plugins", "new", bad]);
        assert_eq!(refused.code(), "manifest_invalid");
        assert!(refused.stderr.contains(&format!("\"{bad}\" is no id: an id is 1 to 64")), "{refused:?}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let path = path.to_str().unwrap();
    let told = world.run(&["plugins", "check", path, "--json"]).json();
    let one = &told["checked"][0];
    assert_eq!((&one["id"], &one["ok"]), (&"acme".into(), &true.into()));
    let steps: Vec<&str> =
        one["requests"].as_array().unwrap().iter().map(|r| r["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["page", "code", "refresh"]);
    assert_eq!(one["requests"][2]["fields"]["refresh_token"], "***");
    assert_eq!(one["requests"][2]["url"], "https://id.acme.example/token");
    let trial: Vec<(&str, bool)> = one["trial"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["step"].as_str().unwrap(), s["ok"] == true))
        .collect();
    assert_eq!(trial, [("login", true), ("refresh", true)]);
    // Nothing of the trial stays, and nothing was sent to the made-up addresses or stored.
    assert!(!world.store().exists());
    let all = world.run(&["plugins", "check", "--no-trial"]).ok();
    assert!(all.contains("acme.toml is good") && all.contains("openai-codex.toml is good"), "{all}");
    assert!(!all.contains("Tried on"), "{all}");
    // It is a provider like any other.
    assert_eq!(world.run(&["models", "auth", "token", "--provider", "acme"]).code(), "missing_credential");
}

/// A disk that takes half of a manifest, and a kill there, leave no manifest: one that is cut short would stop every command.
#[test]
fn a_new_provider_is_there_whole_or_not_at_all() {
    for strikes in ["enospc", "kill"] {
        let mut world = World::new();
        world.set("CODERCLAW_FAULT", format!("provider.torn:{strikes}"));
        let failed = world.run(&["plugins", "new", "acme"]);
        assert_ne!(failed.code, Some(0), "{failed:?}");
        assert!(!world.state().join("providers/acme.toml").exists());
        world.unset("CODERCLAW_FAULT");
        world.run(&["models", "status"]).ok();
        world.run(&["plugins", "new", "acme"]).ok();
        world.run(&["plugins", "check", "--no-trial"]).ok();
    }
}

#[test]
fn one_that_starts_from_another_says_so() {
    let world = World::new();
    let text = world.run(&["plugins", "new", "mine", "--from", "anthropic", "--print"]).ok();
    assert!(text.contains("extends = \"anthropic\"") && text.contains("#header = \"x-api-key\""), "{text}");
    assert!(!world.state().join("providers/mine.toml").exists(), "it was only printed");
    let told = check(&world, &text).json();
    assert_eq!(told["checked"][0]["id"], "mine");
    assert_eq!(world.run(&["plugins", "new", "mine", "--from", "antropic"]).code(), "unknown_provider");
}

/// E14: what a bad manifest says is told with its line, the word that was meant, and nothing else.
#[test]
fn a_manifest_that_lies_is_refused_with_line_and_reason() {
    let world = World::new();
    let oauth = "id = 'acme'\n[[auth]]\nmethod = 'oauth'\nclient_id = 'c'\nauthorize_url = 'https://id.acme.example/a'\n";
    let ok = "token_url = 'https://id.acme.example/t'\n";
    for (more, said) in [
        (
            "token_url = 'http://id.acme.example/t'\n".to_owned(),
            "acme.toml:6:13: plain http is for 127.0.0.1",
        ),
        (format!("{ok}toke_url = 'x'\n"), "acme.toml:7:1: unknown key `toke_url`, did you mean `token_url`?"),
        (
            format!("{ok}[[auth]]\nmethod = 'oauth'\n"),
            "acme.toml:8:10: a second [[auth]] with method \"oauth\"",
        ),
        (
            format!("{ok}redirect = 'https://evil.example/cb'\n"),
            "acme.toml:7:13: this redirect leads elsewhere",
        ),
        (
            format!("{ok}redirect = 'http://evil.example/cb'\n"),
            "acme.toml:7:12: a plain http redirect goes to",
        ),
        (
            format!("{ok}[plugin]\nversion = '1'\n"),
            "acme.toml:7:1: [plugin] stands in the coderclaw.plugin.toml",
        ),
        (format!("{ok}[[auth]]\nmethod = 'plugin'\n"), "method \"plugin\" and \"login\""),
        ("token_url = 'https://id.acme.example/t".to_owned(), "acme.toml:6:"),
    ] {
        let ran = check(&world, &format!("{oauth}{more}"));
        let error = ran.error_json();
        assert_eq!(error["code"], "manifest_invalid", "{more}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(said), "{more}: {message}");
        assert!(error["hint"].as_str().unwrap().starts_with("coderclaw plugins check "), "{error}");
    }
    assert_eq!(
        check(&world, &format!("{oauth}{ok}redirect = 'https://www.acme.example/code'\n")).code,
        Some(0)
    );
    assert_eq!(
        check(&world, "id = 'openai'\n[[auth]]\nmethod = 'token'").error_json()["code"],
        "manifest_invalid"
    );

    let path = world.path().join("acme.toml");
    world.private(&path, &format!("{oauth}{ok}"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
    let error = world.run(&["plugins", "check", "acme.toml", "--json"]).error_json();
    assert!(error["message"].as_str().unwrap().contains("others may write it (mode 620)"), "{error}");
    assert_eq!(world.run(&["plugins", "check", "nothing.toml"]).code(), "manifest_invalid");
}

/// A broken file in force keeps every other command from opening, and the command that all of them name works.
#[test]
fn check_works_where_nothing_else_does() {
    let world = World::new();
    world.private(&world.state().join("providers/bad.toml"), "id = 'bad'\ncolour = 'red'\n");
    let error = world.run(&["models", "status", "--json"]).error_json();
    assert_eq!(error["code"], "manifest_invalid");
    let hint: Vec<&str> = error["hint"].as_str().unwrap().split(' ').skip(1).collect();
    let told: Value = world.run(&[&hint[..], &["--json"]].concat()).error_json();
    assert!(told["message"].as_str().unwrap().contains("bad.toml:2:1"), "{told}");
}

/// Law 4: a check writes nothing, also where it tries a login.
#[test]
fn law4_a_check_leaves_no_trace() {
    let world = World::new();
    let path = world.path().join("acme.toml");
    world.private(&path, &world.run(&["plugins", "new", "acme", "--print"]).ok());
    let before = world.everything();
    world.run(&["plugins", "check", "acme.toml"]).ok();
    assert!(before == world.everything());
}

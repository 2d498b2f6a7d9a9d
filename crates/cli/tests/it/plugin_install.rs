//! How a plugin comes in, is allowed, and goes.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use crate::plugin_code::{install, plugin};
use crate::terminal::Terminal;
use crate::world::World;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/plugins/acme-data");

fn record(world: &World, id: &str) -> serde_json::Value {
    let told = world.run(&["plugins", "list", "--json"]).json();
    told["plugins"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned().unwrap_or_default()
}

/// The example that is data only, from an archive to the list: nothing happens without a yes, and it goes again.
#[test]
fn a_plugin_comes_in_with_a_yes_and_goes_again() {
    let world = World::new();
    let archive = world.path().join("acme-data.tar.gz");
    let parent = std::path::Path::new(EXAMPLE).parent().unwrap();
    let packed =
        Command::new("tar").arg("czf").arg(&archive).arg("-C").arg(parent).arg("acme-data").status().unwrap();
    assert!(packed.success());
    let archive = archive.to_str().unwrap();
    world.run(&["models", "auth", "order", "get", "--provider", "openai"]).ok();
    let before = world.picture();
    let error = world.run(&["plugins", "install", archive, "--json"]).error_json();
    assert_eq!(error["code"], "input_required");
    assert!(error["hint"].as_str().unwrap().ends_with("acme-data.tar.gz --yes"), "{error}");
    let plugins = world.state().join("plugins");
    assert_eq!(std::fs::read_dir(&plugins).map_or(0, Iterator::count), 0, "something was left");
    assert_eq!(world.picture().len(), before.len() + usize::from(plugins.exists()));

    let done = world.run(&["plugins", "install", archive, "--yes", "--json"]).json();
    assert_eq!((done["id"].as_str(), done["action"].as_str()), (Some("acme-data"), Some("installed")));
    assert_eq!(done["places"], json!(["https://api.acme.example", "https://id.acme.example"]));
    let one = record(&world, "acme-data");
    assert_eq!(
        (one["status"].as_str(), one["enabled"].as_bool(), one["version"].as_str()),
        (Some("loaded"), Some(true), Some("1.0.0"))
    );
    assert_eq!(one["providerIds"], json!(["acme-data"]));
    for key in [
        "kind",
        "source",
        "origin",
        "error",
        "toolNames",
        "hookNames",
        "channelIds",
        "gatewayMethods",
        "cliCommands",
        "services",
        "commands",
        "httpHandlers",
        "hookCount",
        "configSchema",
        "description",
        "name",
    ] {
        assert!(one.get(key).is_some(), "{key}");
    }
    let info = world.run(&["plugins", "info", "acme-data"]).ok();
    assert!(info.contains("run no program") && info.contains("https://id.acme.example"), "{info}");
    let file = world.state().join("plugins/acme-data/coderclaw.plugin.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A provider like any other: a key is stored for it, checked by its pattern.
    let paste = &["models", "auth", "paste-api-key", "--provider", "acme-data", "--stdin"];
    assert_ne!(world.run_with_input(paste, "sk-wrong").code, Some(0));
    world.run_with_input(paste, &format!("acme-{}", "c".repeat(24))).ok();
    world.run(&["models", "auth", "token", "--provider", "acme-data"]).ok();

    world.run(&["plugins", "disable", "acme-data"]).ok();
    assert_eq!(record(&world, "acme-data")["status"], "disabled");
    assert_eq!(world.run(&["models", "auth", "token", "--provider", "acme-data"]).code(), "unknown_provider");
    assert_eq!(world.run(&["plugins", "enable", "acme-data"]).code(), "input_required");
    world.run(&["plugins", "enable", "acme-data", "--yes"]).ok();
    world.run(&["models", "auth", "token", "--provider", "acme-data"]).ok();
    let would = world.run(&["plugins", "uninstall", "acme-data", "--dry-run"]).ok();
    assert!(would.contains("would remove") && file.exists(), "{would}");
    assert_eq!(world.run(&["plugins", "uninstall", "acme-data"]).code(), "input_required");
    let gone = world.run(&["plugins", "uninstall", "acme-data", "--force"]).ok();
    assert!(gone.contains("acme-data:manual stays"), "{gone}");
    assert!(!file.exists());
    assert!(world.text().contains("acme-data:manual"));
    assert_eq!(world.run(&["plugins", "info", "acme-data"]).code(), "unknown_plugin");
}

/// A plugin that changes its own file is out of force until a person has seen it again; everything else goes on, and the
/// reason is told.
#[test]
fn a_changed_plugin_is_out_of_force() {
    let world = World::new();
    install(&world, "'login', 'refresh'", "exit 1");
    let file = world.state().join("plugins/acme/coderclaw.plugin.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    world.private(&file, &text.replace("api.acme.test", "evil.test"));
    let one = record(&world, "acme");
    assert_eq!((one["status"].as_str(), one["enabled"].as_bool()), (Some("error"), Some(false)));
    assert!(one["error"].as_str().unwrap().contains("has changed since it was allowed"), "{one}");
    let ran = world.run(&["models", "status"]);
    assert!(ran.stderr.contains("plugins enable acme") && ran.code == Some(0), "{}", ran.stderr);
    world.run(&["plugins", "enable", "acme", "--yes"]).ok();
    assert_eq!(record(&world, "acme")["status"], "loaded");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o622)).unwrap();
    assert!(record(&world, "acme")["error"].as_str().unwrap().contains("others may write it"));
    std::fs::remove_dir_all(world.state().join("plugins/acme")).unwrap();
    assert_eq!(record(&world, "acme")["status"], "error");
    world.run(&["plugins", "uninstall", "acme", "--force"]).ok();
    assert_eq!(record(&world, "acme"), serde_json::Value::Null);
}

/// What is another provider's is not a plugin's: an id, a base, an alias, a variable.
#[test]
fn a_plugin_takes_nothing_of_others() {
    let world = World::new();
    for (from, to, said) in [
        ("id = 'acme'", "id = 'openai'", "a plugin cannot take its id"),
        ("id = 'acme'", "id = 'openai-codex'", "a plugin cannot take its id"),
        ("id = 'acme'", "extends = 'openai'", "a plugin cannot extend another provider"),
        ("id = 'acme'", "id = 'acme'\naliases = ['openai']", "already means"),
        ("id = 'acme'", "id = 'acme'\nenv = ['OPENAI_API_KEY']", "holds a credential of openai"),
        ("id = 'acme'", "id = 'acme'\nenv = ['CODEX_ACCESS_TOKEN']", "holds a credential of openai-codex"),
        ("does = ['login', 'refresh']", "does = ['login']", "go together"),
        ("does = ['login', 'refresh']", "does = ['everything']", "unknown word `everything`"),
        ("method = 'plugin'", "method = 'token'", "method \"plugin\" and \"login\""),
    ] {
        let folder = plugin(&world, "'login', 'refresh'", "exit 1");
        let file = folder.join("coderclaw.plugin.toml");
        let text = std::fs::read_to_string(&file).unwrap().replace(from, to);
        world.private(&file, &text);
        let ran = world.run(&["plugins", "install", folder.to_str().unwrap(), "--yes"]);
        assert_eq!(ran.code(), "manifest_invalid", "{to}");
        assert!(ran.stderr.contains(said), "{to}: {}", ran.stderr);
        assert_eq!(std::fs::read_dir(world.state().join("plugins")).unwrap().count(), 0, "{to}");
        assert_eq!(
            world.run(&["plugins", "check", folder.to_str().unwrap()]).code(),
            "manifest_invalid",
            "{to}"
        );
    }
    let folder = plugin(&world, "'login', 'refresh'", "exit 1");
    std::os::unix::fs::symlink("/etc", folder.join("etc")).unwrap();
    let ran = world.run(&["plugins", "install", folder.to_str().unwrap(), "--yes"]);
    assert!(ran.stderr.contains("link or a device"), "{}", ran.stderr);
}

/// Both examples are good, by the command that says so.
#[test]
fn the_examples_are_good() {
    let world = World::new();
    for name in ["acme-data", "acme-python"] {
        let folder = format!("{EXAMPLE}/../{name}");
        let told = world.run(&["plugins", "check", &folder, "--json"]).json();
        assert_eq!(told["checked"][0]["ok"], true, "{name}");
    }
}

/// The original's plugins are listed with what can be done instead; they are never run, and never installed.
#[test]
fn the_original_s_plugins_are_recognised_and_explained() {
    let world = World::new();
    let text = json!({"id": "qwen-portal-auth", "name": "Qwen", "version": "2.0.0", "providers": ["qwen-portal"], "configSchema": {}});
    world.private(&world.state().join("extensions/qwen/coderclaw.plugin.json"), &text.to_string());
    let more = world.path().join("more/strange");
    world.private(
        &more.join("coderclaw.plugin.json"),
        r#"{"id": "strange", "providers": ["nobody-knows"], "configSchema": {}}"#,
    );
    world.config(&json!({"plugins": {"load": {"paths": [more]}}}).to_string());
    let one = record(&world, "qwen-portal-auth");
    assert_eq!(
        (one["status"].as_str(), one["kind"].as_str(), one["version"].as_str()),
        (Some("disabled"), Some("javascript"), Some("2.0.0"))
    );
    assert!(one["error"].as_str().unwrap().contains("qwen-portal is known here without it"), "{one}");
    let one = record(&world, "strange");
    assert_eq!(one["origin"], "config");
    assert!(one["error"].as_str().unwrap().contains("coderclaw plugins new nobody-knows"), "{one}");
    let said = world.run(&["plugins", "list"]).ok();
    assert!(said.contains("strange") && said.contains("(javascript)"), "{said}");
    assert_eq!(
        world.run(&["plugins", "install", more.to_str().unwrap(), "--yes"]).code(),
        "manifest_invalid"
    );
    assert_eq!(world.run(&["plugins", "enable", "strange", "--yes"]).code(), "unknown_plugin");
}

/// At a terminal what it may do is shown first, and only a yes installs it.
#[test]
fn a_person_sees_what_it_may_do_and_decides() {
    let world = World::new();
    let folder = plugin(&world, "'login', 'refresh'", "exit 1");
    for (answer, installed) in [("\r", false), ("n\r", false), ("y\r", true)] {
        let mut terminal = Terminal::open();
        let mut command =
            terminal.controls(&world.command(&["plugins", "install", folder.to_str().unwrap()]));
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut shown = String::new();
        terminal.until(&mut shown, "[y/N]");
        assert!(shown.contains("sh -c '. ./run.sh'") && shown.contains("https://api.acme.test"), "{shown}");
        terminal.master.write_all(answer.as_bytes()).unwrap();
        assert_eq!(child.wait().unwrap().success(), installed, "{answer:?}");
        assert_eq!(world.state().join("plugins/acme").exists(), installed, "{answer:?}");
    }
}

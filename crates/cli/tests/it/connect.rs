//! `connect` and `disconnect`: what is written into other programs' settings, what is not, and how it comes back.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use coderclaw_sandbox::{KeyKind, ModelFault};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::chat;
use crate::gateway_world::Gate;
use crate::terminal::Terminal;
use crate::world::{ME, PROVIDER, Ran, World};

const KEY: &str = "anthropic:key";

fn claude_settings(world: &World) -> PathBuf {
    world.home().join(".claude/settings.json")
}

fn codex_settings(world: &World) -> PathBuf {
    world.home().join(".codex/config.toml")
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A world with a login of ChatGPT and a key of Anthropic.
fn world() -> World {
    let world = World::new();
    for provider in ["anthropic", PROVIDER] {
        let path = world.state().join(format!("providers/{provider}.toml"));
        world.private(&path, &world.sandbox.model_manifest(provider));
    }
    let secret = Secret::from(format!("sk-ant-api03-canary-{}", "k".repeat(70)));
    world.sandbox.add_key(KeyKind::AnthropicKey, &secret, "key");
    let key = json!({"type": "api_key", "provider": "anthropic", "key": secret.expose()});
    world.seed("main", &[(ME, &world.login(3_000_000).entry), (KEY, &key)]);
    world
}

/// What the program gets that runs the helper as Claude Code does: by a shell, with nothing of ours in its environment.
fn helped(world: &World) -> Ran {
    let settings: Value = serde_json::from_str(&read(claude_settings(world))).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", settings["apiKeyHelper"].as_str().unwrap()]).env_clear();
    shell.env("HOME", world.home()).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    Ran::from(shell.output().unwrap())
}

/// The same as Codex does: without a shell.
fn asked_by_codex(world: &World) -> Ran {
    let doc: Value = world.run(&["connect", "codex", "--print", "--json"]).json();
    assert_eq!(doc["changes"], json!([]), "it is connected");
    let text = read(codex_settings(world));
    let list = |from: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(from)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let command: String =
        serde_json::from_str(text.lines().find_map(|l| l.strip_prefix("command = ")).unwrap()).unwrap();
    let mut program = Command::new(command);
    program.args(list("args = ")).env_clear().env("HOME", world.home()).env("PATH", "/usr/bin:/bin");
    Ran::from(program.stdin(Stdio::null()).output().unwrap())
}

/// The helper that is written prints the token that the resolver lends, also where the state dir is not the usual one;
/// connecting twice writes once, and disconnecting leaves nothing.
#[test]
fn claude_code_gets_a_helper_that_works() {
    let world = world();
    let made = world.run(&["connect", "claude-code", "--yes", "--json"]).json();
    assert_eq!((&made["through"], &made["profileId"]), (&json!("helper"), &json!(KEY)));
    assert_eq!((&made["changed"], &made["gatewayKey"]), (&json!(true), &Value::Null));
    let settings: Value = serde_json::from_str(&read(claude_settings(&world))).unwrap();
    assert_eq!(settings["env"]["ANTHROPIC_BASE_URL"], world.sandbox.origin());
    let token = world.run(&["models", "auth", "token", "--provider", "anthropic"]).ok();
    assert_eq!(helped(&world).ok(), token);
    let before = world.everything();
    let again = world.run(&["connect", "claude-code"]).ok();
    assert!(again.contains("connected already") && again.contains("billed per use"), "{again}");
    let printed = world.run(&["connect", "claude-code", "--print"]).ok();
    assert!(printed.contains("Nothing to write"), "{printed}");
    world.run(&["disconnect", "claude-code", "--print"]).ok();
    assert_eq!(world.everything(), before, "looks write nothing");
    world.run(&["disconnect", "claude-code", "--yes"]).ok();
    assert!(!world.home().join(".claude").exists());
    assert_eq!(world.run(&["disconnect", "claude-code", "--yes"]).code(), "not_connected");
}

/// Codex sends the account in a header that is written down: so the helper is tied to the profile of that account.
#[test]
fn codex_gets_a_helper_that_keeps_token_and_account_together() {
    let world = world();
    world.private(&codex_settings(&world), "# mine\nmodel = \"x\" # why\n\n[tui]\ny = 1\n");
    let said = world.run(&["connect", "codex", "--yes"]).ok();
    assert!(said.contains(&format!("uses {ME} and no other")), "{said}");
    let text = read(codex_settings(&world));
    for line in [
        "# mine",
        "model = \"x\" # why",
        "model_provider = \"coderclaw\"",
        "[model_providers.coderclaw]",
        "wire_api = \"responses\"",
        "chatgpt-account-id = \"acct-me-1\"",
        "timeout_ms = 30000",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
    assert!(text.contains(&format!("\"--profile\", \"{ME}\"")), "{text}");
    // Another login, first in an order, changes nothing for a program that names this account.
    let you = world.login_of("you", 3_000_000);
    let mut store: Value = serde_json::from_str(&world.text()).unwrap();
    store["profiles"]["openai-codex:you"] = you.entry;
    store["order"] = json!({PROVIDER: ["openai-codex:you", ME]});
    world.private(&world.store(), &store.to_string());
    let token = world.run(&["models", "auth", "token", "--provider", PROVIDER, "--profile", ME]).ok();
    assert_ne!(world.token().ok(), token);
    let doc = read(codex_settings(&world));
    assert!(doc.contains("--verify"), "{doc}");
    world.run(&["disconnect", "codex", "--yes"]).ok();
    assert_eq!(read(codex_settings(&world)), "# mine\nmodel = \"x\" # why\n\n[tui]\ny = 1\n");
}

/// A12: a helper that runs again after a 401 does not lend the rejected token again: it is refreshed once, for as many
/// helpers as ask. Only a 401 does that; a provider that is away or overloaded costs nothing.
#[test]
fn a12_a_rejected_token_is_refreshed_by_the_helper() {
    let world = world();
    world.run(&["connect", "codex", "--yes"]).ok();
    let first = asked_by_codex(&world).ok();
    assert_eq!(world.sandbox.counts().refreshes, 0);
    world.sandbox.script_model(None, ModelFault::Overloaded, 1);
    assert_eq!(asked_by_codex(&world).ok(), first);
    world.sandbox.reject_access(&Secret::from(first.trim()));
    let helpers: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(|| asked_by_codex(&world).ok())).collect();
        started.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_ne!(helpers[0], first);
    assert!(helpers.iter().all(|token| *token == helpers[0]), "one token for all");
    assert_eq!(world.sandbox.counts().refreshes, 1);
    assert_eq!(asked_by_codex(&world).ok(), helpers[0]);
}

/// Through the gateway: a key of its own, kept where only its owner can read it, in no settings file and in no output;
/// another way takes it away, and so does disconnecting.
#[test]
fn the_gateway_key_is_the_program_s_own_and_goes_with_it() {
    let mut world = chat::world();
    // Nobody listens there.
    world.set("CODERCLAW_GATEWAY_PORT", "9");
    let made = world.run(&["connect", "claude-code", "--yes", "--json"]);
    assert!(made.stderr.is_empty(), "{}", made.stderr);
    let made = made.json();
    assert_eq!(made["through"], "gateway", "a subscription's token wants a header that no helper gives");
    assert!(made["notes"].to_string().contains("no gateway runs"), "{made}");
    let id = made["gatewayKey"].as_str().unwrap().to_owned();
    let kept = world.state().join(format!("gateway/{id}.key"));
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let key = read(kept.clone());
    assert_eq!(helped(&world).ok(), key);
    assert_eq!(world.run(&["gateway", "keys", "show", &id]).ok(), key);
    for text in
        [read(claude_settings(&world)), made.to_string(), read(world.state().join("connections.json"))]
    {
        assert!(!text.contains(key.trim()), "{text}");
    }
    let gate = Gate::start(&world);
    gate.claude(key.trim(), "x").ok();
    assert_eq!(gate.codex(key.trim(), "x").status, 401, "for this provider only");
    // Again: the same key. Another port: the same key.
    assert!(world.run(&["connect", "claude-code"]).ok().contains("connected already"));
    let moved = world.run(&["connect", "claude-code", "--yes", "--json", "--port", "4711"]).json();
    assert_eq!(moved["gatewayKey"], id.as_str());
    assert!(read(claude_settings(&world)).contains("http://127.0.0.1:4711"));
    // A key that somebody has revoked is made again.
    world.run(&["gateway", "keys", "revoke", &id]).ok();
    assert!(!kept.exists());
    let fresh = world.run(&["connect", "claude-code", "--yes", "--json", "--port", "4711"]).json();
    assert_ne!(fresh["gatewayKey"], id.as_str());
    world.run(&["disconnect", "claude-code", "--yes"]).ok();
    assert_eq!(world.run(&["gateway", "keys", "list", "--json"]).json()["keys"], json!([]));
    assert_eq!(gate.claude(key.trim(), "x").status, 403);
    let names =
        std::fs::read_dir(world.state().join("gateway")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().starts_with("gk_")));
}

/// A key that was not made for a program is not kept, and a person's key of the same name is not taken.
#[test]
fn a_person_s_key_is_neither_shown_nor_taken() {
    let world = chat::world();
    world.run(&["gateway", "keys", "add", "claude-code"]).ok();
    let shown = world.run(&["gateway", "keys", "show", "claude-code"]);
    assert!(
        shown.code() == "unknown_gateway_key" && shown.stderr.contains("is kept nowhere"),
        "{}",
        shown.stderr
    );
    assert_eq!(world.run(&["gateway", "keys", "show", "nobody"]).code(), "unknown_gateway_key");
    assert_eq!(world.run(&["connect", "claude-code", "--yes"]).code(), "gateway_key_taken");
    assert!(!claude_settings(&world).exists());
}

/// Somebody's own helper is not replaced unless that is asked for, and comes back.
#[test]
fn a_setting_of_somebody_s_own_stays() {
    let world = world();
    let own = "{\n  \"apiKeyHelper\": \"/usr/local/bin/mine\",\n  \"model\": \"opus\"\n}\n";
    world.private(&claude_settings(&world), own);
    let before = world.everything();
    let refused = world.run(&["connect", "claude-code", "--yes"]);
    assert_eq!(refused.code(), "setting_taken");
    assert!(
        refused.stderr.contains("--replace") && refused.stderr.contains("apiKeyHelper"),
        "{}",
        refused.stderr
    );
    let printed = world.run(&["connect", "claude-code", "--print"]).ok();
    assert!(printed.contains("- apiKeyHelper: \"/usr/local/bin/mine\""), "{printed}");
    assert_eq!(world.everything(), before);
    world.run(&["connect", "claude-code", "--yes", "--replace"]).ok();
    assert!(!read(claude_settings(&world)).contains("mine"));
    assert_eq!(read(world.home().join(".claude/settings.json.before-coderclaw")), own);
    assert!(world.run(&["connect", "claude-code"]).ok().contains("connected already"), "asked once");
    world.run(&["disconnect", "claude-code", "--yes"]).ok();
    assert_eq!(read(claude_settings(&world)), own);
    world.private(&codex_settings(&world), "model_provider = \"azure\"\n");
    assert_eq!(world.run(&["connect", "codex", "--yes"]).code(), "setting_taken");
}

/// Bad files and wrong calls are named, at once, and change nothing.
#[test]
fn what_cannot_be_done_is_named_and_changes_nothing() {
    let mut world = world();
    let claude = ["connect", "claude-code", "--yes"];
    world.private(&claude_settings(&world), "{ not json");
    let broken = world.run(&claude);
    assert!(
        broken.code() == "settings_invalid" && broken.stderr.contains("settings.json"),
        "{}",
        broken.stderr
    );
    world.private(&claude_settings(&world), "{}");
    std::fs::set_permissions(claude_settings(&world), std::fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(world.run(&claude).code(), "not_writable");
    std::fs::remove_file(claude_settings(&world)).unwrap();
    symlink("/nowhere/at/all", claude_settings(&world)).unwrap();
    let dangling = world.run(&claude);
    assert!(
        dangling.code() == "not_writable" && dangling.stderr.contains("a link to a file"),
        "{}",
        dangling.stderr
    );
    world.private(&codex_settings(&world), "a = \n");
    assert_eq!(world.run(&["connect", "codex", "--yes"]).code(), "settings_invalid");
    std::fs::remove_file(codex_settings(&world)).unwrap();
    for (call, code) in [
        (&["connect", "codex", "--provider", "anthropic", "--yes"][..], "usage"),
        (&["connect", "claude-code", "--provider", "nobody", "--yes"], "unknown_provider"),
        (&["connect", "codex", "--profile", "openai-codex:nobody", "--yes"], "unknown_profile"),
        (&["connect", "emacs", "--yes"], "usage"),
        (&["connect", "codex"], "input_required"),
        (&["connect", "codex", "--json"], "input_required"),
        (&["connect", "codex", "--print", "--yes"], "usage"),
        (&["disconnect", "codex"], "not_connected"),
    ] {
        let ran = world.run_within(Duration::from_secs(20), call);
        let found = if call.contains(&"--json") {
            ran.error_json()["code"].as_str().unwrap().to_owned()
        } else {
            ran.code().to_owned()
        };
        assert_eq!(found, code, "{call:?}");
    }
    assert!(!codex_settings(&world).exists() && !world.state().join("connections.json").exists());
    // A subscription's token cannot go by a helper, and that is said.
    let token = json!({"type": "token", "provider": "anthropic", "token": chat::setup_token("w").expose()});
    world.seed("main", &[("anthropic:work", &token)]);
    world.set("CLAUDE_CONFIG_DIR", "elsewhere/claude");
    let refused = world.run(&["connect", "claude-code", "--through", "helper", "--yes"]);
    assert!(
        refused.stderr.contains("anthropic-beta") && refused.stderr.contains("--through gateway"),
        "{refused:?}"
    );
    // Where the program looks: a folder that is not there yet is made.
    world.run(&["connect", "claude-code", "--yes"]).ok();
    assert!(world.path().join("elsewhere/claude/settings.json").exists());
}

/// What would win over CoderClaw is said, where it would.
#[test]
fn what_would_win_is_said() {
    let mut world = world();
    world.set("ANTHROPIC_API_KEY", "sk-ant-api03-canarycanary");
    world.private(&claude_settings(&world), "{\"env\": {\"ANTHROPIC_AUTH_TOKEN\": \"canary-in-the-file\"}}");
    world.private(&world.path().join(".claude/settings.json"), "{\"apiKeyHelper\": \"/bin/other\"}");
    let ran = world.run(&["connect", "claude-code", "--print"]);
    for said in ["ANTHROPIC_API_KEY is set", "sets ANTHROPIC_AUTH_TOKEN", "which counts in this folder"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    assert!(
        !format!("{ran:?}").contains("canary-in-the-file") && !format!("{ran:?}").contains("canarycanary")
    );
    // The gateway looks at both headers, so that neither variable is in its way; and Codex heeds none.
    let ran = world.run(&["connect", "claude-code", "--through", "gateway", "--print"]);
    assert!(!ran.stderr.contains("ANTHROPIC_API_KEY"), "{}", ran.stderr);
    assert_eq!(world.run(&["connect", "codex", "--print"]).stderr, "");
}

/// At a terminal the difference is shown and asked about; only a yes writes.
#[test]
fn a_person_is_asked() {
    let world = world();
    for (answer, is_written) in [("n\n", false), ("\n", false), ("yes\n", true)] {
        let mut terminal = Terminal::open();
        let mut command = world.command(&["connect", "claude-code"]);
        command.stdin(terminal.other_end()).stderr(terminal.other_end()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        let mut shown = String::new();
        terminal.until(&mut shown, "Write this? [y/N]");
        assert!(shown.contains("+ apiKeyHelper") && !claude_settings(&world).exists(), "{shown}");
        std::io::Write::write_all(&mut terminal.master, answer.as_bytes()).unwrap();
        let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(out.contains("is connected."), is_written, "{out}");
        assert!(!out.contains("+ apiKeyHelper"), "it was shown once: {out}");
        assert_eq!(claude_settings(&world).exists(), is_written);
    }
}

/// Two at once: one connection, and both say so.
#[test]
fn two_at_once_make_one_connection() {
    let world = world();
    let run = || world.run(&["connect", "codex", "--yes", "--json"]);
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(run), scope.spawn(run));
        (one.join().unwrap(), two.join().unwrap())
    });
    for ran in [one, two] {
        // Whoever came second has either seen the connection, or that the file had just changed.
        assert!(ran.code == Some(0) || ran.error_json()["code"] == "settings_changed", "{ran:?}");
    }
    assert_eq!(read(codex_settings(&world)).matches("[model_providers.coderclaw]").count(), 1);
    world.run(&["disconnect", "codex", "--yes"]).ok();
    assert!(!codex_settings(&world).exists());
}

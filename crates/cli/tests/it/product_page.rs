//! A walk through what the product page promises, in its order, by the commands that it names. Once without any terminal,
//! once at one.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use coderclaw_sandbox::{KeyKind, User, browse};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::chat::{HOME, WORK, calls};
use crate::chat_terminal::Running;
use crate::login::Waiting;
use crate::world::{ME, PROVIDER, TOKEN, World};

const YOU: &str = "openai-codex:you@x.test";

/// An empty state dir, but for the files that point the providers at the sandbox, and one provider that somebody has
/// added.
fn world() -> World {
    let world = World::new();
    world.sandbox.add_user(User {
        email: "you@x.test".into(),
        account: "acct-you-1".into(),
        ..User::named("user-you")
    });
    for provider in ["anthropic", PROVIDER] {
        let path = world.state().join(format!("providers/{provider}.toml"));
        world.private(&path, &world.sandbox.model_manifest(provider));
    }
    let acme = world.sandbox.manifest("acme").replace(
        "extends = \"acme\"\n",
        &format!(
            "id = \"acme\"\nname = \"Acme AI\"\ndefault_model = \"acme-1\"\n\n[api]\nkind = \"openai-chat\"\nbase_url = \"{}/v1\"\n",
            world.sandbox.origin()
        ),
    );
    let acme = format!("{acme}client_id = \"acme-cli\"\nscopes = [\"openid\", \"offline_access\"]\n");
    world.private(&world.state().join("providers/acme.toml"), &acme);
    for (account, letter) in [("home", "h"), ("work", "w")] {
        world.sandbox.add_key(KeyKind::SetupToken, &setup_token(letter), account);
    }
    world
}

fn setup_token(letter: &str) -> Secret {
    Secret::from(format!("sk-ant-oat01-canary-{}", letter.repeat(70)))
}

fn log_in(world: &World, email: &str, more: &[&str]) {
    world.sandbox.next_user(email);
    let waiting = Waiting::start(world, more);
    assert!(waiting.browse().body.contains("stored"));
    waiting.done().ok();
}

fn explain(world: &World, provider: &str, agent: &str) -> Value {
    world.run(&["models", "auth", "explain", "--provider", provider, "--agent", agent, "--json"]).json()
}

#[test]
fn the_walk_without_a_terminal() {
    let mut world = world();

    // "subscription auth via OAuth": PKCE, a callback on this machine, and what is kept of it.
    log_in(&world, "me@x.test", &[]);
    let entry = world.entry("main", ME);
    for key in ["access", "refresh", "expires", "accountId"] {
        assert!(!entry[key].is_null(), "{key}: {entry}");
    }
    assert_eq!(std::fs::metadata(world.store()).unwrap().mode() & 0o777, 0o600);

    // "a token sink": several profiles of one provider in one place, and each login leaves the others alone.
    log_in(&world, "you@x.test", &[]);
    assert_eq!(world.entry("main", ME), entry);
    assert_eq!(world.entry("main", YOU)["accountId"], "acct-you-1");

    // The runtime cache beside it has a key for other programs, and no refresh token.
    let cache = std::fs::read_to_string(world.store().with_file_name("auth.json")).unwrap();
    assert!(cache.contains(entry["access"].as_str().unwrap()), "the one that would be lent");
    assert!(!cache.contains(entry["refresh"].as_str().unwrap()), "never a refresh token");

    // "run claude setup-token on any machine, then paste it"; "if you generated the token elsewhere, paste it manually".
    let setup = ["models", "auth", "setup-token", "--provider", "anthropic", "--stdin"];
    world.run_with_input(&setup, setup_token("h").expose()).ok();
    let paste = ["models", "auth", "paste-token", "--provider", "anthropic", "--profile-id", WORK, "--stdin"];
    world.run_with_input(&paste, setup_token("w").expose()).ok();
    world.run(&["models", "auth", "rename", "anthropic:manual", HOME]).ok();
    let status = world.run(&["models", "status", "--json"]).json();
    let shown = status["auth"]["oauth"]["profiles"].as_array().unwrap().clone();
    for id in [ME, YOU, HOME, WORK] {
        let profile = shown.iter().find(|profile| profile["profileId"] == id).unwrap();
        assert!(["ok", "static"].contains(&profile["status"].as_str().unwrap()), "{profile}");
    }
    assert_eq!(world.entry("main", WORK)["type"], "token");

    // "if expires is in the future → use the stored access token; if expired → refresh and overwrite".
    let lend = |world: &World| world.run(&[TOKEN, &["--profile", ME]].concat()).ok();
    assert_eq!(lend(&world).trim(), entry["access"]);
    assert_eq!(world.sandbox.counts().refreshes, 0);
    world.shift_clock(Duration::from_secs(3_700));
    let renewed = lend(&world);
    assert_eq!(
        (world.sandbox.counts().refreshes, world.entry("main", ME)["access"] == renewed.trim()),
        (1, true)
    );
    assert_ne!(world.entry("main", ME)["refresh"], entry["refresh"]);

    // "isolated agents": stores, sessions and workspaces of their own, and nobody sees anybody else's.
    for name in ["work", "personal"] {
        world.run(&["agents", "add", name]).ok();
    }
    log_in(&world, "you@x.test", &["--agent", "work"]);
    assert!(world.store_of("work").exists() && !world.store_of("personal").exists());
    assert_eq!(explain(&world, PROVIDER, "work")["winner"]["profileId"], YOU);
    let personal = explain(&world, PROVIDER, "personal");
    assert_eq!(
        (&personal["winner"], &personal["candidates"][0]["reason"]),
        (&Value::Null, &json!("not_linked"))
    );
    world.run(&["agents", "bind", "work", "--bind", "slack"]).ok();
    let routed = world.run(&["agents", "route", "--channel", "slack", "--json"]).json();
    assert_eq!(routed["agentId"], "work");

    // "globally via config ordering (auth.order)".
    let order = json!([YOU, ME]).to_string();
    world.run(&["config", "set", &format!("auth.order.{PROVIDER}"), &order, "--json-value"]).ok();
    let explained = explain(&world, PROVIDER, "main");
    assert_eq!(
        (&explained["winner"]["profileId"], &explained["orderSource"]),
        (&json!(YOU), &json!("config"))
    );

    // "how to see what profile ids exist".
    let listed = world.run(&["channels", "list", "--json"]).json();
    let ids: Vec<_> =
        listed["auth"].as_array().unwrap().iter().map(|profile| profile["id"].clone()).collect();
    for id in [ME, YOU, HOME, WORK] {
        assert!(ids.contains(&json!(id)), "{listed}");
    }

    // "per-session via /model ...@<profileId>".
    world.run(&["agent", "--message", "/model Opus@anthropic:work"]).ok();
    assert_eq!(world.run(&["agent", "--message", "hello"]).ok(), "work claude-opus-4-6: hello\n");
    assert_eq!(calls(&world).last().unwrap().account.as_deref(), Some("work"));

    // "provider plugins": one that somebody has added logs in by the same command.
    let acme = Waiting::of(
        world.start(
            world
                .command(&["models", "auth", "login", "--provider", "acme"])
                .stdin(std::process::Stdio::piped()),
        ),
        "Ctrl-C",
    );
    assert!(acme.browse().body.contains("stored"));
    acme.done().ok();
    assert!(explain(&world, "acme", "main")["winner"]["profileId"].is_string());
}

/// "imported on first use", below another state dir.
#[test]
fn the_old_file_comes_in_on_first_use() {
    let mut world = world();
    let login = world.login(3_000_000);
    let elsewhere = world.path().join("elsewhere");
    let old = json!({PROVIDER: {
        "access": login.access.expose(), "refresh": login.refresh.expose(), "expires": login.entry["expires"],
        "accountId": "acct-me-1",
    }});
    world.private(&elsewhere.join("credentials/oauth.json"), &old.to_string());
    world.private(&elsewhere.join("providers/openai-codex.toml"), &world.sandbox.manifest(PROVIDER));
    world.set("CODERCLAW_STATE_DIR", elsewhere.to_str().unwrap());
    assert_eq!(world.token().ok().trim(), login.access.expose());
    let store = elsewhere.join("agents/main/agent/auth-profiles.json");
    let store: Value = serde_json::from_str(&std::fs::read_to_string(store).unwrap()).unwrap();
    assert_eq!(store["profiles"]["openai-codex:default"]["accountId"], "acct-me-1");
    assert!(!world.store().exists(), "nothing is written elsewhere");
}

/// The same at a real terminal, from an empty state dir: the wizard, the login in a browser, the paste, the chat.
#[test]
fn the_walk_at_a_terminal() {
    let mut world = world();

    // "the wizard path is coderclaw onboard → auth choice setup-token (Anthropic)".
    let mut wizard = Running::start(&mut world, 80, &["onboard"]);
    wizard.answers("Which provider?", "\x1b[B\r");
    wizard.answers("Anthropic: how?", "\r");
    wizard.answers("where none is named?", "\r");
    wizard.answers("It is not shown.", &format!("{}\r", setup_token("h").expose()));
    wizard.until("coderclaw chat");
    assert!(!wizard.shown.contains("canary"), "{}", wizard.shown);
    assert_eq!(wizard.ends(), (Some(0), true));
    assert_eq!(world.entry("main", "anthropic:default")["type"], "token");

    // "coderclaw onboard → auth choice openai-codex".
    let mut wizard = Running::start(&mut world, 80, &["onboard"]);
    wizard.answers("Which provider?", "\r");
    wizard.answers("OpenAI: how?", "\r");
    wizard.answers("where none is named?", "\r");
    wizard.until("Ctrl-C");
    let url = wizard
        .shown
        .lines()
        .find_map(|line| line.find("http").map(|at| line[at..].trim().to_owned()))
        .unwrap();
    world.sandbox.next_user("me@x.test");
    assert!(browse(url.split('\u{1b}').next().unwrap()).unwrap().body.contains("stored"));
    wizard.until("coderclaw chat");
    assert_eq!(wizard.ends(), (Some(0), true));
    assert_eq!(world.entry("main", ME)["accountId"], "acct-me-1");

    // "if you generated the token elsewhere, paste it manually", for a second account; "verify: coderclaw models status".
    let paste = ["models", "auth", "paste-token", "--provider", "anthropic", "--profile-id", WORK];
    let mut paste = Running::start(&mut world, 80, &paste);
    paste.answers("It is not shown.", &format!("{}\r", setup_token("w").expose()));
    paste.until(WORK);
    assert_eq!(paste.ends(), (Some(0), true));
    let mut status = Running::start(&mut world, 80, &["models", "status"]);
    for id in ["anthropic:default", WORK, ME] {
        status.until(id);
    }
    assert_eq!(status.ends(), (Some(0), true));

    // "per-session via /model ...@<profileId>".
    let mut chat = Running::start(&mut world, 80, &["chat"]);
    chat.types("› ", "/model Opus@anthropic:work");
    chat.until("Auth profile set to");
    chat.types("claude-opus-4-6 · work › ", "hello");
    chat.until("work claude-opus-4-6: hello");
    chat.types("› ", "/quit");
    assert_eq!(chat.ends(), (Some(0), true));
}

//! How much of each plan is used: each profile's own figures, fetched on purpose, remembered for minutes.

use std::time::Duration;

use coderclaw_sandbox::{KeyKind, ModelFault, used_percent};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::profiles::HOUR;
use crate::world::{Login, ME, World};

const OTHER: &str = "openai-codex:other@x.test";
const USAGE: &[&str] = &["models", "status", "--usage", "--json"];

/// A world with two ChatGPT accounts and a token of Claude's that is for inference only.
fn world() -> World {
    let world = World::new();
    let origin = world.sandbox.origin();
    let codex = world.state().join("providers/openai-codex.toml");
    let text = std::fs::read_to_string(&codex).unwrap();
    world.private(&codex, &format!("{text}\n[api]\nbase_url = \"{origin}/backend-api/codex\"\n"));
    let claude = format!("extends = \"anthropic\"\n\n[api]\nbase_url = \"{origin}/v1\"\n");
    world.private(&world.state().join("providers/anthropic.toml"), &claude);
    let token = format!("sk-ant-oat01-{}", "canary-".repeat(12));
    world.sandbox.add_key(KeyKind::SetupToken, &Secret::from(token.as_str()), "acct-claude");
    let setup = json!({"type": "token", "provider": "anthropic", "token": token, "expires": world.at(300 * 24 * HOUR)});
    let key = json!({"type": "api_key", "provider": "anthropic", "key": "sk-ant-api-canary"});
    let (me, other) = (world.login(HOUR), world.login_of("other", HOUR));
    world.seed(
        "main",
        &[(ME, &me.entry), (OTHER, &other.entry), ("anthropic:manual", &setup), ("anthropic:key", &key)],
    );
    world
}

fn row(all: &Value, id: &str) -> Value {
    let rows = all.as_array().unwrap();
    assert!(rows.iter().all(|row| row["profileId"].is_string()), "{all:#}");
    rows.iter().find(|row| row["profileId"] == id).unwrap_or(&Value::Null).clone()
}

fn asked(world: &World) -> Vec<(String, Option<String>)> {
    let calls = world.sandbox.log().into_iter().filter_map(|seen| seen.model);
    calls.filter(|call| call.path.ends_with("/usage")).map(|call| (call.path, call.account)).collect()
}

/// B11: each row carries its profile's id and its own account's figures; where one cannot be had it says so, and no other's
/// stand in for it. B12: a token that may not see its usage is none the worse for it.
#[test]
fn b11_each_profile_has_its_own_figures() {
    let world = world();
    let other = world.entry("main", OTHER)["accountId"].as_str().unwrap().to_owned();
    assert_ne!(used_percent("acct-me-1"), used_percent(&other), "the test needs two figures");
    world.sandbox.script_model(Some(&other), ModelFault::Overloaded, 1);
    let json = world.run(USAGE).json();
    let usage = &json["auth"]["usage"];
    assert_eq!(usage.as_array().unwrap().len(), 3, "a key has no plan: {usage:#}");
    let mine = row(usage, ME);
    assert_eq!((&mine["plan"], &mine["error"]), (&json!("plus"), &Value::Null));
    assert_eq!(mine["windows"][0]["label"], "5h");
    assert_eq!(mine["windows"][0]["usedPercent"], json!(f64::from(used_percent("acct-me-1"))));
    let failed = row(usage, OTHER);
    assert_eq!(
        (failed["windows"].as_array().unwrap().len(), &failed["error"]),
        (0, &json!("the provider answered 503"))
    );
    assert_eq!(row(usage, "anthropic:manual")["error"], "not available for this token type");
    let health = json["auth"]["oauth"]["profiles"].as_array().unwrap();
    assert!(health.iter().all(|one| one["status"] == "ok" || one["status"] == "static"), "{health:#?}");
    assert!(
        !world.store().with_file_name("auth-state.json").exists(),
        "nobody is set aside, nobody was used"
    );
    assert_eq!(world.run(&["models", "status", "--check"]).code, Some(0));

    // What is known is shown by a look, which asks nobody; what failed is asked again, and what is fresh is not.
    let counted = asked(&world).len();
    assert_eq!(counted, 3);
    let before = world.everything();
    let list = world.run(&["channels", "list", "--json"]).json();
    assert_eq!(row(&list["usage"]["providers"], ME), mine);
    assert_eq!(row(&list["usage"]["providers"], OTHER), Value::Null);
    assert!(world.run(&["channels", "list", "--json", "--no-usage"]).json().get("usage").is_none());
    assert_eq!((asked(&world).len(), world.everything()), (counted, before));
    let again = world.run(&["channels", "list", "--usage", "--json"]).json();
    let row_of_other = row(&again["usage"]["providers"], OTHER);
    assert_eq!(row_of_other["windows"][0]["usedPercent"], json!(f64::from(used_percent(&other))));
    assert_eq!(asked(&world).len(), counted + 1);
    assert_eq!(asked(&world).last().unwrap().1.as_deref(), Some(other.as_str()), "by its own token");
}

/// B11: figures of an earlier login under the same id are nobody's; old figures are fetched anew.
#[test]
fn b11_figures_of_another_login_are_not_shown() {
    let mut world = world();
    world.run(USAGE).json();
    let counted = asked(&world).len();
    let stranger = world.login_of("stranger", HOUR);
    world.seed("main", &[(ME, &stranger.entry)]);
    let list = world.run(&["channels", "list", "--json"]).json();
    assert!(list.get("usage").is_none(), "a look does not show them either: {list:#}");
    let account = stranger.entry["accountId"].as_str().unwrap();
    let usage = world.run(USAGE).json()["auth"]["usage"].take();
    assert_eq!(row(&usage, ME)["windows"][0]["usedPercent"], json!(f64::from(used_percent(account))));
    assert_eq!(asked(&world).len(), counted + 1);
    world.run(USAGE).json();
    assert_eq!(asked(&world).len(), counted + 1, "fresh");
    world.shift_clock(Duration::from_secs(6 * 60));
    world.run(USAGE).json();
    assert_eq!(asked(&world).len(), counted + 2, "minutes later");
    world.private(&world.state().join("usage.json"), "{torn");
    world.run(&["channels", "list", "--json"]).json();
    world.run(USAGE).json();
    assert_eq!(asked(&world).len(), counted + 3);
}

/// Answers that are none, and a provider that is not there: a sentence each, within the limit, and nothing is remembered.
#[test]
fn what_a_provider_cannot_say_is_said() {
    let world = world();
    world.sandbox.script_model(Some("acct-me-1"), ModelFault::Page(200), 1);
    let usage = world.run(USAGE).json()["auth"]["usage"].take();
    assert_eq!(row(&usage, ME)["error"], "the provider's answer is not understood");
    world.sandbox.script_model(Some("acct-me-1"), ModelFault::RateLimit(None), 1);
    let text = world.run(&["models", "status", "--usage"]).ok();
    assert!(text.contains("takes no more such questions") && text.contains("░"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains('/')), "{text}");
    let empty = World::new();
    assert!(empty.run(&["models", "status", "--usage"]).ok().contains("no profile here has a plan"));
    assert_eq!(world.run(&["models", "status", "--usage", "--plain"]).code(), "usage");
}

/// A profile, its entry, and the window and account that its figures are of.
type Row = (&'static str, Value, Option<(&'static str, &'static str)>);

/// B11: the other providers that publish figures, each asked in its own way with that profile's own token, and none with a
/// key that has no plan; what says so is remembered, and is no fault of the login.
#[test]
fn b11_copilot_zai_minimax_and_gemini() {
    let world = World::new();
    let origin = world.sandbox.origin();
    for (id, base) in [("zai", "/api/paas/v4"), ("minimax", "/v1"), ("minimax-portal", "/anthropic/v1")] {
        let text = format!("extends = \"{id}\"\n\n[api]\nbase_url = \"{origin}{base}\"\n");
        world.private(&world.state().join(format!("providers/{id}.toml")), &text);
    }
    let gemini = format!(
        "extends = \"google-gemini-cli\"\n\n[api]\nbase_url = \"{origin}\"\n\n[[auth]]\nmethod = \"oauth\"\n\
         token_url = \"{origin}/oauth/token\"\nclient_id = \"mine\"\n"
    );
    world.private(&world.state().join("providers/google-gemini-cli.toml"), &gemini);
    let copilot = format!(
        "extends = \"github-copilot\"\n\n[[auth]]\nmethod = \"device-code\"\ndevice_url = \"{origin}/oauth/device\"\n\
         token_url = \"{origin}/oauth/token\"\naccess_url = \"{origin}/copilot_internal/v2/token\"\n\
         userinfo_url = \"{origin}/user\"\n\n[auth.api]\nbase_url = \"{origin}/v1\"\n"
    );
    world.private(&world.state().join("providers/github-copilot.toml"), &copilot);
    let (google, github) = (world.login_of("google", HOUR), world.login_of("github", HOUR));
    let of = |login: &Login, provider: &str| {
        let mut entry = login.entry.clone();
        entry["provider"] = json!(provider);
        entry
    };
    let mut on_github = of(&github, "github-copilot");
    // The short token is the lent one; the long one, of which it was made, is the one that may ask.
    on_github["refresh"] = json!(github.access.expose());
    on_github["access"] = json!("tid=canary;short");
    let key = |provider: &str, account: &str| {
        let secret = format!("key-canary-{account}");
        world.sandbox.add_key(KeyKind::Bearer, &Secret::from(secret.as_str()), account);
        json!({"type": "api_key", "provider": provider, "key": secret})
    };
    let mut portal = key("minimax-portal", "acct-portal");
    portal = json!({"type": "token", "provider": "minimax-portal", "token": portal["key"]});
    let rows: [Row; 8] = [
        ("github-copilot:me", on_github, Some(("Premium", "acct-github"))),
        ("google-gemini-cli:me", of(&google, "google-gemini-cli"), Some(("Pro", "acct-google"))),
        ("zai:plan", key("zai", "acct-zai"), Some(("5h", "acct-zai"))),
        ("zai:other", key("zai", "acct-zai-two"), Some(("5h", "acct-zai-two"))),
        ("zai:none", key("zai", "acct-no-plan"), None),
        ("minimax:plan", key("minimax", "acct-minimax"), Some(("5h", "acct-minimax"))),
        ("minimax:none", key("minimax", "acct-mm-no-plan"), None),
        ("minimax-portal:me", portal, Some(("5h", "acct-portal"))),
    ];
    let entries: Vec<(&str, &Value)> = rows.iter().map(|(id, entry, _)| (*id, entry)).collect();
    world.seed("main", &entries);
    let account = |login: &Login| login.entry["accountId"].as_str().unwrap().to_owned();
    let usage = world.run(USAGE).json()["auth"]["usage"].take();
    assert_eq!(usage.as_array().unwrap().len(), rows.len(), "{usage:#}");
    for (id, _, expected) in &rows {
        let told = row(&usage, id);
        let Some((label, whose)) = expected else {
            assert_eq!(told["error"], "not available for this token type", "{id}");
            assert_eq!(told["windows"], json!([]), "{id}");
            continue;
        };
        let whose = match *whose {
            "acct-github" => account(&github),
            "acct-google" => account(&google),
            whose => whose.to_owned(),
        };
        let window = &told["windows"][0];
        assert_eq!((&told["error"], &window["label"]), (&Value::Null, &json!(label)), "{id}: {told}");
        let (is, should) = (window["usedPercent"].as_f64().unwrap(), f64::from(used_percent(&whose)));
        assert!((is - should).abs() < 0.001, "{id}: {is} and {should}");
    }
    assert_eq!(row(&usage, "github-copilot:me")["plan"], "individual");
    // Asked once each: what is known is fresh, also that there is nothing to know.
    let calls = || world.sandbox.log().iter().filter(|seen| seen.model.is_some()).count();
    assert_eq!(calls(), rows.len());
    world.run(USAGE).json();
    assert_eq!(calls(), rows.len());
    assert_eq!(world.sandbox.counts().refreshes, 0);
    let list = world.run(&["channels", "list", "--json"]).json();
    assert_eq!(row(&list["usage"]["providers"], "zai:plan"), row(&usage, "zai:plan"));
    // Two windows of one account in one line each, at 80 columns.
    let text = world.run(&["models", "status", "--usage"]).ok();
    assert!(
        text.contains("Premium") && text.lines().all(|line| line.chars().count() <= 80 || line.contains('/')),
        "{text}"
    );
}

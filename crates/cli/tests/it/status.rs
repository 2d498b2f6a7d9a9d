//! Status says what the resolver does, in every state that a login can be in.

use std::time::Duration;

use coderclaw_sandbox::{Fault, Reply};
use serde_json::{Value, json};

use crate::world::{ME, PROVIDER, World, now};

const STATUS: &[&str] = &["models", "status", "--json"];

fn profile<'a>(status: &'a Value, id: &str) -> &'a Value {
    let profiles = status["auth"]["oauth"]["profiles"].as_array().unwrap();
    profiles.iter().find(|profile| profile["profileId"] == id).unwrap_or_else(|| panic!("{id} in {status:#}"))
}

/// B1, B2: every state of a static credential and of a login, with the original's word for it.
#[test]
fn b1_every_state_is_told_as_it_is() {
    let world = World::new();
    let hour = 3_600_000;
    let mut expired = world.login(-1_000).entry;
    expired.as_object_mut().unwrap().remove("refresh");
    let mut early = world.login(-1_000).entry;
    early["earliestRefreshAt"] = json!(now().0 + hour);
    let token =
        |expires: Value| json!({"type": "token", "provider": "anthropic", "token": "t", "expires": expires});
    let entries: Vec<(&str, Value, &str, &str)> = vec![
        ("fresh", world.login(hour).entry, "ok", "ok"),
        ("due", world.login(60_000).entry, "refresh_due", "ok"),
        ("ended", world.login(-1_000).entry, "refresh_due", "ok"),
        ("no-refresh", expired, "expired", "expired"),
        ("early", early, "not_ready", "expired"),
        ("static", token(json!(0)), "ok", "static"),
        ("long", token(json!(now().0 + 100 * hour)), "ok", "ok"),
        ("last-day", token(json!(now().0 + hour)), "expiring", "expiring"),
        ("over", token(json!(1)), "expired", "expired"),
        ("nonsense", token(json!("soon")), "invalid_expires", "missing"),
        ("key", json!({"type": "api_key", "provider": "openai", "key": "k"}), "ok", "static"),
        (
            "empty-key",
            json!({"type": "api_key", "provider": "openai", "key": " "}),
            "missing_credential",
            "missing",
        ),
        ("ref", json!({"type": "api_key", "provider": "openai", "keyRef": {}}), "unresolved_ref", "missing"),
        ("cooling", json!({"type": "api_key", "provider": "groq", "key": "k"}), "cooldown", "static"),
        ("disabled", json!({"type": "api_key", "provider": "groq", "key": "k"}), "disabled", "static"),
        ("unknown", json!({"type": "passkey", "provider": "groq"}), "missing_credential", "missing"),
        ("broken", json!(7), "corrupt", "missing"),
    ];
    let stored: Vec<_> = entries.iter().map(|(id, entry, ..)| (*id, entry)).collect();
    world.seed("main", &stored);
    let state = json!({"version": 1, "usageStats": {
        "cooling": {"cooldownUntil": now().0 + 60_000},
        "disabled": {"disabledUntil": now().0 + 60_000, "disabledReason": "billing"},
    }});
    world.private(&world.store().with_file_name("auth-state.json"), &state.to_string());
    let status = world.run(STATUS).json();
    for (id, _, state, word) in &entries {
        let told = profile(&status, id);
        assert_eq!((told["state"].as_str(), told["status"].as_str()), (Some(*state), Some(*word)), "{id}");
    }
    let unusable: Vec<_> = status["auth"]["unusableProfiles"].as_array().unwrap().iter().collect();
    assert_eq!(unusable.len(), 2);
    assert!(unusable.iter().all(|one| one["remainingMs"].as_i64().unwrap() > 0));
    assert_eq!(world.run(&["models", "status", "--check"]).code, Some(1));
    assert_eq!(world.sandbox.log().len(), 0, "a look asks nobody");
}

/// B1: a refused login is not "ok", and one whose token still works says that it will end.
#[test]
fn b1_a_refused_login_says_so() {
    let mut world = World::new();
    let login = world.login(120_000);
    world.seed("main", &[(ME, &login.entry)]);
    assert_eq!(world.run(&["models", "status", "--check"]).code, Some(0));
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert_eq!(world.token().ok().trim(), login.access.expose());
    let status = world.run(STATUS).json();
    assert_eq!(profile(&status, ME)["state"], "expiring");
    assert_eq!(world.run(&["models", "status", "--check"]).code, Some(2));
    world.shift_clock(Duration::from_secs(300));
    let status = world.run(STATUS).json();
    assert_eq!(
        (&profile(&status, ME)["state"], &profile(&status, ME)["status"]),
        (&json!("needs_login"), &json!("expired"))
    );
    assert_eq!(world.run(&["models", "status", "--check"]).code, Some(1));
    let text = world.run(&["models", "status"]).ok();
    assert!(text.contains("coderclaw models auth login --provider openai-codex"), "{text}");
}

pub(crate) fn point_api_at(world: &World, path: &str) {
    let file = world.state().join("providers/openai-codex.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = match text.find("[api]") {
        Some(at) => format!("{}{}", &text[..at], &text[text.find("[[auth]]").unwrap()..]),
        None => text,
    };
    let api = format!("[api]\nbase_url = \"{}\"\nprobe = \"{path}\"\n\n", world.sandbox.origin());
    let at = text.find("[[auth]]").unwrap();
    world.private(&file, &format!("{}{api}{}", &text[..at], &text[at..]));
}

/// B3, B6: a probe asks with the very token that would be lent, spends no model call, and keeps to its time.
#[test]
fn b6_a_probe_asks_the_provider() {
    let world = World::new();
    let (good, dead) = (world.login(3_600_000), world.login(3_600_000));
    world.seed("main", &[("openai-codex:good", &good.entry), ("openai-codex:dead", &dead.entry)]);
    point_api_at(&world, "/api/whoami");
    world.sandbox.reject_access(&dead.access);
    let status = world.run(&[STATUS, &["--probe"]].concat()).json();
    let results = status["auth"]["probes"]["results"].as_array().unwrap();
    let told: Vec<_> =
        results.iter().map(|one| (one["label"].as_str().unwrap(), one["status"].as_str().unwrap())).collect();
    assert_eq!(told, [("openai-codex:good", "ok"), ("openai-codex:dead", "auth")]);
    let one = world.run(&[STATUS, &["--probe", "--probe-profile", "openai-codex:good"]].concat()).json();
    assert_eq!(one["auth"]["probes"]["totalTargets"], 1);
    let text = world.run(&["models", "status", "--probe", "--probe-provider", PROVIDER]).ok();
    assert!(text.contains("Probed 2 targets"), "{text}");
    assert_eq!(world.sandbox.counts().refreshes, 0);
}

/// B6: no model is called unless that was asked for; asked for, it is called where nothing else tells, for so many tokens, and
/// the result names it.
#[test]
fn b6_tokens_are_spent_only_when_asked_for() {
    let world = World::new();
    let login = world.login(3_600_000);
    world.seed("main", &[(ME, &login.entry)]);
    let asked = |more: &[&str]| {
        let before = world.sandbox.log().len();
        let status = world.run(&[STATUS, &["--probe"], more].concat()).json();
        let probes = status["auth"]["probes"].clone();
        (probes["results"][0].clone(), probes["options"].clone(), world.sandbox.log().len() - before)
    };
    // A path that nobody serves proves nothing.
    point_api_at(&world, "/no/such/path");
    let (result, options, requests) = asked(&[]);
    assert_eq!((&result["status"], &result["model"], requests), (&json!("unknown"), &Value::Null, 1));
    assert_eq!(options["maxTokens"], 8);
    let (result, _, requests) = asked(&["--probe-max-tokens", "5"]);
    assert_eq!((&result["status"], requests), (&json!("unknown"), 1), "no model is configured");
    world.config("{agents: {defaults: {model: {primary: 'openai/x', fallbacks: ['openai-codex/small']}}}}");
    assert_eq!(asked(&[]).2, 1);
    let (result, options, requests) = asked(&["--probe-max-tokens", "5"]);
    assert_eq!((&result["model"], requests), (&json!("openai-codex/small"), 2));
    assert_eq!(options["maxTokens"], 5);
    // What a free request proves is not paid for.
    point_api_at(&world, "/api/whoami");
    let (result, _, requests) = asked(&["--probe-max-tokens", "5"]);
    assert_eq!((&result["status"], &result["model"], requests), (&json!("ok"), &Value::Null, 1));
    for bad in [&["--probe", "--probe-max-tokens", "0"][..], &["--probe-max-tokens", "5"]] {
        assert_eq!(world.run(&[STATUS, bad].concat()).code, Some(1), "{bad:?}");
    }
}

/// B6: a provider that never answers costs the time limit, not more.
#[test]
fn b6_a_probe_ends_when_its_time_is_up() {
    let world = World::new();
    let login = world.login(-1_000);
    world.seed("main", &[(ME, &login.entry)]);
    point_api_at(&world, "/api/whoami");
    let gate = world.sandbox.gate();
    let status = world.run(&[STATUS, &["--probe", "--probe-timeout", "300"]].concat()).json();
    assert_eq!(status["auth"]["probes"]["results"][0]["status"], "timeout");
    gate.open();
}

#[test]
fn plain_prints_the_model_and_nothing_else() {
    let world = World::new();
    assert_eq!(world.run(&["models", "status", "--plain"]).ok(), "");
    world.private(&world.state().join("coderclaw.json"), "{agents: {defaults: {model: {primary: 'a/b'}}}}");
    assert_eq!(world.run(&["models", "status", "--plain"]).ok(), "a/b\n");
    assert_eq!(world.run(&["models", "status", "--plain", "--json"]).code, Some(1));
}

/// F4: a store in the wrong place, and entries with another program's keys, are named with the file, the entry and what
/// to do; the good entries work.
#[test]
fn f4_what_is_in_the_wrong_shape_or_place_is_named() {
    let world = World::new();
    let misplaced = world.state().join("agents/main/auth-profiles.json");
    world.private(&misplaced, "{}");
    let text = world.run(&["models", "status"]).ok();
    assert!(text.contains(misplaced.to_str().unwrap()), "{text}");
    let login = world.login(3_600_000);
    let odd =
        json!({"type": "oauth", "provider": PROVIDER, "accessToken": "canary", "refreshToken": "canary"});
    world.seed("main", &[("openai-codex:odd", &odd), (ME, &login.entry)]);
    let text = world.run(&["models", "status"]).ok();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("openai-codex:odd") && words.contains("rename it to `access`"), "{text}");
    assert!(!text.contains("canary") && !text.contains(misplaced.to_str().unwrap()), "{text}");
    assert_eq!(world.token().ok().trim(), login.access.expose());
}

/// H7: a clock that is half a day off on either side leads to no loop: the token is timed by when it came. Status says so
/// until a refresh finds the clocks agreeing.
#[test]
fn h7_a_wrong_clock_is_told_and_does_no_harm() {
    const HALF_A_DAY: i64 = 12 * 3_600_000;
    for skew in [HALF_A_DAY, -HALF_A_DAY] {
        let (mut world, _) = World::expired();
        world.sandbox.policy(|policy| policy.skew = skew / 1_000);
        for _ in 0..3 {
            world.token().ok();
        }
        assert_eq!(world.sandbox.counts().refreshes, 1, "{skew}");
        let left = world.entry("main", ME)["expires"].as_i64().unwrap() - world.at(0);
        assert!((3_500_000..=3_600_000).contains(&left), "{skew}: {left}");
        let told =
            world.run(&["models", "status", "--json"]).json()["auth"]["clockAheadMs"].as_i64().unwrap();
        assert!((told + skew).abs() < 60_000, "{skew}: {told}");
        let side = if skew > 0 { "12 h behind" } else { "12 h ahead of" };
        let screen = world.run(&["models", "status"]).ok();
        assert!(screen.replace('\n', " ").contains(side) || screen.contains("11 h"), "{screen}");
        let log = world.run(&["models", "auth", "log"]).ok();
        assert!(log.contains("clock is"), "{log}");
        // An hour later by both clocks.
        world.shift_clock(Duration::from_secs(3_600));
        world.sandbox.policy(|policy| policy.skew = 3_600);
        world.token().ok();
        world.token().ok();
        let status = world.run(&["models", "status", "--json"]).json();
        assert_eq!(status["auth"]["clockAheadMs"], serde_json::Value::Null, "{status:#}");
    }
}

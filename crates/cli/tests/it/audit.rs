//! The audit trail: each event by the one who caused it, nothing by those who look, and never a reason to fail.

use std::os::unix::fs::PermissionsExt;

use coderclaw_sandbox::{Fault, Reply};
use serde_json::{Value, json};

use crate::world::{Login, ME, PROVIDER, World};

const WORK: &str = "openai-codex:work";

fn lines(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(world.state().join("logs/auth.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of one kind. A worker writes its own after its asker was answered.
fn wait_for(world: &World, event: &str, count: usize) -> Vec<Value> {
    let began = std::time::Instant::now();
    loop {
        let found: Vec<Value> = lines(world).into_iter().filter(|line| line["event"] == event).collect();
        if found.len() >= count {
            return found;
        }
        assert!(began.elapsed().as_secs() < 30, "no {count} {event}: {:?}", lines(world));
        std::thread::yield_now();
    }
}

fn holds_none_of(world: &World, logins: &[&Login]) {
    let text = std::fs::read_to_string(world.state().join("logs/auth.jsonl")).unwrap();
    for login in logins {
        for secret in [&login.access, &login.refresh] {
            assert!(!text.contains(secret.expose()), "a token in {text}");
        }
    }
}

/// H4: a refresh is one line, written by the worker, with who, what and how, and no token. A fresh token writes none.
#[test]
fn a_refresh_is_one_line_and_a_loan_none() {
    let (world, login) = World::expired();
    world.token().ok();
    let all = wait_for(&world, "refresh", 1);
    let [line] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (&line["outcome"], &line["agentId"], &line["provider"], &line["profileId"], &line["command"]),
        (&json!("refreshed"), &json!("main"), &json!(PROVIDER), &json!(ME), &json!("models auth token"))
    );
    assert!(line["pid"].as_u64().is_some_and(|pid| pid > 0) && line["at"].is_i64());
    let shown = world.run(&["models", "auth", "token", "--provider", PROVIDER, "--format", "json"]).json();
    assert_eq!(line["fingerprint"], shown["fingerprint"]);
    holds_none_of(&world, &[&login]);
    for (path, mode) in [("logs", 0o700), ("logs/auth.jsonl", 0o600)] {
        let meta = std::fs::metadata(world.state().join(path)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, mode, "{path}");
    }
    for _ in 0..3 {
        world.token().ok();
    }
    assert_eq!(lines(&world).len(), 1);
}

/// A storm of askers is one refresh, and one line.
#[test]
fn a_storm_is_one_line() {
    let (world, _) = World::expired();
    world.storm(12).into_iter().for_each(|ran| drop(ran.ok()));
    wait_for(&world, "refresh", 1);
    world.token().ok();
    assert_eq!(lines(&world).iter().filter(|line| line["outcome"] == "refreshed").count(), 1);
}

/// Each command that changes something says so, by its name and without its arguments.
#[test]
fn every_change_is_a_line() {
    let world = World::new();
    world.log_in(&[]).0.ok();
    let run = |arguments: &[&str]| world.run(arguments).ok();
    run(&["models", "auth", "rename", ME, WORK]);
    run(&["models", "auth", "order", "set", "--provider", PROVIDER, WORK]);
    run(&["models", "auth", "order", "clear", "--provider", PROVIDER]);
    world.private(
        &world.store().with_file_name("auth-state.json"),
        &json!({"version": 1, "usageStats": {WORK: {"cooldownUntil": world.at(600_000), "errorCount": 1}}})
            .to_string(),
    );
    run(&["models", "auth", "cooldown", "clear", WORK]);
    let key = "sk-proj-canarycanarycanarycanarycanary";
    world.run_with_input(&["models", "auth", "paste-api-key", "--provider", "openai", "--stdin"], key).ok();
    run(&["models", "auth", "logout", WORK]);
    let seen: Vec<(String, String, String)> = lines(&world)
        .iter()
        .map(|line| {
            let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (word("event"), word("outcome"), word("command"))
        })
        .collect();
    let wanted = [
        ("login", "stored", "models auth login"),
        ("rename", "renamed", "models auth rename"),
        ("order", "set", "models auth order set"),
        ("order", "cleared", "models auth order clear"),
        ("cooldown_clear", "cleared", "models auth cooldown clear"),
        ("login", "stored", "models auth paste-api-key"),
        ("logout", "removed", "models auth logout"),
        ("revocation", "revoked", "models auth logout"),
        ("revocation", "revoked", "models auth logout"),
    ];
    assert_eq!(seen, wanted.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    let text = std::fs::read_to_string(world.state().join("logs/auth.jsonl")).unwrap();
    assert!(!text.contains("canary"), "{text}");
}

/// B9: why was I logged out on Tuesday? The last good token, what went wrong since, and what to type.
#[test]
fn b9_the_log_tells_why_a_login_was_lost() {
    let (mut world, _) = World::expired();
    world.token().ok();
    wait_for(&world, "refresh", 1);
    world.shift_clock(std::time::Duration::from_secs(2 * 3600));
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert_eq!(world.token().code(), "needs_login");
    wait_for(&world, "refresh", 2);
    let log = world.run(&["models", "auth", "log", "--profile", ME, "--json"]).json();
    let story = &log["profile"];
    assert_eq!(story["state"], "needs_login");
    assert_eq!(story["since"][0]["outcome"], "refused");
    assert!(story["lastGoodAt"].as_i64().unwrap() < story["since"][0]["at"].as_i64().unwrap());
    assert_eq!(story["next"], format!("coderclaw models auth login --provider {PROVIDER}"));
    let screen = world.run(&["models", "auth", "log", "--profile", ME]).ok();
    assert!(
        screen.contains("refresh refused [needs_login]") && screen.contains("  next: coderclaw"),
        "{screen}"
    );
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    let counted = |arguments: &[&str]| {
        let log = world.run(&[&["models", "auth", "log", "--json"], arguments].concat()).json();
        log["events"].as_array().unwrap().iter().filter(|line| line["event"] == "refresh").count()
    };
    assert_eq!(counted(&["--since", "1h"]), 1);
    assert_eq!(counted(&["--event", "refresh", "--limit", "1"]), 1);
    assert_eq!(counted(&["--provider", "openai"]), 0);
    assert_eq!(counted(&["--event", "logout"]), 0);
    assert_eq!(world.run(&["models", "auth", "log", "--event", "x"]).code(), "usage");
}

/// A trail that cannot be written, is not wanted, or is damaged is no reason to fail.
#[test]
fn the_trail_is_never_in_the_way() {
    let (blocked, _) = World::expired();
    blocked.private(&blocked.state().join("logs"), "a file where the folder should be");
    blocked.token().ok();
    let (unwanted, _) = World::expired();
    unwanted.private(&unwanted.state().join("settings.toml"), "[audit]\nenabled = false\n");
    unwanted.token().ok();
    unwanted.log_in(&["--profile-id", WORK]).0.ok();
    assert!(!unwanted.state().join("logs").exists());
    assert!(unwanted.run(&["models", "auth", "log"]).ok().contains("settings.toml says so"));
    let (odd, _) = World::expired();
    odd.private(&odd.state().join("settings.toml"), "[audit]\nenable = false\n");
    odd.private(&odd.state().join("logs/auth.jsonl"), "\u{0}torn\n{\"at\": 1, \"ev");
    odd.token().ok();
    let began = std::time::Instant::now();
    let log = loop {
        let log = odd.run(&["models", "auth", "log", "--json"]).json();
        if log["events"].as_array().is_some_and(|events| !events.is_empty()) {
            break log;
        }
        assert!(began.elapsed().as_secs() < 30);
    };
    assert_eq!(log["damagedLines"], 2);
    assert!(log["settingsProblem"].as_str().unwrap().contains("no `enable`"), "{log}");
}

//! Canaries: tokens and keys of every kind, servers that quote them, crashes, and every place where a byte could turn up.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Body, Fault, On, Reply};
use serde_json::{Value, json};

use crate::world::{LOGIN, ME, PROVIDER, Ran, TOKEN, World};

const KEY: &str = "sk-proj-canarycanarycanarycanarycanary";
const SETUP: &str = "sk-ant-oat01-canarycanarycanarycanarycanary";

/// A world with one credential of each kind, the login of which is due.
fn canaries() -> (World, Vec<String>) {
    let mut world = World::new();
    let login = world.login(-1_000);
    let token = json!({"type": "token", "provider": "anthropic", "token": SETUP});
    let key = json!({"type": "api_key", "provider": "openai", "key": KEY});
    world.seed("main", &[(ME, &login.entry), ("anthropic:manual", &token), ("openai:manual", &key)]);
    world.set("GROQ_API_KEY", "gsk_canarycanarycanarycanary");
    world.set("RUST_BACKTRACE", "full");
    let refresh = login.refresh.expose().to_owned();
    (world, vec![refresh, login.access.expose().to_owned(), KEY.into(), SETUP.into(), "canary".into()])
}

/// Every token that a store holds by now.
fn held(world: &World) -> Vec<String> {
    let entry = world.entry("main", ME);
    ["access", "refresh"].iter().filter_map(|key| entry[key].as_str().map(str::to_owned)).collect()
}

fn shows_none(what: &str, text: &str, secrets: &[String]) {
    assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{what}: {text}");
}

/// G1, G5: a server that quotes the token it was sent, in whatever it answers, finds no place where that is kept or shown.
#[test]
fn g1_what_a_server_quotes_is_kept_nowhere() {
    for (status, code) in
        [(400, "invalid_grant"), (503, "temporarily_unavailable"), (403, "odd"), (400, "odd")]
    {
        let (world, secrets) = canaries();
        let refresh = &secrets[0];
        let body = json!({"error": code, "error_description": format!("refresh_token={refresh} is odd: {SETUP}, Bearer {KEY}"),
            "refresh_token": refresh});
        world.sandbox.script(Fault::Reply(Reply::new(status, Body::Json(body.to_string()))), 1);
        let mut printed = vec![world.token()];
        for command in [
            &["models", "status", "--verbose"][..],
            &["models", "status", "--json"],
            &["models", "auth", "list", "--json"],
            &["models", "auth", "explain", "--provider", PROVIDER],
            &["models", "auth", "log", "--profile", ME],
            &["models", "auth", "alerts", "--json"],
            &["doctor", "--secrets", "--json"],
        ] {
            printed.push(world.run(command));
        }
        for ran in &printed {
            shows_none(code, &format!("{}{}", ran.stdout, ran.stderr), &secrets);
        }
        let sweep: Value = serde_json::from_str(&printed[7].stdout).unwrap();
        let copies: Vec<_> = checks(&sweep).into_iter().filter(|(status, _)| *status != "ok").collect();
        assert!(copies.is_empty(), "{copies:?}");
        // The journal is a place for tokens, but not for those that a server puts into its words.
        for entry in std::fs::read_dir(world.state().join("journal")).unwrap() {
            let text = std::fs::read(entry.unwrap().path()).unwrap();
            shows_none("journal", &String::from_utf8_lossy(&text), &secrets);
        }
    }
}

/// G1: a crash at each step of a refresh, in the asker and in the worker, says where it was and no more, and is an error
/// like any other.
#[test]
fn g1_crashes_quote_nothing() {
    let points = coderclaw_store::faults::POINTS.iter();
    for point in points.filter(|point| !point.starts_with("store.read")) {
        let (mut world, mut secrets) = canaries();
        world.set("CODERCLAW_FAULT", format!("{point}:panic"));
        let ran =
            world.run(&["--verbose", "models", "auth", "refresh", "--provider", PROVIDER, "--profile", ME]);
        secrets.extend(held(&world));
        shows_none(point, &format!("{}{}", ran.stdout, ran.stderr), &secrets);
        assert!(matches!(ran.code, Some(0 | 1)), "{point}: {ran:?}");
        let log = std::fs::read_to_string(world.state().join("logs/auth.jsonl")).unwrap_or_default();
        shows_none(point, &log, &secrets);
    }
    let (mut world, secrets) = canaries();
    world.set("CODERCLAW_FAULT", "store.read:panic");
    let ran = world.run(&["models", "status"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("coderclaw crashed at crates") && ran.stderr.contains("[internal]"),
        "{ran:?}"
    );
    shows_none("a look", &format!("{}{}", ran.stdout, ran.stderr), &secrets);
}

/// G1: while a worker is at it, neither its arguments nor its environment hold a secret, whatever its asker was given; and
/// it leaves no core file.
#[test]
fn g1_a_worker_is_told_no_secret() {
    let (world, secrets) = canaries();
    world.sandbox.script(Fault::RotateThenDelay(Duration::from_secs(2)), 1);
    let asker = world.start(&mut world.command(TOKEN));
    let state = format!("CODERCLAW_STATE_DIR={}", world.state().display());
    let began = Instant::now();
    let worker = loop {
        let found = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).find(|path| {
            let environ = std::fs::read(path.join("environ")).unwrap_or_default();
            let text = String::from_utf8_lossy(&environ);
            text.contains(&state) && text.contains("CODERCLAW_WORKER=")
        });
        if let Some(found) = found {
            break found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no worker was seen");
        std::thread::yield_now();
    };
    for file in ["environ", "cmdline"] {
        let text = String::from_utf8_lossy(&std::fs::read(worker.join(file)).unwrap()).into_owned();
        shows_none(file, &text, &secrets);
        assert!(!text.contains("API_KEY"), "{text}");
    }
    let limits = std::fs::read_to_string(worker.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    Ran::from(asker.wait_with_output().unwrap()).ok();
}

/// G1: a login that fails, and one that works, print no token and leave none outside its place.
#[test]
fn g1_logins_print_no_token() {
    let (world, mut secrets) = canaries();
    let body = json!({"error": "invalid_grant", "error_description": format!("code=canary-7 {SETUP}"), "access_token": SETUP});
    world.sandbox.script_on(On::Exchange, Fault::Reply(Reply::new(400, Body::Json(body.to_string()))), 1);
    let (failed, _) = world.log_in_with(&mut world.command(&[LOGIN, &["--verbose"]].concat()));
    assert_eq!(failed.code, Some(1));
    let (done, _) = world.log_in(&["--verbose"]);
    secrets.extend(held(&world));
    for ran in [failed, done] {
        shows_none("login", &format!("{}{}", ran.stdout, ran.stderr), &secrets);
    }
}

fn checks(told: &Value) -> Vec<(&str, &str)> {
    let checks = told["checks"].as_array().unwrap().iter().filter(|check| check["id"] == "secrets");
    checks.map(|check| (check["status"].as_str().unwrap(), check["message"].as_str().unwrap())).collect()
}

fn git(dir: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(["-c", "user.name=x", "-c", "user.email=x@x.test"]).args(arguments);
    let done = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// G5: copies in logs, chats, caches, backups and the history of git are found and named, without a byte of them; the places
/// where secrets belong are none.
#[test]
fn g5_doctor_finds_copies_and_prints_none() {
    let world = World::new();
    let login = world.login(3_000_000);
    let key = json!({"type": "api_key", "provider": "openai", "key": KEY});
    world.seed("main", &[(ME, &login.entry), ("openai:manual", &key)]);
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME]).ok();
    let sweep = || {
        let ran = world.run(&["doctor", "--secrets", "--json"]);
        shows_none(
            "sweep",
            &ran.stdout,
            &[KEY.into(), login.refresh.expose().into(), login.access.expose().into()],
        );
        ran.json()
    };
    let clean = sweep();
    assert_eq!(checks(&clean).iter().map(|(status, _)| *status).collect::<Vec<_>>(), ["ok"]);
    let state = world.state();
    let refresh = login.refresh.expose();
    world.private(&state.join("logs/old.log"), &format!("one\ntwo\nsent {refresh}\n"));
    world.private(
        &state.join("agents/main/sessions/s.jsonl"),
        &format!("{{\"text\": \"my key is {KEY}\"}}\n"),
    );
    world.private(&state.join("agents/main/agent/auth-profiles.json.old"), &world.text());
    git(&state, &["init", "-q"]);
    world.private(&state.join("note.txt"), login.access.expose());
    git(&state, &["add", "note.txt"]);
    git(&state, &["commit", "-qm", "x"]);
    std::fs::remove_file(state.join("note.txt")).unwrap();
    git(&state, &["add", "-A", "note.txt"]);
    git(&state, &["commit", "-qm", "y"]);
    git(&state, &["gc", "-q"]);
    let told = sweep();
    let found = checks(&told);
    for (place, what) in [
        ("logs/old.log, line 3", "refresh token of openai-codex:me@x.test"),
        ("sessions/s.jsonl, line 1", "key of openai:manual"),
        ("auth-profiles.json.old", "refresh token of openai-codex:me@x.test"),
        ("auth-profiles.json.old", "access token of openai-codex:me@x.test"),
        ("auth-profiles.json.old", "key of openai:manual"),
        ("history of git", "access token of openai-codex:me@x.test"),
    ] {
        assert!(
            found.iter().any(|(_, said)| said.contains(place) && said.contains(what)),
            "{place}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found.iter().all(|(status, _)| *status == "warn"));
}

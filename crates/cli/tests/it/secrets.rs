//! Canaries: tokens and keys of every kind, servers that quote them, crashes, and every place where a byte could turn up.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Body, Fault, On, Reply};
use serde_json::{Value, json};

use crate::canaries::holders;
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
    world.set("RUST_LOG", "trace");
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
    world.canaries.are_copied();
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

/// G4: whatever is done and wherever it is killed, each file with a secret is one that `paths` lists, those that are there
/// for a moment only among them. The world's own look at its end is what says so; here it gets something to look at.
#[test]
fn g4_every_file_that_ever_holds_a_secret_is_listed() {
    let mut kinds = BTreeSet::new();
    let points =
        ["store.before_rename", "store.after_rename", "refresh.answered", "refresh.applied", "cache.write"];
    for point in points {
        let mut world = World::new();
        world.canaries.add(&[KEY]);
        let login = world.login(-1_000);
        world.seed("main", &[(ME, &login.entry)]);
        world.seed("work", &[("openai-codex:clone", &login.entry)]);
        world.config(&format!("{{models: {{providers: {{openai: {{baseUrl: 'https://x.test', apiKey: '{KEY}', models: []}}}}}}}}"));
        world.private(
            &world.state().join("credentials/oauth.json"),
            &json!({"anthropic": {"access": KEY}}).to_string(),
        );
        world.set("CODERCLAW_FAULT", format!("{point}:kill"));
        world.token();
        world.unset("CODERCLAW_FAULT");
        kinds.extend(held_by(&world));
        world.shift_clock(Duration::from_secs(120));
        world.token().ok();
        for model in ["openai/gpt-5.2", "anthropic/claude-opus-4-6", "openai/gpt-5.2"] {
            world.run(&["models", "set", model]).ok();
        }
        world.run(&["agents", "delete", "work", "--force"]).ok();
        let store = world.text();
        world.private(&world.store(), &store[..store.len() - 4]);
        world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME]);
        kinds.extend(held_by(&world));
    }
    for wanted in [
        "auth-profiles.json",
        "auth-profiles.json.bak",
        ".auth-profiles.json.next",
        "auth.json",
        "coderclaw.json",
        "coderclaw.json.bak",
        "coderclaw.json.bak.1",
        "oauth.json",
        "journal",
        "trash",
    ] {
        assert!(kinds.contains(wanted), "{wanted} held none in {kinds:?}");
    }
}

/// The names of the files that hold a secret now; of a journal and of what is in the trash, the folder's.
fn held_by(world: &World) -> BTreeSet<String> {
    let state = world.state();
    let of = |path: &Path| {
        let below = path.strip_prefix(&state).unwrap();
        let first = below.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        match first.as_str() {
            "journal" | "trash" => first,
            _ => path.file_name().unwrap().to_string_lossy().into_owned(),
        }
    };
    holders(world).into_iter().map(|(path, _)| of(&path)).collect()
}

/// G5: after a login, a refresh and a change of order, the refresh token stands in the store and its backup, the access
/// token in the runtime cache as well, and what they replaced nowhere.
#[test]
fn g5_each_secret_has_one_file_and_its_declared_copies() {
    let mut world = World::new();
    world.sandbox.next_user("me@x.test");
    world.log_in(&[]).0.ok();
    let old = held(&world);
    world.canaries.add(&old.iter().map(String::as_str).collect::<Vec<_>>());
    world.shift_clock(Duration::from_secs(3_590));
    let token = world.token().ok();
    world.wait_for_access("main", ME, token.trim());
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME]).ok();
    let new = held(&world);
    let files_with = |secret: &String| -> Vec<String> {
        let all = holders(&world).into_iter().filter(|(_, held)| held.contains(secret));
        let mut names: Vec<String> =
            all.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    // The journal is wiped, and the cache renewed, by a worker that goes on after its asker was answered.
    let began = Instant::now();
    let wanted = ["auth-profiles.json", "auth-profiles.json.bak"];
    while files_with(&new[1]) != wanted || !old.iter().all(|secret| files_with(secret).is_empty()) {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", holders(&world));
        std::thread::yield_now();
    }
    assert_eq!(files_with(&new[0]), ["auth-profiles.json", "auth-profiles.json.bak", "auth.json"]);
}

/// G5: a copy in the history of git is found in a loose object that no branch leads to, and in a packed one; without git it is
/// said that nobody looked there.
#[test]
fn g5_loose_and_packed_objects_of_git_are_looked_through() {
    let world = World::new();
    let key = json!({"type": "api_key", "provider": "openai", "key": KEY});
    world.seed("main", &[("openai:manual", &key)]);
    world.canaries.are_copied();
    let state = world.state();
    git(&state, &["init", "-q"]);
    world.private(&state.join("note.txt"), &format!("x {KEY} y"));
    git(&state, &["add", "note.txt"]);
    let found = |world: &World| {
        let told = world.run(&["doctor", "--secrets", "--json"]).json();
        checks(&told)
            .iter()
            .filter(|(status, said)| *status == "warn" && said.contains("history of git"))
            .count()
    };
    // Only staged, and then taken away again: a loose object that nothing leads to.
    git(&state, &["rm", "-q", "--cached", "note.txt"]);
    std::fs::remove_file(state.join("note.txt")).unwrap();
    assert_eq!(found(&world), 1);
    // Packed with others into one compressed file.
    world.private(&state.join("note.txt"), &format!("x {KEY} y"));
    git(&state, &["add", "note.txt"]);
    git(&state, &["commit", "-qm", "x"]);
    git(&state, &["repack", "-adq"]);
    git(&state, &["prune-packed"]);
    std::fs::remove_file(state.join("note.txt")).unwrap();
    assert_eq!(found(&world), 1);
    let mut blind = world;
    blind.set("PATH", "/nowhere");
    let told = blind.run(&["doctor", "--secrets", "--json"]).json();
    assert!(
        checks(&told)
            .iter()
            .any(|(_, said)| said.contains("not looked at") && said.contains("git cannot be run")),
        "{told:#}"
    );
}

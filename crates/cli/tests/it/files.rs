//! The book's page about files, beside a state dir that the program has made: each file that appears is on the page, with
//! its mode, and `models auth paths` says the same of what may hold a secret.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::chat::world;
use crate::gateway_world::{Gate, key};
use crate::world::{ME, PROVIDER, World};

/// A token of an hour is due then.
const NEARLY_OVER: Duration = Duration::from_secs(3_400);

/// A row of the page.
#[derive(Debug)]
struct Row {
    pattern: String,
    mode: u32,
    is_secret: bool,
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/files.md")).unwrap()
}

fn rows(page: &str) -> Vec<Row> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let pattern = cells.next()?.trim_end_matches('`').to_owned();
        let mode = u32::from_str_radix(cells.next()?, 8).unwrap();
        let is_secret = match cells.next()? {
            "yes" => true,
            "no" => false,
            other => panic!("{other}: {line}"),
        };
        assert_eq!(cells.filter(|cell| !cell.is_empty()).count(), 2, "{line}");
        Some(Row { pattern, mode, is_secret })
    });
    rows.collect()
}

/// Whether a path is one that the pattern means. A word in capitals stands for anything within one name; `PATH` for several.
fn is_like(pattern: &str, path: &str) -> bool {
    let upper = |c: char| c.is_ascii_uppercase();
    let Some(at) = pattern.find(upper) else { return pattern == path };
    let (before, rest) = pattern.split_at(at);
    let word = &rest[..rest.find(|c| !upper(c)).unwrap_or(rest.len())];
    let (after, Some(path)) = (&rest[word.len()..], path.strip_prefix(before)) else { return false };
    let is_it = |text: &str| match word {
        "N" => text.bytes().all(|b| b.is_ascii_digit()),
        "GRANT" | "HASH" => text.bytes().all(|b| b.is_ascii_hexdigit()),
        "PATH" => true,
        _ => !text.contains('/'),
    };
    (1..=path.len())
        .filter(|end| path.is_char_boundary(*end))
        .any(|end| is_it(&path[..end]) && is_like(after, &path[end..]))
}

fn files_below(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_folder = path.symlink_metadata().unwrap().is_dir();
        if is_folder { files_below(&path, out) } else { out.push(path) }
    }
}

/// A state dir in which much has happened.
fn lived_in() -> (World, Gate) {
    let mut world = world();
    world.config("{}");
    world.log_in(&[]).0.ok();
    world.shift_clock(NEARLY_OVER);
    let run = |arguments: &[&str]| world.run(arguments).ok();
    run(&["agent", "--message", "hello"]);
    run(&["models", "auth", "refresh", "--provider", PROVIDER]);
    run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME]);
    for model in ["openai-codex/a", "openai-codex/b", "openai-codex/c"] {
        run(&["models", "set", model]);
    }
    run(&["agents", "add", "work"]);
    run(&["agents", "link", "work", "--to", "main"]);
    run(&["agents", "add", "gone"]);
    world.run_with_input(
        &["models", "auth", "paste-api-key", "--provider", "openai", "--stdin", "--agent", "gone"],
        "sk-canary-canary-canary-canary\n",
    );
    run(&["agents", "delete", "gone", "--force"]);
    run(&["models", "auth", "login", "start", "--provider", PROVIDER, "--json"]);
    run(&["models", "status", "--usage"]);
    world.private(&world.state().join("settings.toml"), "[audit]\n");
    world.run(&["models", "auth", "alerts", "--send"]);
    let helper = world.path().join("helper.sh");
    std::fs::write(&helper, "#!/bin/sh\necho gsk_canary-canary-canary\n").unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let from = format!("exec:{}", helper.display());
    run(&["models", "auth", "paste-api-key", "--provider", "groq", "--ref", &from, "--ttl", "1h"]);
    run(&["models", "auth", "token", "--provider", "groq"]);
    key(&world, &["tool"]);
    let gate = Gate::start(&world);
    let port = gate.port.to_string();
    run(&["gateway", "open", "--port", &port, "--json"]);
    world.run(&["connect", "codex", "--through", "gateway", "--port", &port, "--yes"]).ok();
    // Damaged, and replaced by a commit.
    std::fs::write(world.store(), "{torn").unwrap();
    run(&["models", "auth", "order", "clear", "--provider", PROVIDER]);
    (world, gate)
}

/// Each file that appears is on the page with its mode; what the page calls a secret place is one for `models auth paths`, and
/// nothing else is.
#[test]
fn every_file_is_on_the_page() {
    let (world, gate) = lived_in();
    let rows = rows(&page());
    assert!(rows.len() > 30, "the page has its tables");
    let told = world.run(&["models", "auth", "paths", "--json"]).json();
    let listed = |key: &str| -> Vec<PathBuf> {
        told[key].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().into()).collect()
    };
    let (secrets, others) = (listed("secrets"), listed("others"));
    let (mut files, mut met) = (Vec::new(), BTreeSet::new());
    let mut wrong = Vec::new();
    files_below(&world.state(), &mut files);
    for file in &files {
        let path = file.strip_prefix(world.state()).unwrap().to_str().unwrap();
        let row = rows.iter().find(|row| is_like(&row.pattern, path));
        let mode = file.symlink_metadata().unwrap().mode() & 0o777;
        let is_place = secrets.iter().any(|place| file.starts_with(place));
        match row {
            Some(row) => {
                met.insert(row.pattern.as_str());
                if (mode, is_place) != (row.mode, row.is_secret) {
                    wrong.push(format!("{path} is {mode:o}, a place of secrets: {is_place}; {row:?}"));
                }
            }
            None => wrong.push(format!("{path} is not there")),
        }
    }
    assert!(wrong.is_empty(), "docs/files.md: {wrong:#?}");
    for other in others {
        let path = other.strip_prefix(world.state()).unwrap().to_str().unwrap();
        let row = rows.iter().find(|row| is_like(&row.pattern, path)).expect(path);
        assert!(!row.is_secret, "{path}");
    }
    // What did not come up here is only what takes a world of its own.
    let rest: Vec<&str> =
        rows.iter().map(|row| row.pattern.as_str()).filter(|one| !met.contains(one)).collect();
    insta::assert_debug_snapshot!("files-not-met", rest);
    drop(gate);
}

/// The shapes on the page are those of real files: every key of a login and of what changes often is there, and the program
/// reads them.
#[test]
fn the_shapes_are_true() {
    let page = page();
    let example = |heading: &str| {
        let (_, rest) = page.split_once(&format!("### {heading}\n")).unwrap();
        let block = rest.split("```").nth(1).unwrap();
        block.split_once('\n').unwrap().1.to_owned()
    };
    let (store, state) = (example("The store"), example("What changes often"));
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let shown: Value = serde_json::from_str(&store).unwrap();
    let shown_login = keys(&shown["profiles"]["openai-codex:me@example.com"]);

    let mut world = World::new();
    world.log_in(&[]).0.ok();
    world.shift_clock(NEARLY_OVER);
    world.run(&["models", "auth", "refresh", "--provider", PROVIDER]).ok();
    let real = keys(&world.entry("main", ME));
    let missing: Vec<_> = real.difference(&shown_login).collect();
    assert!(missing.is_empty(), "the page does not show {missing:?} of a login");

    world.private(&world.store(), &store);
    world.private(&world.store().with_file_name("auth-state.json"), &state);
    world.seed("work", &[]);
    let work = world.store_of("work").with_file_name("agent.toml");
    world.private(&work, &example("An agent's settings"));
    let status = world.run(&["models", "status", "--json"]).json();
    let states: Vec<&Value> =
        status["auth"]["oauth"]["profiles"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert_eq!(states, [&json!("token"), &json!("api_key"), &json!("oauth")]);
    let linked = world.run(&["models", "status", "--json", "--agent", "work"]).json();
    assert_eq!(linked["auth"]["link"]["agentId"], "main");
}

#[test]
fn patterns_mean_what_they_say() {
    for (pattern, path, wanted) in [
        ("agents/ID/agent/auth.json", "agents/main/agent/auth.json", true),
        ("agents/ID/agent/auth.json", "agents/a/b/agent/auth.json", false),
        ("coderclaw.json.bak.N", "coderclaw.json.bak.4", true),
        ("coderclaw.json.bak.N", "coderclaw.json.bak.x", false),
        ("trash/NAME/PATH", "trash/gone-1/agent/x.json", true),
        ("usage.json", "usage.json.x", false),
    ] {
        assert_eq!(is_like(pattern, path), wanted, "{pattern} {path}");
    }
}

//! The book's console blocks, run as they stand.
//!
//! `<!-- world: NAME -->` in a page begins a throw-away world; the `console` blocks after it are run in it, one after the
//! other. `[..]` stands for any text within a line, a line `...` for any lines. In blocks before the first world, which
//! show what needs a browser or another program, each `coderclaw` command must at least be one that parses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coderclaw_sandbox::User;
use serde_json::{Value, json};

use crate::world::{PROVIDER, World};

const HOUR: i64 = 3_600_000;

/// One `$` line and what it prints.
#[derive(Debug)]
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

/// The blocks of one world; `None` for those that are only read.
#[derive(Debug)]
struct Scene {
    world: Option<String>,
    steps: Vec<Step>,
}

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn scenes(page: &str) -> Vec<Scene> {
    let mut scenes = vec![Scene { world: None, steps: Vec::new() }];
    let mut is_console = false;
    for (at, line) in page.lines().enumerate() {
        if let Some(name) = line.strip_prefix("<!-- world: ").and_then(|rest| rest.strip_suffix(" -->")) {
            scenes.push(Scene {
                world: Some(name.to_owned()).filter(|name| name != "none"),
                steps: Vec::new(),
            });
        } else if line.starts_with("```") {
            is_console = line == "```console";
        } else if is_console {
            let steps = &mut scenes.last_mut().unwrap().steps;
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    // What follows `#` after two blanks is for the reader.
                    let command = command.split("  #").next().unwrap_or(command).trim_end().to_owned();
                    steps.push(Step { line: at + 1, command, expected: Vec::new() });
                }
                (None, Some(step)) if step.command.ends_with('\\') && step.expected.is_empty() => {
                    step.command.truncate(step.command.len() - 1);
                    step.command.push_str(line.trim_start_matches('>').trim_start());
                }
                (None, Some(step)) => step.expected.push(line.trim_end().to_owned()),
                (None, None) => panic!("line {}: a block begins with a command", at + 1),
            }
        }
    }
    scenes
}

/// Whether the lines are as expected.
fn is_like(expected: &[String], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            is_like(rest, lines) || lines.split_first().is_some_and(|(_, lines)| is_like(expected, lines))
        }
        (Some((first, rest)), Some((line, lines))) => {
            line_is_like(first, line.trim_end()) && is_like(rest, lines)
        }
        _ => false,
    }
}

fn line_is_like(expected: &str, line: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| line_is_like(after, &rest[at..]))
        }),
    }
}

fn login(world: &World, name: &str, left: i64) -> Value {
    let email = format!("{name}@example.com");
    let account = format!("acct-{name}");
    world.sandbox.add_user(User { email: email.clone(), account: account.clone(), ..User::named(name) });
    let grant = world.sandbox.grant(name);
    let expires = world.at(left);
    json!({
        "type": "oauth", "provider": PROVIDER, "access": grant.access.expose(), "refresh": grant.refresh.expose(),
        "expires": expires, "issuedAt": expires - 10 * HOUR, "email": email, "accountId": account,
    })
}

fn world(name: &str) -> World {
    let world = World::new();
    let (work, me) = ("openai-codex:work@example.com", "openai-codex:me@example.com");
    match name {
        "nobody" => {}
        "two accounts" => {
            world.seed(
                "main",
                &[(work, &login(&world, "work", 9 * HOUR)), (me, &login(&world, "me", 8 * HOUR))],
            );
        }
        "one account" => world.seed("main", &[(me, &login(&world, "me", 8 * HOUR))]),
        "due" => world.seed("main", &[(me, &login(&world, "me", -HOUR))]),
        "dead" => {
            let dead = login(&world, "me", -HOUR);
            world.sandbox.revoke_all("me");
            world.seed("main", &[(me, &dead)]);
        }
        "a key behind" => {
            let key = json!({"type": "api_key", "provider": PROVIDER, "key": "key-canary-canary-canary"});
            world.seed("main", &[(me, &login(&world, "me", 8 * HOUR)), ("openai-codex:key", &key)]);
        }
        other => panic!("there is no world \"{other}\""),
    }
    world.fingerprint_key();
    private(&world.state());
    world
}

/// As the program itself makes folders.
fn private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            private(&path);
        }
    }
}

fn run(world: &World, step: &Step) -> String {
    let bin = world.path().join("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_coderclaw"), bin.join("coderclaw")).unwrap();
    }
    let command = world.command(&[]);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("{{ {}; }} 2>&1", step.command)])
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", path)
        .current_dir(world.home())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.replace(world.home().to_str().unwrap(), "~").replace(world.state().to_str().unwrap(), "~/.coderclaw")
}

/// The words of each `coderclaw` command of a line of shell, as far as they are plain words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let parts = line.split(['|', ';', '&']).map(|part| part.split_whitespace().collect::<Vec<_>>());
    parts
        .filter_map(|words| {
            let at = words.iter().position(|word| *word == "coderclaw")?;
            let plain =
                words[at + 1..].iter().take_while(|word| !word.starts_with(['>', '<', '$', '"', '\'', ')']));
            Some(plain.map(|word| word.trim_end_matches(')').to_owned()).collect())
        })
        .collect()
}

/// B9: what the book shows is what happens, word for word, and all that it tells people to type exists.
#[test]
fn b9_every_console_block_is_true() {
    let mut wrong = Vec::new();
    let (mut pages, mut ran) = (0, 0);
    for entry in std::fs::read_dir(book()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        pages += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for scene in scenes(&std::fs::read_to_string(&path).unwrap()) {
            let stage = scene.world.as_deref().map(world);
            for step in &scene.steps {
                let Some(stage) = &stage else {
                    for words in commands(&step.command) {
                        let words: Vec<&str> = words.iter().map(String::as_str).collect();
                        if !exists(&words) {
                            wrong.push(format!("{name}:{}: no such command: {}", step.line, step.command));
                        }
                    }
                    continue;
                };
                ran += 1;
                let said = run(stage, step);
                let lines: Vec<&str> = said.trim_end().lines().collect();
                let end = step.expected.iter().rposition(|line| !line.is_empty()).map_or(0, |at| at + 1);
                if !is_like(&step.expected[..end], &lines) {
                    wrong.push(format!("{name}:{}: $ {}\n{said}", step.line, step.command));
                }
            }
        }
    }
    assert!(pages > 5 && ran > 20, "{pages} pages, {ran} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the words name a command; its own help says so, whatever arguments follow.
fn exists(words: &[&str]) -> bool {
    let world = World::new();
    let path: Vec<&str> =
        words.iter().copied().take_while(|word| word.starts_with(char::is_alphabetic)).collect();
    // The last words may be arguments: some beginning of the path must be a command, and no shorter than one word.
    (1..=path.len()).rev().any(|length| {
        let ran = world.run(&[&path[..length], &["--help"]].concat());
        ran.code == Some(0) && ran.stdout.contains(&format!("Usage: coderclaw {}", path[..length].join(" ")))
    }) || path.is_empty()
}

/// Those that the program sets for itself, and those of tests.
const INNER_VARIABLES: [&str; 4] =
    ["CODERCLAW_WORKER", "CODERCLAW_HERALD", "CODERCLAW_FAULT", "CODERCLAW_CLOCK"];

/// The page of variables names each of ours that the sources read, and no other.
#[test]
fn every_variable_is_on_its_page() {
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        words.filter(|word| word.starts_with("CODERCLAW_") && word.len() > 10).map(str::to_owned).collect()
    };
    let mut folders = vec![book().join("../crates")];
    let mut read = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "target", "sandbox"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                read.extend(names(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    read.retain(|name| !INNER_VARIABLES.contains(&name.as_str()));
    assert_eq!(names(&std::fs::read_to_string(book().join("environment.md")).unwrap()), read);
}

#[test]
fn what_is_left_out_may_be_anything() {
    let like = |expected: &[&str], said: &str| {
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        is_like(&expected, &said.lines().collect::<Vec<_>>())
    };
    assert!(like(&["ends in [..] · #[..]"], "ends in 3 h · #abc"));
    assert!(like(&["a", "...", "z"], "a\nb\nc\nz") && like(&["a", "...", "z"], "a\nz") && like(&["..."], ""));
    assert!(!like(&["a"], "a\nb") && !like(&["a", "b"], "a") && !like(&["ends in [..] s"], "ends in 3 h"));
}

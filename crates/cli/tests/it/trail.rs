//! The audit trail, kind by kind and cause by cause: each event is one line that says who, what and how, and holds no
//! secret; and the lines of a profile tell why it is as it is.

use std::process::Child;
use std::time::{Duration, Instant};

use coderclaw_auth::Event;
use coderclaw_sandbox::{Fault, Reply};
use serde_json::{Value, json};

use crate::chat;
use crate::gateway_world::{self, Gate};
use crate::world::{ME, PROVIDER, World};

const HOUR: i64 = 3_600_000;
const OTHER: &str = "openai-codex:other";
const STATIC: &str = "anthropic:manual";
const KEY: &str = "sk-proj-canarycanarycanarycanarycanary";

fn lines(world: &World) -> Vec<Value> {
    let folder = world.state().join("logs");
    let mut all = Vec::new();
    for part in ["auth.jsonl.3", "auth.jsonl.2", "auth.jsonl.1", "auth.jsonl"] {
        let text = std::fs::read_to_string(folder.join(part)).unwrap_or_default();
        all.extend(text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
    }
    all
}

fn of(world: &World, event: &str) -> Vec<Value> {
    lines(world).into_iter().filter(|line| line["event"] == event).collect()
}

/// Workers and heralds write after whoever waits for them was answered.
fn wait_for(world: &World, event: &str, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let found = of(world, event);
        if found.len() >= count {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no {count} {event}: {:#?}", lines(world));
        std::thread::yield_now();
    }
}

fn expired() -> World {
    let (world, _) = World::expired();
    world.fingerprint_key();
    world
}

fn refused() -> World {
    let world = expired();
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert_eq!(world.token().code(), "needs_login");
    world
}

fn static_token(left: i64) -> World {
    let world = World::new();
    world.fingerprint_key();
    let entry = json!({"type": "token", "provider": "anthropic", "token": "sk-ant-oat01-canarycanarycanary", "expires": world.at(left)});
    world.seed("main", &[(STATIC, &entry)]);
    world
}

fn two() -> World {
    let world = World::new();
    world.fingerprint_key();
    let (mine, other) = (world.login(-1_000), world.login_of("other", HOUR));
    world.seed("main", &[(ME, &mine.entry), (OTHER, &other.entry)]);
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME, OTHER]).ok();
    world
}

struct Row {
    event: Event,
    outcomes: &'static [&'static str],
    command: &'static str,
    profile: Option<&'static str>,
    /// It speaks of one secret.
    of_a_secret: bool,
    act: fn() -> World,
}

/// H4, G2: each kind of event is one line, with its time, process, command, agent, profile, fingerprint and outcome.
#[test]
fn h4_each_kind_of_event_is_one_line() {
    let rows = [
        Row {
            event: Event::Login,
            outcomes: &["stored"],
            command: "models auth paste-api-key",
            profile: Some("openai:manual"),
            of_a_secret: true,
            act: || {
                let world = World::new();
                let paste = ["models", "auth", "paste-api-key", "--provider", "openai", "--stdin"];
                world.run_with_input(&paste, KEY).ok();
                world
            },
        },
        Row {
            event: Event::Import,
            outcomes: &["stored"],
            command: "import",
            profile: Some(ME),
            of_a_secret: true,
            act: || {
                let world = World::new();
                let theirs = world.path().join("theirs/agents/main/agent/auth-profiles.json");
                let text = json!({"version": 1, "profiles": {ME: world.login(HOUR).entry}}).to_string();
                world.private(&theirs, &text);
                world.run(&["import", "openclaw", &world.path().join("theirs").display().to_string()]).ok();
                world
            },
        },
        Row {
            event: Event::Refresh,
            outcomes: &["refreshed"],
            command: "models auth token",
            profile: Some(ME),
            of_a_secret: true,
            act: || {
                let world = expired();
                world.token().ok();
                world
            },
        },
        Row {
            event: Event::Lend,
            outcomes: &["lent"],
            command: "gateway",
            profile: Some(chat::WORK),
            of_a_secret: true,
            act: || {
                let world = chat::world();
                world.fingerprint_key();
                let set = ["models", "auth", "order", "set", "--provider", "anthropic", chat::WORK];
                world.run(&set).ok();
                let (gate, key) = (Gate::start(&world), gateway_world::key(&world, &["tools"]));
                gate.claude(&key, "one").ok();
                gate.claude(&key, "two").ok();
                drop(gate);
                world
            },
        },
        Row {
            event: Event::Lend,
            outcomes: &["lent"],
            command: "exec",
            profile: Some(ME),
            of_a_secret: true,
            act: || {
                let world = World::new();
                world.fingerprint_key();
                world.seed("main", &[(ME, &world.login(HOUR).entry)]);
                world.run(&["exec", "--provider", PROVIDER, "--", "/bin/true", "canary-argument"]).ok();
                world
            },
        },
        Row {
            event: Event::Lend,
            outcomes: &["lent", "not_started"],
            command: "exec",
            profile: Some(ME),
            of_a_secret: true,
            act: || {
                let world = World::new();
                world.fingerprint_key();
                world.seed("main", &[(ME, &world.login(HOUR).entry)]);
                let ran = world.run(&["exec", "--provider", PROVIDER, "--", "/nowhere/program"]);
                assert!(ran.code == Some(1) && ran.stderr.contains("[not_started]"), "{ran:?}");
                world
            },
        },
        Row {
            event: Event::Failover,
            outcomes: &["moved"],
            command: "models auth token",
            profile: Some(ME),
            of_a_secret: true,
            act: || {
                let world = two();
                world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
                world.token().ok();
                world
            },
        },
        Row {
            event: Event::Quarantine,
            outcomes: &["needs_login"],
            command: "models auth token",
            profile: Some(ME),
            of_a_secret: true,
            act: refused,
        },
        Row {
            event: Event::Expiring,
            outcomes: &["ends_within_a_day"],
            command: "models auth alerts",
            profile: Some(STATIC),
            of_a_secret: true,
            act: || {
                let world = static_token(HOUR);
                (0..3).for_each(|_| drop(world.run(&["models", "auth", "alerts", "--send"]).ok()));
                world
            },
        },
        Row {
            event: Event::Recovery,
            outcomes: &["recovered"],
            command: "models auth login",
            profile: Some(ME),
            of_a_secret: true,
            act: || {
                let world = refused();
                wait_for(&world, "quarantine", 1);
                world.log_in(&[]).0.ok();
                world
            },
        },
        Row {
            event: Event::Logout,
            outcomes: &["removed"],
            command: "models auth logout",
            profile: Some(ME),
            of_a_secret: true,
            act: logged_out,
        },
        Row {
            event: Event::Revocation,
            // The refresh token, then the access token.
            outcomes: &["revoked", "revoked"],
            command: "models auth logout",
            profile: Some(ME),
            of_a_secret: true,
            act: logged_out,
        },
        Row {
            event: Event::Rename,
            outcomes: &["renamed"],
            command: "models auth rename",
            profile: Some("openai-codex:new"),
            of_a_secret: true,
            act: || {
                let world = expired();
                world.run(&["models", "auth", "rename", ME, "openai-codex:new"]).ok();
                world
            },
        },
        Row {
            event: Event::Order,
            outcomes: &["set", "cleared"],
            command: "models auth order",
            profile: None,
            of_a_secret: false,
            act: || {
                let world = two();
                world.run(&["models", "auth", "order", "clear", "--provider", PROVIDER]).ok();
                world
            },
        },
        Row {
            event: Event::CooldownClear,
            outcomes: &["cleared"],
            command: "models auth cooldown clear",
            profile: Some(ME),
            of_a_secret: false,
            act: || {
                let world = expired();
                let usage = json!({ME: {"cooldownUntil": world.at(600_000), "errorCount": 1}});
                let text = json!({"version": 1, "usageStats": usage}).to_string();
                world.private(&world.store().with_file_name("auth-state.json"), &text);
                world.run(&["models", "auth", "cooldown", "clear", ME]).ok();
                world
            },
        },
        Row {
            event: Event::AgentDelete,
            outcomes: &["deleted"],
            command: "agents delete",
            profile: Some(ME),
            of_a_secret: true,
            act: deleted,
        },
        Row {
            event: Event::AgentDelete,
            outcomes: &["deleted"],
            command: "agents delete",
            profile: None,
            of_a_secret: false,
            act: || {
                let world = World::new();
                world.run(&["agents", "add", "work"]).ok();
                world.run(&["agents", "delete", "work", "--force"]).ok();
                world
            },
        },
        Row {
            event: Event::Alert,
            outcomes: &["delivered"],
            command: "herald",
            profile: Some(ME),
            of_a_secret: true,
            act: || {
                let (world, _) = World::expired();
                world.fingerprint_key();
                world.private(
                    &world.state().join("settings.toml"),
                    "[hooks]\non_attention = [\"/bin/true\"]\n",
                );
                world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
                assert_eq!(world.token().code(), "needs_login");
                world
            },
        },
    ];
    for event in Event::ALL {
        assert!(rows.iter().any(|row| row.event == *event), "{event:?} has no row");
    }
    for Row { event, outcomes, command, profile, of_a_secret, act } in rows {
        let world = act();
        let found = wait_for(&world, event.as_str(), outcomes.len());
        let told: Vec<&str> = found.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
        assert_eq!(told, outcomes, "{event:?}: {found:#?}");
        for line in &found {
            let agent = if event == Event::AgentDelete { "work" } else { "main" };
            assert_eq!(line["agentId"], agent, "{line}");
            assert_eq!(line["profileId"].as_str(), profile, "{line}");
            assert!(line["command"].as_str().unwrap().starts_with(command), "{line}");
            assert!(line["at"].is_i64() && line["pid"].as_u64().is_some_and(|pid| pid > 1), "{line}");
            let print = line["fingerprint"].as_str().unwrap_or_default();
            assert_eq!(print.len(), if of_a_secret { 12 } else { 0 }, "{line}");
        }
        let text = std::fs::read_to_string(world.state().join("logs/auth.jsonl")).unwrap();
        let secrets = world.canaries.all(&world);
        assert!(!text.contains("canary"), "{text}");
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{text}");
    }
}

fn logged_out() -> World {
    let world = World::new();
    world.log_in(&[]).0.ok();
    world.run(&["models", "auth", "logout", ME]).ok();
    world
}

fn deleted() -> World {
    let world = World::new();
    world.fingerprint_key();
    world.run(&["agents", "add", "work"]).ok();
    let login = world.login(HOUR);
    world.seed("work", &[(ME, &login.entry)]);
    world.run(&["agents", "delete", "work", "--force"]).ok();
    world
}

struct Cause {
    why: &'static str,
    profile: &'static str,
    more: &'static [&'static str],
    act: fn() -> World,
    /// The first thing that went wrong.
    event: (&'static str, &'static str),
    state: Value,
    words: &'static str,
    next: &'static str,
}

/// What most causes have in common: somebody took the login away, and no command brings it back.
const GONE: Cause = Cause {
    why: "",
    profile: ME,
    more: &[],
    act: logged_out,
    event: ("logout", "removed"),
    state: Value::Null,
    words: "does not have it now",
    next: "",
};

const LOGIN: &str = "coderclaw models auth login --provider openai-codex";
const SETUP_TOKEN: &str = "coderclaw models auth setup-token";

/// B7, B9: why was I logged out on Tuesday? For each way in which that happens the story names it, and the command.
#[test]
fn b9_each_cause_is_told() {
    let causes = [
        Cause {
            why: "the provider refused it",
            act: || {
                let world = refused();
                wait_for(&world, "quarantine", 1);
                world
            },
            event: ("refresh", "refused"),
            state: json!("needs_login"),
            words: "invalid_grant",
            next: LOGIN,
            ..GONE
        },
        Cause {
            why: "an answer was lost",
            act: || {
                let mut world = expired();
                world.sandbox.script(Fault::RotateThenDrop, 1);
                world.token();
                world.shift_clock(Duration::from_secs(120));
                assert_eq!(world.token().code(), "interrupted");
                wait_for(&world, "quarantine", 1);
                world
            },
            event: ("refresh", "ambiguous"),
            state: json!("interrupted"),
            words: "ambiguous",
            next: LOGIN,
            ..GONE
        },
        Cause { why: "somebody logged it out", ..GONE },
        Cause {
            why: "somebody pruned it",
            profile: STATIC,
            act: || {
                let world = static_token(-HOUR);
                world.run(&["models", "auth", "prune"]).ok();
                world
            },
            event: ("logout", "pruned"),
            ..GONE
        },
        Cause {
            why: "its agent was deleted",
            more: &["--agent", "work"],
            act: deleted,
            event: ("agent_delete", "deleted"),
            words: "trash",
            ..GONE
        },
        Cause {
            why: "its time was over",
            profile: STATIC,
            act: || {
                let world = static_token(-HOUR);
                world.run(&["models", "auth", "alerts", "--send"]).ok();
                world
            },
            event: ("quarantine", "needs_login"),
            state: json!("expired"),
            words: "quarantine",
            next: SETUP_TOKEN,
            ..GONE
        },
        Cause {
            why: "its provider rejects it",
            profile: chat::WORK,
            act: || {
                let world = chat::world();
                let token = chat::setup_token("w");
                world.sandbox.remove_key(&token);
                let ran =
                    world.run(&["agent", "--message", "/model anthropic/claude-opus-4-6@anthropic:work"]);
                ran.ok();
                assert_eq!(world.run(&["agent", "--message", "hello"]).code, Some(1));
                wait_for(&world, "quarantine", 1);
                world
            },
            event: ("quarantine", "needs_login"),
            state: json!("rejected"),
            words: "quarantine",
            next: SETUP_TOKEN,
            ..GONE
        },
        Cause {
            why: "it has another name",
            act: || {
                let world = expired();
                world.run(&["models", "auth", "rename", ME, "openai-codex:new"]).ok();
                world
            },
            event: ("rename", "renamed"),
            words: "It is called openai-codex:new now.",
            next: "coderclaw models auth log --profile openai-codex:new",
            ..GONE
        },
    ];
    for Cause { why, profile, more, act, event, state, words, next } in causes {
        let world = act();
        let log = [&["models", "auth", "log", "--profile", profile], more].concat();
        let told = world.run(&[&log[..], &["--json"]].concat()).json();
        let story = &told["profile"];
        let first = &story["since"][0];
        assert_eq!(
            (first["event"].as_str(), first["outcome"].as_str()),
            (Some(event.0), Some(event.1)),
            "{why}: {story:#}"
        );
        assert_eq!(story["state"], state, "{why}: {story:#}");
        assert!(story["next"].as_str().unwrap_or_default().starts_with(next), "{why}: {story:#}");
        assert_eq!(story["next"].is_null(), next.is_empty(), "{why}: {story:#}");
        let screen = world.run(&log).ok();
        assert!(screen.replace('\n', " ").contains(words), "{why}: {screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{why}: {screen}");
    }
}

/// What happened under an old name belongs to the profile that bore it, and to no other that came to bear it later.
#[test]
fn a_profile_is_followed_through_its_names() {
    let world = expired();
    world.token().ok();
    wait_for(&world, "refresh", 1);
    world.run(&["models", "auth", "rename", ME, OTHER]).ok();
    let login = world.login_of("somebody", HOUR);
    let theirs = world.path().join("theirs/agents/main/agent/auth-profiles.json");
    world.private(&theirs, &json!({"version": 1, "profiles": {ME: login.entry}}).to_string());
    world.run(&["import", "openclaw", &world.path().join("theirs").display().to_string()]).ok();
    let told = |profile: &str| world.run(&["models", "auth", "log", "--profile", profile, "--json"]).json();
    let events = |profile: &str| -> Vec<String> {
        let told = told(profile);
        let all = told["events"].as_array().unwrap().iter();
        all.map(|line| line["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(events(OTHER), ["refresh", "rename"]);
    let of_old = told(OTHER);
    assert!(of_old["profile"]["lastGoodAt"].is_i64(), "{of_old:#}");
    let of_new = events(ME);
    assert_eq!(of_new.last().map(String::as_str), Some("import"));
    let story = told(ME);
    assert_eq!(story["profile"]["since"], json!([]), "{story:#}");
}

/// Many processes at once that all find the trail full: it is rotated once, and every line is kept, whole.
#[test]
fn writers_at_a_rotation_lose_nothing() {
    const FULL: usize = 40_000;
    let world = two();
    let trail = world.state().join("logs/auth.jsonl");
    for round in 0..3 {
        let settings = format!("[audit]\nmax_bytes = {FULL}\n");
        world.private(&world.state().join("settings.toml"), &settings);
        for part in ["auth.jsonl.1", "auth.jsonl.2"] {
            drop(std::fs::remove_file(trail.with_file_name(part)));
        }
        let line = format!("{}\n", json!({"at": 1, "event": "order", "outcome": "old", "pid": 1}));
        world.private(&trail, &line.repeat(FULL / line.len() + 1));
        let old = FULL / line.len() + 1;
        let children: Vec<Child> = (0..16)
            .map(|_| {
                world.start(&mut world.command(&[
                    "models",
                    "auth",
                    "order",
                    "set",
                    "--provider",
                    PROVIDER,
                    OTHER,
                    ME,
                ]))
            })
            .collect();
        for child in children {
            assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
        }
        let all = lines(&world);
        assert_eq!(all.iter().filter(|line| line["outcome"] == "old").count(), old, "round {round}");
        assert_eq!(all.iter().filter(|line| line["outcome"] == "set").count(), 16, "round {round}");
        assert!(
            trail.with_file_name("auth.jsonl.1").exists() && !trail.with_file_name("auth.jsonl.2").exists()
        );
        let log = world.run(&["models", "auth", "log", "--json"]).json();
        assert_eq!(log["damagedLines"], 0);
    }
}

//! What a person sees of a store with every state in it, in windows of several widths, beside what the resolver says.

use serde_json::{Value, json};

use coderclaw_sandbox::{Fault, Reply};

use crate::terminal::Terminal;
use crate::world::{PROVIDER, World, now};

const HOUR: i64 = 3_600_000;
/// Half a minute more, so that a slow machine shows the same minute.
const SLACK: i64 = 30_000;

/// A store with every state that one look at files can find, and the ids in it.
fn every_state() -> (World, Vec<String>) {
    let mut world = World::new();
    world.fingerprint_key();
    let login = |left: i64| {
        json!({
            "type": "oauth", "provider": PROVIDER, "access": "at-made-up", "refresh": format!("rt-made-up-{left}"),
            "expires": now().0 + left, "issuedAt": now().0 + left - HOUR, "accountId": "acct-1",
        })
    };
    let without = |mut entry: Value, key: &str| {
        entry.as_object_mut().unwrap().remove(key);
        entry
    };
    let with = |mut entry: Value, key: &str, value: Value| {
        entry[key] = value;
        entry
    };
    let token =
        |ends: Value| json!({"type": "token", "provider": "anthropic", "token": "made-up", "expires": ends});
    let key = |provider: &str, key: &str| json!({"type": "api_key", "provider": provider, "key": key});
    let refused = world.login(-3 * HOUR - SLACK).entry;
    let entries: Vec<(&str, Value)> = vec![
        ("openai-codex:refused", without(refused, "email")),
        (
            "openai-codex:fresh@example.com",
            with(login(50 * 60_000 + SLACK), "email", json!("fresh@example.com")),
        ),
        ("openai-codex:due", login(4 * 60_000 + SLACK)),
        ("openai-codex:ended", login(-HOUR - SLACK)),
        ("openai-codex:no-refresh", without(login(-2 * HOUR - SLACK), "refresh")),
        ("openai-codex:early", with(login(-HOUR - SLACK), "earliestRefreshAt", json!(now().0 + HOUR))),
        ("openai-codex:no-token", without(without(login(HOUR), "refresh"), "access")),
        (
            "openai-codex:somebody.with.a.very.long.name.indeed@department-of-long-names.example.com",
            login(40 * 60_000 + SLACK),
        ),
        ("anthropic:static", token(json!(0))),
        ("anthropic:last-month", token(json!(now().0 + 20 * 24 * HOUR + SLACK))),
        ("anthropic:last-day", token(json!(now().0 + 3 * HOUR + SLACK))),
        ("anthropic:over", token(json!(now().0 - 5 * 24 * HOUR - SLACK))),
        ("anthropic:nonsense", token(json!("soon"))),
        ("openai:key", key("openai", "made-up")),
        ("openai:empty", key("openai", " ")),
        ("openai:ref", json!({"type": "api_key", "provider": "openai", "keyRef": {"source": "env"}})),
        ("groq:cooling", key("groq", "made-up")),
        ("groq:disabled", key("groq", "made-up")),
        ("xai:hidden", key("xai", "made-up")),
        ("xai:first", key("xai", "made-up")),
        ("xai:passkey", json!({"type": "passkey", "provider": "xai"})),
        ("broken", json!(7)),
        ("acme:stranger", key("acme", "made-up")),
    ];
    let stored: Vec<_> = entries.iter().map(|(id, entry)| (*id, entry)).collect();
    world.seed("main", &stored);
    let state = json!({"version": 1, "usageStats": {
        "groq:cooling": {"cooldownUntil": now().0 + 60_000, "errorCount": 1},
        "groq:disabled": {"disabledUntil": now().0 + HOUR, "disabledReason": "billing"},
    }});
    world.private(&world.store().with_file_name("auth-state.json"), &state.to_string());
    world.config("{auth: {order: {xai: ['xai:first', 'xai:gone']}}}");
    // One that the provider has refused.
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    let refresh = ["models", "auth", "refresh", "--provider", PROVIDER, "--profile", "openai-codex:refused"];
    assert_eq!(world.run(&refresh).code(), "needs_login");
    world.set("TERM", "xterm");
    (world, entries.into_iter().map(|(id, _)| id.to_owned()).collect())
}

/// `models status` in a window of so many columns.
fn screen(world: &World, columns: u16, more: &[&str]) -> String {
    let mut terminal = Terminal::open();
    terminal.resize(columns);
    let command = world.command(&[&["models", "status"], more].concat());
    let mut child = terminal.controls(&command).spawn().unwrap();
    let reader = std::thread::spawn(move || {
        let mut shown = Vec::new();
        std::io::Read::read_to_end(&mut terminal.master, &mut shown).ok();
        String::from_utf8(shown).unwrap()
    });
    assert!(child.wait().unwrap().success());
    settled(world, &reader.join().unwrap().replace("\r\n", "\n"))
}

/// The same text on every day and machine, with the same width.
pub(crate) fn settled(world: &World, text: &str) -> String {
    let text = text.replace(world.state().to_str().unwrap(), "STATE");
    // Also of five digits.
    let text = text.replace(world.sandbox.origin(), "http://127.0.0.1:12345");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let is_hash = |text: &str| text.len() >= 12 && text.bytes().take(12).all(|b| b.is_ascii_hexdigit());
        let is_date = |text: &str| {
            let shape = text.bytes().take(16).map(|b| if b.is_ascii_digit() { b'0' } else { b });
            shape.eq(*b"0000-00-00 00:00")
        };
        // What runs down to the second; a minute of it at most is lost on a slow machine.
        let clock = |text: &str| {
            let end = text.find(|c: char| !(c.is_ascii_digit() || c == ':')).unwrap_or(text.len());
            (text[..end].contains(':') && text.starts_with(|c: char| c.is_ascii_digit())).then_some(end)
        };
        if c == '#' && is_hash(&rest[1..]) {
            out.push_str("#0123456789ab");
            rest = &rest[13..];
        } else if is_date(rest) {
            out.push_str("2030-01-02 03:04");
            rest = &rest[16..];
        } else if let Some(end) =
            clock(rest).filter(|_| out.ends_with(' ') || out.ends_with('m') || out.ends_with('\n'))
        {
            out.push_str("0:42");
            rest = &rest[end..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The text without what paints it.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    out.extend(parts.map(|part| part.split_once('m').expect("only colours are sent").1));
    out
}

/// B1, B3: what people see of every state, in narrow, usual and wide windows, and that the resolver says the same of each.
#[test]
fn b3_every_state_on_the_screen_and_at_the_resolver() {
    let (world, ids) = every_state();
    let before = world.picture();
    let status = world.run(&["models", "status", "--json"]).json();
    let profiles = status["auth"]["oauth"]["profiles"].as_array().unwrap();
    let state_of =
        |id: &str| profiles.iter().find(|one| one["profileId"] == id).unwrap()["state"].as_str().unwrap();
    let mut resolver = String::new();
    let mut explained = Vec::new();
    for provider in ["openai-codex", "anthropic", "openai", "groq", "xai"] {
        let told = world.run(&["models", "auth", "explain", "--provider", provider, "--json"]).json();
        let winner = told["winner"]["profileId"].as_str().unwrap_or("nobody");
        resolver.push_str(&format!("{provider}: {winner}\n"));
        for one in told["candidates"].as_array().unwrap() {
            let (id, verdict, reason) = (&one["profileId"], &one["verdict"], one["reason"].as_str().unwrap());
            let id = id.as_str().unwrap();
            resolver.push_str(&format!("  {id}  {} {reason}\n", verdict.as_str().unwrap()));
            if !ids.iter().any(|known| known == id) {
                continue;
            }
            explained.push(id.to_owned());
            // An order says nothing about the credential itself.
            if reason != "excluded_by_order" {
                assert_eq!(reason, state_of(id), "{id}");
            }
        }
    }
    let strangers: Vec<_> = ids.iter().filter(|id| !explained.contains(*id)).collect();
    assert_eq!(strangers, ["broken", "acme:stranger"], "of no known provider");
    insta::assert_snapshot!("resolver", resolver);
    for columns in [60, 80, 140] {
        let shown = screen(&world, columns, &["--no-color"]);
        for line in shown.lines() {
            // A command is pasted as it is, a path and an id are copied; no window breaks them.
            let is_whole =
                line.trim_start().starts_with("coderclaw ") || line.split_whitespace().count() <= 2;
            assert!(
                is_whole || line.starts_with("Agent ") || line.chars().count() <= columns.into(),
                "{columns}: {line}"
            );
        }
        insta::assert_snapshot!(format!("status-{columns}"), shown);
    }
    assert_eq!(world.picture(), before, "a look changed something");
}

/// B1: colours are sent to a terminal that takes them, and to nothing else; without them the words are the same.
#[test]
fn b1_colours_only_where_they_are_wanted() {
    let (mut world, _) = every_state();
    let coloured = screen(&world, 80, &[]);
    insta::assert_snapshot!("status-80-colours", coloured.replace('\u{1b}', "␛"));
    let words = screen(&world, 80, &["--no-color"]);
    assert!(!words.contains('\u{1b}') && coloured.contains('\u{1b}'));
    assert_eq!(plain(&coloured), words);
    for (name, value, wanted) in [("NO_COLOR", "1", false), ("NO_COLOR", "", true), ("TERM", "dumb", false)] {
        world.set(name, value);
        assert_eq!(screen(&world, 80, &[]).contains('\u{1b}'), wanted, "{name}={value}");
    }
    world.set("TERM", "xterm");
    assert!(!world.run(&["models", "status"]).ok().contains('\u{1b}'), "into a pipe");
}

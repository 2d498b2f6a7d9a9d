//! Alerts: each trouble is told once, by whoever finds it, to a hook or a webhook that holds nobody up.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Fault, Reply};
use serde_json::{Value, json};

use crate::world::{ME, PROVIDER, World};

const HOUR: i64 = 3_600_000;
const TOKEN_ID: &str = "anthropic:manual";

/// A hook that appends what it is told, and what it was started with, to a file.
fn hook(world: &World) -> PathBuf {
    let told = world.path().join("told");
    let script = world.path().join("hook.sh");
    world.private(
        &script,
        &format!("cat >> '{0}'; env >> '{0}.env'; echo out; echo err >&2\n", told.display()),
    );
    settings(world, &format!("on_attention = [\"/bin/sh\", \"{}\", \"$HOME;x\"]", script.display()));
    told
}

fn settings(world: &World, hooks: &str) {
    world.private(&world.state().join("settings.toml"), &format!("[hooks]\n{hooks}\n"));
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn wait_for(path: &std::path::Path, is: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let all = lines(path);
        if is(&all) {
            return all;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{all:?}");
        std::thread::yield_now();
    }
}

fn audit(world: &World, event: &str, is: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let of_kind =
        |all: &[Value]| -> Vec<Value> { all.iter().filter(|line| line["event"] == event).cloned().collect() };
    of_kind(&wait_for(&world.state().join("logs/auth.jsonl"), |all| is(&of_kind(all))))
}

/// A15, B10: a login that is refused is told once, whoever runs into it and how often, with the command to type; and once
/// more when a new login has come.
#[test]
fn a15_a_refused_login_is_told_once_and_its_recovery_once() {
    let (world, _) = World::expired();
    let told = hook(&world);
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert!(world.storm(8).iter().all(|ran| ran.code() == "needs_login"));
    let all = wait_for(&told, |all| !all.is_empty());
    assert_eq!((&all[0]["event"], &all[0]["urgency"]), (&json!("attention"), &json!("needs_login")));
    assert_eq!((&all[0]["profileId"], &all[0]["agentId"]), (&json!(ME), &json!("main")));
    assert_eq!(all[0]["next"], format!("coderclaw models auth login --provider {PROVIDER}"));
    audit(&world, "alert", |all| all.len() == 1);
    for _ in 0..3 {
        assert_eq!(world.token().code(), "needs_login");
        world.run(&["models", "auth", "alerts", "--send"]).ok();
    }
    world.log_in(&[]).0.ok();
    let all = wait_for(&told, |all| all.len() >= 2);
    assert_eq!((all.len(), &all[1]["event"], &all[1]["urgency"]), (2, &json!("recovered"), &json!(null)));
    audit(&world, "alert", |all| all.len() == 2);
    world.token().ok();
    assert_eq!(
        world.run(&["models", "auth", "alerts", "--send", "--json"]).json(),
        json!({"alerts": [], "sent": []})
    );
    assert_eq!(audit(&world, "quarantine", |_| true).len(), 1);
    assert_eq!(audit(&world, "recovery", |_| true).len(), 1);
    assert_eq!(lines(&told).len(), 2);
}

/// G1: a hook knows where home and the state dir are, and nothing else of our environment.
#[test]
fn g1_a_hook_gets_a_bare_environment() {
    let (mut world, _) = World::expired();
    let told = hook(&world);
    world.set("OPENAI_API_KEY", "canary-in-the-environment");
    world.set("HTTPS_PROXY", "http://canary:canary@127.0.0.1:9");
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert_eq!(world.token().code(), "needs_login");
    audit(&world, "alert", |all| all.len() == 1);
    let env = std::fs::read_to_string(told.with_extension("env")).unwrap();
    assert!(
        env.contains("CODERCLAW_STATE_DIR=") && !env.contains("canary") && !env.contains("CODERCLAW_HERALD"),
        "{env}"
    );
    let text = std::fs::read_to_string(&told).unwrap();
    assert!(!text.contains("canary"), "{text}");
}

/// B10: a token that cannot renew itself is told a week before its end, a day before, and at its end, each once.
#[test]
fn b10_a_token_that_ends_is_told_three_times() {
    let mut world = World::new();
    let told = hook(&world);
    let entry = json!({"type": "token", "provider": "anthropic", "token": "sk-ant-oat01-canary", "expires": world.at(30 * 24 * HOUR)});
    world.seed("main", &[(TOKEN_ID, &entry)]);
    let sent =
        |world: &World| world.run(&["models", "auth", "alerts", "--send", "--json"]).json()["sent"].clone();
    assert_eq!(sent(&world), json!([]));
    let steps = [(24, "ends_within_a_week"), (5, "ends_within_a_day"), (2, "needs_login")];
    for (before, (days, urgency)) in steps.into_iter().enumerate() {
        world.shift_clock(Duration::from_secs(days * 24 * 3600));
        let first = sent(&world);
        assert_eq!(first[0]["urgency"], urgency, "{first}");
        let command = first[0]["next"].as_str().unwrap();
        assert!(command.starts_with("coderclaw models auth setup-token --provider anthropic"), "{command}");
        assert_eq!(command.contains("--replace"), urgency != "needs_login", "{command}");
        assert_eq!(sent(&world), json!([]), "once");
        let shown = world.run(&["models", "auth", "alerts", "--json"]).json();
        assert_eq!(shown["alerts"][0]["told"], true);
        wait_for(&told, |all| all.len() > before);
    }
    let token = format!("sk-ant-oat01-{}", "canary7".repeat(12));
    world.run_with_input(&["models", "auth", "setup-token", "--stdin"], &token).ok();
    let all = wait_for(&told, |all| all.len() >= 4);
    assert_eq!((all.len(), &all[3]["event"]), (4, &json!("recovered")));
    assert!(!std::fs::read_to_string(&told).unwrap().contains("canary"));
}

/// Many at once tell it once.
#[test]
fn b10_many_senders_tell_it_once() {
    let world = World::new();
    let told = hook(&world);
    let entry =
        json!({"type": "token", "provider": "anthropic", "token": "canary", "expires": world.at(HOUR)});
    world.seed("main", &[(TOKEN_ID, &entry)]);
    let children: Vec<_> = (0..12)
        .map(|_| world.start(&mut world.command(&["models", "auth", "alerts", "--send", "--json"])))
        .collect();
    let mut sent = 0;
    for child in children {
        let ran = crate::world::Ran::from(child.wait_with_output().unwrap()).json();
        sent += ran["sent"].as_array().unwrap().len();
    }
    assert_eq!(sent, 1);
    assert_eq!(wait_for(&told, |all| !all.is_empty()).len(), 1);
}

/// A hook that hangs, fails or does not exist holds nobody up; the trail says so. Nor is one run that others may write.
#[test]
fn hooks_that_go_wrong_are_a_line_and_nothing_more() {
    for (hooks, said) in [
        ("on_attention = [\"/nowhere/hook\"]", "/nowhere/hook"),
        ("on_attention = [\"/bin/false\"]", "exit status: 1"),
        ("on_attention = [\"/bin/sleep\", \"600\"]", "did not end within 10 s"),
        ("webhook = \"http://example.com/x\"", "wants https"),
        ("webhook = \"http://127.0.0.1:1/x\"", "127.0.0.1"),
    ] {
        let (world, _) = World::expired();
        settings(&world, hooks);
        world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
        let began = Instant::now();
        assert_eq!(world.token().code(), "needs_login");
        assert!(began.elapsed() < Duration::from_secs(6), "{hooks}: {:?}", began.elapsed());
        let all = audit(&world, "alert", |all| !all.is_empty());
        assert_eq!(all[0]["outcome"], "failed");
        assert!(all[0]["detail"].as_str().unwrap().contains(said), "{hooks}: {all:?}");
    }
    let (world, _) = World::expired();
    let told = hook(&world);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(world.state().join("settings.toml"), mode).unwrap();
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert_eq!(world.token().code(), "needs_login");
    audit(&world, "quarantine", |all| all.len() == 1);
    assert!(world.run(&["models", "auth", "log"]).ok().contains("others may write it"));
    assert!(!told.exists());
}

/// B10: a webhook on loopback gets the event as JSON.
#[test]
fn b10_a_webhook_gets_it_as_json() {
    let (world, _) = World::expired();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    settings(&world, &format!("webhook = \"http://{}/hook\"", listener.local_addr().unwrap()));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&seen).into_owned();
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && let Ok(body) = serde_json::from_str::<Value>(body)
            {
                stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
                return (text.lines().next().unwrap_or_default().to_owned(), body);
            }
        }
    });
    world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
    assert_eq!(world.token().code(), "needs_login");
    let (head, body) = server.join().unwrap();
    assert_eq!(head, "POST /hook HTTP/1.1");
    assert_eq!((&body["event"], &body["code"]), (&json!("attention"), &json!("needs_login")));
    assert_eq!(audit(&world, "alert", |all| !all.is_empty())[0]["outcome"], "delivered");
}

/// A15, B10: 32 processes at once that all find the login refused, while others look for what is to be told: one alert, one
/// line, one call of the hook.
#[test]
fn a15_many_finders_of_every_kind_tell_it_once() {
    for _ in 0..3 {
        let (world, _) = World::expired();
        let told = hook(&world);
        world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
        let send = ["models", "auth", "alerts", "--send"];
        let children: Vec<_> = (0..32)
            .map(|n| world.start(&mut world.command(if n % 4 == 3 { &send } else { crate::world::TOKEN })))
            .collect();
        for child in children {
            assert!(child.wait_with_output().unwrap().status.code().is_some());
        }
        world.run(&send).ok();
        audit(&world, "alert", |all| !all.is_empty());
        world.run(&send).ok();
        assert_eq!(lines(&told).len(), 1);
        for event in ["quarantine", "alert"] {
            assert_eq!(audit(&world, event, |_| true).len(), 1, "{event}");
        }
    }
}

fn attention(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("attention.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// B10, A15: killed at each step between finding a trouble and having told it: somebody is told, and once. Whoever looks
/// while it is not known whether the teller lives leaves it to that one.
#[test]
fn b10_a_teller_that_is_killed_is_made_up_for_once() {
    for point in coderclaw_store::faults::ALERT_POINTS {
        let (mut world, _) = World::expired();
        let told = hook(&world);
        world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
        world.set("CODERCLAW_FAULT", format!("{point}:kill"));
        let ran = world.token();
        assert_eq!(ran.code(), "needs_login", "{point}");
        world.unset("CODERCLAW_FAULT");
        let is_marked = *point != "alert.found";
        if is_marked {
            // The worker may have been killed only just now.
            let began = Instant::now();
            while !attention(&world).to_string().contains("needs_login") {
                assert!(began.elapsed() < Duration::from_secs(30), "{point}");
                std::thread::yield_now();
            }
        }
        let sent = |world: &World| {
            let sent = world.run(&["models", "auth", "alerts", "--send", "--json"]).json();
            sent["sent"].as_array().unwrap().len()
        };
        match *point {
            "alert.found" => {}
            // The herald was on its way and brings it to its end.
            "alert.sent" => drop(wait_for(&told, |all| all.len() == 1)),
            _ => assert_eq!((sent(&world), lines(&told).len()), (0, 0), "{point}: it may still live"),
        }
        if *point == "alert.sent" {
            audit(&world, "alert", |all| all.len() == 1);
            let began = Instant::now();
            while attention(&world).to_string().contains("underWay") {
                assert!(began.elapsed() < Duration::from_secs(30), "{}", attention(&world));
                std::thread::yield_now();
            }
        }
        world.shift_clock(Duration::from_secs(120));
        assert_eq!(sent(&world), usize::from(*point != "alert.sent"), "{point}");
        assert_eq!(sent(&world), 0, "{point}");
        audit(&world, "alert", |all| all.len() == 1);
        world.shift_clock(Duration::from_secs(3600));
        assert_eq!((sent(&world), lines(&told).len()), (0, 1), "{point}");
        world.log_in(&[]).0.ok();
        let all = wait_for(&told, |all| all.len() == 2);
        assert_eq!(all[1]["event"], "recovered", "{point}");
    }
}

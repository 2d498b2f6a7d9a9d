//! The gateway from its start to its end: one at a time, refreshing ahead, draining.

use std::io::BufReader;
use std::net::TcpStream;

use serde_json::json;

use crate::chat::world;
use crate::gateway_world::{Gate, claude, key, question, read_chunk, read_head, wait_until};
use crate::world::{ME, World};

/// A14: a parked account that nobody uses and an order leaves out is refreshed all the same, once.
#[test]
fn a14_a_parked_login_is_refreshed_ahead_of_time() {
    let (world, login) = World::expired();
    let other = world.login_of("you", 3_000_000);
    world.seed("main", &[(ME, &login.entry), ("openai-codex:you@x.test", &other.entry)]);
    world
        .run(&["models", "auth", "order", "set", "--provider", "openai-codex", "openai-codex:you@x.test"])
        .ok();
    world.private(
        &world.state().join("agents/main/agent/auth-state.json"),
        &json!({"version": 1, "usageStats": {ME: {"cooldownUntil": world.at(3_600_000), "errorCount": 1}}})
            .to_string(),
    );
    let gate = Gate::start(&world);
    gate.wait_said("refreshed openai-codex:me@x.test ahead of time");
    assert_ne!(world.entry("main", ME)["refresh"], login.refresh.expose());
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().refreshes), (1, 1));
    assert_eq!(
        world.entry("main", "openai-codex:you@x.test")["access"],
        other.access.expose(),
        "it is fresh"
    );
}

/// A14: a login that is refused for good is said once and asked for once.
#[test]
fn a14_a_dead_login_is_asked_for_once() {
    let (world, login) = World::expired();
    world.sandbox.kill_family(&login.refresh);
    let gate = Gate::start(&world);
    gate.wait_said("openai-codex:me@x.test [needs_login]");
    assert_eq!(world.sent(&login.refresh), 1);
    drop(gate);
    let gate = Gate::start(&world);
    gate.wait_said("openai-codex:me@x.test [needs_login]");
    assert_eq!(world.sent(&login.refresh), 1);
}

/// Told to stop, it lets nobody new in and finishes what is under way.
#[test]
fn a_stop_finishes_answers_under_way() {
    let world = world();
    let (mut gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let held = world.sandbox.stream_gate();
    let mut reader = BufReader::new(gate.open("POST /v1/messages", &claude(&key), &question("hello")));
    assert!(read_head(&mut reader).starts_with("HTTP/1.1 200"));
    let idle = gate.connect();
    gate.terminate();
    wait_until("nobody new is let in", || TcpStream::connect(("127.0.0.1", gate.port)).is_err());
    held.open();
    let mut came = String::new();
    loop {
        let chunk = read_chunk(&mut reader).expect("the stream was cut");
        if chunk.is_empty() {
            break;
        }
        came.push_str(&String::from_utf8(chunk).unwrap());
    }
    assert!(came.contains("message_stop"), "{came}");
    assert_eq!(gate.wait(), Some(0));
    drop(idle);
}

/// Told twice, it ends at once, and says that something was cut off.
#[test]
fn a_second_stop_ends_it_at_once() {
    let world = world();
    let (mut gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let held = world.sandbox.stream_gate();
    let mut reader = BufReader::new(gate.open("POST /v1/messages", &claude(&key), &question("hello")));
    assert!(read_head(&mut reader).starts_with("HTTP/1.1 200"));
    gate.terminate();
    wait_until("nobody new is let in", || TcpStream::connect(("127.0.0.1", gate.port)).is_err());
    gate.terminate();
    assert_eq!(gate.wait(), Some(0));
    gate.wait_said("Some answers were cut off.");
    assert!(read_chunk(&mut reader).is_none());
    held.open();
}

/// One port, one gateway: the second says whose it is, and `status` says how it is doing. Health needs no key, numbers do.
#[test]
fn a_second_gateway_on_the_port_says_so() {
    let world = world();
    let gate = Gate::start(&world);
    let port = gate.port.to_string();
    let second = world.run(&["gateway", "run", "--port", &port]);
    assert_eq!(second.code(), "port_taken");
    let pid = gate.pid().as_raw_nonzero().get();
    assert!(
        second
            .stderr
            .contains(&format!("a CoderClaw gateway is running on 127.0.0.1:{port} already (process {pid})")),
        "{}",
        second.stderr
    );
    let status = world.run(&["gateway", "status", "--port", &port, "--json"]).json();
    assert_eq!((&status["running"], &status["pid"]), (&json!(true), &json!(pid)));
    assert!(world.run(&["gateway", "status", "--port", &port]).ok().contains("running since"));
    let health = gate.send("GET /healthz", &[], "");
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    assert_eq!(gate.send("GET /metrics", &[], "").status, 401);
    let key = key(&world, &["prometheus"]);
    gate.claude(&key, "x").ok();
    let numbers = gate.send("GET /metrics", &[("Authorization", &format!("Bearer {key}"))], "").ok();
    for line in [
        "coderclaw_gateway_requests_total{provider=\"anthropic\",status=\"200\"} 1",
        "coderclaw_gateway_refused_total{code=\"gateway_key_refused\"} 1",
    ] {
        assert!(numbers.contains(line), "{line} in {numbers}");
    }
    drop(gate);
    assert_eq!(world.run(&["gateway", "status", "--port", &port]).code(), "gateway_down");
    // Somebody else's port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
        }
    }));
    let ran = world.run(&["gateway", "run", "--port", &port]);
    assert_eq!(ran.code(), "port_taken");
    assert!(ran.stderr.contains("another program"), "{}", ran.stderr);
}

/// The port is what the flag says, else the variable, else the config; a wrong one is told.
#[test]
fn the_port_is_found_in_the_original_s_order() {
    let mut world = World::new();
    let asked = |world: &World| {
        let ran = world.run(&["gateway", "status"]);
        assert_eq!(ran.code(), "gateway_down");
        ran.stderr.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    let free =
        || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (one, two) = (free(), free());
    world.config(&format!("{{\"gateway\": {{\"port\": {one}}}}}"));
    assert_eq!(asked(&world), one);
    world.set("CODERCLAW_GATEWAY_PORT", two.as_str());
    assert_eq!(asked(&world), two);
    for bad in ["0", "x", "70000", "-1"] {
        world.set("CODERCLAW_GATEWAY_PORT", bad);
        assert_eq!(world.run(&["gateway", "status"]).code(), "usage", "{bad}");
    }
    world.unset("CODERCLAW_GATEWAY_PORT");
    world.config("{\"gateway\": {\"port\": \"x\"}}");
    assert_eq!(world.run(&["gateway", "run"]).code(), "usage");
}

/// Law 5: the gateway, `explain` and `token` name the same profile.
#[test]
fn law5_the_gateway_uses_what_explain_says() {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    for order in [["anthropic:work", "anthropic:home"], ["anthropic:home", "anthropic:work"]] {
        world.run(&["models", "auth", "order", "set", "--provider", "anthropic", order[0], order[1]]).ok();
        let explained = world.run(&["models", "auth", "explain", "--provider", "anthropic", "--json"]).json();
        let text = gate.claude(&key, "x").said();
        let account =
            explained["winner"]["profileId"].as_str().unwrap().trim_start_matches("anthropic:").to_owned();
        assert_eq!(text, format!("{account} m: x"), "{explained}");
    }
}

//! Failures that hide: in the middle of a stream that began well, and in a body that came compressed.

use std::io::Write;

use coderclaw_sandbox::ModelFault;
use serde_json::Value;

use crate::chat::{HOME, WORK, calls, world};
use crate::gateway_lend::{accept, raw_provider};
use crate::gateway_world::{Answer, Gate, key, read_head, wait_until};
use crate::world::{ME, World};

fn state(world: &World, id: &str) -> String {
    let status = world.run(&["models", "status", "--json"]).json();
    let profiles = status["auth"]["oauth"]["profiles"].as_array().unwrap().clone();
    let one = profiles.into_iter().find(|one| one["profileId"] == id).unwrap_or_default();
    one["state"].as_str().unwrap_or_default().to_owned()
}

/// A usage limit that comes as an event of a 200: the client gets it as it came, the account is set aside, and the next
/// request goes to the next account of the order.
#[test]
fn a_limit_in_the_middle_of_a_stream_is_noted() {
    let world = world();
    world.run(&["models", "auth", "order", "set", "--provider", "anthropic", HOME, WORK]).ok();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    world.sandbox.script_model(Some("home"), ModelFault::LimitMidStream(600), 1);
    let text = gate.claude(&key, "one").ok();
    assert!(text.contains("event: error"), "{text}");
    gate.wait_said("in the middle of an answer");
    wait_until("the account is set aside", || {
        matches!(state(&world, HOME).as_str(), "usage_limit" | "cooldown")
    });
    assert!(gate.claude(&key, "two").said().contains("work m: two"));
    assert_eq!(calls(&world).len(), 2, "what the client has seen is not sent again");
}

/// A service that is overloaded says nothing of the account, also in the middle.
#[test]
fn an_overloaded_service_in_the_middle_costs_no_profile() {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool", "--profile", WORK]));
    world.sandbox.script_model(None, ModelFault::OverloadedMidStream, 1);
    assert!(gate.claude(&key, "one").ok().contains("event: error"));
    gate.wait_said("anthropic:work [unavailable] in the middle of an answer");
    assert_eq!(state(&world, WORK), "ok");
    assert!(gate.claude(&key, "two").said().contains("work m: two"));
}

/// A12: a token that ends in the middle is refreshed for the next request, once.
#[test]
fn a12_a_token_that_ends_in_the_middle_is_refreshed() {
    let world = world();
    let login = world.login(3_000_000);
    world.seed("main", &[(ME, &login.entry)]);
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    world.sandbox.script_model(None, ModelFault::ExpiresMidStream, 1);
    assert!(gate.codex(&key, "one").ok().contains("response.failed"));
    wait_until("the token is refreshed", || world.entry("main", ME)["access"] != login.access.expose());
    assert_eq!(gate.codex(&key, "two").said(), "acct-me-1 m: two");
    assert_eq!(world.sent(&login.refresh), 1);
}

/// The words of a failure count also where they are compressed; to the client goes what came, to the byte.
#[test]
fn compressed_words_of_a_failure_are_read() {
    let world = World::new();
    let listener = raw_provider(&world);
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let words =
        "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"You exceeded your current quota\"}}";
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(words.as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let client = gate.open("POST /acme/v1/x", &[("x-api-key", &key), ("Accept-Encoding", "gzip")], "{}");
    let mut provider = accept(&listener);
    read_head(&mut provider);
    let head = format!(
        "HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    provider.get_mut().write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let answer = Answer::read(client);
    assert_eq!((answer.status, answer.header("content-encoding")), (429, Some("gzip")));
    assert_eq!(answer.body, body);
    let kept: Value = serde_json::from_str(
        &std::fs::read_to_string(world.state().join("agents/main/agent/auth-state.json")).unwrap(),
    )
    .unwrap();
    assert!(kept["usageStats"]["acme:x"]["disabledUntil"].is_i64(), "{kept}");
}

//! Failures that hide: in the middle of a stream that began well, and in a body that came compressed.

use std::io::{BufReader, Read, Write};

use coderclaw_sandbox::ModelFault;

use crate::chat::{HOME, WORK, calls, usage, world};
use crate::gateway_lend::{accept, raw_provider};
use crate::gateway_world::{Answer, Gate, header, key, read_head, wait_until};
use crate::world::{ME, World};

fn state(world: &World, id: &str) -> String {
    let status = world.run(&["models", "status", "--json"]).json();
    let profiles = status["auth"]["oauth"]["profiles"].as_array().unwrap().clone();
    let one = profiles.into_iter().find(|one| one["profileId"] == id).unwrap_or_default();
    one["state"].as_str().unwrap_or_default().to_owned()
}

/// The head of a provider's answer.
fn head(status: &str, kind: &str, encoding: &str, body: &[u8]) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Encoding: {encoding}\r\nContent-Length: {length}\r\n\r\n"
    )
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
    let head = head("429 Too Many", "application/json", "gzip", &body);
    provider.get_mut().write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let answer = Answer::read(client);
    assert_eq!((answer.status, answer.header("content-encoding")), (429, Some("gzip")));
    assert_eq!(answer.body, body);
    assert!(usage(&world, "acme:x")["disabledUntil"].is_i64());
}

/// A stream of events is judged also where it is compressed, and at once: the client has each byte as it came, and the account
/// is set aside until the time that the event names, before the rest is there. The streams are other programs' work.
#[test]
fn a_limit_in_a_compressed_stream_is_noted_as_it_comes() {
    const STREAMS: &[(&str, &[u8], usize)] = &[
        ("gzip", include_bytes!("../../../../fuzz/corpus/packed/gzip"), 444),
        ("deflate", include_bytes!("../../../../fuzz/corpus/packed/deflate"), 436),
        ("br", include_bytes!("../../../../fuzz/corpus/packed/br"), 428),
        ("zstd", include_bytes!("../../../../fuzz/corpus/packed/zstd"), 472),
    ];
    for (encoding, packed, failure_ends) in STREAMS {
        let world = World::new();
        let listener = raw_provider(&world);
        let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
        let (begin, rest) = packed.split_at(*failure_ends);
        let client =
            gate.open("POST /acme/v1/x", &[("x-api-key", &key), ("Accept-Encoding", encoding)], "{}");
        let (mut client, mut provider) = (BufReader::new(client), accept(&listener));
        read_head(&mut provider);
        let head = head("200 OK", "text/event-stream", encoding, packed);
        let earliest = world.at(600_000);
        provider.get_mut().write_all(&[head.as_bytes(), begin].concat()).unwrap();
        let head = read_head(&mut client);
        assert_eq!(header(&head, "content-encoding"), Some(*encoding));
        let mut came = vec![0; begin.len()];
        client.read_exact(&mut came).unwrap();
        assert_eq!(came, begin, "{encoding}");
        gate.wait_said("acme:x [usage_limit] in the middle of an answer");
        wait_until(encoding, || usage(&world, "acme:x")["cooldownUntil"].is_i64());
        let until = usage(&world, "acme:x")["cooldownUntil"].as_i64().unwrap();
        assert!((earliest..=world.at(600_000)).contains(&until), "{encoding}: {until}");

        provider.get_mut().write_all(rest).unwrap();
        let mut came = Vec::new();
        client.read_to_end(&mut came).unwrap();
        assert_eq!(came, rest, "{encoding}");
        assert_eq!(gate.said().matches("in the middle of an answer").count(), 1);
    }
}

/// What cannot be read is not judged, and comes to its end all the same.
#[test]
fn what_is_no_such_stream_goes_through() {
    let world = World::new();
    let listener = raw_provider(&world);
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    // What a few bytes swell to, 64 MiB of it; noise; half a stream; and one that is packed twice.
    let bomb = [b"\x28\xb5\x2f\xfd\x00\x38".as_slice(), &b"\x02\x00\x10x".repeat(512)].concat();
    let gzip = include_bytes!("../../../../fuzz/corpus/packed/gzip").as_slice();
    for (encoding, body) in
        [("zstd", bomb.as_slice()), ("br", gzip), ("gzip", &gzip[..100]), ("gzip, br", gzip)]
    {
        let client = gate.open("POST /acme/v1/x", &[("x-api-key", &key)], "{}");
        let mut provider = accept(&listener);
        read_head(&mut provider);
        let head = head("200 OK", "text/event-stream", encoding, body);
        provider.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        let answer = Answer::read(client);
        assert!(answer.is_whole && answer.body == body, "{encoding}");
    }
    assert!(usage(&world, "acme:x").get("cooldownUntil").is_none());
    assert!(!gate.said().contains("in the middle"), "{}", gate.said());
}

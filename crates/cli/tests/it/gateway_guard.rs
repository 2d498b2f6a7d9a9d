//! Who may not: each kind of request that the gateway refuses, by name, and that nothing of it reaches a provider.

use std::io::{BufReader, Write};

use crate::chat::{HOME, WORK, calls, world};
use crate::gateway_world::{Answer, Gate, claude, key, question};
use crate::world::World;

struct Guarded {
    world: World,
    gate: Gate,
    key: String,
}

fn guarded() -> Guarded {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    Guarded { world, gate, key }
}

impl Guarded {
    /// A request with a good key and these lines in its head; `host` in place of the right one.
    fn raw(&self, line: &str, host: Option<&str>, lines: &str, body: &str) -> String {
        let ours = format!("127.0.0.1:{}", self.gate.port);
        let host = host.unwrap_or(&ours);
        let (key, length) = (&self.key, body.len());
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n"
        );
        self.gate.raw((head + body).as_bytes())
    }

    fn status(&self, line: &str, host: Option<&str>, lines: &str) -> u16 {
        let answer = self.raw(line, host, lines, &question("canary-question"));
        answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{answer:?}"))
    }

    /// Nothing went out, and nothing that was sent here was written down.
    fn nothing_happened(&self) {
        assert_eq!(calls(&self.world), []);
        let said = self.gate.said();
        for secret in [self.key.as_str(), "canary-question", "canary-header"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

const ASK: &str = "POST /v1/messages";

#[test]
fn a_name_that_was_pointed_here_is_refused() {
    let guarded = guarded();
    let port = guarded.gate.port;
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1".into(),
        format!("localhost.evil:{port}"),
        "127.0.0.1:1".into(),
    ] {
        assert_eq!(guarded.status(ASK, Some(&host), ""), 403, "{host}");
    }
    let twice = format!("Host: evil.example:{port}\r\n");
    assert_eq!(guarded.status(ASK, None, &twice), 400);
    guarded.gate.wait_said("refused [gateway_refused] 403");
    guarded.nothing_happened();
    for host in [format!("localhost:{port}"), format!("[::1]:{port}")] {
        assert_eq!(guarded.status(ASK, Some(&host), ""), 200, "{host}");
    }
}

#[test]
fn a_page_in_a_browser_is_refused() {
    let guarded = guarded();
    for lines in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        assert_eq!(guarded.status(ASK, None, lines), 403, "{lines}");
    }
    // What a browser asks beforehand: the answer allows nothing.
    let asked = guarded.raw(
        "OPTIONS /v1/messages",
        None,
        "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n",
        "",
    );
    assert!(
        asked.starts_with("HTTP/1.1 403") && !asked.to_lowercase().contains("access-control-allow"),
        "{asked}"
    );
    guarded.nothing_happened();
}

#[test]
fn a_path_with_a_trick_is_refused() {
    let guarded = guarded();
    for path in [
        "/../v1/messages",
        "/v1/../v1/messages",
        "//v1/messages",
        "/v1//messages",
        "/v1/./messages",
        "/anthropic/..%2f..%2fadmin",
        "/anthropic/%2e%2e/x",
        "/anthropic/a%5cb",
        "/anthropic/a\\b",
        "/anthropic/%00",
        "/anthropic//evil.example/x",
        "/anthropic/@evil.example/..",
        "/anthropic/a%252e",
        "http://evil.example/v1/messages",
        "http://127.0.0.1/v1/messages",
    ] {
        assert_eq!(guarded.status(&format!("POST {path}"), None, ""), 400, "{path}");
    }
    let connect = guarded.raw("CONNECT evil.example:443", None, "", "");
    assert!(connect.starts_with("HTTP/1.1 4"), "{connect}");
    for method in ["TRACE", "OPTIONS", "BREW"] {
        assert_eq!(guarded.status(&format!("{method} /v1/messages"), None, ""), 405, "{method}");
    }
    guarded.nothing_happened();
}

/// One body, two lengths: whatever another reader would take for a second request is never read as one.
#[test]
fn a_smuggled_request_is_never_read() {
    let guarded = guarded();
    let Guarded { world, gate, key } = &guarded;
    let inner = gate.head("GET /anthropic/v1/models", &claude(key));
    let port = gate.port;
    let lead = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n"
    );
    let length = inner.len() + 5;
    for lines in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!("Content-Length: +0\r\n\r\n{inner}"),
        format!("Content-Length: 0,{length}\r\n\r\n{inner}"),
        format!("Content-Length: 0\r\nX: a\rb\r\n\r\n{inner}"),
        format!("Content-Length: 0\r\nX: a\r\n Content-Length: {length}\r\n\r\n{inner}"),
        format!("Content-Length: 0\r\n Transfer-Encoding: chunked\r\n\r\n{inner}"),
        format!("Content-Length: 0\0\r\n\r\n{inner}"),
        format!("Content-Length: -1\r\n\r\n{inner}"),
        format!("Content-Length: 99999999999999999999\r\n\r\n{inner}"),
    ] {
        let answers = gate.raw((lead.clone() + &lines).as_bytes());
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{lines}: {answers}");
        let read: Vec<_> = calls(world).into_iter().filter(|call| call.method == "GET").collect();
        assert_eq!(read, [], "{lines}");
    }
}

/// A header that `Connection` names stays behind, and never takes away what we put in.
#[test]
fn connection_names_nothing_away_from_us() {
    let guarded = guarded();
    let lines =
        "Connection: authorization, anthropic-beta, x-api-key, host\r\nanthropic-beta: canary-header\r\n";
    assert_eq!(guarded.status(ASK, None, lines), 200);
    let call = &calls(&guarded.world)[0];
    assert_eq!(
        (call.credential_in, call.headers["anthropic-beta"].as_str()),
        (Some("authorization"), "oauth-2025-04-20")
    );
}

#[test]
fn a_head_without_end_is_refused() {
    let guarded = guarded();
    let long = format!("X-Long: {}\r\n", "canary-header".repeat(10_000));
    assert_eq!(guarded.status(ASK, None, &long), 431);
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(guarded.status(ASK, None, &many), 431);
    guarded.nothing_happened();
    // A path as long as that is no path of an API either.
    let answer = guarded.raw(&format!("POST /v1/messages?{}", "a".repeat(100_000)), None, "", "");
    assert!(answer.starts_with("HTTP/1.1 4"), "{}", &answer[..40]);
    guarded.nothing_happened();
}

/// What is no HTTP at all costs its own connection only.
#[test]
fn noise_costs_nothing() {
    let guarded = guarded();
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"\r\n\r\n",
        b"\x00\xff\xfe",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"",
    ] {
        let mut stream = guarded.gate.connect();
        stream.write_all(noise).unwrap();
        drop(stream);
    }
    guarded.nothing_happened();
    assert_eq!(guarded.status(ASK, None, ""), 200);
}

/// Programs that share a connection, such as behind a forwarder, share nothing else: each request brings its own key, and
/// one without a key gets none of those that were there before.
#[test]
fn nothing_leaks_on_a_connection_that_is_kept() {
    let world = world();
    let gate = Gate::start(&world);
    let (work, home) = (key(&world, &["w", "--profile", WORK]), key(&world, &["h", "--profile", HOME]));
    let mut stream = BufReader::new(gate.connect());
    let mut ask = |key: &str, text: &str, more: &[(&str, &str)]| {
        let body = question(text);
        let length = body.len().to_string();
        let headers = [&claude(key)[..], &[("Content-Length", &length)], more].concat();
        stream.get_mut().write_all((gate.head("POST /v1/messages", &headers) + &body).as_bytes()).unwrap();
        Answer::next(&mut stream)
    };
    assert_eq!(
        ask(&work, "one", &[("anthropic-beta", "canary-beta"), ("X-Mine", "canary-mine")]).said(),
        "work m: one"
    );
    assert_eq!(ask(&home, "two", &[]).said(), "home m: two");
    assert_eq!(ask("", "three", &[]).code(), "gateway_key_refused");
    assert_eq!(ask("ccg_x", "four", &[]).code(), "gateway_key_refused");
    assert_eq!(ask(&work, "five", &[]).said(), "work m: five");
    let seen = calls(&world);
    let accounts: Vec<_> = seen.iter().filter_map(|call| call.account.as_deref()).collect();
    assert_eq!(accounts, ["work", "home", "work"]);
    for call in &seen[1..] {
        let text = format!("{:?}", call.headers);
        assert!(!text.contains("canary-beta") && !text.contains("canary-mine"), "{text}");
    }
}

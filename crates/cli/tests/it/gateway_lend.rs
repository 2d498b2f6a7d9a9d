//! The gateway with two kinds of clients: which login goes in, and what a failure does.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use coderclaw_sandbox::{Body, KeyKind, ModelFault, Reply};
use coderclaw_types::Secret;
use serde_json::json;

use crate::chat::{HOME, WORK, calls, world};
use crate::gateway_world::{
    Answer, Gate, PATIENCE, claude, header, key, question, read_chunk, read_head, wait_until,
};
use crate::world::{ME, World};

fn order(world: &World, provider: &str, ids: &[&str]) {
    world.run(&[&["models", "auth", "order", "set", "--provider", provider], ids].concat()).ok();
}

fn accounts(world: &World) -> Vec<String> {
    calls(world).into_iter().filter_map(|call| call.account).collect()
}

/// The credential is replaced, with its account and its beta word; everything else is the client's, to the header.
#[test]
fn the_credential_goes_in_and_nothing_else_changes() {
    let world = world();
    order(&world, "anthropic", &[WORK, HOME]);
    let (gate, key) = (Gate::start(&world), key(&world, &["tools"]));
    let bearer = format!("Bearer {key}");
    // As Claude Code does with a helper: the same value in two headers.
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-Api-Key", &key),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "one-1,two-2"),
        ("User-Agent", "some-tool/1.0"),
    ];
    let text = gate.send("POST /anthropic/v1/messages?beta=true", &headers, &question("hello")).said();
    assert_eq!(text, "work m: hello");
    let call = &calls(&world)[0];
    assert_eq!(call.headers["anthropic-beta"], "one-1,two-2,oauth-2025-04-20");
    assert_eq!(
        (call.headers["user-agent"].as_str(), call.credential_in),
        ("some-tool/1.0", Some("authorization"))
    );
    // A client that names an account of its own gets the lease's.
    let headers = [("Authorization", bearer.as_str()), ("chatgpt-account-id", "acct-of-somebody-else")];
    let body = crate::gateway_world::codex("hello");
    let text = gate.send("POST /codex/responses", &headers, &body).said();
    assert_eq!(text, "acct-me-1 m: hello");
    assert_eq!(calls(&world)[1].headers["chatgpt-account-id"], "acct-me-1");
    // What is lent is noted, for the round robin.
    let state = world.state().join("agents/main/agent/auth-state.json");
    wait_until("lastUsed of both", || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        text.contains(WORK) && text.contains(ME)
    });
    // So are loans: one line for each token that a key gets, and not for each request.
    gate.send("POST /codex/responses", &headers, &body).ok();
    let trail = world.run(&["models", "auth", "log", "--json"]).ok();
    for profile in [WORK, ME] {
        let lent = trail.lines().filter(|line| line.contains("\"lend\"")).count();
        assert!(trail.contains(profile) && lent == 2, "{trail}");
    }
    for secret in [key.as_str(), "sk-ant-oat01-canary"] {
        assert!(!gate.said().contains(secret), "{}", gate.said());
    }
    assert!(gate.said().contains("anthropic POST /messages 200 anthropic:work gk_"), "{}", gate.said());
}

/// The paths that tools know by heart lead to the provider that they mean, and a key for one provider decides.
#[test]
fn bare_paths_lead_where_tools_expect() {
    let world = world();
    world.sandbox.add_key(KeyKind::Bearer, &Secret::from("sk-canary-openai"), "openai-account");
    world.private(&world.state().join("providers/groq.toml"), &world.sandbox.model_manifest("groq"));
    let store: serde_json::Value = serde_json::from_str(&world.text()).unwrap();
    let mut entries = store["profiles"].clone();
    for provider in ["openai", "groq"] {
        entries[format!("{provider}:x")] =
            json!({"type": "api_key", "provider": provider, "key": "sk-canary-openai"});
    }
    let entries: Vec<_> =
        entries.as_object().unwrap().iter().map(|(id, entry)| (id.as_str(), entry)).collect();
    world.seed("main", &entries);
    let gate = Gate::start(&world);
    let all = key(&world, &["all"]);
    let paid = key(&world, &["paid", "--provider", "openai"]);
    let groq = key(&world, &["groq", "--provider", "groq", "--provider", "anthropic"]);
    let codex = crate::gateway_world::codex("x");
    let claude = question("x");
    let chat =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let table = [
        (&all, "POST /v1/messages", &claude, "/v1/messages"),
        (&all, "POST /v1/responses", &codex, "/backend-api/codex/responses"),
        (&all, "POST /responses", &codex, "/backend-api/codex/responses"),
        (&paid, "POST /v1/responses", &codex, "/v1/responses"),
        (&all, "POST /v1/chat/completions", &chat, "/v1/chat/completions"),
        (&groq, "POST /v1/chat/completions", &chat, "/v1/chat/completions"),
        (&all, "GET /v1/models?client_version=1", &String::new(), "/backend-api/codex/models"),
        (&all, "GET /models", &String::new(), "/backend-api/codex/models"),
        (&paid, "GET /v1/models", &String::new(), "/v1/models"),
        (&all, "GET /openai/v1/models", &String::new(), "/v1/models"),
    ];
    for (key, line, body, expected) in table {
        let bearer = format!("Bearer {key}");
        let version = ("anthropic-version", "2023-06-01");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend((line.contains("messages")).then_some(version));
        let answer = gate.send(line, &headers, body);
        let text = answer.text();
        assert_eq!(answer.status, 200, "{line}: {text}");
        assert_eq!(calls(&world).last().unwrap().path, expected, "{line}");
    }
    // A list of models is Anthropic's where the client speaks its dialect.
    let answer = gate.send("GET /v1/models", &crate::gateway_world::claude(&all), "");
    assert!(answer.text().contains("work") || answer.text().contains("home"), "{}", answer.text());
    // What is not served is not served, in the client's words.
    let answer = gate.send("POST /v1/messages", &crate::gateway_world::claude(&paid), &claude);
    assert_eq!((answer.status, answer.code()), (403, "gateway_key_refused"));
    let answer = gate.send("GET /v1/files", &crate::gateway_world::claude(&all), "");
    assert_eq!((answer.status, answer.code()), (404, "gateway_refused"));
    let answer = gate.send("GET /nobody/x", &[("x-api-key", &all)], "");
    assert_eq!((answer.status, answer.code()), (404, "unknown_provider"));
}

/// An answer goes on as it comes: the client has the first event while the provider holds the second.
#[test]
fn answers_are_not_held() {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let held = world.sandbox.stream_gate();
    let stream = gate.open("POST /v1/messages", &claude(&key), &question("hello"));
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader);
    assert!(
        head.starts_with("HTTP/1.1 200") && header(&head, "content-type") == Some("text/event-stream"),
        "{head}"
    );
    let mut came = String::new();
    for step in 1..=3 {
        held.step(1);
        let chunk = read_chunk(&mut reader).unwrap();
        came.push_str(&String::from_utf8(chunk).unwrap());
        assert_eq!(came.matches("event: ").count(), step, "{came}");
    }
    held.open();
    while let Some(chunk) = read_chunk(&mut reader).filter(|chunk| !chunk.is_empty()) {
        came.push_str(&String::from_utf8(chunk).unwrap());
    }
    assert!(came.contains("message_stop"), "{came}");
}

/// A provider of one's own on a bare socket, which sees every byte.
pub(crate) fn raw_provider(world: &World) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    world.private(
        &world.state().join("providers/acme.toml"),
        &format!(
            "id = 'acme'\nname = 'Acme'\n[api]\nkind = 'openai-chat'\nbase_url = 'http://127.0.0.1:{port}/v1'\n[[auth]]\nmethod = 'api-key'\n"
        ),
    );
    world.seed("main", &[("acme:x", &json!({"type": "api_key", "provider": "acme", "key": "acme-canary"}))]);
    listener
}

pub(crate) fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

/// A question goes on as it comes too, and what is compressed stays so, in both directions.
#[test]
fn questions_are_not_held_and_bytes_stay_bytes() {
    let world = World::new();
    let listener = raw_provider(&world);
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let bearer = format!("Bearer {key}");
    let zstd: &[u8] = b"\x28\xb5\x2f\xfd\x00first";
    let gzip: &[u8] = b"\x1f\x8b\x08\x00 no real gzip \xff\x00";
    let mut client = gate.connect();
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Encoding", "zstd"),
        ("Accept-Encoding", "gzip, br"),
        ("Content-Length", &(zstd.len() + 4).to_string()),
        ("Connection", "close"),
    ];
    client.write_all(gate.head("PUT /acme/v1/a%20b?x=%2F..", &headers).as_bytes()).unwrap();
    client.write_all(zstd).unwrap();
    // Before the client has sent the rest.
    let mut provider = accept(&listener);
    let head = read_head(&mut provider);
    let mut first = vec![0; zstd.len()];
    provider.read_exact(&mut first).unwrap();
    assert_eq!(first, zstd);
    assert!(head.starts_with("PUT /v1/a%20b?x=%2F.. HTTP/1.1\r\n"), "{head}");
    for (name, value) in [
        ("content-encoding", Some("zstd")),
        ("accept-encoding", Some("gzip, br")),
        ("authorization", Some("Bearer acme-canary")),
        ("content-length", Some("14")),
        ("user-agent", None),
        ("transfer-encoding", None),
        ("connection", None),
    ] {
        assert_eq!(header(&head, name), value, "{name} in {head}");
    }
    assert!(!head.contains(&key), "{head}");
    client.write_all(b"rest").unwrap();
    let mut rest = [0; 4];
    provider.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"rest");
    let answer = format!(
        "HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nX-Mine: 1\r\nX-Hop: 2\r\nConnection: close, X-Hop\r\nKeep-Alive: timeout=9\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
        gzip.len()
    );
    provider.get_mut().write_all(&[answer.as_bytes(), gzip].concat()).unwrap();
    let answer = Answer::read(client);
    assert_eq!((answer.status, answer.body.as_slice(), answer.is_whole), (201, gzip, true));
    assert_eq!((answer.header("content-encoding"), answer.header("x-mine")), (Some("gzip"), Some("1")));
    assert_eq!((answer.header("keep-alive"), answer.header("x-hop")), (None, None));
}

/// A redirect is the client's business: nothing is sent with the lent credential to where a provider points.
#[test]
fn redirects_are_passed_on() {
    let world = World::new();
    let listener = raw_provider(&world);
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let bearer = format!("Bearer {key}");
    let client = gate.open("POST /acme/v1/x", &[("Authorization", &bearer)], "body");
    let mut provider = accept(&listener);
    let head = read_head(&mut provider);
    assert!(head.contains("acme-canary"), "{head}");
    let answer =
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/evil\r\nContent-Length: 0\r\n\r\n";
    provider.get_mut().write_all(answer.as_bytes()).unwrap();
    let answer = Answer::read(client);
    assert_eq!((answer.status, answer.header("location")), (307, Some("http://127.0.0.1:1/evil")));
}

/// A12: a token that looks valid and is refused is refreshed once, for all clients at once, and none of them notices.
#[test]
fn a12_a_rejected_token_is_refreshed_once_and_the_request_sent_again() {
    let world = world();
    let login = world.login(3_000_000);
    world.seed("main", &[(ME, &login.entry)]);
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    world.sandbox.reject_access(&login.access);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|n| {
                (
                    n,
                    scope.spawn({
                        let (gate, key) = (&gate, &key);
                        move || gate.codex(key, &format!("q{n}")).said()
                    }),
                )
            })
            .collect();
        for (n, answer) in asked {
            let text = answer.join().unwrap();
            assert_eq!(text, format!("acct-me-1 m: q{n}"));
        }
    });
    assert_eq!(world.sent(&login.refresh), 1);
    assert_eq!(world.sandbox.counts().refreshes, 1);
}

/// A10: a new order, a new login, a logout and a change of the config count at the next request, or within a second.
#[test]
fn a10_changes_count_at_the_next_request() {
    let world = world();
    order(&world, "anthropic", &[HOME, WORK]);
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    gate.claude(&key, "one").ok();
    order(&world, "anthropic", &[WORK, HOME]);
    let store = world.text();
    gate.claude(&key, "two").ok();
    assert_eq!(world.text(), store, "nothing of an old view is written back");
    world.run(&["models", "auth", "logout", WORK]).ok();
    gate.claude(&key, "three").ok();
    assert_eq!(accounts(&world), ["home", "work", "home"]);
    world.run(&["models", "auth", "logout", HOME]).ok();
    let none = gate.claude(&key, "four");
    assert_eq!((none.status, none.code()), (403, "missing_credential"));
    let token = Secret::from(format!("sk-ant-oat01-canary-{}", "n".repeat(70)));
    world.sandbox.add_key(KeyKind::SetupToken, &token, "new");
    let paste = ["models", "auth", "setup-token", "--stdin", "--profile-id", "anthropic:new"];
    let pasted = world.run_with_input(&paste, token.expose());
    assert_eq!(pasted.code, Some(0), "{pasted:?}");
    assert!(gate.claude(&key, "five").said().contains("new m: five"));
    // A provider file that points elsewhere, and one that makes no sense for a moment.
    let path = world.state().join("providers/anthropic.toml");
    let good = world.sandbox.model_manifest("anthropic");
    world.private(&path, "extends = 'anthropic'\n[api]\nbase_url = 'http://127.0.0.1:1/v1'\n");
    wait_until("the new address", || gate.claude(&key, "six").status == 502);
    world.private(&path, "torn = [");
    wait_until("a word about the torn file", || {
        drop(gate.claude(&key, "seven"));
        gate.said().contains("the config before the last change stays in use")
    });
    world.private(&path, &good);
    wait_until("the old address", || gate.claude(&key, "eight").status == 200);
}

/// A limit moves on along an explicit order only; without one the provider's own answer goes through.
#[test]
fn another_account_takes_over_along_an_order_only() {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    world.sandbox.script_model(None, ModelFault::UsageLimit(600), 1);
    let limited = gate.claude(&key, "one");
    assert_eq!((limited.status, limited.header("x-coderclaw-code")), (429, None), "the provider's own words");
    assert_eq!(limited.header("anthropic-ratelimit-unified-status"), Some("rejected"));
    assert_eq!(limited.header("retry-after"), Some("600"));
    world.run(&["models", "auth", "cooldown", "clear"]).ok();
    order(&world, "anthropic", &[HOME, WORK]);
    world.sandbox.script_model(Some("home"), ModelFault::UsageLimit(600), 1);
    assert!(gate.claude(&key, "two").said().contains("work m: two"));
    gate.wait_said("anthropic:home -> anthropic:work");
    // With both at their limit, the client is told until when, in its own words, and nobody is asked.
    world.sandbox.script_model(Some("work"), ModelFault::UsageLimit(300), 1);
    assert_eq!(gate.claude(&key, "three").status, 429);
    let asked = calls(&world).len();
    let limited = gate.claude(&key, "four");
    assert_eq!((limited.status, limited.code()), (429, "usage_limit"));
    assert_eq!(limited.header("anthropic-ratelimit-unified-status"), Some("rejected"));
    let left: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((200..=300).contains(&left), "{left}");
    let said = limited.json();
    assert_eq!((&said["type"], &said["error"]["type"]), (&json!("error"), &json!("rate_limit_error")));
    assert_eq!(calls(&world).len(), asked);
    // Codex has words of its own for it.
    world.sandbox.script_model(Some("acct-me-1"), ModelFault::UsageLimit(600), 1);
    assert_eq!(gate.codex(&key, "one").status, 429);
    let limited = gate.codex(&key, "two");
    let error = &limited.json()["error"];
    assert_eq!((limited.status, &error["type"]), (429, &json!("usage_limit_reached")));
    let until = error["resets_at"].as_i64().unwrap() * 1000 - world.at(0);
    assert!((500_000..=601_000).contains(&until), "{error}");
    assert!(error["resets_in_seconds"].as_u64().unwrap() <= 600, "{error}");
}

/// A login that is over is told with the status at which each client stops at once, and with what to type.
#[test]
fn a_dead_login_stops_the_client_with_a_sentence() {
    let world = world();
    let login = world.login(-1_000);
    world.sandbox.kill_family(&login.refresh);
    let token = Secret::from(format!("sk-ant-oat01-canary-{}", "w".repeat(70)));
    world.seed(
        "main",
        &[
            (ME, &login.entry),
            (WORK, &json!({"type": "token", "provider": "anthropic", "token": token.expose()})),
        ],
    );
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    for _ in 0..2 {
        let dead = gate.codex(&key, "hello");
        let error = dead.json()["error"].clone();
        assert_eq!((dead.status, dead.code(), &error["code"]), (401, "needs_login", &json!("needs_login")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("coderclaw models auth login --provider openai-codex"), "{message}");
    }
    assert_eq!(world.sent(&login.refresh), 1);
    world.sandbox.remove_key(&token);
    for _ in 0..2 {
        let dead = gate.claude(&key, "hello");
        assert_eq!((dead.status, dead.code()), (403, "rejected"), "{}", dead.text());
        let said = dead.json();
        assert_eq!((&said["type"], &said["error"]["type"]), (&json!("error"), &json!("permission_error")));
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.contains("coderclaw models auth setup-token --provider anthropic"), "{message}");
    }
    assert_eq!(calls(&world).len(), 1, "what was refused once is not sent again");
}

/// D2: what is no matter of the login goes through as it came, and costs no profile anything.
#[test]
fn d2_other_failures_go_through_untouched() {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    for (fault, status) in [
        (ModelFault::Overloaded, 529),
        (ModelFault::Forbidden, 403),
        (ModelFault::Page(502), 502),
        (ModelFault::ModelRateLimit(Some(9)), 429),
    ] {
        world.sandbox.script_model(None, fault, 1);
        let answer = gate.claude(&key, "x");
        assert_eq!((answer.status, answer.header("x-coderclaw-code")), (status, None), "{}", answer.text());
    }
    world.sandbox.script_model(None, ModelFault::Cut, 1);
    let cut = gate.claude(&key, "x");
    assert!(
        cut.status == 200 && !cut.is_whole && cut.text().contains("content_block_delta"),
        "{}",
        cut.text()
    );
    gate.claude(&key, "x").ok();
    assert_eq!(accounts(&world).len(), 6);
}

/// B12: a 403 for an inference-only token, at a lookup or in a request, is no news of the login: it goes through as it came.
#[test]
fn b12_a_403_of_a_lookup_costs_nothing() {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool", "--profile", WORK]));
    let scope = "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":\"OAuth token does not meet scope requirement user:profile\"}}";
    let refused = ModelFault::Reply(Reply::new(403, Body::Json(scope.into())));
    for line in ["GET /anthropic/v1/models", "GET /v1/models", "POST /v1/messages"] {
        world.sandbox.script_model(None, refused.clone(), 1);
        let answer = gate.send(line, &claude(&key), &question("x"));
        assert!(answer.status == 403 && answer.header("x-coderclaw-code").is_none(), "{line}: {answer:?}");
    }
    world.sandbox.script_model(None, ModelFault::Forbidden, 1);
    assert_eq!(gate.claude(&key, "x").status, 403);
    let usage = std::fs::read_to_string(world.state().join("agents/main/agent/auth-state.json"));
    assert!(!usage.unwrap_or_default().contains(WORK), "nothing is on record against it");
    let status = world.run(&["models", "status", "--json"]).json();
    let profiles = status["auth"]["oauth"]["profiles"].as_array().unwrap();
    let work = profiles.iter().find(|one| one["profileId"] == WORK).unwrap();
    assert_eq!((&work["state"], &work["status"]), (&json!("ok"), &json!("static")), "{work}");
    assert!(gate.claude(&key, "y").said().contains("work m: y"));
}

/// A client that leaves takes its request with it.
#[test]
fn a_client_that_leaves_cancels_its_request() {
    let world = world();
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let held = world.sandbox.stream_gate();
    let stream = gate.open("POST /v1/messages", &claude(&key), &question("hello"));
    let mut reader = BufReader::new(stream);
    assert!(read_head(&mut reader).starts_with("HTTP/1.1 200"));
    drop(reader);
    let metrics = || gate.send("GET /metrics", &[("x-api-key", &key)], "").ok();
    wait_until("no open stream", || metrics().contains("coderclaw_gateway_open_streams 0"));
    held.open();
    assert!(
        world.sandbox.wait_for(PATIENCE, |log| log
            .iter()
            .any(|seen| seen.model.as_ref().is_some_and(|call| call.left)))
    );
    gate.claude(&key, "next").ok();
}

/// Two clients at once, each with its own key and account: no byte of one gets to the other.
#[test]
fn nothing_leaks_between_clients() {
    let world = world();
    let (work, home) = (key(&world, &["w", "--profile", WORK]), key(&world, &["h", "--profile", HOME]));
    let gate = Gate::start(&world);
    let (send, failures) = channel();
    std::thread::scope(|scope| {
        for (key, account, other) in [(&work, "work", "home"), (&home, "home", "work")] {
            for client in 0..4 {
                let (gate, send) = (&gate, send.clone());
                scope.spawn(move || {
                    for n in 0..10 {
                        let said = format!("{account}-{client}-{n}");
                        let text = gate.claude(key, &said).said();
                        if text != format!("{account} m: {said}") || text.contains(other) {
                            send.send(format!("{said}: {text}")).unwrap();
                        }
                    }
                });
            }
        }
    });
    drop(send);
    assert_eq!(failures.into_iter().collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(calls(&world).len(), 80);
}

/// No provider, no hang: an address where nobody listens is told at once.
#[test]
fn a_provider_that_is_not_there_is_told() {
    let world = World::new();
    drop(raw_provider(&world));
    let (gate, key) = (Gate::start(&world), key(&world, &["tool"]));
    let answer = gate.send("POST /acme/v1/chat/completions", &[("x-api-key", &key)], "{}");
    assert_eq!((answer.status, answer.code()), (502, "unreachable"));
    assert!(!answer.text().contains("acme-canary"));
}

//! The model APIs: who gets in, what is asked for, and what goes wrong.

use coderclaw_sandbox::{KeyKind, Kind, ModelFault, Sandbox};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::client::{NOW, Raw, SOON, get, send, start};

fn post(sandbox: &Sandbox, path: &str, headers: &str, body: &Value) -> Raw {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: sandbox\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    send(sandbox, format!("{head}{body}").as_bytes())
}

fn bearer(token: &Secret, more: &str) -> String {
    format!("Authorization: Bearer {}\r\n{more}", token.expose())
}

const VERSION: &str = "anthropic-version: 2023-06-01\r\n";
const BETA: &str = "anthropic-version: 2023-06-01\r\nanthropic-beta: one,oauth-2025-04-20\r\n";

fn question(stream: bool) -> Value {
    json!({ "model": "m-1", "max_tokens": 9, "stream": stream, "messages": [{ "role": "user", "content": "Hi there" }] })
}

fn codex() -> Value {
    let content = json!([{ "type": "input_text", "text": "Hi there" }]);
    json!({
        "model": "m-1", "instructions": "Be brief.", "store": false, "stream": true,
        "input": [{ "type": "message", "role": "user", "content": content }],
    })
}

/// The whole body of a stream in chunks, put together.
fn unchunked(raw: &Raw) -> String {
    let text = raw.text();
    let mut whole = String::new();
    let mut rest = text;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    whole
}

#[test]
fn each_credential_goes_its_own_way() {
    let sandbox = start();
    let grant = sandbox.grant("ann");
    let (key, setup, plain) =
        (Secret::from("key-canary"), Secret::from("setup-canary"), Secret::from("plain-canary"));
    sandbox.add_key(KeyKind::AnthropicKey, &key, "key-account");
    sandbox.add_key(KeyKind::SetupToken, &setup, "setup-account");
    sandbox.add_key(KeyKind::Bearer, &plain, "plain-account");
    let x = |key: &Secret| format!("x-api-key: {}\r\n{VERSION}", key.expose());
    let (messages, chat) = ("/v1/messages", "/v1/chat/completions");
    let (responses, route) = ("/v1/responses", "/backend-api/codex/responses");
    let own = "chatgpt-account-id: acct-ann\r\n";
    let table = [
        (messages, x(&key), question(false), Ok("key-account")),
        (messages, bearer(&key, VERSION), question(false), Err(401)),
        (messages, bearer(&key, BETA), question(false), Err(401)),
        (messages, x(&setup), question(false), Err(401)),
        (messages, bearer(&setup, VERSION), question(false), Err(401)),
        (messages, bearer(&setup, BETA), question(false), Ok("setup-account")),
        (messages, bearer(&grant.access, BETA), question(false), Ok("acct-ann")),
        (messages, bearer(&plain, BETA), question(false), Err(401)),
        (messages, String::new(), question(false), Err(401)),
        (messages, format!("x-api-key: {}\r\n", key.expose()), question(false), Err(400)),
        (chat, bearer(&plain, ""), question(false), Ok("plain-account")),
        (chat, bearer(&key, ""), question(false), Err(401)),
        (chat, bearer(&grant.refresh, ""), question(false), Err(401)),
        (responses, bearer(&plain, ""), codex(), Ok("plain-account")),
        (responses, bearer(&grant.access, ""), codex(), Ok("acct-ann")),
        (route, bearer(&grant.access, own), codex(), Ok("acct-ann")),
        (route, bearer(&grant.access, ""), codex(), Err(403)),
        (route, bearer(&grant.access, "chatgpt-account-id: acct-bob\r\n"), codex(), Err(403)),
        (route, bearer(&plain, own), codex(), Err(401)),
    ];
    for (path, headers, body, expected) in table {
        let raw = post(&sandbox, path, &headers, &body);
        let seen = sandbox.log().last().unwrap().clone();
        assert_eq!((seen.kind, seen.status), (Kind::Model, Some(raw.status())));
        let call = seen.model.unwrap();
        match expected {
            Ok(account) => {
                assert_eq!((raw.status(), call.account.as_deref()), (200, Some(account)), "{path} {headers}");
                assert!(String::from_utf8_lossy(&raw.bytes).contains(account));
            }
            Err(status) => assert_eq!(raw.status(), status, "{path} {headers}"),
        }
        assert_eq!((call.path.as_str(), call.model.as_deref()), (path, Some("m-1")));
    }
    let shown = format!("{:?}{}", sandbox.log(), serde_json::to_string(&sandbox.log()).unwrap());
    assert!(!shown.contains("canary") && !shown.contains(grant.access.expose()), "the log holds no secret");
    sandbox.remove_key(&plain);
    assert_eq!(post(&sandbox, chat, &bearer(&plain, ""), &question(false)).status(), 401);
    sandbox.reject_access(&grant.access);
    let ended = post(&sandbox, responses, &bearer(&grant.access, ""), &codex());
    assert_eq!((ended.status(), ended.error_code().as_str()), (401, "token_expired"));
}

#[test]
fn the_rules_of_chatgpt_plans() {
    let sandbox = start();
    let grant = sandbox.grant("ann");
    let headers = bearer(&grant.access, "chatgpt-account-id: acct-ann\r\n");
    let table = [
        ("store", json!(true), "Store must be set to false"),
        ("stream", json!(false), "Stream must be set to true"),
        ("input", json!("Hi"), "Input must be a list"),
        ("instructions", Value::Null, "Instructions are required"),
        ("max_output_tokens", json!(5), "Unsupported parameter: max_output_tokens"),
    ];
    for (key, value, detail) in table {
        let mut body = codex();
        body[key] = value;
        let raw = post(&sandbox, "/backend-api/codex/responses", &headers, &body);
        assert_eq!((raw.status(), raw.json()["detail"].as_str()), (400, Some(detail)));
    }
    let models = get(&sandbox, "/backend-api/codex/models", &headers);
    assert_eq!(models.json()["models"][0]["slug"], "sandbox-model");
    let models = get(&sandbox, "/backend-api/codex/models?client_version=1", &headers);
    assert_eq!(models.json(), json!({"models": []}));
    assert_eq!(get(&sandbox, "/v1/models", "").status(), 401);
    assert_eq!(get(&sandbox, "/v1/messages/count_tokens", &headers).status(), 404);
}

#[test]
fn streams_begin_and_end_as_they_should() {
    let sandbox = start();
    let plain = Secret::from("plain-canary");
    sandbox.add_key(KeyKind::Bearer, &plain, "acct");
    let headers = bearer(&plain, "");
    let text = unchunked(&post(&sandbox, "/v1/chat/completions", &headers, &question(true)));
    assert!(text.starts_with("data: {") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let text = unchunked(&post(&sandbox, "/v1/responses", &headers, &codex()));
    let types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(types.first().copied(), Some("response.created"));
    assert_eq!(types.last().copied(), Some("response.completed"));

    for (fault, ends_well) in [(ModelFault::EndsEarly, true), (ModelFault::Cut, false)] {
        sandbox.script_model(None, fault, 1);
        let raw = post(&sandbox, "/v1/responses", &headers, &codex());
        assert_eq!(raw.text().ends_with("0\r\n\r\n"), ends_well);
        assert!(!raw.text().contains("response.completed"));
    }
    sandbox.script_model(None, ModelFault::ExpiresMidStream, 1);
    let text = unchunked(&post(&sandbox, "/v1/responses", &headers, &codex()));
    assert!(text.contains("response.failed") && text.contains("token_expired"));
}

#[test]
fn faults_wait_for_their_account() {
    let sandbox = start();
    let (ann, bob) = (Secret::from("ann-canary"), Secret::from("bob-canary"));
    sandbox.add_key(KeyKind::Bearer, &ann, "ann");
    sandbox.add_key(KeyKind::Bearer, &bob, "bob");
    sandbox.script_model(Some("bob"), ModelFault::UsageLimit(3600), 1);
    let ask = |key: &Secret| post(&sandbox, "/v1/chat/completions", &bearer(key, ""), &question(false));
    assert_eq!(ask(&ann).status(), 200);
    let limit = ask(&bob);
    assert_eq!((limit.status(), limit.json()["error"]["resets_at"].as_i64()), (429, Some(NOW + 3600)));
    assert_eq!(limit.header("x-codex-primary-reset-at"), Some((NOW + 3600).to_string().as_str()));
    assert_eq!(ask(&bob).status(), 200);
    sandbox.script_model(None, ModelFault::Page(403), 5);
    assert_eq!(ask(&ann).header("content-type"), Some("text/html; charset=utf-8"));
    sandbox.clear_script();
    assert_eq!(ask(&ann).status(), 200);
}

#[test]
fn a_gate_lets_chunks_go_one_by_one() {
    let sandbox = start();
    let plain = Secret::from("plain-canary");
    sandbox.add_key(KeyKind::Bearer, &plain, "acct");
    let gate = sandbox.stream_gate();
    std::thread::scope(|scope| {
        let client =
            scope.spawn(|| post(&sandbox, "/v1/chat/completions", &bearer(&plain, ""), &question(true)));
        assert!(gate.wait_arrived(SOON));
        gate.step(2);
        assert!(gate.wait_sent(2, SOON));
        assert!(!client.is_finished(), "the rest is held");
        gate.open();
        assert!(client.join().unwrap().text().ends_with("0\r\n\r\n"));
    });
}

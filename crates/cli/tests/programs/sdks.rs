//! The Python SDKs of OpenAI and Anthropic, as a script of anybody uses them.

use std::time::{Duration, Instant};

use coderclaw_sandbox::KeyKind;
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::gateway_world::{Gate, key};
use crate::room::{Room, Talk, fetched};

/// Plain and streamed, each of the APIs, with a gateway key and nothing else; and a key that counts no more is said at once,
/// with the status that scripts look for.
#[test]
fn python_sdks_through_the_gateway() {
    let room = Room::new(-1_000);
    let secret = Secret::from("canary-key-of-the-api-canary-key");
    room.world.sandbox.add_key(KeyKind::Bearer, &secret, "metered");
    let mut store: Value = serde_json::from_str(&room.world.text()).unwrap();
    store["profiles"]["openai:key"] =
        json!({"type": "api_key", "provider": "openai", "key": secret.expose()});
    room.world.private(&room.world.store(), &store.to_string());
    let gate = Gate::start(&room.world);
    let key = key(&room.world, &["sdk"]);
    let script = fetched("sdks/ask.py");
    let python = fetched("sdks/.venv/bin/python");
    let mut talk = Talk::start(room.command(&python, &[script.to_str().unwrap()]));
    let mut ask = |api: &str, path: &str, stream: bool| {
        let base = format!("http://127.0.0.1:{}{path}", gate.port);
        talk.say(&json!({"api": api, "base_url": base, "key": key, "stream": stream, "text": "say it"}));
        talk.until(|_| true)
    };
    for (api, path, stream, account) in [
        ("anthropic", "", false, "work"),
        ("anthropic", "/anthropic", true, "work"),
        ("openai-chat", "/v1", false, "metered"),
        ("openai-chat", "/openai", true, "metered"),
        ("openai-responses", "/openai/v1", false, "metered"),
        ("openai-responses", "/codex", true, "acct-me-1"),
        ("openai-responses", "/v1", true, "acct-me-1"),
    ] {
        let answer = ask(api, path, stream);
        assert_eq!(answer["said"], format!("{account} sandbox-model: say it"), "{api} {path} {answer}");
    }
    assert_eq!(room.refreshes(), 1, "the expired login was refreshed on the way");
    room.world.run(&["gateway", "keys", "revoke", "sdk"]).ok();
    let turns = room.turns().len();
    let began = Instant::now();
    for (api, path, status) in [("anthropic", "", 403), ("openai-responses", "/codex", 401)] {
        let answer = ask(api, path, false);
        assert_eq!(answer["status"], status, "{answer}");
        assert!(answer["error"].to_string().contains("coderclaw gateway keys list"), "{answer}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "they stop at once");
    assert_eq!(room.turns().len(), turns);
    assert_eq!(room.wanted_from_outside(), Vec::<String>::new());
}

//! The request in each dialect: only what all providers of it take.

use coderclaw_auth::Lease;
use coderclaw_http::{Body, HeaderText, Request, Url};
use coderclaw_providers::{ApiKind, Failure, FailureKind};
use coderclaw_types::Secret;
use serde_json::{Map, Value, json};

use super::{Message, Prompt, Role};

/// Anthropic's API wants a limit; every model takes this one.
const LONGEST_ANSWER: u32 = 4096;
/// The Responses API of ChatGPT plans wants instructions.
const INSTRUCTIONS: &str = "You are a helpful assistant.";

pub(super) fn build(
    kind: ApiKind,
    base_url: Option<&str>,
    lease: &Lease,
    prompt: &Prompt,
) -> Result<Request, Failure> {
    let wrong = |what: String| Failure::own(FailureKind::BadRequest, what);
    let base = base_url.ok_or_else(|| wrong(format!("{} has no model API here", lease.provider)))?;
    let (path, body) = match kind {
        ApiKind::AnthropicMessages => ("/messages", anthropic(prompt)),
        ApiKind::OpenAiResponses => ("/responses", responses(prompt)),
        ApiKind::OpenAiChat => ("/chat/completions", chat(prompt)),
    };
    let url = Url::parse(&format!("{base}{path}")).map_err(|e| wrong(format!("the base_url {base}: {e}")))?;
    let body =
        Body { content_type: "application/json", bytes: Secret::from(Value::Object(body).to_string()) };
    let mut request =
        Request::post(url, body).header("accept", HeaderText::Plain("text/event-stream".into()));
    for (name, value) in &lease.headers {
        request = request.header(name, HeaderText::Secret(value.clone()));
    }
    Ok(request)
}

fn role(message: &Message) -> &'static str {
    match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

fn object<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn anthropic(prompt: &Prompt) -> Map<String, Value> {
    let messages: Vec<Value> =
        prompt.messages.iter().map(|m| json!({ "role": role(m), "content": m.text })).collect();
    let mut body = object([
        ("model", json!(prompt.model)),
        ("max_tokens", json!(prompt.max_tokens.unwrap_or(LONGEST_ANSWER))),
        ("messages", json!(messages)),
        ("stream", json!(true)),
    ]);
    if let Some(system) = &prompt.system {
        body.insert("system".into(), json!(system));
    }
    body
}

/// Also the form that the ChatGPT route takes, which refuses a `max_output_tokens` and anything stored.
fn responses(prompt: &Prompt) -> Map<String, Value> {
    let item = |m: &Message| {
        let kind = if m.role == Role::User { "input_text" } else { "output_text" };
        let content = json!([{ "type": kind, "text": m.text }]);
        json!({ "type": "message", "role": role(m), "content": content })
    };
    let input: Vec<Value> = prompt.messages.iter().map(item).collect();
    object([
        ("model", json!(prompt.model)),
        ("instructions", json!(prompt.system.as_deref().unwrap_or(INSTRUCTIONS))),
        ("input", json!(input)),
        ("store", json!(false)),
        ("stream", json!(true)),
    ])
}

fn chat(prompt: &Prompt) -> Map<String, Value> {
    let system = prompt.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let said = prompt.messages.iter().map(|m| json!({ "role": role(m), "content": m.text }));
    let messages: Vec<Value> = system.chain(said).collect();
    let mut body = object([
        ("model", json!(prompt.model)),
        ("messages", json!(messages)),
        ("stream", json!(true)),
        ("stream_options", json!({ "include_usage": true })),
    ]);
    if let Some(most) = prompt.max_tokens {
        body.insert("max_tokens".into(), json!(most));
    }
    body
}

//! The same answer in each API's words.

use serde_json::{Value, json};

use crate::http::{Request, Response};

/// Which API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Anthropic,
    Responses,
    /// Responses, as ChatGPT plans have it: stricter.
    Codex,
    Chat,
}

/// What the API has against the request, if anything.
pub(super) fn complaint(wire: Wire, request: &Request, body: &Value) -> Option<Response> {
    let detail = |text: &str| Some(Response::json(400, json!({ "detail": text }).to_string()));
    let wrong = |text: &str| Some(error(wire, 400, "invalid_request_error", text));
    if !body.is_object() {
        return wrong("the body is not a JSON object");
    }
    if !body["model"].is_string() {
        return wrong("model: Field required");
    }
    match wire {
        Wire::Anthropic if request.header("anthropic-version").is_none() => {
            wrong("anthropic-version: header is required")
        }
        Wire::Anthropic if !body["max_tokens"].is_u64() => wrong("max_tokens: Field required"),
        Wire::Anthropic | Wire::Chat if !body["messages"].is_array() => wrong("messages: Field required"),
        Wire::Codex if body["store"] != json!(false) => detail("Store must be set to false"),
        Wire::Codex if body["stream"] != json!(true) => detail("Stream must be set to true"),
        Wire::Codex if !body["input"].is_array() => detail("Input must be a list"),
        // Codex CLI since 0.169 sends them as a message of the developer.
        Wire::Codex if !body["instructions"].is_string() && !has_developer(&body["input"]) => {
            detail("Instructions are required")
        }
        Wire::Codex => {
            let refused = ["max_output_tokens", "temperature", "top_p", "metadata", "previous_response_id"];
            let found = refused.iter().find(|name| body.get(**name).is_some())?;
            detail(&format!("Unsupported parameter: {found}"))
        }
        Wire::Responses if !body["input"].is_array() && !body["input"].is_string() => {
            wrong("input: Field required")
        }
        _ => None,
    }
}

fn has_developer(input: &Value) -> bool {
    let roles = input.as_array().into_iter().flatten().filter_map(|item| item["role"].as_str());
    roles.into_iter().any(|role| matches!(role, "developer" | "system"))
}

/// An error in the dialect's shape.
pub(super) fn error(wire: Wire, status: u16, kind: &str, message: &str) -> Response {
    Response::json(status, error_body(wire, kind, message).to_string())
}

pub(super) fn error_body(wire: Wire, kind: &str, message: &str) -> Value {
    match wire {
        Wire::Anthropic => {
            json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_sandbox" })
        }
        _ => json!({ "error": { "message": message, "type": kind, "param": null, "code": kind } }),
    }
}

/// What the person said last.
pub(super) fn last_words(body: &Value) -> String {
    let list = body["messages"].as_array().or_else(|| body["input"].as_array());
    // Claude Code puts words of its own behind them, in another role.
    let is_person = |one: &&Value| one["role"].as_str().is_none_or(|role| role == "user");
    let Some(last) = list.and_then(|list| list.iter().rfind(is_person)) else {
        return body["input"].as_str().unwrap_or_default().to_owned();
    };
    match &last["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// The answer in one piece.
pub(super) fn whole(wire: Wire, model: &str, text: &str) -> Value {
    match wire {
        Wire::Anthropic => json!({
            "id": "msg_sandbox", "type": "message", "role": "assistant", "model": model,
            "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 3, "output_tokens": 5 },
        }),
        Wire::Responses | Wire::Codex => response(model, "completed", &json!([item(text)])),
        Wire::Chat => json!({
            "id": "chatcmpl-sandbox", "object": "chat.completion", "model": model,
            "choices": [{
                "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop",
            }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8 },
        }),
    }
}

fn response(model: &str, status: &str, output: &Value) -> Value {
    json!({
        "id": "resp_sandbox", "object": "response", "model": model, "status": status, "output": output,
        "usage": {
            "input_tokens": 3, "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 8,
        },
    })
}

fn item(text: &str) -> Value {
    json!({
        "id": "msg_sandbox", "type": "message", "role": "assistant", "status": "completed",
        "content": [{ "type": "output_text", "text": text, "annotations": [] }],
    })
}

/// The answer as a stream: one event in each chunk, the text in a chunk for each word.
pub(super) fn events(wire: Wire, model: &str, text: &str) -> Vec<Vec<u8>> {
    texts(wire, model, text).into_iter().map(String::into_bytes).collect()
}

fn texts(wire: Wire, model: &str, text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    match wire {
        Wire::Anthropic => {
            let message = json!({
                "id": "msg_sandbox", "type": "message", "role": "assistant", "model": model, "content": [],
                "stop_reason": null, "usage": { "input_tokens": 3, "output_tokens": 1 },
            });
            let mut all = vec![
                json!({ "type": "message_start", "message": message }),
                json!({
                    "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" },
                }),
                json!({ "type": "ping" }),
            ];
            all.extend(words.iter().map(|word| {
                json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } })
            }));
            all.extend([
                json!({ "type": "content_block_stop", "index": 0 }),
                json!({
                    "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                    "usage": { "output_tokens": 5 },
                }),
                json!({ "type": "message_stop" }),
            ]);
            all.iter().map(named).collect()
        }
        Wire::Responses | Wire::Codex => {
            let started =
                json!({ "id": "msg_sandbox", "type": "message", "role": "assistant", "content": [] });
            let part = json!({ "type": "output_text", "text": "", "annotations": [] });
            let mut all = vec![
                json!({ "type": "response.created", "response": response(model, "in_progress", &json!([])) }),
                json!({ "type": "response.output_item.added", "output_index": 0, "item": started }),
                json!({
                    "type": "response.content_part.added", "item_id": "msg_sandbox", "output_index": 0,
                    "content_index": 0, "part": part,
                }),
            ];
            all.extend(words.iter().map(|word| {
                json!({
                    "type": "response.output_text.delta", "item_id": "msg_sandbox", "output_index": 0,
                    "content_index": 0, "delta": word,
                })
            }));
            all.extend([
                json!({ "type": "response.output_item.done", "output_index": 0, "item": item(text) }),
                json!({
                    "type": "response.completed",
                    "response": response(model, "completed", &json!([item(text)])),
                }),
            ]);
            for (number, event) in all.iter_mut().enumerate() {
                event["sequence_number"] = json!(number);
            }
            all.iter().map(named).collect()
        }
        Wire::Chat => {
            let chunk = |delta: Value, finish: Value| {
                json!({
                    "id": "chatcmpl-sandbox", "object": "chat.completion.chunk", "model": model,
                    "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
                })
            };
            let mut all = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
            all.extend(words.iter().map(|word| chunk(json!({ "content": word }), Value::Null)));
            all.push(chunk(json!({}), json!("stop")));
            all.push(json!({
                "id": "chatcmpl-sandbox", "object": "chat.completion.chunk", "model": model, "choices": [],
                "usage": { "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8 },
            }));
            let mut all: Vec<String> = all.iter().map(|event| format!("data: {event}\n\n")).collect();
            all.push("data: [DONE]\n\n".to_owned());
            all
        }
    }
}

/// An event whose name is its type.
pub(super) fn named(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("error"))
}

/// How many events of a stream's end come after the last word: those that a cut takes away, so that the last of them,
/// which says that it is complete, is among them.
pub(super) fn tail(wire: Wire) -> usize {
    match wire {
        Wire::Anthropic | Wire::Chat => 3,
        Wire::Responses | Wire::Codex => 2,
    }
}

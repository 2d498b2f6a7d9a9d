//! What a body says, wherever its author put it.

use coderclaw_types::{code_word, for_people};
use serde_json::Value;

/// Longer bodies are not errors that anybody wrote for a client.
const LONGEST: usize = 64 * 1024;

/// The parts of an error that say something.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// `error.code`, `error.type` and their like, in lower case: the most precise first.
    pub(super) words: Vec<String>,
    /// The first of them that may be shown.
    code: Option<String>,
    /// The sentence for people, as it came.
    pub(super) message: String,
    /// The object with the details: `error`, or the whole.
    pub(super) details: Value,
    /// It is a page for people: it speaks of whoever made it, not of the account.
    pub(super) is_page: bool,
    /// It is a JSON object, so a program that knows this API has written it.
    pub(super) is_json: bool,
}

impl Said {
    pub(super) fn read(headers: &[(String, String)], body: &[u8]) -> Self {
        let body = body.trim_ascii_start();
        let said_html = headers.iter().any(|(k, v)| k == "content-type" && v.trim().starts_with("text/html"));
        if said_html || body.starts_with(b"<") {
            return Self { is_page: true, ..Self::default() };
        }
        if body.len() > LONGEST {
            return Self::default();
        }
        let all: Value = match serde_json::from_slice(body) {
            // Google's dialect wraps the object in a list.
            Ok(Value::Array(mut list)) if !list.is_empty() => list.swap_remove(0),
            Ok(all @ Value::Object(_)) => all,
            _ => {
                let text = String::from_utf8_lossy(body).into_owned();
                return Self { message: text, ..Self::default() };
            }
        };
        let places = ["/response/error", "/error", "/detail"];
        let details = places.iter().find_map(|at| all.pointer(at).filter(|found| found.is_object()));
        let details = details.unwrap_or(&all).clone();
        let text = |at: &Value| at.as_str().map(str::to_owned);
        let mut words: Vec<String> = Vec::new();
        let mut code = None;
        let mut add = |value: Option<&Value>| {
            if let Some(word) = value.and_then(Value::as_str) {
                let lower = word.trim().to_lowercase();
                // `error` is the name of the event, not of what went wrong.
                if !lower.is_empty() && lower != "error" && !words.contains(&lower) {
                    words.push(lower);
                    code = code.take().or_else(|| code_word(word));
                }
            }
        };
        for key in ["code", "error_code", "type", "status", "reason"] {
            add(details.get(key));
        }
        add(all.get("error"));
        add(all.get("code"));
        let message = ["message", "error_description", "detail"];
        let message = message.iter().find_map(|key| details.get(*key).and_then(text));
        let message = message.or_else(|| all.get("message").and_then(text));
        let message = message.or_else(|| all.get("detail").and_then(text)).unwrap_or_default();
        Self { words, code, message, details, is_page: false, is_json: true }
    }

    /// The text in lower case; empty unless a program of the API's wrote it.
    pub(super) fn text(&self) -> String {
        if self.is_json { self.message.to_lowercase() } else { String::new() }
    }

    pub(super) fn shown_code(&self) -> Option<String> {
        self.code.clone()
    }

    pub(super) fn shown_message(&self) -> Option<String> {
        if self.is_page {
            return Some("the answer is a web page: something between here and the provider sent it".into());
        }
        for_people(&self.message)
    }
}

//! The stream of OpenAI's Responses API, which ChatGPT plans speak too.

use serde_json::Value;

use super::reply::{Step, count, text};
use super::{Done, Stop, Usage};

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The present item has come in parts.
    in_parts: bool,
}

impl Seen {
    pub(super) fn step(&mut self, kind: &str, data: &Value) -> Step {
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                self.in_parts = true;
                Step::Text(text(data, "/delta").unwrap_or_default())
            }
            // Some servers send an item whole. The last event's `output` may be empty, so it is not looked at.
            "response.output_item.done" if !std::mem::take(&mut self.in_parts) => {
                Step::Text(whole_item(data.get("item")))
            }
            "response.completed" | "response.done" => Step::Done(done(data, Stop::End)),
            "response.incomplete" => {
                let stop = match text(data, "/response/incomplete_details/reason") {
                    Some(reason) if reason == "max_output_tokens" => Stop::Length,
                    Some(reason) if reason == "content_filter" => Stop::Refused,
                    reason => Stop::Other(reason.unwrap_or_else(|| "incomplete".into())),
                };
                Step::Done(done(data, stop))
            }
            "response.failed" | "error" => Step::Failed,
            _ => Step::Nothing,
        }
    }
}

fn done(data: &Value, stop: Stop) -> Done {
    let get = |at| count(data, at).unwrap_or(0);
    let usage =
        Usage { input: get("/response/usage/input_tokens"), output: get("/response/usage/output_tokens") };
    Done { stop, usage }
}

fn whole_item(item: Option<&Value>) -> String {
    let is_message = |item: &&Value| item.get("type").and_then(Value::as_str) == Some("message");
    let content = item.filter(is_message).and_then(|item| item.get("content")).and_then(Value::as_array);
    let texts = content.into_iter().flatten().filter_map(|part| part.get("text").and_then(Value::as_str));
    texts.collect()
}

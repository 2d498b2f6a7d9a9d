//! The stream of Anthropic's Messages API.

use serde_json::Value;

use super::reply::{Step, count, text};
use super::{Done, Stop};

#[derive(Debug, Default)]
pub(super) struct Seen(Done);

impl Seen {
    pub(super) fn step(&mut self, kind: &str, data: &Value) -> Step {
        match kind {
            "message_start" => {
                let usage = &mut self.0.usage;
                usage.input = count(data, "/message/usage/input_tokens").unwrap_or(0);
                Step::Nothing
            }
            "content_block_delta" => match data.pointer("/delta/type").and_then(Value::as_str) {
                Some("text_delta") => Step::Text(text(data, "/delta/text").unwrap_or_default()),
                _ => Step::Nothing,
            },
            "message_delta" => {
                if let Some(reason) = text(data, "/delta/stop_reason") {
                    self.0.stop = match reason.as_str() {
                        "end_turn" | "stop_sequence" => Stop::End,
                        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
                        "refusal" => Stop::Refused,
                        _ => Stop::Other(reason),
                    };
                }
                // Cumulative: the last one counts.
                if let Some(output) = count(data, "/usage/output_tokens") {
                    self.0.usage.output = output;
                }
                Step::Nothing
            }
            "message_stop" => Step::Done(std::mem::take(&mut self.0)),
            "error" => Step::Failed,
            _ => Step::Nothing,
        }
    }
}

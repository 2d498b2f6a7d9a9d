//! The stream of the Chat Completions API, as a dozen providers speak it.

use serde_json::Value;

use super::reply::{Step, count, text};
use super::{Done, Stop};

#[derive(Debug, Default)]
pub(super) struct Seen {
    done: Done,
    /// A `finish_reason` has come. Usage may follow it, then `[DONE]`, which some servers leave out.
    finished: bool,
}

impl Seen {
    pub(super) fn step(&mut self, data: &Value) -> Step {
        if data.get("error").is_some_and(|error| !error.is_null()) {
            return Step::Failed;
        }
        if let Some(reason) = text(data, "/choices/0/finish_reason") {
            self.finished = true;
            self.done.stop = match reason.as_str() {
                "stop" => Stop::End,
                "length" => Stop::Length,
                "content_filter" => Stop::Refused,
                _ => Stop::Other(reason),
            };
        }
        let usage = &mut self.done.usage;
        usage.input = count(data, "/usage/prompt_tokens").unwrap_or(usage.input);
        usage.output = count(data, "/usage/completion_tokens").unwrap_or(usage.output);
        Step::Text(text(data, "/choices/0/delta/content").unwrap_or_default())
    }

    /// The answer is complete, if a reason for its end has come.
    pub(super) fn end(&mut self) -> Option<Done> {
        self.finished.then(|| std::mem::take(&mut self.done))
    }
}

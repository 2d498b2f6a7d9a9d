//! The stream of one answer.

use std::collections::VecDeque;
use std::fmt;

use coderclaw_http::Incoming;
use coderclaw_providers::{ApiKind, Failure, FailureKind, read_event_failure};
use coderclaw_types::Clock;
use serde_json::Value;

use super::sse::{Parser, SseEvent};
use super::{Done, Event, anthropic, chat, lost, responses};

/// An answer as it arrives. Dropping it gives the request up.
pub struct Reply {
    incoming: Option<Incoming>,
    parser: Parser,
    dialect: Dialect,
    ready: VecDeque<Result<Event, Failure>>,
    clock: Clock,
}

/// What the events seen so far add up to.
enum Dialect {
    Anthropic(anthropic::Seen),
    Responses(responses::Seen),
    Chat(chat::Seen),
}

/// What one event of a stream says.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing that anybody waits for.
    Nothing,
    /// More text.
    Text(String),
    /// The end.
    Done(Done),
    /// The event is an error.
    Failed,
}

impl Reply {
    pub(super) fn new(kind: ApiKind, incoming: Incoming, clock: Clock) -> Self {
        let dialect = match kind {
            ApiKind::AnthropicMessages => Dialect::Anthropic(anthropic::Seen::default()),
            ApiKind::OpenAiResponses => Dialect::Responses(responses::Seen::default()),
            ApiKind::OpenAiChat => Dialect::Chat(chat::Seen::default()),
        };
        let parser = Parser::default();
        Self { incoming: Some(incoming), parser, dialect, ready: VecDeque::new(), clock }
    }

    /// The next event; `None` after [`Event::Done`] or a failure.
    ///
    /// A stream that ends without having said that it is complete is a failure, whatever has been read of it.
    pub async fn next(&mut self) -> Option<Result<Event, Failure>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                let is_last = !matches!(ready, Ok(Event::Text(_)));
                if is_last {
                    self.close();
                }
                return Some(ready);
            }
            match self.incoming.as_mut()?.chunk().await {
                Ok(Some(bytes)) => self.take(&bytes),
                Ok(None) => self.ready.push_back(self.dialect.at_end().map(Event::Done)),
                Err(error) => self.ready.push_back(Err(lost(&error))),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut events = Vec::new();
        let result = self.parser.push(bytes, &mut events);
        for event in events {
            let next = match self.dialect.step(&event) {
                Step::Nothing => continue,
                Step::Text(text) if text.is_empty() => continue,
                Step::Text(text) => Ok(Event::Text(text)),
                Step::Done(done) => Ok(Event::Done(done)),
                Step::Failed => Err(read_event_failure(event.data.as_bytes(), self.clock.now())),
            };
            self.ready.push_back(next);
        }
        if let Err(too_long) = result {
            self.ready.push_back(Err(Failure::own(FailureKind::Unknown, too_long.to_string())));
        }
    }

    /// The end has been told: the connection goes, also where the server would keep it open.
    fn close(&mut self) {
        self.incoming = None;
        self.ready.clear();
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}

impl Dialect {
    fn step(&mut self, event: &SseEvent) -> Step {
        if event.data.trim() == "[DONE]" {
            return match self {
                // Elsewhere it may follow the real end, or not.
                Self::Chat(seen) => seen.end().map_or(Step::Nothing, Step::Done),
                _ => Step::Nothing,
            };
        }
        // Garbage is an event that nobody knows; if it was the last one, its absence will show.
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else { return Step::Nothing };
        // The type stands in the data, and most servers repeat it as the event's name.
        let kind = data.get("type").and_then(Value::as_str).unwrap_or(&event.name);
        match self {
            Self::Anthropic(seen) => seen.step(kind, &data),
            Self::Responses(seen) => seen.step(kind, &data),
            Self::Chat(seen) => seen.step(&data),
        }
    }

    /// The stream is over and no event has said so.
    fn at_end(&mut self) -> Result<Done, Failure> {
        let done = match self {
            Self::Chat(seen) => seen.end(),
            Self::Anthropic(_) | Self::Responses(_) => None,
        };
        let cut = || Failure::own(FailureKind::Network, "the stream ended before the answer was complete");
        done.ok_or_else(cut)
    }
}

/// A count in an event.
pub(super) fn count(data: &Value, at: &str) -> Option<u64> {
    data.pointer(at).and_then(Value::as_u64)
}

/// A text in an event.
pub(super) fn text(data: &Value, at: &str) -> Option<String> {
    data.pointer(at).and_then(Value::as_str).map(str::to_owned)
}

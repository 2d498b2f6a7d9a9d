//! What was said, as it stands in a transcript and as a model is told it.

use std::io;

use coderclaw_store::Transcript;
use coderclaw_types::{Millis, ProviderId};
use serde_json::{Map, Value, json};

use crate::model::{Message, Role};

/// A conversation so far. What a model did not say to its end is not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Oldest first.
    pub said: Vec<Message>,
    /// Lines of the transcript that could not be understood.
    pub damaged: usize,
}

/// A line to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What the person said.
    User(String),
    /// What the model said.
    Model(Answer),
}

/// What a model said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text as far as it came.
    pub text: String,
    /// The model's provider.
    pub provider: ProviderId,
    /// The model.
    pub model: String,
    /// The kind of API, as the manifest calls it.
    pub api: String,
    /// Tokens in and out, where the provider said.
    pub usage: Option<(u64, u64)>,
    /// How it ended.
    pub end: End,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The model had said everything.
    Complete,
    /// It reached the longest answer allowed.
    Length,
    /// The person stopped it.
    Aborted,
    /// It broke off; why.
    Failed(String),
}

impl Line {
    /// The line as an entry of the original's form.
    pub(crate) fn to_entry(&self, now: Millis) -> io::Result<Map<String, Value>> {
        let message = match self {
            Self::User(text) => json!({"role": "user", "content": [text_part(text)], "timestamp": now}),
            Self::Model(answer) => answer.to_message(now),
        };
        let mut id = [0; 4];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        let id = format!("{:08x}", u32::from_be_bytes(id));
        Ok(object(
            json!({"type": "message", "id": id, "parentId": null, "timestamp": iso(now), "message": message}),
        ))
    }
}

impl Answer {
    fn to_message(&self, now: Millis) -> Value {
        let (stop, error) = match &self.end {
            End::Complete => ("stop", None),
            End::Length => ("length", None),
            End::Aborted => ("aborted", None),
            End::Failed(why) => ("error", Some(why)),
        };
        let content = if self.text.is_empty() { vec![] } else { vec![text_part(&self.text)] };
        let mut message = json!({
            "role": "assistant", "content": content, "api": self.api, "provider": self.provider,
            "model": self.model, "stopReason": stop, "timestamp": now,
        });
        if let Some(why) = error {
            message["errorMessage"] = json!(why);
        }
        if let Some((input, output)) = self.usage {
            message["usage"] = json!({"input": input, "output": output, "totalTokens": input + output});
        }
        message
    }
}

impl Conversation {
    /// The conversation that a transcript holds. A summary that the original has made of its beginning stands for
    /// what it sums up.
    pub(crate) fn of(transcript: &Transcript) -> Self {
        let lines = transcript.conversation();
        let summed = lines.iter().rposition(|line| line.get("type") == Some(&json!("compaction")));
        let mut said = Vec::new();
        let mut from = 0;
        if let Some(at) = summed
            && let Some(summary) = lines[at].get("summary").and_then(Value::as_str)
        {
            said.push(Message { role: Role::User, text: summary.to_owned() });
            let kept = lines[at].get("firstKeptEntryId").filter(|id| id.is_string());
            from = lines[..at].iter().position(|line| kept.is_some() && line.get("id") == kept).unwrap_or(at);
        }
        said.extend(lines[from..].iter().filter_map(|line| read_message(line.get("message")?)));
        Self { said, damaged: transcript.damaged() }
    }
}

fn read_message(message: &Value) -> Option<Message> {
    let role = match message.get("role")?.as_str()? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    if matches!(message.get("stopReason").and_then(Value::as_str), Some("error" | "aborted")) {
        return None;
    }
    let text = match message.get("content")? {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |part: &Value| match part.get("type")?.as_str()? {
                "text" => Some(part.get("text")?.as_str()?.to_owned()),
                _ => None,
            };
            parts.iter().filter_map(text).collect::<Vec<_>>().join("\n")
        }
        _ => return None,
    };
    (!text.is_empty()).then_some(Message { role, text })
}

/// The first line of a transcript.
pub(crate) fn header(id: &str, workspace: &str, now: Millis) -> Map<String, Value> {
    object(json!({"type": "session", "version": 3, "id": id, "timestamp": iso(now), "cwd": workspace}))
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn iso(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, end: End) -> Line {
        Line::Model(Answer {
            text: text.into(),
            provider: ProviderId::new("acme"),
            model: "m".into(),
            api: "openai-chat".into(),
            usage: Some((3, 4)),
            end,
        })
    }

    fn said(entries: &[Map<String, Value>]) -> Vec<String> {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("s.jsonl");
        let mut text = String::new();
        let mut parent = Value::Null;
        for entry in entries {
            let mut entry = entry.clone();
            entry.insert("parentId".into(), parent);
            parent = entry["id"].clone();
            text.push_str(&format!("{}\n", Value::Object(entry)));
        }
        #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
        std::fs::write(&path, text).unwrap();
        let transcript = coderclaw_store::read_transcript(&path).unwrap();
        Conversation::of(&transcript).said.into_iter().map(|said| said.text).collect()
    }

    #[test]
    fn what_was_not_said_to_its_end_is_not_told_again() {
        let lines = [
            Line::User("one".into()),
            answer("two", End::Complete),
            Line::User("three".into()),
            answer("fo", End::Aborted),
            answer("f", End::Failed("it broke".into())),
            answer("four", End::Length),
        ];
        let entries: Vec<_> = lines.iter().map(|line| line.to_entry(Millis(1)).unwrap()).collect();
        assert_eq!(said(&entries), ["one", "two", "three", "four"]);
        assert_eq!(entries[4]["message"]["errorMessage"], "it broke");
        assert_eq!(entries[1]["message"]["usage"]["totalTokens"], 7);
        assert_eq!(entries[0]["timestamp"], "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn lines_of_the_original_are_read() {
        let entries = [
            json!({"id": "1", "type": "message", "message": {"role": "user", "content": "old"}}),
            json!({"id": "2", "type": "message", "message": {"role": "user", "content": "kept"}}),
            json!({"id": "3", "type": "thinking_level_change", "thinkingLevel": "high"}),
            json!({"id": "4", "type": "compaction", "summary": "so far", "firstKeptEntryId": "2"}),
            json!({"id": "5", "type": "message", "message": {"role": "toolResult", "content": []}}),
            json!({"id": "6", "type": "message", "message": {"role": "assistant", "stopReason": "stop",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]}}),
        ];
        assert_eq!(said(&entries.map(object)), ["so far", "kept", "yes"]);
    }
}

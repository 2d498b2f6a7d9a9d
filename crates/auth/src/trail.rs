//! One line of the audit trail, in words.

use coderclaw_types::Millis;
use serde_json::{Map, Value};

/// What a line says. A line may come from another version, so what is not there is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailLine {
    /// When.
    pub at: Millis,
    /// What happened, and how it ended.
    pub what: String,
    /// The code that says more, unless all was well.
    pub code: Option<String>,
    /// To which profile, else of which provider.
    pub whose: String,
    /// In which agent's store.
    pub agent: Option<String>,
    /// More, and who did it.
    pub more: String,
}

impl TrailLine {
    /// Reads a line.
    pub fn of(line: &Map<String, Value>) -> Self {
        let word = |key: &str| line.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
        let who = word("command").map(|command| {
            let pid = line.get("pid").and_then(Value::as_u64).unwrap_or_default();
            format!("by {command}, pid {pid}")
        });
        let more: Vec<&str> = word("detail").into_iter().chain(who.as_deref()).collect();
        let what: Vec<&str> = word("event").into_iter().chain(word("outcome")).collect();
        Self {
            at: Millis(line.get("at").and_then(Value::as_i64).unwrap_or_default()),
            what: what.join(" "),
            code: word("code").filter(|code| *code != "ok").map(str::to_owned),
            whose: word("profileId").or(word("provider")).unwrap_or_default().to_owned(),
            agent: word("agentId").map(str::to_owned),
            more: more.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_is_said() {
        let of = |line: Value| TrailLine::of(line.as_object().unwrap());
        let full = of(json!({
            "at": 5, "event": "refresh", "outcome": "refused", "code": "needs_login", "agentId": "main",
            "provider": "p", "profileId": "p:x", "pid": 7, "command": "gateway", "detail": "invalid_grant",
        }));
        assert_eq!(
            (full.at, full.what.as_str(), full.code.as_deref()),
            (Millis(5), "refresh refused", Some("needs_login"))
        );
        assert_eq!((full.whose.as_str(), full.more.as_str()), ("p:x", "invalid_grant; by gateway, pid 7"));
        let bare = of(json!({"event": 3, "outcome": "", "code": "ok", "provider": "p", "at": "x"}));
        assert_eq!(
            (bare.what.as_str(), bare.code, bare.whose.as_str(), bare.more.as_str()),
            ("", None, "p", "")
        );
    }
}

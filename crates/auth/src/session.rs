//! The profile that a chat is pinned to, as its session entry says.

use std::path::Path;

use coderclaw_store::{ReadError, read_text};
use coderclaw_types::ProfileId;
use serde_json::Value;

/// A profile that a session names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) profile: ProfileId,
    /// Chosen by the user: never another one. Else it is only tried first.
    pub(crate) by_user: bool,
}

/// The pin of session `key` in the index at `path`. Reads only.
pub(crate) fn read_pin(path: &Path, key: &str) -> Result<Option<Pin>, ReadError> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    let all: Value = serde_json::from_str(&text)
        .map_err(|e| ReadError::Corrupt { path: path.to_path_buf(), detail: e.to_string() })?;
    let Some(entry) = all.get(key) else {
        return Ok(None);
    };
    let Some(profile) = entry.get("authProfileOverride").and_then(Value::as_str).map(str::trim) else {
        return Ok(None);
    };
    let by_user = match entry.get("authProfileOverrideSource").and_then(Value::as_str) {
        Some(source) => source == "user",
        // Older entries have no source; one with a compaction count was picked automatically.
        None => entry.get("authProfileOverrideCompactionCount").is_none(),
    };
    Ok((!profile.is_empty()).then(|| Pin { profile: ProfileId::stored(profile), by_user }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_and_their_sources() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("sessions.json");
        assert_eq!(read_pin(&path, "k").unwrap(), None);
        let text = r#"{"user": {"authProfileOverride": "a", "authProfileOverrideSource": "user"},
            "auto": {"authProfileOverride": "a", "authProfileOverrideSource": "auto"},
            "old": {"authProfileOverride": "a"},
            "counted": {"authProfileOverride": "a", "authProfileOverrideCompactionCount": 2},
            "none": {"authProfileOverride": " "}}"#;
        #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
        std::fs::write(&path, text).unwrap();
        for (key, by_user) in [("user", true), ("auto", false), ("old", true), ("counted", false)] {
            assert_eq!(read_pin(&path, key).unwrap().unwrap().by_user, by_user, "{key}");
        }
        assert_eq!(read_pin(&path, "none").unwrap(), None);
        assert_eq!(read_pin(&path, "missing").unwrap(), None);
    }
}

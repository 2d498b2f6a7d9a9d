//! The ids of providers, profiles and agents, each normalised once, where it comes in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An id that breaks its own rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} \"{id}\" is not valid: {rule}")]
pub struct InvalidId {
    what: &'static str,
    id: String,
    rule: &'static str,
}

/// A service that one can log in to, by its canonical id.
///
/// Ids are lower case; a few spellings of the original's are folded, so that a profile or an order written under an
/// old name still belongs to its provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProviderId(String);

impl ProviderId {
    /// Trims, lower-cases and folds the known old spellings.
    pub fn new(id: &str) -> Self {
        let id = id.trim().to_lowercase();
        Self(match id.as_str() {
            "z.ai" | "z-ai" => "zai".into(),
            "opencode-zen" => "opencode".into(),
            "qwen" => "qwen-portal".into(),
            "kimi-code" => "kimi-coding".into(),
            _ => id,
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A credential's name in one agent's store, usually `provider:name`. Any text without control characters will do,
/// since stores written by others are read too.
///
/// ```
/// use coderclaw_types::ProfileId;
/// let work = ProfileId::new(" openai-codex:work@example.com ")?;
/// assert_eq!(work.as_str(), "openai-codex:work@example.com");
/// assert!(ProfileId::new("two\nlines").is_err());
/// # Ok::<(), coderclaw_types::InvalidId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileId(String);

impl ProfileId {
    /// Takes `id` as it is, less surrounding white space.
    ///
    /// # Errors
    /// Where it is empty, longer than 320 bytes or holds a control character.
    pub fn new(id: &str) -> Result<Self, InvalidId> {
        let id = id.trim();
        let rule = "1 to 320 bytes without control characters";
        if id.is_empty() || id.len() > 320 || id.chars().any(char::is_control) {
            return Err(InvalidId { what: "profile id", id: id.escape_debug().take(64).collect(), rule });
        }
        Ok(Self(id.into()))
    }

    /// A name that already stands in a store: kept whatever it looks like.
    pub fn stored(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An isolated set of store, sessions and workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AgentId(String);

impl AgentId {
    /// The agent that exists where no other is configured.
    pub fn main() -> Self {
        Self("main".into())
    }

    /// The original's rule: `[a-z0-9][a-z0-9_-]{0,63}`, lower case; every run of other characters becomes one `-`,
    /// outer dashes go, 64 characters stay, nothing left means `main`.
    pub fn new(id: &str) -> Self {
        let mut out = String::new();
        for c in id.trim().to_lowercase().chars() {
            match c {
                'a'..='z' | '0'..='9' | '_' => out.push(c),
                '-' => out.push('-'),
                _ if out.ends_with('\u{0}') => {}
                _ => out.push('\u{0}'),
            }
        }
        let starts_well = out.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && out.len() <= 64 && !out.contains('\u{0}') {
            return Self(out);
        }
        let out = out.replace('\u{0}', "-");
        let out: String = out.trim_matches('-').chars().take(64).collect();
        if out.is_empty() { Self::main() } else { Self(out) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! display {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
display!(ProviderId, ProfileId, AgentId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agent_ids_follow_the_originals_rule() {
        let long = "a".repeat(80);
        let table = [
            ("Work", "work"),
            ("My Agent!", "my-agent"),
            ("!!!", "main"),
            ("", "main"),
            (" defaultAcct ", "defaultacct"),
            ("a--b", "a--b"),
            ("_x", "_x"),
            ("-x-", "x"),
            ("ab-", "ab-"),
        ];
        for (from, to) in table {
            assert_eq!(AgentId::new(from).as_str(), to, "{from:?}");
        }
        assert_eq!(AgentId::new(&long).as_str().len(), 64);
    }

    #[test]
    fn provider_ids_fold_old_spellings() {
        for (from, to) in [(" Z.AI ", "zai"), ("OpenAI-Codex", "openai-codex"), ("qwen", "qwen-portal")] {
            assert_eq!(ProviderId::new(from).as_str(), to);
        }
    }

    #[test]
    fn profile_ids_refuse_what_cannot_be_shown() {
        assert!(ProfileId::new("anthropic:me+x@a.b#1234").is_ok());
        for bad in ["", "  ", "a\nb", "a\u{1b}[31m", &"x".repeat(321)] {
            assert!(ProfileId::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn agent_ids_are_path_safe_and_stable(text in ".{0,100}") {
            let id = AgentId::new(&text);
            let text = id.as_str();
            prop_assert!(!text.is_empty() && text.len() <= 64);
            prop_assert!(text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')));
            prop_assert_eq!(&AgentId::new(text), &id);
        }
    }
}

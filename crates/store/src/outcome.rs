//! How a refresh ended. It stands in the journal, and binds everybody who asks about the same token.

use coderclaw_types::{Code, Millis, TokenHash};
use serde::{Deserialize, Serialize};

/// How a refresh ended, for everybody who asks about the same token afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Counts the outcomes of this grant, so that a waiter sees a new one without looking at a clock.
    pub seq: u64,
    /// What happened.
    pub kind: OutcomeKind,
    /// The refresh token it speaks of. It says nothing about any other.
    pub token: TokenHash,
    /// When.
    pub at: Millis,
    /// No request before this time; `None`: not at all while the entry holds this token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Millis>,
    /// How many times in a row this token was tried without success.
    #[serde(default)]
    pub failures: u32,
    /// How many of these may have spent it: the answer was lost.
    #[serde(default)]
    pub ambiguous: u32,
    /// The server asked for a pause; nobody may go ahead of it.
    #[serde(default)]
    pub rate_limited: bool,
    /// The access token that the provider rejected and that this refresh was forced by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<TokenHash>,
    /// The proxy and CA settings under which the server could not be reached; other settings may try at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// By how many milliseconds our clock was ahead of the server's; negative: behind. `None` where they agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead: Option<i64>,
    /// The code to show.
    #[serde(with = "code_text")]
    pub code: Code,
    /// The cause, for people. Never holds a secret.
    #[serde(default)]
    pub detail: String,
}

impl Outcome {
    /// An outcome of which nothing more is known.
    pub fn new(seq: u64, kind: OutcomeKind, token: TokenHash, at: Millis, code: Code) -> Self {
        Self {
            seq,
            kind,
            token,
            at,
            next_attempt_at: None,
            failures: 0,
            ambiguous: 0,
            rate_limited: false,
            rejected: None,
            network: None,
            clock_ahead: None,
            code,
            detail: String::new(),
        }
    }

    /// It is a reason not to use the token, or not to refresh it now.
    pub(crate) fn speaks_against(&self) -> bool {
        !matches!(self.kind, OutcomeKind::Refreshed | OutcomeKind::Adopted)
    }
}

/// The ways in which a refresh ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// New tokens came and are in the stores.
    Refreshed,
    /// Somebody else had refreshed; the entry now holds their tokens.
    Adopted,
    /// The server says that the token is of no use any more.
    Refused,
    /// The answer was lost: the token may be spent.
    Ambiguous,
    /// The server did not take the request, or could not be reached. The token is not spent.
    NotSpent,
    /// Something on this machine stood in the way; nothing was sent.
    Blocked,
}

mod code_text {
    use coderclaw_types::Code;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(code.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Code::from_text(&text).unwrap_or(Code::Internal))
    }
}

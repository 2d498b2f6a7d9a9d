//! What the resolver decided, and why: the same for people, for JSON and for the code that lends.

use coderclaw_types::{AgentId, Code, Fingerprint, Millis, ProfileId, ProviderId};
use serde::Serialize;

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is used.
    Winner,
    /// It may be used after those before it.
    Standby,
    /// It is not used.
    Skipped,
}

/// One credential that was looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Its profile; `None` for a key from the environment or the config.
    pub profile_id: Option<ProfileId>,
    /// `oauth`, `token`, `api_key`, or what an unknown entry calls itself.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: Code,
    /// Until when that holds, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// More, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whose profile it is, if not the agent's own: that of the agent that it is linked to, or could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Where it comes from, if not from a profile: `env:NAME` or `config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What would be lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Winner {
    /// Its profile; `None` for a key from the environment or the config.
    pub profile_id: Option<ProfileId>,
    /// `profile`, `env:NAME` or `config`.
    pub source: String,
    /// Identifies the secret.
    pub fingerprint: Option<Fingerprint>,
    /// Until when it works; `None` where no end is known.
    pub valid_until: Option<Millis>,
}

/// Which order applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderSource {
    /// The agent's own, in its store.
    Store,
    /// `auth.order` of the config.
    Config,
    /// None: round robin.
    None,
}

/// What pinned a profile. The first that says something counts; a session's automatic pick comes last, and is only
/// tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PinSource {
    /// The call itself: `--profile`.
    Flag,
    /// The session, by its user.
    Session,
    /// `auth_profile` of the agent's `agent.toml`.
    Agent,
    /// The session, by itself.
    SessionAuto,
}

/// The whole decision.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Whose profiles were looked at.
    pub agent_id: AgentId,
    /// Of which provider.
    pub provider: ProviderId,
    /// The model that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The session that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Which order applied.
    pub order_source: OrderSource,
    /// What pinned a profile; `None` where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_source: Option<PinSource>,
    /// What is used.
    pub winner: Option<Winner>,
    /// Everything that was looked at, in the order in which it is tried.
    pub candidates: Vec<Candidate>,
}

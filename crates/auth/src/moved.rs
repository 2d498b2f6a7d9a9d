//! A move from one profile to another: never without being told.

use std::fmt;

use coderclaw_types::{Code, Millis, ProfileId, ProviderId};

/// A move to another profile, to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Of which provider.
    pub provider: ProviderId,
    /// The profile that failed.
    pub from: ProfileId,
    /// The profile that takes over; `None` for a key from the environment or the config.
    pub to: Option<ProfileId>,
    /// What it was.
    pub code: Code,
    /// One line for people.
    pub why: String,
    /// Until when the profile that failed is set aside, where that is known.
    pub until: Option<Millis>,
    /// When.
    pub at: Millis,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, code, why, .. } = self;
        let to = to.as_ref().map_or("a key from the environment", ProfileId::as_str);
        write!(f, "moved from {from} to {to}: {why} [{code}]")
    }
}

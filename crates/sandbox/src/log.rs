//! What the server saw and did, in order.

use std::collections::BTreeMap;

use coderclaw_types::{Millis, TokenHash};
use serde::Serialize;

use crate::model::ModelCall;
use crate::tokens::{FamilyId, Refusal};

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The authorize page.
    Authorize,
    /// A code for tokens.
    Exchange,
    /// A refresh token for tokens.
    Refresh,
    /// A revocation.
    Revoke,
    /// A code for another device.
    Device,
    /// A question whether such a code has been typed in.
    Poll,
    /// A code for a key.
    Key,
    /// A long token for a short one.
    Access,
    /// The keys that id tokens are signed with.
    Keys,
    /// A call with an access token.
    Api,
    /// A call of a model API; [`Seen::model`] says more.
    Model,
    /// Anything else, also token requests that were never read or make no sense.
    Other,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The server's time.
    pub at: Millis,
    /// What it was for.
    pub kind: Kind,
    /// The hash of the token that was sent: the refresh token, the token to revoke, or the bearer.
    pub token: Option<TokenHash>,
    /// The family that the token, or the code, belongs to.
    pub family: Option<FamilyId>,
    /// The subject of the person concerned.
    pub user: Option<String>,
    /// The status that was sent, or began to be sent; `None` where the connection was left without one.
    pub status: Option<u16>,
    /// The name of the fault that this request ran into.
    pub fault: Option<&'static str>,
    /// Whether this request spent the refresh token that it carried.
    pub rotated: bool,
    /// Whether the refresh token had already been spent when it came, whatever was answered.
    pub reused: bool,
    /// Why the refresh token was refused. A refusal that a fault made up is not one.
    pub refusal: Option<Refusal>,
    /// What was asked of a model API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelCall>,
}

impl Seen {
    pub(crate) fn new(at: Millis, kind: Kind) -> Self {
        Self {
            at,
            kind,
            token: None,
            family: None,
            user: None,
            status: None,
            fault: None,
            rotated: false,
            reused: false,
            refusal: None,
            model: None,
        }
    }
}

/// Sums over the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Codes sent to the token endpoint.
    pub exchanges: u32,
    /// Refresh tokens sent to the token endpoint, whatever became of them.
    pub refreshes: u32,
    /// Refreshes that spent the token.
    pub rotations: u32,
    /// Refreshes with a token that was already spent.
    pub reuses: u32,
    /// Refreshes that the server refused of its own accord.
    pub refused: u32,
    /// Requests to the revocation endpoint.
    pub revokes: u32,
    /// How often each refresh token was sent.
    pub by_token: BTreeMap<TokenHash, u32>,
}

impl Counts {
    pub(crate) fn of(log: &[Seen]) -> Self {
        let mut counts = Self::default();
        for seen in log {
            match seen.kind {
                Kind::Exchange => counts.exchanges += 1,
                Kind::Revoke => counts.revokes += 1,
                Kind::Refresh => {
                    counts.refreshes += 1;
                    counts.rotations += u32::from(seen.rotated);
                    counts.reuses += u32::from(seen.reused);
                    counts.refused += u32::from(seen.refusal.is_some());
                    if let Some(token) = seen.token {
                        *counts.by_token.entry(token).or_default() += 1;
                    }
                }
                Kind::Authorize
                | Kind::Device
                | Kind::Poll
                | Kind::Key
                | Kind::Access
                | Kind::Keys
                | Kind::Api
                | Kind::Model
                | Kind::Other => {}
            }
        }
        counts
    }

    /// How often this refresh token was sent.
    pub fn refreshes_of(&self, token: &TokenHash) -> u32 {
        self.by_token.get(token).copied().unwrap_or(0)
    }

    /// How often the token that was sent most often was sent: the number that a client must keep at one.
    pub fn most_sent(&self) -> u32 {
        self.by_token.values().copied().max().unwrap_or(0)
    }
}

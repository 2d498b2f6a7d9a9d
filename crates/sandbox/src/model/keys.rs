//! Whose credential it is, and whether it is of the kind that the API takes.

use std::collections::HashMap;

use coderclaw_types::{Millis, Secret, TokenHash};
use serde::Deserialize;

use super::dialect::Wire;
use crate::http::Request;
use crate::state::State;

/// A kind of credential that does not come from a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// A key that goes into `x-api-key`, and nowhere else.
    AnthropicKey,
    /// A bearer token that Anthropic's API takes with its beta header only.
    SetupToken,
    /// A key that goes out as a bearer token.
    Bearer,
}

/// Registered keys: kind and account.
pub(crate) type Keys = HashMap<TokenHash, (KeyKind, String)>;

/// Why a credential is refused.
pub(super) enum Denied {
    Missing,
    Invalid,
    /// It was good once.
    Ended,
    NoBeta,
    OtherAccount,
}

/// The credential and the header that it came in.
pub(super) fn credential(request: &Request) -> Option<(&'static str, &str)> {
    if let Some(key) = request.header("x-api-key").filter(|_| !is_company(request)) {
        return Some(("x-api-key", key));
    }
    request.bearer().map(|token| ("authorization", token))
}

/// The account that may do this.
pub(super) fn judge(
    state: &State,
    request: &Request,
    held: Option<(&'static str, &str)>,
    wire: Wire,
    now: Millis,
) -> Result<String, Denied> {
    let (place, secret) = held.ok_or(Denied::Missing)?;
    let hash = TokenHash::of(&Secret::from(secret));
    let key = state.keys.get(&hash);
    if let Some((kind, account)) = key {
        return match (wire, kind, place) {
            (Wire::Anthropic, KeyKind::AnthropicKey, "x-api-key") => Ok(account.clone()),
            (Wire::Anthropic, KeyKind::SetupToken, "authorization") => has_beta(request, account),
            (Wire::Responses | Wire::Chat, KeyKind::Bearer, "authorization") => Ok(account.clone()),
            _ => Err(Denied::Invalid),
        };
    }
    if place != "authorization" {
        return Err(Denied::Invalid);
    }
    let Some(user) = state.tokens.bearer(&hash, now) else {
        return Err(if state.tokens.family_of(&hash).is_some() { Denied::Ended } else { Denied::Invalid });
    };
    match wire {
        Wire::Anthropic => has_beta(request, &user.account),
        Wire::Codex if request.header("chatgpt-account-id") != Some(&user.account) => {
            Err(Denied::OtherAccount)
        }
        _ => Ok(user.account.clone()),
    }
}

/// What `claude setup-token` makes is for inference only.
pub(super) fn may_not_look(state: &State, held: Option<(&'static str, &str)>) -> bool {
    let key = held.and_then(|(_, secret)| state.keys.get(&TokenHash::of(&Secret::from(secret))));
    matches!(key, Some((KeyKind::SetupToken, _)))
}

fn has_beta(request: &Request, account: &str) -> Result<String, Denied> {
    let betas = request.header("anthropic-beta").unwrap_or_default();
    let has = betas.split(',').any(|beta| beta.trim() == "oauth-2025-04-20");
    if has || is_company(request) { Ok(account.to_owned()) } else { Err(Denied::NoBeta) }
}

/// A company's own proxy takes the tokens of its own login: as a bearer, whatever stands beside it, and as they are.
fn is_company(request: &Request) -> bool {
    request.path.starts_with("/company/")
}

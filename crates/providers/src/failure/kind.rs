//! From the facts of an answer to what it means.

use coderclaw_types::{Code, Millis};

use super::body::Said;
use super::reset::{Times, Window, unified_windows};
use super::words;
use crate::words::ApiKind;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// A known word says that the token or key has ended or is wrong.
    Rejected,
    /// A 401 that says nothing known. A new token may help; nothing is known to be wrong with the login.
    Unauthorized,
    /// A known word says that the token was revoked.
    Revoked,
    /// The owner has to act at the provider: verify, ask for a suspension to be lifted, take another plan.
    AccountBlocked,
    /// The credential works and is not allowed here. It stays as it is.
    NotPermitted,
    /// Credit is used up, or a bill is open.
    Billing,
    /// The subscription's usage limit is reached.
    UsageLimit,
    /// Too many requests for this account.
    RateLimit,
    /// Too many requests for this model, or a limit of one model family.
    ModelLimit,
    /// The provider has no such model.
    ModelNotFound,
    /// The conversation is too long for the model.
    ContextOverflow,
    /// The request is too large.
    TooLarge,
    /// The request is wrong in itself.
    BadRequest,
    /// The provider is overloaded or broken.
    Unavailable,
    /// No connection, or a stream that ended before its end.
    Network,
    /// Nothing that is known.
    Unknown,
}

/// What a failure speaks about, and so what it may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The secret that was sent.
    Credential,
    /// The account behind it, whatever secret is sent.
    Account,
    /// The model that was asked for.
    Model,
    /// This request.
    Request,
    /// The provider, the network, or nobody knows.
    Service,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::Rejected,
        Self::Unauthorized,
        Self::Revoked,
        Self::AccountBlocked,
        Self::NotPermitted,
        Self::Billing,
        Self::UsageLimit,
        Self::RateLimit,
        Self::ModelLimit,
        Self::ModelNotFound,
        Self::ContextOverflow,
        Self::TooLarge,
        Self::BadRequest,
        Self::Unavailable,
        Self::Network,
        Self::Unknown,
    ];

    /// What it speaks about. Only [`Scope::Credential`] and [`Scope::Account`] say anything about a profile.
    pub fn scope(self) -> Scope {
        match self {
            Self::Rejected | Self::Unauthorized | Self::Revoked => Scope::Credential,
            Self::AccountBlocked | Self::Billing | Self::UsageLimit | Self::RateLimit => Scope::Account,
            Self::ModelLimit | Self::ModelNotFound => Scope::Model,
            Self::NotPermitted | Self::ContextOverflow | Self::TooLarge | Self::BadRequest => Scope::Request,
            Self::Unavailable | Self::Network | Self::Unknown => Scope::Service,
        }
    }

    /// The code of the one table.
    pub fn code(self) -> Code {
        match self {
            Self::Rejected | Self::Unauthorized => Code::Rejected,
            Self::Revoked => Code::Revoked,
            Self::AccountBlocked => Code::AccountBlocked,
            Self::NotPermitted => Code::NotPermitted,
            Self::Billing => Code::Disabled,
            Self::UsageLimit => Code::UsageLimit,
            Self::RateLimit => Code::RateLimited,
            Self::ModelLimit => Code::ModelLimit,
            Self::ModelNotFound => Code::ModelNotFound,
            Self::ContextOverflow => Code::ContextOverflow,
            Self::TooLarge => Code::TooLarge,
            Self::BadRequest => Code::BadRequest,
            Self::Unavailable => Code::Unavailable,
            Self::Network => Code::Unreachable,
            Self::Unknown => Code::ModelError,
        }
    }
}

/// The kind of an answer, and the end of the limit where the headers' own windows say which one is reached.
pub(super) fn of_answer(
    api: ApiKind,
    status: u16,
    headers: &[(String, String)],
    said: &Said,
    times: &Times<'_>,
) -> (FailureKind, Option<Millis>) {
    use FailureKind as Kind;
    if status == 429 && api == ApiKind::AnthropicMessages {
        match unified_windows(headers) {
            Some(Window::Account(end)) => return (Kind::UsageLimit, end.and_then(|end| times.local(end))),
            Some(Window::Model(end)) => return (Kind::ModelLimit, end.and_then(|end| times.local(end))),
            None => {}
        }
    }
    let kind = match status {
        // A server that fails does not know what is wrong with anybody's login, whatever its body says.
        408 | 425 | 500.. => Kind::Unavailable,
        400..=499 if !said.is_page => words::known(said).unwrap_or_else(|| plain(status, said)),
        // A page of a proxy, a firewall or a captive portal.
        429 => Kind::Unavailable,
        413 => Kind::TooLarge,
        _ => Kind::Unknown,
    };
    (kind, None)
}

/// What a status means where no word is known.
fn plain(status: u16, said: &Said) -> FailureKind {
    use FailureKind as Kind;
    match status {
        401 => Kind::Unauthorized,
        402 => Kind::Billing,
        403 if said.is_json => Kind::NotPermitted,
        404 if said.is_json => Kind::ModelNotFound,
        400 | 422 => Kind::BadRequest,
        413 => Kind::TooLarge,
        429 => words::limit_of(said),
        _ => Kind::Unknown,
    }
}

/// The kind of an error in the middle of a stream.
pub(super) fn of_event(said: &Said) -> FailureKind {
    if !said.is_json {
        return FailureKind::Unknown;
    }
    let kind = words::known(said).or_else(|| words::of_service(said));
    kind.unwrap_or(FailureKind::Unknown)
}

//! What an answer of the token endpoint means for the token that was sent.

use std::time::Duration;

use coderclaw_http::{Answer, NotSentWhy, SendError};
use coderclaw_types::{Millis, code_word};
use serde_json::Value;

use crate::strict_json;
use crate::token_set::TokenSet;
use crate::words::for_people;

/// Longer than this nobody is made to wait by a `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The codes with which a server says that a refresh token is dead: RFC 6749 section 5.2's, and those that OpenAI's servers
/// use beside it. Anything else leaves the token alone, because a mistake here costs the user a login.
const TERMINAL: &[&str] = &[
    "invalid_grant",
    "refresh_token_reused",
    "refresh_token_invalidated",
    "refresh_token_expired",
    "invalid_refresh_token",
    "token_expired",
    "token_invalidated",
    "token_revoked",
];

/// Anthropic's word, with a 404, for a refresh token that it does not know.
const NOT_FOUND: &str = "not_found_error";

/// What became of one request to the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshAnswer {
    /// New tokens.
    Granted(TokenSet),
    /// The server named a code that ends this token.
    Refused {
        /// In lower case.
        code: String,
        /// The server's words, fit to be shown.
        description: Option<String>,
    },
    /// A complete answer that leaves the token as it was.
    NotSpent {
        /// The HTTP status.
        status: Option<u16>,
        /// The code, where the body names one; in lower case.
        code: Option<String>,
        /// The server's words, fit to be shown.
        description: Option<String>,
        /// How long the server wants to be left alone; at most an hour.
        retry_after: Option<Duration>,
        /// Whether this was a 429.
        rate_limited: bool,
    },
    /// Nobody knows whether the token was spent.
    Ambiguous {
        /// The HTTP status, where one arrived.
        status: Option<u16>,
        /// For people.
        why: String,
    },
    /// The request never left.
    Offline {
        /// What stood in the way.
        why: NotSentWhy,
        /// For people.
        detail: String,
    },
}

/// Reads the outcome of a token request.
pub fn read_answer(outcome: Result<Answer, SendError>) -> RefreshAnswer {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(SendError::NotSent { why, detail }) => return RefreshAnswer::Offline { why, detail },
        Err(SendError::Lost { status, detail, .. }) => {
            return RefreshAnswer::Ambiguous { status, why: detail };
        }
    };
    let ambiguous = |why: String| RefreshAnswer::Ambiguous { status: Some(answer.status), why };
    match answer.status {
        200..=299 => TokenSet::read(&answer).map_or_else(
            || ambiguous("the answer says success and holds no usable token".into()),
            RefreshAnswer::Granted,
        ),
        // Said by somebody in between, or after a wait: the server behind may have done its work.
        status @ (408 | 502 | 504 | 520..=529) => {
            ambiguous(format!("the answer was {status}, which may come from a server in between"))
        }
        status => no_success(&answer, status),
    }
}

fn no_success(answer: &Answer, status: u16) -> RefreshAnswer {
    let body = strict_json::parse(&answer.body);
    let code = body.as_ref().and_then(error_code);
    let description = match &body {
        Some(body) => description(body),
        None if looks_like_a_page(answer) => {
            Some("the answer is a web page: something in between may block this network or region".into())
        }
        None => None,
    };
    let terminal = |code: &str| TERMINAL.contains(&code) || (status == 404 && code == NOT_FOUND);
    match code {
        Some(code) if matches!(status, 400 | 401 | 403 | 404) && terminal(&code) => {
            RefreshAnswer::Refused { code, description }
        }
        code => RefreshAnswer::NotSpent {
            status: Some(status),
            code,
            description,
            retry_after: retry_after(answer),
            rate_limited: status == 429,
        },
    }
}

/// `error.code`, `error` itself, `error.type`, `code`: the first that is a word.
pub(crate) fn error_code(body: &Value) -> Option<String> {
    let places = ["/error/code", "/error", "/error/type", "/code"];
    places.iter().find_map(|place| code_word(body.pointer(place)?.as_str()?))
}

pub(crate) fn description(body: &Value) -> Option<String> {
    let places = ["/error_description", "/error/message", "/message", "/detail"];
    places.iter().find_map(|place| for_people(body.pointer(place)?.as_str()?))
}

pub(crate) fn looks_like_a_page(answer: &Answer) -> bool {
    let said = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    said || answer.body.trim_ascii_start().starts_with(b"<")
}

/// RFC 9110 section 10.2.3: seconds or a date. A date counts from the answer's own `Date`; without that it says nothing,
/// since our clock may be wrong.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let secs = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(secs).min(LONGEST_WAIT));
    }
    let until = Millis::from_http_date(text)?;
    let now = Millis::from_http_date(answer.header("date")?)?;
    Some(until.since(now).min(LONGEST_WAIT))
}

/// A revocation that cannot be counted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider did not confirm that the login has ended: {0}")]
pub struct RevokeFailed(String);

/// Reads the outcome of a revocation. Any 2xx is a yes, also for a token that was dead already (RFC 7009 section 2.2).
///
/// # Errors
/// Where the server said anything else, or nothing.
pub fn read_revocation(outcome: Result<Answer, SendError>) -> Result<(), RevokeFailed> {
    match outcome {
        Ok(answer) if (200..=299).contains(&answer.status) => Ok(()),
        Ok(answer) => {
            let body = strict_json::parse(&answer.body);
            let words = body.and_then(|body| description(&body).or_else(|| error_code(&body)));
            let words = words.map(|words| format!(", {words}")).unwrap_or_default();
            Err(RevokeFailed(format!("HTTP {}{words}", answer.status)))
        }
        Err(error) => Err(RevokeFailed(error.to_string())),
    }
}

#[cfg(test)]
mod tests;

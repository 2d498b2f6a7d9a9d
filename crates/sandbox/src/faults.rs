//! What can be made to go wrong, and what it means for the token that was sent.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Which requests a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Refreshes.
    Refresh,
    /// Exchanges of a code.
    Exchange,
    /// Both: everything at the token endpoint.
    Token,
    /// Revocations.
    Revoke,
    /// Requests for a code for another device.
    Device,
    /// Questions whether such a code has been typed in.
    Poll,
    /// Codes for a key.
    Key,
    /// Short tokens for a long one.
    Access,
    /// Questions for the keys that id tokens are signed with.
    Keys,
}

impl On {
    fn covers(self, request: Self) -> bool {
        self == request || (self == Self::Token && matches!(request, Self::Refresh | Self::Exchange))
    }
}

/// When to try again, as a header says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// As a number of seconds.
    Seconds(u64),
    /// As a date this many seconds from the server's now.
    HttpDate(u64),
}

/// The body of a canned answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// No body.
    Empty,
    /// A page for people, as proxies and captive portals send it.
    Html,
    /// This text, announced as JSON whether it is or not.
    Json(String),
}

/// A canned answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Body,
    /// The header `Retry-After`.
    #[serde(default)]
    pub retry_after: Option<RetryAfter>,
    /// The header `Location`.
    #[serde(default)]
    pub location: Option<String>,
}

impl Reply {
    /// An answer with this status and body.
    pub fn new(status: u16, body: Body) -> Self {
        Self { status, body, retry_after: None, location: None }
    }

    /// The same with a `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, when: RetryAfter) -> Self {
        self.retry_after = Some(when);
        self
    }

    /// The refusal with this code, in the status and shape in which servers send it: `{"error": CODE}` for the codes
    /// of RFC 6749 section 5.2, an error object for the others.
    pub fn error(code: &str) -> Self {
        let status = match code {
            "invalid_client" => 401,
            "invalid_grant"
            | "invalid_request"
            | "invalid_scope"
            | "unauthorized_client"
            | "unsupported_grant_type" => 400,
            "server_error" => 500,
            "temporarily_unavailable" => 503,
            _ => return Self::error_object(401, code),
        };
        let body = json!({ "error": code, "error_description": "grant request is invalid" });
        Self::new(status, Body::Json(body.to_string()))
    }

    /// The refusal with this code as `{"error": {"message", "type", "param", "code"}}`.
    pub fn error_object(status: u16, code: &str) -> Self {
        let message = match code {
            "refresh_token_reused" => {
                "Your refresh token has already been used to generate a new access token. Please try signing in again."
            }
            "refresh_token_invalidated" => "Your session has ended. Please log in again.",
            "refresh_token_expired" => "Your refresh token has expired. Please try signing in again.",
            "token_expired" => "Could not validate your token. Please try signing in again.",
            _ => "The request was refused.",
        };
        let error =
            json!({ "message": message, "type": "invalid_request_error", "param": null, "code": code });
        Self::new(status, Body::Json(json!({ "error": error }).to_string()))
    }
}

/// What `expires_in` says. The claim `exp` and the token itself keep to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresIn {
    /// `0`
    Zero,
    /// `-3600`
    Negative,
    /// `9007199254740993`: hundreds of millions of years, and more than a double can count.
    Huge,
    /// The right number, as a string.
    String,
    /// The right number and a half.
    Float,
    /// No such key.
    Absent,
    /// This number.
    Exact(i64),
}

/// What goes wrong with one request.
///
/// Those that speak of the token's rotation come after it: they need a request that the server would honour. One that
/// it refuses is answered as ever, and the fault waits for the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset with the request unread. Since nobody has read what kind of token request it is, the
    /// next one of any kind is hit. Not rotated.
    DropBeforeRead,
    /// The request is read and the connection closed. Not rotated.
    DropBeforeRotate,
    /// The request is read and nothing happens until the client leaves. Not rotated.
    HangBeforeRotate,
    /// This is answered instead. Not rotated.
    Reply(Reply),
    /// Rotated, and this is answered instead: the success was lost behind a proxy.
    RotateThenReply(Reply),
    /// Rotated, and the connection closed without a byte.
    RotateThenDrop,
    /// Rotated, and the connection closed after a full head and half a body.
    RotateThenHalfBody,
    /// Rotated, and answered after this long.
    RotateThenDelay(Duration),
    /// Rotated, and answered byte by byte with this pause before each byte of the body.
    SlowBody(Duration),
    /// A success without `refresh_token`. Not rotated: the old one stays good.
    NoRefreshToken,
    /// Rotated; the tokens speak of another person in another workspace.
    OtherAccount,
    /// Rotated; the answer has `access_token` and `refresh_token` twice. The second of each is the good one.
    DuplicateKeys,
    /// Rotated; the answer is good JSON of a little over two million bytes.
    HugeBody,
    /// Rotated; `expires_in` is odd.
    ExpiresIn(ExpiresIn),
    /// Rotated; `token_type` is this or, with `None`, absent.
    TokenType(Option<String>),
    /// Rotated; `earliest_refresh_at` is this JSON, which is not enforced. What is enforced is the policy's.
    EarliestRefreshAt(Value),
}

impl Fault {
    /// 200 with a page for people: a captive portal. Not rotated.
    pub fn html_200() -> Self {
        Self::Reply(Reply::new(200, Body::Html))
    }

    /// This status with a page for people. Not rotated.
    pub fn status(status: u16) -> Self {
        Self::Reply(Reply::new(status, Body::Html))
    }

    /// The refusal with this code, which is a lie: the token stays good. Not rotated.
    pub fn error(code: &str) -> Self {
        Self::Reply(Reply::error(code))
    }

    /// 307 to this address, with the method and the body that follow it. Not rotated.
    pub fn redirect(location: &str) -> Self {
        Self::Reply(Reply { location: Some(location.to_owned()), ..Reply::new(307, Body::Empty) })
    }

    /// Whether the server has spent the token (if its policy is to rotate) by the time that this goes wrong.
    pub fn rotates(&self) -> bool {
        self.after_success() && *self != Self::NoRefreshToken
    }

    /// Whether the request is carried out first.
    pub(crate) fn after_success(&self) -> bool {
        !matches!(
            self,
            Self::DropBeforeRead | Self::DropBeforeRotate | Self::HangBeforeRotate | Self::Reply(_)
        )
    }

    /// The name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DropBeforeRead => "drop_before_read",
            Self::DropBeforeRotate => "drop_before_rotate",
            Self::HangBeforeRotate => "hang_before_rotate",
            Self::Reply(_) => "reply",
            Self::RotateThenReply(_) => "rotate_then_reply",
            Self::RotateThenDrop => "rotate_then_drop",
            Self::RotateThenHalfBody => "rotate_then_half_body",
            Self::RotateThenDelay(_) => "rotate_then_delay",
            Self::SlowBody(_) => "slow_body",
            Self::NoRefreshToken => "no_refresh_token",
            Self::OtherAccount => "other_account",
            Self::DuplicateKeys => "duplicate_keys",
            Self::HugeBody => "huge_body",
            Self::ExpiresIn(_) => "expires_in",
            Self::TokenType(_) => "token_type",
            Self::EarliestRefreshAt(_) => "earliest_refresh_at",
        }
    }

    /// A good token answer as this fault leaves it.
    pub(crate) fn spoil(&self, mut good: Map<String, Value>) -> String {
        match self {
            Self::NoRefreshToken => {
                good.shift_remove("refresh_token");
            }
            Self::ExpiresIn(how) => {
                let right = good.get("expires_in").and_then(Value::as_i64).unwrap_or(0);
                let value = match how {
                    ExpiresIn::Zero => json!(0),
                    ExpiresIn::Negative => json!(-3600),
                    ExpiresIn::Huge => json!(9_007_199_254_740_993_i64),
                    ExpiresIn::String => json!(right.to_string()),
                    ExpiresIn::Float => return with_float(good, right),
                    ExpiresIn::Absent => {
                        good.shift_remove("expires_in");
                        return Value::Object(good).to_string();
                    }
                    ExpiresIn::Exact(secs) => json!(secs),
                };
                good.insert("expires_in".into(), value);
            }
            Self::TokenType(Some(name)) => {
                good.insert("token_type".into(), json!(name));
            }
            Self::TokenType(None) => {
                good.shift_remove("token_type");
            }
            Self::EarliestRefreshAt(value) => {
                good.insert("earliest_refresh_at".into(), value.clone());
            }
            Self::HugeBody => {
                good.insert("padding".into(), json!("x".repeat(2_000_000)));
            }
            Self::DuplicateKeys => {
                let text = Value::Object(good).to_string();
                let decoys = r#"{"access_token":"sandbox-decoy","refresh_token":"sandbox-rt-decoy","#;
                return text.replacen('{', decoys, 1);
            }
            _ => {}
        }
        Value::Object(good).to_string()
    }
}

fn with_float(mut good: Map<String, Value>, right: i64) -> String {
    good.insert("expires_in".into(), json!(right as f64 + 0.5));
    Value::Object(good).to_string()
}

/// Faults that wait for their request.
#[derive(Debug, Default)]
pub(crate) struct Faults(VecDeque<(On, Fault)>);

impl Faults {
    pub(crate) fn push(&mut self, on: On, fault: Fault, times: usize) {
        self.0.extend(std::iter::repeat_n((on, fault), times));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn position(&self, request: On) -> Option<usize> {
        self.0.iter().position(|(on, _)| on.covers(request))
    }

    /// The fault that is next for such a request, left in the queue.
    pub(crate) fn peek(&self, request: On) -> Option<&Fault> {
        self.position(request).map(|at| &self.0[at].1)
    }

    /// The fault that is next for such a request.
    pub(crate) fn take(&mut self, request: On) -> Option<Fault> {
        let at = self.position(request)?;
        self.0.remove(at).map(|(_, fault)| fault)
    }

    /// Whether the next token request is to be dropped unread; that fault is used up then.
    pub(crate) fn take_unread(&mut self) -> bool {
        let next = self.0.iter().position(|(on, _)| matches!(on, On::Refresh | On::Exchange | On::Token));
        let hit = next.filter(|at| self.0[*at].1 == Fault::DropBeforeRead);
        hit.and_then(|at| self.0.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_wait_for_their_kind_in_order() {
        let mut faults = Faults::default();
        faults.push(On::Revoke, Fault::status(500), 1);
        faults.push(On::Refresh, Fault::HugeBody, 2);
        faults.push(On::Token, Fault::DropBeforeRead, 1);
        assert!(!faults.take_unread(), "another token fault is first");
        assert_eq!(faults.take(On::Exchange), Some(Fault::DropBeforeRead));
        assert_eq!(faults.take(On::Refresh), Some(Fault::HugeBody));
        assert_eq!(faults.peek(On::Refresh), Some(&Fault::HugeBody));
        assert_eq!(faults.take(On::Refresh), Some(Fault::HugeBody));
        assert_eq!(faults.take(On::Refresh), None);
        assert!(faults.take(On::Revoke).is_some());
    }

    #[test]
    fn faults_survive_json() {
        for fault in [
            Fault::RotateThenDrop,
            Fault::RotateThenDelay(Duration::from_secs(2)),
            Fault::error("refresh_token_reused"),
            Fault::TokenType(None),
            Fault::ExpiresIn(ExpiresIn::Exact(7)),
        ] {
            let text = serde_json::to_string(&fault).unwrap();
            assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault, "{text}");
            assert!(text.contains(fault.name()), "{text}");
        }
    }
}

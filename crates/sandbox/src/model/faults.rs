//! What a model API can be made to answer, each in the words of its dialect.

use std::collections::VecDeque;
use std::time::Duration;

use coderclaw_types::Millis;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::dialect::{self, Wire};
use crate::dates::http_date;
use crate::faults::Reply;
use crate::http::Response;

/// What goes wrong with one model request. Times are seconds from the server's now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFault {
    /// The subscription's limit is reached until then.
    UsageLimit(u64),
    /// The limit of one model family is reached until then.
    ModelUsageLimit(u64),
    /// Too many requests of this account; with a `Retry-After`, or without.
    RateLimit(Option<u64>),
    /// Too many requests for this model.
    ModelRateLimit(Option<u64>),
    /// 401: the token has expired, whatever it says itself.
    Expired,
    /// The token was revoked.
    Revoked,
    /// 401 in words that nobody knows.
    Unauthorized,
    /// Credit is used up.
    Billing,
    /// 403: not allowed with this credential.
    Forbidden,
    /// 403: the owner has to verify the account.
    Verify,
    /// The service is overloaded.
    Overloaded,
    /// This status with a page for people.
    Page(u16),
    /// This answer.
    Reply(Reply),
    /// The stream begins, and an error event says that the token has ended.
    ExpiresMidStream,
    /// The stream begins, and an error event says that the service is overloaded.
    OverloadedMidStream,
    /// The stream begins, and an error event says that the usage limit is reached until then.
    LimitMidStream(u64),
    /// The stream ends in good order without its last events.
    EndsEarly,
    /// The connection breaks before the stream's last events.
    Cut,
    /// The stream begins, and nothing follows until the client leaves.
    Stall,
    /// The stream holds bytes that are no events, no JSON and no text, then goes on.
    Garbage,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    Cut,
    Stall,
}

/// A stream to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) end: End,
    /// The gate that holds its chunks.
    pub(crate) gate: Option<u64>,
    /// Its place in the log.
    pub(crate) entry: usize,
}

impl ModelFault {
    /// The name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UsageLimit(_) => "usage_limit",
            Self::ModelUsageLimit(_) => "model_usage_limit",
            Self::RateLimit(_) => "rate_limit",
            Self::ModelRateLimit(_) => "model_rate_limit",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unauthorized => "unauthorized",
            Self::Billing => "billing",
            Self::Forbidden => "forbidden",
            Self::Verify => "verify",
            Self::Overloaded => "overloaded",
            Self::Page(_) => "page",
            Self::Reply(_) => "reply",
            Self::ExpiresMidStream => "expires_mid_stream",
            Self::OverloadedMidStream => "overloaded_mid_stream",
            Self::LimitMidStream(_) => "limit_mid_stream",
            Self::EndsEarly => "ends_early",
            Self::Cut => "cut",
            Self::Stall => "stall",
            Self::Garbage => "garbage",
        }
    }

    /// Whether it takes the place of the answer.
    pub(super) fn instead(&self) -> bool {
        !matches!(
            self,
            Self::ExpiresMidStream
                | Self::OverloadedMidStream
                | Self::LimitMidStream(_)
                | Self::EndsEarly
                | Self::Cut
                | Self::Stall
                | Self::Garbage
        )
    }

    /// The answer that is given instead.
    pub(super) fn reply(&self, wire: Wire, now: Millis) -> Response {
        let claude = wire == Wire::Anthropic;
        let error = |status, kind: &str, message: &str| dialect::error(wire, status, kind, message);
        let unix = |secs: u64| now.plus(Duration::from_secs(secs)).0.div_euclid(1000).to_string();
        let limit = |retry: &Option<u64>, response: Response| match retry {
            Some(secs) => response.with("Retry-After", secs.to_string()),
            None => response,
        };
        match self {
            Self::UsageLimit(secs) if claude => {
                error(429, "rate_limit_error", "This request would exceed your account's rate limit.")
                    .with("Retry-After", secs.to_string())
                    .with("anthropic-ratelimit-unified-status", "rejected".into())
                    .with("anthropic-ratelimit-unified-reset", unix(*secs))
                    .with("anthropic-ratelimit-unified-5h-status", "rejected".into())
                    .with("anthropic-ratelimit-unified-5h-reset", unix(*secs))
                    .with("anthropic-ratelimit-unified-7d-status", "allowed".into())
                    .with("anthropic-ratelimit-unified-representative-claim", "five_hour".into())
            }
            Self::UsageLimit(secs) => {
                let at: i64 = unix(*secs).parse().unwrap_or(0);
                let body = json!({ "error": {
                    "type": "usage_limit_reached", "message": "The usage limit has been reached",
                    "plan_type": "plus", "resets_at": at, "resets_in_seconds": secs,
                }});
                Response::json(429, body.to_string())
                    .with("x-codex-primary-used-percent", "100".into())
                    .with("x-codex-primary-window-minutes", "300".into())
                    .with("x-codex-primary-reset-at", unix(*secs))
            }
            Self::ModelUsageLimit(secs) if claude => error(
                429,
                "rate_limit_error",
                "This request would exceed the rate limit of this model family.",
            )
            .with("anthropic-ratelimit-unified-status", "rejected".into())
            .with("anthropic-ratelimit-unified-5h-status", "allowed".into())
            .with("anthropic-ratelimit-unified-7d-status", "allowed".into())
            .with("anthropic-ratelimit-unified-7d_oi-status", "rejected".into())
            .with("anthropic-ratelimit-unified-7d_oi-reset", unix(*secs))
            .with("anthropic-ratelimit-unified-representative-claim", "seven_day_opus".into()),
            Self::ModelUsageLimit(secs) => {
                limit(&Some(*secs), error(429, "rate_limit_exceeded", "Rate limit reached for this model."))
            }
            Self::RateLimit(retry) if claude => limit(
                retry,
                error(429, "rate_limit_error", "Number of requests has exceeded your rate limit."),
            ),
            Self::RateLimit(retry) => {
                limit(retry, error(429, "rate_limit_exceeded", "Too many requests. Slow down."))
            }
            Self::ModelRateLimit(retry) => {
                let kind = if claude { "rate_limit_error" } else { "rate_limit_exceeded" };
                limit(retry, error(429, kind, "Rate limit reached for sandbox-model in organization org-1."))
            }
            Self::Expired if claude => error(
                401,
                "authentication_error",
                "OAuth token has expired. Please obtain a new token or refresh your existing token.",
            ),
            Self::Expired => error(401, "token_expired", "Provided authentication token is expired."),
            Self::Revoked if claude => {
                error(403, "permission_error", "OAuth token has been revoked. Please obtain a new token.")
            }
            Self::Revoked => error(401, "token_revoked", "The token has been revoked."),
            Self::Unauthorized => Response::json(401, json!({ "detail": "Unauthorized" }).to_string()),
            Self::Billing if claude => error(
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
            ),
            Self::Billing => {
                error(429, "insufficient_quota", "You exceeded your current quota, please check your plan.")
            }
            Self::Forbidden if claude => error(
                403,
                "permission_error",
                "This credential is only authorized for use with another program.",
            ),
            Self::Forbidden => error(403, "permission_denied", "Not allowed with this credential."),
            Self::Verify => error(403, "verification_required", "Please verify your account to continue."),
            Self::Overloaded if claude => error(529, "overloaded_error", "Overloaded"),
            Self::Overloaded => error(503, "server_is_overloaded", "The server is overloaded."),
            Self::Page(status) => Response::page(*status, "<h1>Blocked</h1>"),
            Self::Reply(reply) => Response::canned(reply, now),
            _ => Response::empty(500).with("Date", http_date(now)),
        }
    }

    /// The stream as this fault leaves it.
    pub(super) fn spoil(&self, wire: Wire, chunks: &mut Vec<Vec<u8>>, now: Millis) -> End {
        let cut = chunks.len() - dialect::tail(wire);
        let claude = wire == Wire::Anthropic;
        let event = |kind: &str, message: &str| match wire {
            Wire::Anthropic => dialect::named(&dialect::error_body(wire, kind, message)),
            Wire::Chat => format!("data: {}\n\n", dialect::error_body(wire, kind, message)),
            Wire::Responses | Wire::Codex => dialect::named(&json!({
                "type": "response.failed",
                "response": { "status": "failed", "error": { "code": kind, "message": message } },
            })),
        };
        let mut error_at_end = |text: String| {
            chunks.truncate(cut);
            chunks.push(text.into_bytes());
        };
        match self {
            Self::ExpiresMidStream => {
                let kind = if claude { "authentication_error" } else { "token_expired" };
                error_at_end(event(kind, "The token has expired."));
            }
            Self::OverloadedMidStream => {
                let kind = if claude { "overloaded_error" } else { "server_is_overloaded" };
                error_at_end(event(kind, "Overloaded"));
            }
            Self::LimitMidStream(secs) => {
                let at = now.plus(Duration::from_secs(*secs)).0.div_euclid(1000);
                let error = json!({
                    "type": "usage_limit_reached", "code": "usage_limit_reached", "resets_at": at,
                    "message": "The usage limit has been reached", "resets_in_seconds": secs,
                });
                let whole = match wire {
                    Wire::Responses | Wire::Codex => {
                        json!({ "type": "response.failed", "response": { "status": "failed", "error": error } })
                    }
                    _ => json!({ "type": "error", "error": error }),
                };
                error_at_end(dialect::named(&whole));
            }
            Self::EndsEarly => chunks.truncate(cut),
            Self::Cut => {
                chunks.truncate(cut);
                return End::Cut;
            }
            Self::Stall => {
                chunks.truncate(cut);
                return End::Stall;
            }
            Self::Garbage => {
                let garbage: &[&[u8]] = &[
                    b"\xff\xfe\x00\n\n",
                    b"data: {not json\n\n",
                    b"event: nobody.knows\ndata: [1, 2]\n\n",
                    b": hm\n\n",
                ];
                let garbage = garbage.iter().map(|bytes| bytes.to_vec());
                chunks.splice(1..1, garbage);
            }
            _ => {}
        }
        End::Whole
    }
}

/// A fault that waits for its request.
#[derive(Debug)]
struct Waiting {
    /// Only for a request of this account.
    account: Option<String>,
    /// Not for a request that only lists models.
    is_for_turns: bool,
    fault: ModelFault,
}

/// Faults that wait, first come, first served.
#[derive(Debug, Default)]
pub(crate) struct ModelFaults(VecDeque<Waiting>);

impl ModelFaults {
    pub(crate) fn push(&mut self, account: Option<&str>, fault: &ModelFault, times: usize) {
        self.add(account, false, fault, times);
    }

    pub(crate) fn push_for_turns(&mut self, fault: &ModelFault, times: usize) {
        self.add(None, true, fault, times);
    }

    fn add(&mut self, account: Option<&str>, is_for_turns: bool, fault: &ModelFault, times: usize) {
        for _ in 0..times {
            let (account, fault) = (account.map(str::to_owned), fault.clone());
            self.0.push_back(Waiting { account, is_for_turns, fault });
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn take(&mut self, account: Option<&str>, is_turn: bool) -> Option<ModelFault> {
        let fits = |one: &Waiting| {
            (one.account.is_none() || one.account.as_deref() == account) && (is_turn || !one.is_for_turns)
        };
        let at = self.0.iter().position(fits)?;
        self.0.remove(at).map(|one| one.fault)
    }
}

//! Answers of the gateway's own: in the client's own error envelope, with a status that makes it stop or wait.
//!
//! The status decides what a coding tool does. Measured, with a key that a command prints, as `coderclaw connect` sets them
//! up: Claude Code 2.1.330 tries again for minutes after a 401 or a 403; Codex CLI 0.169.0 five times after 401, 402 or 403;
//! both stop at a 400, and show its words. Both stop at a limit if they are told of it in the provider's words.

use coderclaw_providers::ApiKind;
use coderclaw_types::{Code, Millis, span};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::answer::Answer;

/// Says which of our codes an answer is; only the gateway's own answers have it.
const CODE: HeaderName = HeaderName::from_static("x-coderclaw-code");

/// The dialect that a client speaks, as far as errors go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Anthropic,
    OpenAi,
}

impl Shape {
    pub(crate) fn of(kind: Option<ApiKind>) -> Self {
        match kind {
            Some(ApiKind::AnthropicMessages) => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }

    /// A guess, for what is refused before its way is known.
    pub(crate) fn guess(path: &str, headers: &HeaderMap) -> Self {
        let is_path = path.starts_with("/anthropic/") || path.starts_with("/v1/messages");
        if is_path || headers.contains_key("anthropic-version") { Self::Anthropic } else { Self::OpenAi }
    }
}

/// A request that is not passed on, or whose answer is not passed back.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: u16,
    pub(crate) code: Code,
    message: String,
    until: Option<Millis>,
    closes: bool,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), until: None, closes: false }
    }

    /// Nobody who may come in: the status at which this client stops.
    pub(crate) fn stranger(shape: Shape, message: impl Into<String>) -> Self {
        Self::new(at_which_it_stops(shape), Code::GatewayKeyRefused, message)
    }

    /// What stands in the way of a login, as an answer. `command` is what a person types next.
    pub(crate) fn of_login(
        shape: Shape,
        code: Code,
        why: &str,
        until: Option<Millis>,
        command: &str,
        now: Millis,
    ) -> Self {
        let status = match code {
            Code::Cooldown | Code::UsageLimit | Code::RateLimited => 429,
            Code::Disabled => 402,
            Code::Offline | Code::RefreshInProgress | Code::Locked | Code::WorkerFailed | Code::NotReady => {
                503
            }
            _ => at_which_it_stops(shape),
        };
        let until = until.filter(|until| *until > now);
        let when = until.map(|until| format!(" (for {} more)", span(until.since(now)))).unwrap_or_default();
        let next = if command.is_empty() { String::new() } else { format!(" Type: {command}") };
        let why = why.trim_end_matches('.');
        Self { until, ..Self::new(status, code, format!("CoderClaw: {why}{when}.{next}")) }
    }

    /// The connection ends with the answer.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The same for a program that is known to go on for minutes where others stop.
    #[must_use]
    pub(crate) fn heard_by(mut self, client: &HeaderMap) -> Self {
        let agent = client.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let goes_on = agent.starts_with("claude-cli/") || agent.starts_with("codex_");
        if goes_on && matches!(self.status, 401..=403) {
            self.status = 400;
        }
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn answer(&self, shape: Shape, now: Millis) -> Response<Answer> {
        let left = self.until.map(|until| until.since(now).as_secs().max(1));
        let body = match shape {
            Shape::Anthropic => {
                json!({"type": "error", "error": {"type": self.anthropic(), "message": self.message}})
            }
            Shape::OpenAi => self.openai(left),
        };
        let mut response = Response::new(Answer::whole(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CODE, HeaderValue::from_static(self.code.as_str()));
        if self.closes {
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(left) = left {
            headers.insert(RETRY_AFTER, HeaderValue::from(left));
        }
        if self.status == 429 && shape == Shape::Anthropic {
            // Without it, Claude Code takes the limit for a short one and tries again.
            headers.insert("anthropic-ratelimit-unified-status", HeaderValue::from_static("rejected"));
            if let Some(until) = self.until {
                headers.insert("anthropic-ratelimit-unified-reset", HeaderValue::from(unix(until)));
            }
        }
        response
    }

    fn anthropic(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            503 => "overloaded_error",
            _ => "api_error",
        }
    }

    fn openai(&self, left: Option<u64>) -> Value {
        let kind = match self.status {
            429 => "usage_limit_reached",
            401 | 403 => "authentication_error",
            402 => "insufficient_quota",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        let mut error =
            json!({"message": self.message, "type": kind, "param": null, "code": self.code.as_str()});
        if let (429, Some(until), Some(left)) = (self.status, self.until, left) {
            error["resets_at"] = json!(unix(until));
            error["resets_in_seconds"] = json!(left);
        }
        json!({ "error": error })
    }
}

fn at_which_it_stops(shape: Shape) -> u16 {
    match shape {
        Shape::Anthropic => 403,
        Shape::OpenAi => 401,
    }
}

/// Rounded up: a second too early would be refused again.
fn unix(at: Millis) -> i64 {
    at.0.saturating_add(999).div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where others stop, these two go on for up to minutes; what they wait for, or may try again, stays as it is.
    #[test]
    fn programs_that_would_go_on_are_stopped() {
        let heard = |agent: &'static str, status| {
            let mut client = HeaderMap::new();
            client.insert(USER_AGENT, HeaderValue::from_static(agent));
            Refusal::new(status, Code::NeedsLogin, "x").heard_by(&client).status()
        };
        for agent in
            ["claude-cli/2.1.330 (external, sdk-cli)", "codex_exec/0.169.0 (x)", "codex_cli_rs/0.169.0"]
        {
            for (status, is_told) in [(401, 400), (402, 400), (403, 400), (404, 404), (429, 429), (503, 503)]
            {
                assert_eq!(heard(agent, status), is_told, "{agent}");
            }
        }
        for agent in ["OpenAI/Python 3.57.0", "curl/8", "my-claude-cli/1", ""] {
            assert_eq!((heard(agent, 401), heard(agent, 403)), (401, 403), "{agent}");
        }
        assert_eq!(Refusal::new(401, Code::NeedsLogin, "x").heard_by(&HeaderMap::new()).status(), 401);
    }
}

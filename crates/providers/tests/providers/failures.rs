//! What model APIs say, and what it means: bodies as providers send them.

use coderclaw_providers::{ApiKind, Failure, FailureKind, Scope, read_event_failure, read_failure};
use coderclaw_types::{Code, Millis};
use proptest::prelude::*;

use FailureKind as Kind;

const NOW: Millis = Millis(1_800_000_000_000);
/// `NOW` as a server whose clock agrees writes it.
const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
/// Five minutes later.
const LATER: &str = "Fri, 15 Jan 2027 08:05:00 GMT";

const CLAUDE: ApiKind = ApiKind::AnthropicMessages;
const RESPONSES: ApiKind = ApiKind::OpenAiResponses;
const CHAT: ApiKind = ApiKind::OpenAiChat;

fn headers(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn read(api: ApiKind, status: u16, head: &str, body: &str) -> Failure {
    read_failure(api, status, &headers(head), body.as_bytes(), NOW)
}

fn claude(kind: &str, message: &str) -> String {
    format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#)
}

fn openai(code: &str, message: &str) -> String {
    format!(
        r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":"{code}"}}}}"#
    )
}

fn typed(kind: &str, rest: &str) -> String {
    format!(r#"{{"error":{{"type":"{kind}","message":"m"{rest}}}}}"#)
}

const PAGE: &str = "<!doctype html><h1>Sorry, authentication_error, your credit balance is too low</h1>";

/// D7: only known words end anything for good; a page, an unknown code and a broken server are passing troubles.
#[test]
fn d7_answers_and_what_they_mean() {
    let sharing = |word: &str| openai(&format!("subscription_sharing_{word}"), "m");
    let table: &[(ApiKind, u16, String, Kind)] = &[
        // Anthropic.
        (CLAUDE, 400, claude("invalid_request_error", "max_tokens: required"), Kind::BadRequest),
        (
            CLAUDE,
            400,
            claude("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
            Kind::Billing,
        ),
        (
            CLAUDE,
            400,
            claude("invalid_request_error", "This organization has been disabled."),
            Kind::AccountBlocked,
        ),
        (
            CLAUDE,
            400,
            claude("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            Kind::ContextOverflow,
        ),
        (CLAUDE, 401, claude("authentication_error", "invalid x-api-key"), Kind::Rejected),
        (CLAUDE, 401, claude("authentication_error", "OAuth token has expired. Please"), Kind::Rejected),
        (CLAUDE, 402, claude("billing_error", "m"), Kind::Billing),
        (
            CLAUDE,
            403,
            claude("permission_error", "OAuth token has been revoked. Please obtain a new token."),
            Kind::Revoked,
        ),
        (
            CLAUDE,
            403,
            claude("permission_error", "OAuth token does not meet scope requirement user:profile"),
            Kind::NotPermitted,
        ),
        (
            CLAUDE,
            403,
            claude("permission_error", "This credential is only authorized for use with Claude Code and"),
            Kind::NotPermitted,
        ),
        (CLAUDE, 404, claude("not_found_error", "model: x"), Kind::ModelNotFound),
        (CLAUDE, 413, claude("request_too_large", "m"), Kind::TooLarge),
        (CLAUDE, 429, claude("rate_limit_error", "m"), Kind::RateLimit),
        (CLAUDE, 500, claude("api_error", "m"), Kind::Unavailable),
        (CLAUDE, 504, claude("timeout_error", "m"), Kind::Unavailable),
        (CLAUDE, 529, claude("overloaded_error", "Overloaded"), Kind::Unavailable),
        // OpenAI, on a ChatGPT plan.
        (RESPONSES, 429, typed("usage_limit_reached", r#","plan_type":"plus""#), Kind::UsageLimit),
        (RESPONSES, 429, typed("usage_not_included", ""), Kind::AccountBlocked),
        (RESPONSES, 429, typed("rate_limit_exceeded", ""), Kind::RateLimit),
        (RESPONSES, 503, openai("server_is_overloaded", "m"), Kind::Unavailable),
        (RESPONSES, 503, openai("slow_down", "m"), Kind::Unavailable),
        (RESPONSES, 401, openai("token_expired", "m"), Kind::Rejected),
        (RESPONSES, 401, openai("token_invalidated", "m"), Kind::Rejected),
        (RESPONSES, 401, r#"{"detail":"Unauthorized"}"#.into(), Kind::Unauthorized),
        (RESPONSES, 401, r#"{"detail":{"error_code":"invalid_token"}}"#.into(), Kind::Rejected),
        (RESPONSES, 400, r#"{"detail":"Store must be set to false"}"#.into(), Kind::BadRequest),
        (RESPONSES, 402, r#"{"detail":"m"}"#.into(), Kind::Billing),
        (RESPONSES, 403, r#"{"detail":"m"}"#.into(), Kind::NotPermitted),
        (RESPONSES, 404, openai("model_not_found", "m"), Kind::ModelNotFound),
        // "Sign in with ChatGPT".
        (RESPONSES, 403, sharing("user_not_eligible"), Kind::AccountBlocked),
        (RESPONSES, 429, sharing("usage_limit_exceeded"), Kind::UsageLimit),
        (RESPONSES, 503, sharing("usage_unavailable"), Kind::Unavailable),
        (RESPONSES, 400, sharing("unsupported_capability"), Kind::BadRequest),
        (RESPONSES, 403, sharing("route_not_supported"), Kind::NotPermitted),
        (RESPONSES, 401, sharing("invalid_user"), Kind::Unauthorized),
        (RESPONSES, 403, openai("chatpass_v2_scope_not_authorized", "m"), Kind::NotPermitted),
        (RESPONSES, 403, openai("chatpass_v2_invalid_authorization_context", "m"), Kind::NotPermitted),
        (RESPONSES, 503, sharing("user_unavailable"), Kind::Unavailable),
        // OpenAI and those who speak like it.
        (CHAT, 401, openai("invalid_api_key", "Incorrect API key provided: sk-canary."), Kind::Rejected),
        (CHAT, 429, openai("insufficient_quota", "You exceeded your current quota"), Kind::Billing),
        (CHAT, 400, openai("context_length_exceeded", "m"), Kind::ContextOverflow),
        (CHAT, 403, openai("verification_required", "m"), Kind::AccountBlocked),
        (
            CHAT,
            429,
            openai("rate_limit_exceeded", "Rate limit reached for model-x in organization org-1 on TPM"),
            Kind::ModelLimit,
        ),
        (CHAT, 429, String::new(), Kind::RateLimit),
        (CHAT, 422, "{}".into(), Kind::BadRequest),
        // Google's dialect: a list, a number for a code, and a status.
        (
            CHAT,
            429,
            r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#.into(),
            Kind::RateLimit,
        ),
        // What nobody knows, and what somebody in between says.
        (CHAT, 401, openai("word_of_next_year", "m"), Kind::Unauthorized),
        (CHAT, 401, "no".into(), Kind::Unauthorized),
        (CHAT, 403, "no".into(), Kind::Unknown),
        (CHAT, 404, "404 page not found".into(), Kind::Unknown),
        (CHAT, 418, "{}".into(), Kind::Unknown),
        (CHAT, 302, String::new(), Kind::Unknown),
        (CHAT, 200, "{}".into(), Kind::Unknown),
        (CHAT, 500, openai("invalid_api_key", "m"), Kind::Unavailable),
        (CHAT, 503, claude("authentication_error", "token has been revoked"), Kind::Unavailable),
        (CHAT, 408, String::new(), Kind::Unavailable),
        (CHAT, 520, PAGE.into(), Kind::Unavailable),
    ];
    for (api, status, body, kind) in table {
        let failure = read(*api, *status, "", body);
        assert_eq!(failure.kind, *kind, "{status} {body}");
        assert_eq!(failure.status, Some(*status));
    }
    for status in [200, 301, 400, 401, 402, 403, 404, 407, 451] {
        for api in ApiKind::ALL {
            let failure = read(*api, status, "", PAGE);
            assert_eq!(failure.kind, Kind::Unknown, "{status}");
            assert!(failure.to_string().contains("web page"));
        }
    }
    assert_eq!(read(CHAT, 429, "content-type: text/html", "busy").kind, Kind::Unavailable);
    assert_eq!(read(CHAT, 413, "", PAGE).kind, Kind::TooLarge);
}

/// D2: which kinds say anything about a profile.
#[test]
fn d2_scopes() {
    for kind in Kind::ALL {
        let expected = match kind {
            Kind::Rejected | Kind::Unauthorized | Kind::Revoked => Scope::Credential,
            Kind::AccountBlocked | Kind::Billing | Kind::UsageLimit | Kind::RateLimit => Scope::Account,
            Kind::ModelLimit | Kind::ModelNotFound => Scope::Model,
            Kind::NotPermitted | Kind::ContextOverflow | Kind::TooLarge | Kind::BadRequest => Scope::Request,
            Kind::Unavailable | Kind::Network | Kind::Unknown => Scope::Service,
        };
        assert_eq!(kind.scope(), expected, "{kind:?}");
        assert_ne!(kind.code(), Code::Ok);
    }
}

/// Errors in the middle of a stream have no status.
#[test]
fn events() {
    let failed = |error: &str| {
        format!(r#"{{"type":"response.failed","response":{{"status":"failed","error":{error}}}}}"#)
    };
    let table = [
        (claude("overloaded_error", "Overloaded"), Kind::Unavailable),
        (claude("api_error", "m"), Kind::Unavailable),
        (claude("authentication_error", "OAuth token has expired."), Kind::Rejected),
        (claude("rate_limit_error", "m"), Kind::RateLimit),
        (claude("invalid_request_error", "m"), Kind::BadRequest),
        (failed(r#"{"code":"context_length_exceeded"}"#), Kind::ContextOverflow),
        (failed(r#"{"code":"insufficient_quota"}"#), Kind::Billing),
        (failed(r#"{"code":"usage_not_included"}"#), Kind::AccountBlocked),
        (failed(r#"{"code":"rate_limit_exceeded","message":"try again in 1.5s"}"#), Kind::RateLimit),
        (failed(r#"{"code":"server_is_overloaded"}"#), Kind::Unavailable),
        (failed(r#"{"code":"cyber_policy"}"#), Kind::BadRequest),
        (failed(r#"{"code":"subscription_sharing_usage_limit_exceeded"}"#), Kind::UsageLimit),
        (failed(r#"{"code":"server_error"}"#), Kind::Unavailable),
        (failed("null"), Kind::Unknown),
        (r#"{"type":"error","code":"token_expired","message":"m","param":null}"#.into(), Kind::Rejected),
        (r#"{"type":"error","error":{"code":"slow_down"}}"#.into(), Kind::Unavailable),
        (r#"{"error":{"message":"m","code":"invalid_api_key"}}"#.into(), Kind::Rejected),
        ("garbage".into(), Kind::Unknown),
        ("[]".into(), Kind::Unknown),
    ];
    for (data, kind) in table {
        let failure = read_event_failure(data.as_bytes(), NOW);
        assert_eq!((failure.kind, failure.status), (kind, None), "{data}");
    }
    let wait = read_event_failure(
        failed(r#"{"code":"rate_limit_exceeded","message":"Try again in 28ms."}"#).as_bytes(),
        NOW,
    );
    assert_eq!(wait.reset, Some(Millis(NOW.0 + 28)));
    let limit = read_event_failure(
        failed(r#"{"type":"usage_limit_reached","resets_at":1800003600,"resets_in_seconds":3600}"#)
            .as_bytes(),
        NOW,
    );
    assert_eq!((limit.kind, limit.reset), (Kind::UsageLimit, Some(Millis(NOW.0 + 3_600_000))));
}

/// D4: the instant that the provider names, in whatever unit, by our own clock.
#[test]
fn d4_reset_times() {
    let body = |rest: &str| typed("usage_limit_reached", rest);
    let at = |secs: f64| Some(secs);
    let table: &[(&str, String, Option<f64>)] = &[
        ("", body(r#","resets_at":1800003600"#), at(3600.0)),
        ("", body(r#","resets_at":"1800003600""#), at(3600.0)),
        ("", body(r#","resets_at":1800003600000"#), at(3600.0)),
        ("", body(r#","resets_at":"2027-01-15T09:00:00Z""#), at(3600.0)),
        ("", body(r#","resets_in_seconds":90"#), at(90.0)),
        // A server that is five minutes ahead, and one whose clock is ours but for a second.
        (&format!("date: {LATER}"), body(r#","resets_at":1800003600"#), at(3300.0)),
        (&format!("date: {DATE}"), body(r#","resets_at":1800003601"#), at(3601.0)),
        ("date: Fri, 15 Jan 2027 07:59:58 GMT", body(r#","resets_at":1800003600"#), at(3600.0)),
        // Without a `Date`, what needs no clock of theirs counts.
        ("", body(r#","resets_at":1800003600,"resets_in_seconds":3000"#), at(3000.0)),
        (&format!("date: {LATER}"), body(r#","resets_at":1800003600,"resets_in_seconds":3000"#), at(3300.0)),
        ("retry-after: 7", typed("rate_limit_exceeded", ""), at(7.0)),
        ("retry-after: 0.5", typed("rate_limit_exceeded", ""), at(0.5)),
        ("retry-after-ms: 250", typed("rate_limit_exceeded", ""), at(0.25)),
        (&format!("retry-after: {LATER}"), typed("rate_limit_exceeded", ""), at(300.0)),
        (
            &format!("date: {LATER}\nretry-after: Fri, 15 Jan 2027 08:06:00 GMT"),
            typed("slow_down", ""),
            at(60.0),
        ),
        (
            "x-codex-primary-used-percent: 100\nx-codex-primary-reset-at: 1800000600\n\
             x-codex-secondary-used-percent: 40\nx-codex-secondary-reset-at: 1800600000",
            body(""),
            at(600.0),
        ),
        (
            "x-codex-primary-used-percent: 100.0\nx-codex-primary-reset-after-seconds: 60\n\
             x-codex-secondary-used-percent: 100\nx-codex-secondary-reset-after-seconds: 120",
            body(""),
            at(120.0),
        ),
        ("x-codex-primary-used-percent: 99\nx-codex-primary-reset-at: 1800000600", body(""), None),
        ("", openai("rate_limit_exceeded", "Please try again in 6m0s."), at(360.0)),
        ("", openai("rate_limit_exceeded", "Please try again in 1.5s. Visit"), at(1.5)),
        // What cannot be is not believed, and the past is over.
        ("", body(r#","resets_at":1700000000"#), None),
        ("", body(r#","resets_at":9999999999"#), None),
        ("", body(r#","resets_in_seconds":-5"#), None),
        ("", body(r#","resets_in_seconds":1e300"#), None),
        ("retry-after: soon", typed("rate_limit_exceeded", ""), None),
        ("retry-after: 0", typed("rate_limit_exceeded", ""), None),
        ("retry-after: 99999999999999999999", typed("rate_limit_exceeded", ""), None),
        ("", openai("rate_limit_exceeded", "try again in a while"), None),
        // A bad request does not get better with time.
        ("retry-after: 7", openai("context_length_exceeded", "m"), None),
    ];
    for (head, body, expected) in table {
        let got = read(RESPONSES, 429, head, body).reset.map(|at| (at.0 - NOW.0) as f64 / 1000.0);
        assert_eq!(got, *expected, "{head} {body}");
    }
    assert_eq!(read(RESPONSES, 503, "retry-after: 9", PAGE).reset, Some(Millis(NOW.0 + 9_000)));
}

/// D2 and D4: the windows of a Claude subscription. `7d_oi` alone is one model family's limit, not the account's.
#[test]
fn d2_d4_windows_of_a_claude_subscription() {
    let limit = claude("rate_limit_error", "m");
    let unified =
        |text: &str| text.replace("U-", "anthropic-ratelimit-unified-").replace("R-", "anthropic-ratelimit-");
    let table = [
        (
            "U-status: rejected\nU-5h-status: rejected\nU-5h-reset: 1800003600\nU-7d-status: allowed\nretry-after: 9",
            Kind::UsageLimit,
            Some(3600),
        ),
        (
            "U-status: rejected\nU-5h-status: rejected\nU-5h-reset: 1800003600\nU-7d-status: rejected\nU-7d-reset: 1800007200",
            Kind::UsageLimit,
            Some(7200),
        ),
        (
            "U-status: rejected\nU-5h-status: allowed_warning\nU-7d_oi-status: rejected\nU-7d_oi-reset: 1800009000",
            Kind::ModelLimit,
            Some(9000),
        ),
        (
            "U-status: rejected\nU-5h-status: rejected\nU-5h-reset: 1800000060\nU-7d_oi-status: rejected\nU-7d_oi-reset: 1800009000",
            Kind::UsageLimit,
            Some(60),
        ),
        (
            "U-status: rejected\nU-reset: 1800000120\nU-representative-claim: five_hour",
            Kind::UsageLimit,
            Some(120),
        ),
        (
            "U-status: rejected\nU-reset: 1800000120\nU-representative-claim: seven_day_opus",
            Kind::ModelLimit,
            Some(120),
        ),
        ("U-status: rejected\nU-overage-status: rejected\nU-reset: 1800000120", Kind::UsageLimit, Some(120)),
        (
            "U-status: allowed\nU-5h-status: allowed\nU-overage-status: rejected\nretry-after: 3",
            Kind::RateLimit,
            Some(3),
        ),
        // A key's limits are written as RFC 3339; those with something left do not matter.
        (
            "R-requests-remaining: 0\nR-requests-reset: 2027-01-15T08:00:30Z\nR-tokens-remaining: 5\nR-tokens-reset: 2027-01-15T08:09:00Z",
            Kind::RateLimit,
            Some(30),
        ),
    ];
    for (head, kind, secs) in table {
        let failure = read(CLAUDE, 429, &unified(head), &limit);
        let got = failure.reset.map(|at| (at.0 - NOW.0) / 1000);
        assert_eq!((failure.kind, got), (kind, secs), "{head}");
    }
}

/// What is shown holds no token, no control character, and is short.
#[test]
fn words_fit_to_be_shown() {
    let long = "x".repeat(500);
    let body = openai(
        "invalid_api_key",
        &format!("Incorrect API key: sk-canary-canary-canary-canary-canary \\u001b[31m {long}"),
    );
    let failure = read(CHAT, 401, "", &body);
    assert_eq!(failure.code.as_deref(), Some("invalid_api_key"));
    let shown = failure.to_string();
    assert!(shown.starts_with("Incorrect API key: *** [31m") && shown.chars().count() <= 200, "{shown}");
    let odd = read(CHAT, 400, "", &openai("sk-CanaryCanaryCanaryCanaryCanaryCanary", ""));
    assert_eq!(odd.code.as_deref(), Some("invalid_request_error"));
    assert_eq!(read(CHAT, 418, "", "").to_string(), "the provider answered 418");
}

proptest! {
    /// Whatever comes, the answer is a kind; nothing but a known word says that a credential is dead.
    #[test]
    fn d7_noise_is_never_terminal(status in 100u16..600, body in "\\PC{0,60}", head in "[a-z-]{1,20}: \\PC{0,20}") {
        let failure = read(RESPONSES, status, &head, &body);
        prop_assert!(!matches!(failure.kind, Kind::Rejected | Kind::Revoked | Kind::AccountBlocked));
        let event = read_event_failure(body.as_bytes(), NOW);
        prop_assert!(!matches!(event.kind, Kind::Rejected | Kind::Revoked | Kind::AccountBlocked));
    }
}

//! The words that providers are known to use. Whatever stands here is a fact about somebody's API.

use super::body::Said;
use super::kind::FailureKind;
use FailureKind as Kind;

/// `error.code`, `error.type` and the like.
const CODES: &[(&str, Kind)] = &[
    ("usage_limit_reached", Kind::UsageLimit),
    ("subscription_sharing_usage_limit_exceeded", Kind::UsageLimit),
    // The plan has no such product.
    ("usage_not_included", Kind::AccountBlocked),
    ("subscription_sharing_user_not_eligible", Kind::AccountBlocked),
    ("account_deactivated", Kind::AccountBlocked),
    ("account_suspended", Kind::AccountBlocked),
    ("verification_required", Kind::AccountBlocked),
    ("validation_required", Kind::AccountBlocked),
    ("insufficient_quota", Kind::Billing),
    ("billing_error", Kind::Billing),
    ("billing_hard_limit_reached", Kind::Billing),
    ("insufficient_balance", Kind::Billing),
    ("insufficient_credits", Kind::Billing),
    ("payment_required", Kind::Billing),
    ("token_revoked", Kind::Revoked),
    ("invalid_api_key", Kind::Rejected),
    ("invalid_token", Kind::Rejected),
    ("token_expired", Kind::Rejected),
    ("token_invalidated", Kind::Rejected),
    ("expired_token", Kind::Rejected),
    ("subscription_sharing_unsupported_capability", Kind::BadRequest),
    ("subscription_sharing_route_not_supported", Kind::NotPermitted),
    ("chatpass_v2_scope_not_authorized", Kind::NotPermitted),
    ("chatpass_v2_invalid_authorization_context", Kind::NotPermitted),
    ("subscription_sharing_usage_unavailable", Kind::Unavailable),
    ("subscription_sharing_user_unavailable", Kind::Unavailable),
    ("server_is_overloaded", Kind::Unavailable),
    ("slow_down", Kind::Unavailable),
    ("overloaded_error", Kind::Unavailable),
    ("context_length_exceeded", Kind::ContextOverflow),
    ("request_too_large", Kind::TooLarge),
    ("model_not_found", Kind::ModelNotFound),
    ("cyber_policy", Kind::BadRequest),
    ("unsupported_parameter", Kind::BadRequest),
];

/// Types that say little by themselves: they count where no sentence is known.
const TYPES: &[(&str, Kind)] = &[
    ("authentication_error", Kind::Rejected),
    ("permission_error", Kind::NotPermitted),
    ("permission_denied", Kind::NotPermitted),
    ("not_found_error", Kind::ModelNotFound),
];

/// Sentences, where the code says less than the text. All lower case.
const SENTENCES: &[(&str, Kind)] = &[
    ("credit balance is too low", Kind::Billing),
    ("plans & billing", Kind::Billing),
    ("insufficient credits", Kind::Billing),
    ("insufficient balance", Kind::Billing),
    ("payment required", Kind::Billing),
    ("organization has been disabled", Kind::AccountBlocked),
    ("verify your account", Kind::AccountBlocked),
    ("account verification is required", Kind::AccountBlocked),
    ("account has been suspended", Kind::AccountBlocked),
    ("account has been deactivated", Kind::AccountBlocked),
    ("only authorized for use with", Kind::NotPermitted),
    ("does not meet scope requirement", Kind::NotPermitted),
    ("token has been revoked", Kind::Revoked),
    ("token has expired", Kind::Rejected),
    ("incorrect api key", Kind::Rejected),
    ("invalid api key", Kind::Rejected),
    ("prompt is too long", Kind::ContextOverflow),
    ("maximum context length", Kind::ContextOverflow),
    ("exceeds the context window", Kind::ContextOverflow),
    ("usage limit", Kind::UsageLimit),
];

/// Words of a service in trouble, in an event: outside of a stream the status says it.
const SERVICE: &[&str] = &[
    "api_error",
    "server_error",
    "internal_error",
    "internal_server_error",
    "timeout_error",
    "service_unavailable",
    "unavailable",
];

/// Words for "too many requests".
const LIMITS: &[&str] =
    &["rate_limit_error", "rate_limit_exceeded", "rate_limit", "too_many_requests", "resource_exhausted"];

/// Signs that a limit is that of one model: OpenAI and Groq name it ("Rate limit reached for gpt-... in organization").
const OF_MODEL: &[&str] = &["rate limit reached for ", "for model", "this model", "selected model"];

/// What a known word means; the most precise one counts.
pub(super) fn known(said: &Said) -> Option<Kind> {
    let text = said.text();
    let in_table = |table: &[(&str, Kind)]| {
        said.words.iter().find_map(|word| table.iter().find(|(own, _)| own == word).map(|(_, kind)| *kind))
    };
    in_table(CODES)
        .or_else(|| {
            let is_limit = said.words.iter().any(|word| LIMITS.contains(&word.as_str()));
            is_limit.then(|| limit_of(said))
        })
        .or_else(|| SENTENCES.iter().find(|(part, _)| text.contains(part)).map(|(_, kind)| *kind))
        .or_else(|| in_table(TYPES))
}

/// Whose limit it is.
pub(super) fn limit_of(said: &Said) -> Kind {
    let text = said.text();
    if OF_MODEL.iter().any(|part| text.contains(part)) { Kind::ModelLimit } else { Kind::RateLimit }
}

/// What an event says about the service, or about the request.
pub(super) fn of_service(said: &Said) -> Option<Kind> {
    let has = |word: &str| said.words.iter().any(|own| own == word);
    if SERVICE.iter().any(|word| has(word)) {
        return Some(Kind::Unavailable);
    }
    ["invalid_request_error", "invalid_prompt"].iter().any(|word| has(word)).then_some(Kind::BadRequest)
}

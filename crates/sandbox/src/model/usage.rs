//! What an account has used of its plan, in the words of each provider that publishes it.

use coderclaw_types::Millis;
use serde_json::{Value, json};

use crate::http::Response;

const ZAI: &str = "/api/monitor/usage/quota/limit";
const MINIMAX: &str = "/v1/api/openplatform/coding_plan/remains";
const CODE_ASSIST: &str = "/v1internal:retrieveUserQuota";
const COPILOT: &str = "/copilot_internal/user";

/// How much of its plan an account has used: a figure that differs from account to account.
pub fn used_percent(account: &str) -> u32 {
    account.bytes().map(u32::from).sum::<u32>() % 100
}

/// Whether it is asked for by the bearer of a token, and nothing else.
pub(super) fn is_of_a_plan(method: &str, path: &str) -> bool {
    matches!((method, path), ("GET", ZAI | MINIMAX | COPILOT) | ("POST", CODE_ASSIST))
}

pub(super) fn is_usage(path: &str) -> bool {
    path.ends_with("/usage") || [ZAI, MINIMAX, CODE_ASSIST, COPILOT].contains(&path)
}

/// The accounts with `no-plan` in their names have none.
pub(super) fn usage(path: &str, account: &str, now: Millis) -> Response {
    let used = used_percent(account);
    let left = 100 - used;
    let (hour, secs) = (now.0 + 3_600_000, now.0.div_euclid(1000) + 3_600);
    let has_plan = !account.contains("no-plan");
    let body: Value = match path {
        "/api/oauth/usage" => {
            json!({ "five_hour": { "utilization": used, "resets_at": null }, "seven_day": null })
        }
        ZAI if !has_plan => json!({ "code": 500, "success": false, "msg": "you have no coding plan" }),
        ZAI => json!({ "code": 200, "success": true, "data": { "level": "pro", "limits": [
            { "type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": used, "nextResetTime": hour },
            { "type": "TIME_LIMIT", "unit": 5, "number": 1, "percentage": 1 },
        ]}}),
        MINIMAX if !has_plan => json!({ "base_resp": { "status_code": 2049, "status_msg": "no plan" } }),
        MINIMAX => json!({ "base_resp": { "status_code": 0 }, "model_remains": [{
            "model_name": "MiniMax-M*", "start_time": hour - 18_000_000, "end_time": hour,
            "current_interval_total_count": 100, "current_interval_usage_count": left,
        }]}),
        CODE_ASSIST => json!({ "buckets": [
            { "modelId": "gemini-3-pro-preview", "remainingFraction": f64::from(left) / 100.0 },
            { "modelId": "gemini-3-flash-preview", "remainingFraction": 1 },
        ]}),
        COPILOT => {
            json!({ "copilot_plan": "individual", "quota_reset_date": "2030-01-01", "quota_snapshots": {
                "premium_interactions": { "percent_remaining": left, "unlimited": false },
                "chat": { "percent_remaining": 100, "unlimited": true },
            }})
        }
        _ => json!({ "plan_type": "plus", "rate_limit": {
            "primary_window": { "used_percent": used, "limit_window_seconds": 18_000, "reset_at": secs },
            "secondary_window": { "used_percent": 1, "limit_window_seconds": 604_800, "reset_at": secs },
        }}),
    };
    Response::json(200, body.to_string())
}

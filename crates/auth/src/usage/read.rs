//! Where the providers publish figures, and what those mean.

use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_types::Millis;
use serde_json::Value;

use super::UsageWindow;

/// Where Google's Code Assist is, which has no model API that we speak.
const CODE_ASSIST: &str = "https://cloudcode-pa.googleapis.com";

/// How a provider is asked for figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) url: String,
    pub(super) how: How,
}

/// With which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// A GET with what a call of the model API carries.
    Get,
    /// A POST of an empty object, with the same.
    Post,
    /// A GET with the long-lived token of which the provider makes those that are lent.
    GetWithLongLived,
}

/// What is said about a plan.
#[derive(Debug, PartialEq)]
pub(super) enum Figures {
    /// What is subscribed to, and how much of it is used.
    Plan(Option<String>, Vec<UsageWindow>),
    /// There is no plan, or it is not for this credential to see.
    NotForIt,
    /// The answer is something else.
    NotUnderstood,
}

/// Where a provider publishes what such a credential has used; `None` where it does not. The addresses are beside the
/// ones that the manifest has, so that a company's proxy or a test server is asked where it stands in for the provider.
pub(super) fn question(manifest: &Manifest, kind: CredentialKind) -> Option<Question> {
    let api = manifest.api(kind);
    let base = api.base_url.as_deref().unwrap_or_default();
    let get = |url: String| Some(Question { url, how: How::Get });
    match (&*manifest.id, kind) {
        // These two sell plans whose credential is a key.
        ("zai", _) => get(format!("{}/api/monitor/usage/quota/limit", base.strip_suffix("/api/paas/v4")?)),
        ("minimax" | "minimax-portal", _) => {
            let origin = base.strip_suffix("/anthropic/v1").or_else(|| base.strip_suffix("/v1"))?;
            get(format!("{origin}/v1/api/openplatform/coding_plan/remains"))
        }
        // Elsewhere a key is billed per use: there is no plan to use up.
        (_, CredentialKind::ApiKey) => None,
        ("openai-codex", _) => get(format!("{}/wham/usage", base.strip_suffix("/codex")?)),
        ("anthropic", _) => get(format!("{}/api/oauth/usage", base.strip_suffix("/v1")?)),
        ("google-gemini-cli", _) => {
            let base = if base.is_empty() { CODE_ASSIST } else { base };
            Some(Question { url: format!("{base}/v1internal:retrieveUserQuota"), how: How::Post })
        }
        ("github-copilot", CredentialKind::OAuth) => {
            let makes = manifest.auth_for(kind)?.access_url.as_deref()?;
            let url = format!("{}/user", makes.strip_suffix("/v2/token")?);
            Some(Question { url, how: How::GetWithLongLived })
        }
        _ => None,
    }
}

/// What an answer with a status of success says.
pub(super) fn figures(provider: &str, body: &[u8]) -> Figures {
    let Ok(all @ Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
        return Figures::NotUnderstood;
    };
    let known = match provider {
        "openai-codex" => all.get("rate_limit").map(|limits| (all.get("plan_type"), codex(limits))),
        "anthropic" => Some((None, anthropic(&all))),
        "zai" if all.get("success") == Some(&Value::Bool(false)) => return Figures::NotForIt,
        "zai" => all.pointer("/data/limits").and_then(Value::as_array).map(|limits| {
            let name = ["/data/planName", "/data/level"].iter().find_map(|at| all.pointer(at));
            (name, limits.iter().filter_map(zai).collect())
        }),
        "minimax" | "minimax-portal" => match all.pointer("/base_resp/status_code").and_then(Value::as_i64) {
            None | Some(0) => {
                all.get("model_remains").and_then(Value::as_array).map(|all| (None, minimax(all)))
            }
            Some(_) => return Figures::NotForIt,
        },
        "google-gemini-cli" => {
            all.get("buckets").and_then(Value::as_array).map(|buckets| (None, gemini(buckets)))
        }
        "github-copilot" => {
            all.get("quota_snapshots").map(|quotas| (all.get("copilot_plan"), copilot(&all, quotas)))
        }
        _ => None,
    };
    let Some((plan, windows)) = known else { return Figures::NotUnderstood };
    let plan = plan.and_then(Value::as_str).map(|plan| plan.chars().take(64).collect());
    Figures::Plan(plan, windows)
}

/// `unit` counts `number` of hours (3) or weeks (6); calls of tools are counted by the month.
fn zai(limit: &Value) -> Option<UsageWindow> {
    let number = limit.get("number").and_then(Value::as_i64).unwrap_or(1);
    let label = match (limit.get("type")?.as_str()?, limit.get("unit").and_then(Value::as_i64)) {
        ("TOKENS_LIMIT", Some(3)) => format!("{number}h"),
        ("TOKENS_LIMIT", Some(6)) if number == 1 => "Week".to_owned(),
        ("TOKENS_LIMIT", Some(6)) => format!("{number} weeks"),
        ("TOKENS_LIMIT", Some(1)) => format!("{number} days"),
        ("TOKENS_LIMIT", _) => "Tokens".to_owned(),
        ("TIME_LIMIT", _) => "Month, tools".to_owned(),
        _ => return None,
    };
    Some(UsageWindow {
        label,
        used_percent: percent(limit.get("percentage")?)?,
        reset_at: limit.get("nextResetTime").and_then(Value::as_i64).map(Millis),
    })
}

/// The first model that has a share. What is called a count of usage counts what is left of the total.
fn minimax(models: &[Value]) -> Vec<UsageWindow> {
    let number = |model: &Value, key: String| model.get(key).and_then(Value::as_i64);
    let window = |model: &Value, which: &str, begins: &str, ends: &str, label: Option<&str>| {
        let left = match model.get(format!("current_{which}_remaining_percent")) {
            Some(left) => percent(left)?,
            None => {
                let total = number(model, format!("current_{which}_total_count")).filter(|all| *all > 0)?;
                let left = number(model, format!("current_{which}_usage_count"))?;
                percent(&Value::from(left as f64 * 100.0 / total as f64))?
            }
        };
        let (begins, ends) = (number(model, begins.into()), number(model, ends.into()));
        let hours = begins.zip(ends).map(|(begins, ends)| ends.saturating_sub(begins) / 3_600_000);
        let label = match (label, hours) {
            (Some(label), _) => label.to_owned(),
            (None, Some(hours @ 1..)) => format!("{hours}h"),
            (None, _) => "Now".to_owned(),
        };
        Some(UsageWindow { label, used_percent: 100.0 - left, reset_at: ends.map(Millis) })
    };
    let of_model = |model: &Value| -> Vec<UsageWindow> {
        let now = window(model, "interval", "start_time", "end_time", None);
        let week = window(model, "weekly", "weekly_start_time", "weekly_end_time", Some("Week"));
        now.into_iter().chain(week).collect()
    };
    models.iter().map(of_model).find(|windows| !windows.is_empty()).unwrap_or_default()
}

/// Each family by its model that has the least left.
fn gemini(buckets: &[Value]) -> Vec<UsageWindow> {
    let family = |(label, word): (&str, &str)| {
        let of_it = buckets.iter().filter_map(|bucket| {
            let is_its = bucket.get("modelId")?.as_str()?.to_ascii_lowercase().contains(word);
            let left = bucket.get("remainingFraction")?.as_f64().filter(|left| left.is_finite())?;
            is_its.then_some((left, bucket))
        });
        let (left, bucket) = of_it.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(UsageWindow {
            label: label.to_owned(),
            used_percent: (100.0 - left * 100.0).clamp(0.0, 100.0),
            reset_at: bucket.get("resetTime").and_then(Value::as_str).and_then(Millis::from_rfc3339),
        })
    };
    [("Pro", "pro"), ("Flash", "flash")].into_iter().filter_map(family).collect()
}

/// By the month; what a plan has without limit is not listed.
fn copilot(all: &Value, quotas: &Value) -> Vec<UsageWindow> {
    let day = ["quota_reset_date_utc", "quota_reset_date"].iter().find_map(|key| all.get(key)?.as_str());
    let reset_at = day.and_then(|day| {
        Millis::from_rfc3339(day).or_else(|| Millis::from_rfc3339(&format!("{day}T00:00:00Z")))
    });
    let window = |(key, label): (&str, &str)| {
        let quota = quotas.get(key).filter(|quota| quota.get("unlimited") != Some(&Value::Bool(true)))?;
        let left = percent(quota.get("percent_remaining")?)?;
        Some(UsageWindow { label: label.to_owned(), used_percent: 100.0 - left, reset_at })
    };
    [("premium_interactions", "Premium"), ("chat", "Chat")].into_iter().filter_map(window).collect()
}

/// By its length, not by its place: on some plans the week stands where others have the hours.
fn codex(limits: &Value) -> Vec<UsageWindow> {
    let window = |name: &str| {
        let window = limits.get(name)?;
        let length = window.get("limit_window_seconds").and_then(Value::as_i64).unwrap_or(0);
        let label = match length {
            604_800 => "Week".to_owned(),
            secs if secs >= 172_800 => format!("{} days", secs / 86_400),
            secs if secs >= 3_600 => format!("{}h", secs / 3_600),
            secs => format!("{}m", secs / 60),
        };
        Some(UsageWindow {
            label,
            used_percent: percent(window.get("used_percent")?)?,
            reset_at: window.get("reset_at").and_then(Value::as_i64).map(Millis::from_secs),
        })
    };
    ["primary_window", "secondary_window"].into_iter().filter_map(window).collect()
}

fn anthropic(all: &Value) -> Vec<UsageWindow> {
    const KNOWN: [(&str, &str); 4] = [
        ("five_hour", "5h"),
        ("seven_day", "Week"),
        ("seven_day_opus", "Week, Opus"),
        ("seven_day_sonnet", "Week, Sonnet"),
    ];
    let window = |(key, label): (&str, &str)| {
        let window = all.get(key)?;
        Some(UsageWindow {
            label: label.to_owned(),
            used_percent: percent(window.get("utilization")?)?,
            reset_at: window.get("resets_at").and_then(Value::as_str).and_then(Millis::from_rfc3339),
        })
    };
    KNOWN.into_iter().filter_map(window).collect()
}

fn percent(value: &Value) -> Option<f64> {
    value.as_f64().filter(|percent| percent.is_finite()).map(|percent| percent.clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use coderclaw_providers::Registry;

    use super::*;

    type Windows = Vec<(String, f64, Option<i64>)>;

    fn told(provider: &str, body: &str) -> Option<(Option<String>, Windows)> {
        match figures(provider, body.as_bytes()) {
            Figures::Plan(plan, windows) => {
                let one = |one: UsageWindow| (one.label, one.used_percent, one.reset_at.map(|at| at.0));
                Some((plan, windows.into_iter().map(one).collect()))
            }
            Figures::NotUnderstood => None,
            Figures::NotForIt => Some((Some("not for it".into()), vec![])),
        }
    }

    /// B11: each provider's own answer, with figures that are none, too large, without limit, or of another kind among them.
    #[test]
    fn b11_answers_are_understood_or_refused() {
        let window = |label: &str, used: f64, reset: Option<i64>| (label.to_owned(), used, reset);
        for (provider, body, plan, windows) in [
            (
                "openai-codex",
                r#"{"plan_type":"plus","rate_limit":{"primary_window":{"used_percent":140,"limit_window_seconds":604800,
                "reset_at":9},"secondary_window":{"used_percent":12.5,"limit_window_seconds":18000}},"more":[]}"#,
                Some("plus"),
                vec![window("Week", 100.0, Some(9_000)), window("5h", 12.5, None)],
            ),
            (
                "anthropic",
                r#"{"five_hour":{"utilization":3,"resets_at":"1970-01-01T00:00:09Z"},"seven_day":null,
                "seven_day_opus":{"utilization":"x"}}"#,
                None,
                vec![window("5h", 3.0, Some(9_000))],
            ),
            (
                "zai",
                r#"{"code":200,"success":true,"data":{"level":"pro","limits":[
                {"type":"TOKENS_LIMIT","unit":3,"number":5,"percentage":42,"nextResetTime":9000},
                {"type":"TOKENS_LIMIT","unit":6,"number":1,"percentage":7.5},
                {"type":"TIME_LIMIT","unit":5,"number":1,"usage":100,"percentage":1},{"type":"NEW","percentage":1},
                {"type":"TOKENS_LIMIT","unit":3,"percentage":"x"},7]}}"#,
                Some("pro"),
                vec![
                    window("5h", 42.0, Some(9_000)),
                    window("Week", 7.5, None),
                    window("Month, tools", 1.0, None),
                ],
            ),
            ("zai", r#"{"code":500,"success":false,"msg":"no coding plan"}"#, Some("not for it"), vec![]),
            (
                "minimax",
                r#"{"base_resp":{"status_code":0},"model_remains":[{"model_name":"video","current_interval_total_count":0},
                {"model_name":"M*","start_time":0,"end_time":18000000,"current_interval_total_count":200,
                "current_interval_usage_count":150,"current_weekly_total_count":10,"current_weekly_usage_count":10}]}"#,
                None,
                vec![window("5h", 25.0, Some(18_000_000)), window("Week", 0.0, None)],
            ),
            (
                "minimax-portal",
                r#"{"model_remains":[{"current_interval_remaining_percent":90,"end_time":9000}]}"#,
                None,
                vec![window("Now", 10.0, Some(9_000))],
            ),
            (
                "minimax",
                r#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#,
                Some("not for it"),
                vec![],
            ),
            (
                "google-gemini-cli",
                r#"{"buckets":[{"modelId":"gemini-3-pro","remainingFraction":0.5},
                {"modelId":"gemini-2-pro","remainingFraction":0.25,"resetTime":"1970-01-01T00:00:09Z"},
                {"modelId":"gemini-3-flash","remainingFraction":1},{"modelId":"gemini-2-flash"},{"remainingFraction":0}]}"#,
                None,
                vec![window("Pro", 75.0, Some(9_000)), window("Flash", 0.0, None)],
            ),
            (
                "github-copilot",
                r#"{"copilot_plan":"individual","quota_reset_date":"1970-01-02","quota_snapshots":{
                "premium_interactions":{"percent_remaining":60.5},"chat":{"percent_remaining":100,"unlimited":true}}}"#,
                Some("individual"),
                vec![window("Premium", 39.5, Some(86_400_000))],
            ),
        ] {
            assert_eq!(told(provider, body), Some((plan.map(str::to_owned), windows)), "{provider}");
            for bad in ["", "<html>", "[]", "7", "{torn"] {
                assert_eq!(told(provider, bad), None, "{provider}: {bad}");
            }
            assert!(provider == "anthropic" || told(provider, "{}").is_none(), "{provider}");
        }
    }

    /// B11: the built-in providers that publish figures, for which credentials, and where. A key is asked about only where a
    /// plan's credential is a key.
    #[test]
    fn b11_who_publishes_what() {
        let registry = Registry::built_in();
        let mut all = Vec::new();
        for manifest in registry.iter() {
            for kind in [CredentialKind::OAuth, CredentialKind::Token, CredentialKind::ApiKey] {
                if let Some(question) = question(manifest, kind) {
                    let host = question.url.strip_prefix("https://").unwrap().split('/').next().unwrap();
                    all.push(format!("{} {kind:?} {:?} {host}", manifest.id, question.how));
                }
            }
        }
        all.retain(|line| !line.contains(" Token "));
        assert_eq!(
            all,
            [
                "anthropic OAuth Get api.anthropic.com",
                "github-copilot OAuth GetWithLongLived api.github.com",
                "google-gemini-cli OAuth Post cloudcode-pa.googleapis.com",
                "minimax OAuth Get api.minimax.io",
                "minimax ApiKey Get api.minimax.io",
                "minimax-portal OAuth Get api.minimax.io",
                "minimax-portal ApiKey Get api.minimax.io",
                "openai-codex OAuth Get chatgpt.com",
                "zai OAuth Get api.z.ai",
                "zai ApiKey Get api.z.ai",
            ]
        );
    }
}

//! Where the providers publish figures, and what those mean.

use coderclaw_types::Millis;
use serde_json::Value;

use super::UsageWindow;

/// The address of a provider's figures, beside its model API; `None` where it publishes none.
pub(super) fn address(provider: &str, base_url: &str) -> Option<String> {
    match provider {
        "openai-codex" => Some(format!("{}/wham/usage", base_url.strip_suffix("/codex")?)),
        "anthropic" => Some(format!("{}/api/oauth/usage", base_url.strip_suffix("/v1")?)),
        _ => None,
    }
}

/// The plan and its windows; `None` where the answer is something else.
pub(super) fn figures(provider: &str, body: &[u8]) -> Option<(Option<String>, Vec<UsageWindow>)> {
    let all: Value = serde_json::from_slice(body).ok()?;
    let (plan, windows) = match provider {
        "openai-codex" => (all.get("plan_type"), codex(all.get("rate_limit")?)),
        "anthropic" => (None, anthropic(&all)),
        _ => return None,
    };
    let plan = plan.and_then(Value::as_str).map(|plan| plan.chars().take(64).collect());
    all.is_object().then_some((plan, windows))
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
    use super::*;

    /// The answers of both providers, and what is not one.
    #[test]
    fn answers_are_understood_or_refused() {
        let told = |provider: &str, body: &str| {
            figures(provider, body.as_bytes()).map(|(plan, windows)| {
                let windows: Vec<_> =
                    windows.into_iter().map(|one| (one.label, one.used_percent, one.reset_at)).collect();
                (plan, windows)
            })
        };
        let codex = r#"{"plan_type":"plus","rate_limit":{"primary_window":{"used_percent":140,"limit_window_seconds":604800,
            "reset_at":9},"secondary_window":{"used_percent":12.5,"limit_window_seconds":18000}},"more":[]}"#;
        let week = ("Week".to_owned(), 100.0, Some(Millis(9_000)));
        assert_eq!(
            told("openai-codex", codex),
            Some((Some("plus".into()), vec![week, ("5h".into(), 12.5, None)]))
        );
        let claude = r#"{"five_hour":{"utilization":3,"resets_at":"1970-01-01T00:00:09Z"},"seven_day":null,
            "seven_day_opus":{"utilization":"x"}}"#;
        assert_eq!(told("anthropic", claude), Some((None, vec![("5h".into(), 3.0, Some(Millis(9_000)))])));
        for bad in ["", "<html>", "[]", "7", "{torn"] {
            assert_eq!((told("openai-codex", bad), told("anthropic", bad)), (None, None), "{bad}");
        }
        assert_eq!(told("openai-codex", "{}"), None);
    }
}

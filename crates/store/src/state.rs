//! `auth-state.json`: what changes often. Losing it loses no login, so damage means empty.

use std::path::Path;

use coderclaw_types::{Millis, ProfileId, ProviderId, TokenHash};
use serde_json::{Map, Value, json};

use crate::own_file::object;
use crate::profiles::AuthProfiles;
use crate::read::{ReadError, read_text};

/// Usage statistics and cooldowns of one agent's profiles.
#[derive(Debug, Clone, Default)]
pub struct AuthState {
    top: Map<String, Value>,
}

/// What is remembered about the use of one profile. Times that are not positive count as absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsageStats {
    /// The last successful use.
    pub last_used: Option<Millis>,
    /// Set aside until then after failures.
    pub cooldown_until: Option<Millis>,
    /// Set aside until then because of billing.
    pub disabled_until: Option<Millis>,
    /// Why it is disabled.
    pub disabled_reason: Option<String>,
    /// Failures in the present window.
    pub error_count: u32,
    /// The same by reason.
    pub failure_counts: Vec<(String, u32)>,
    /// The last failure.
    pub last_failure_at: Option<Millis>,
    /// Why it is set aside until [`UsageStats::cooldown_until`], where that is known.
    pub cooldown_reason: Option<String>,
    /// A credential that the provider refuses for good.
    pub refused: Option<Refused>,
    /// When it was last tried while it was set aside.
    pub last_probe_at: Option<Millis>,
}

/// A provider's "no" to one credential. It ends with that credential: another one under the same id is not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which token or key, as its hash.
    pub token: TokenHash,
    /// What the provider said of it, as one of the codes.
    pub code: String,
    /// In the provider's words.
    pub detail: Option<String>,
    /// When.
    pub at: Millis,
}

/// Reads the agent's usage: from `auth-state.json`, else, where there is none, from the store itself, where the
/// original keeps it.
///
/// # Errors
/// Where the file exists and cannot be read. A damaged one means empty.
pub fn read_auth_state(path: &Path, store: &AuthProfiles) -> Result<AuthState, ReadError> {
    match read_text(path) {
        Ok(Some(text)) => Ok(AuthState { top: serde_json::from_str(&text).unwrap_or_default() }),
        Ok(None) => Ok(AuthState::from_store(store)),
        Err(ReadError::Corrupt { .. }) => Ok(AuthState::default()),
        Err(e) => Err(e),
    }
}

impl AuthState {
    /// What the store itself says.
    fn from_store(store: &AuthProfiles) -> Self {
        let mut top = Map::new();
        top.insert("version".into(), json!(1));
        for key in ["usageStats", "lastGood"] {
            let object = store.object(key);
            if !object.is_empty() {
                top.insert(key.into(), Value::Object(object));
            }
        }
        Self { top }
    }

    /// The usage of `id`; empty where nothing is known.
    pub fn usage(&self, id: &ProfileId) -> UsageStats {
        let Some(stats) = self.top.get("usageStats").and_then(|all| all.get(id.as_str())) else {
            return UsageStats::default();
        };
        let time = |key: &str| {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
            let whole = |t: f64| (t.is_finite() && t > 0.0 && t < 9e15).then_some(Millis(t as i64));
            stats.get(key).and_then(Value::as_f64).and_then(whole)
        };
        let count = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        UsageStats {
            last_used: time("lastUsed"),
            cooldown_until: time("cooldownUntil"),
            disabled_until: time("disabledUntil"),
            disabled_reason: stats.get("disabledReason").and_then(Value::as_str).map(str::to_owned),
            error_count: stats.get("errorCount").and_then(count).unwrap_or(0),
            failure_counts: match stats.get("failureCounts") {
                Some(Value::Object(counts)) => {
                    counts.iter().filter_map(|(reason, n)| Some((reason.clone(), count(n)?))).collect()
                }
                _ => Vec::new(),
            },
            last_failure_at: time("lastFailureAt"),
            cooldown_reason: stats.get("cooldownReason").and_then(Value::as_str).map(str::to_owned),
            refused: stats.get("refused").and_then(Refused::read),
            last_probe_at: time("lastProbeAt"),
        }
    }

    /// Sets the usage of `id`. Keys of it that this version does not know stay.
    pub fn set_usage(&mut self, id: &ProfileId, usage: &UsageStats) {
        let all = object(self.top.entry("usageStats").or_insert_with(|| json!({})));
        let stats = object(all.entry(id.as_str()).or_insert_with(|| json!({})));
        let mut set = |key: &str, value: Option<Value>| match value {
            Some(value) => drop(stats.insert(key.into(), value)),
            None => drop(stats.shift_remove(key)),
        };
        set("lastUsed", usage.last_used.map(|t| json!(t)));
        set("cooldownUntil", usage.cooldown_until.map(|t| json!(t)));
        set("disabledUntil", usage.disabled_until.map(|t| json!(t)));
        set("disabledReason", usage.disabled_reason.as_ref().map(|r| json!(r)));
        set("errorCount", Some(json!(usage.error_count)));
        let counts: Map<_, _> = usage.failure_counts.iter().map(|(k, n)| (k.clone(), json!(n))).collect();
        set("failureCounts", (!counts.is_empty()).then_some(Value::Object(counts)));
        set("lastFailureAt", usage.last_failure_at.map(|t| json!(t)));
        set("cooldownReason", usage.cooldown_reason.as_ref().map(|r| json!(r)));
        set("refused", usage.refused.as_ref().map(Refused::to_json));
        set("lastProbeAt", usage.last_probe_at.map(|t| json!(t)));
    }

    /// Notes which profile worked last. Nobody decides by it.
    pub fn set_last_good(&mut self, provider: &ProviderId, id: &ProfileId) {
        let all = object(self.top.entry("lastGood").or_insert_with(|| json!({})));
        all.insert(provider.as_str().into(), json!(id));
    }

    /// The ids of which something is known.
    pub fn ids(&self) -> Vec<ProfileId> {
        match self.top.get("usageStats") {
            Some(Value::Object(all)) => all.keys().map(|id| ProfileId::stored(id)).collect(),
            _ => Vec::new(),
        }
    }

    /// Forgets `id`, or with `to` speaks of it under that id. False where nothing was known.
    pub fn forget(&mut self, id: &ProfileId, to: Option<&ProfileId>) -> bool {
        let mut known = false;
        if let Some(Value::Object(all)) = self.top.get_mut("usageStats")
            && let Some(stats) = all.shift_remove(id.as_str())
        {
            known = true;
            if let Some(to) = to {
                all.insert(to.as_str().into(), stats);
            }
        }
        if let Some(Value::Object(last)) = self.top.get_mut("lastGood") {
            let is_it = |one: &Value| one.as_str() == Some(id.as_str());
            known |= last.values().any(is_it);
            match to {
                Some(to) => last.values_mut().filter(|one| is_it(one)).for_each(|one| *one = json!(to)),
                None => last.retain(|_, one| !is_it(one)),
            }
        }
        known
    }

    pub(crate) fn to_text(&self) -> String {
        let mut top = self.top.clone();
        top.entry("version").or_insert_with(|| json!(1));
        let mut text = serde_json::to_string_pretty(&top).unwrap_or_else(|_| "{}".into());
        text.push('\n');
        text
    }
}

impl Refused {
    fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        Some(Self {
            token: text("token")?.parse().ok()?,
            code: text("code")?.to_owned(),
            detail: text("detail").map(str::to_owned),
            at: Millis(value.get("at").and_then(Value::as_i64)?),
        })
    }

    fn to_json(&self) -> Value {
        json!({ "token": self.token.to_string(), "code": self.code, "detail": self.detail, "at": self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> AuthProfiles {
        AuthProfiles::parse(
            r#"{"profiles":{},"usageStats":{"a":{"cooldownUntil":5,"errorCount":2,"failureCounts":{"auth":2}}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_stores_own_usage_holds_until_there_is_a_state_file() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("auth-state.json");
        let a = ProfileId::stored("a");
        let state = read_auth_state(&path, &store()).unwrap();
        assert_eq!(state.usage(&a).cooldown_until, Some(Millis(5)));
        assert_eq!(state.usage(&a).failure_counts, [("auth".into(), 2)]);
        std::fs::write(&path, r#"{"version":1}"#).unwrap();
        assert_eq!(read_auth_state(&path, &store()).unwrap().usage(&a), UsageStats::default());
    }

    #[test]
    fn what_is_forgotten_is_gone_and_what_is_renamed_stays_known() {
        let (a, b) = (ProfileId::stored("a"), ProfileId::stored("b"));
        let mut state = AuthState::from_store(&store());
        assert!(state.forget(&a, Some(&b)) && !state.forget(&a, None));
        assert_eq!((state.ids(), state.usage(&b).error_count), (vec![b.clone()], 2));
        assert!(state.forget(&b, None) && state.ids().is_empty());
    }

    #[test]
    fn what_is_set_is_read_back_and_what_is_cleared_is_gone() {
        let a = ProfileId::stored("a");
        let refused = Refused {
            token: TokenHash::of(&coderclaw_types::Secret::from("canary")),
            code: "revoked".into(),
            detail: Some("gone".into()),
            at: Millis(8),
        };
        let usage = UsageStats {
            last_used: Some(Millis(1)),
            cooldown_until: Some(Millis(2)),
            disabled_until: Some(Millis(3)),
            disabled_reason: Some("billing".into()),
            error_count: 4,
            failure_counts: vec![("rate_limit".into(), 5)],
            last_failure_at: Some(Millis(6)),
            cooldown_reason: Some("usage_limit".into()),
            refused: Some(refused),
            last_probe_at: Some(Millis(7)),
        };
        let mut state = AuthState::default();
        state.set_usage(&a, &usage);
        state.set_last_good(&ProviderId::new("acme"), &a);
        let text = state.to_text();
        assert!(!text.contains("canary"));
        let mut back = AuthState { top: serde_json::from_str(&text).unwrap() };
        assert_eq!(back.usage(&a), usage);
        back.set_usage(&a, &UsageStats::default());
        assert_eq!(back.usage(&a), UsageStats::default());
        // A damaged refusal is none.
        let odd = text.replace("\"token\": \"", "\"token\": \"x");
        let odd = AuthState { top: serde_json::from_str(&odd).unwrap() };
        assert_eq!(odd.usage(&a), UsageStats { refused: None, ..usage });
    }

    #[test]
    fn damage_means_empty_and_unknown_keys_stay() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("auth-state.json");
        let a = ProfileId::stored("a");
        for damage in ["", "[", "7", r#"{"usageStats":3}"#, r#"{"usageStats":{"a":[]}}"#] {
            std::fs::write(&path, damage).unwrap();
            let mut state = read_auth_state(&path, &store()).unwrap();
            assert_eq!(state.usage(&a), UsageStats::default(), "{damage}");
            state.set_usage(&a, &UsageStats { error_count: 3, ..UsageStats::default() });
            assert_eq!(state.usage(&a).error_count, 3);
        }
        let text = r#"{"x":1,"usageStats":{"a":{"blockedUntil":9,"lastUsed":1e400}}}"#;
        std::fs::write(&path, text.replace("1e400", "-4")).unwrap();
        let mut state = read_auth_state(&path, &store()).unwrap();
        assert_eq!(state.usage(&a).last_used, None);
        state.set_usage(&a, &UsageStats { last_used: Some(Millis(7)), ..UsageStats::default() });
        assert!(state.to_text().contains("blockedUntil") && state.to_text().contains("\"x\": 1"));
    }
}

//! `models status --json`: the original's keys, truthfully filled, and a few of our own.
//!
//! Plain structs that borrow: this is the command that scripts run every second.

use std::path::{Path, PathBuf};

use coderclaw_auth::{
    AgentStatus, GrantPlace, OrderSource, ProfileStatus, ProviderStatus, SharedGrant, Usage, Winner,
};
use coderclaw_store::AgentPaths;
use coderclaw_types::{AgentId, Code, Fingerprint, Millis, ProfileId, ProviderId};
use serde::Serialize;

use super::of;
use crate::commands::Context;
use crate::commands::probe::Probes;

/// A credential that cannot renew itself is warned about in its last day.
const WARN_AFTER_MS: i64 = 86_400_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusJson<'a> {
    config_path: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    agent_dir: &'a Path,
    default_model: Option<&'a str>,
    resolved_default: Option<&'a str>,
    fallbacks: Vec<&'a str>,
    auth: AuthJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthJson<'a> {
    store_path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkJson<'a>>,
    shell_env_fallback: ShellEnvJson,
    #[serde(rename = "providersWithOAuth")]
    providers_with_logins: Vec<String>,
    missing_providers_in_use: Vec<String>,
    providers: Vec<ProviderJson<'a>>,
    unusable_profiles: Vec<UnusableJson<'a>>,
    oauth: OAuthJson<'a>,
    imports: Vec<ImportJson<'a>>,
    shared_grants: Vec<SharedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<&'a Probes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a [Usage]>,
}

/// A login of an older version (`pending`), or what is wrong with its file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportJson<'a> {
    state: &'static str,
    source: &'a Path,
    profile_id: Option<&'a ProfileId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct SharedJson<'a> {
    provider: &'a ProviderId,
    places: Vec<PlaceJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlaceJson<'a> {
    agent_id: &'a AgentId,
    profile_id: &'a ProfileId,
}

#[derive(Serialize)]
struct StoreJson<'a> {
    state: Code,
    detail: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkJson<'a> {
    agent_id: &'a AgentId,
    state: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShellEnvJson {
    enabled: bool,
    applied_keys: [&'static str; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderJson<'a> {
    provider: &'a ProviderId,
    effective: EffectiveJson<'a>,
    winner: Option<&'a Winner>,
    order_source: OrderSource,
    profiles: CountsJson,
}

#[derive(Serialize)]
struct EffectiveJson<'a> {
    kind: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountsJson {
    count: usize,
    oauth: usize,
    token: usize,
    api_key: usize,
    labels: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UnusableJson<'a> {
    profile_id: &'a ProfileId,
    provider: Option<&'a ProviderId>,
    kind: Code,
    until: Millis,
    remaining_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OAuthJson<'a> {
    warn_after_ms: i64,
    profiles: Vec<LabelledJson<'a>>,
    providers: Vec<HealthJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LabelledJson<'a> {
    #[serde(flatten)]
    profile: ProfileJson<'a>,
    source: &'static str,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_ms: Option<i64>,
}

#[derive(Serialize)]
struct HealthJson<'a> {
    provider: &'a ProviderId,
    status: &'static str,
    profiles: Vec<&'a ProfileId>,
}

/// One profile, as `list` and `status` show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct ProfileJson<'a> {
    profile_id: &'a ProfileId,
    provider: Option<&'a ProviderId>,
    #[serde(rename = "type")]
    kind: &'a str,
    status: &'static str,
    state: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    refreshable: bool,
    fingerprint: Option<&'a Fingerprint>,
    /// Whose it is, if not the agent's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a AgentId>,
}

impl<'a> From<&'a ProfileStatus> for ProfileJson<'a> {
    fn from(profile: &'a ProfileStatus) -> Self {
        Self {
            profile_id: &profile.id,
            provider: profile.provider.as_ref(),
            kind: &profile.kind,
            status: profile.status,
            state: profile.state,
            email: profile.email.as_deref(),
            expires_at: profile.expires_at,
            until: profile.until,
            detail: profile.detail.as_deref(),
            refreshable: profile.refreshable,
            fingerprint: profile.fingerprint.as_ref(),
            agent_id: profile.owner.as_ref(),
        }
    }
}

impl<'a> StatusJson<'a> {
    pub(super) fn new(
        context: &'a Context,
        agent: &'a AgentPaths,
        status: &'a AgentStatus,
        probes: Option<&'a Probes>,
        usage: Option<&'a [Usage]>,
    ) -> Self {
        let now = context.auth.clock().now();
        let (primary, fallbacks) = context.auth.config().default_model();
        let store = status.store_note.as_ref().map(|(state, detail)| StoreJson { state: *state, detail });
        Self {
            config_path: context.auth.state().config_path(),
            agent_id: context.global.agent.as_ref().map(|_| agent.agent.as_str()),
            agent_dir: &agent.dir,
            default_model: primary,
            resolved_default: primary,
            auth: AuthJson {
                store_path: agent.store(),
                store,
                link: status.linked_to.as_ref().map(|target| LinkJson {
                    agent_id: target,
                    state: status.broken_link.as_ref().map_or(Code::Ok, |broken| broken.reason),
                    detail: status.broken_link.as_ref().map(|broken| broken.detail.as_str()),
                }),
                shell_env_fallback: ShellEnvJson { enabled: false, applied_keys: [] },
                providers_with_logins: with_logins(status),
                missing_providers_in_use: missing(
                    status,
                    primary.into_iter().chain(fallbacks.iter().copied()),
                ),
                providers: status.providers.iter().map(|one| provider(status, one)).collect(),
                unusable_profiles: unusable(status, now),
                oauth: OAuthJson {
                    warn_after_ms: WARN_AFTER_MS,
                    profiles: labelled(status, now),
                    providers: status.providers.iter().filter_map(|one| health(status, one)).collect(),
                },
                imports: imports(status),
                shared_grants: status.shared.iter().map(shared).collect(),
                clock_ahead_ms: status.clock_ahead,
                probes,
                usage,
            },
            fallbacks,
        }
    }
}

fn imports(status: &AgentStatus) -> Vec<ImportJson<'_>> {
    let pending = status.imports.iter().map(|one| ImportJson {
        state: "pending",
        source: &one.source,
        profile_id: Some(&one.profile),
        detail: None,
    });
    let problems = status.import_problems.iter().map(|one| ImportJson {
        state: one.code.as_str(),
        source: &one.source,
        profile_id: None,
        detail: Some(&one.detail),
    });
    pending.chain(problems).collect()
}

fn shared(shared: &SharedGrant) -> SharedJson<'_> {
    let places = shared.places.iter().filter_map(|place| match place {
        GrantPlace::Profile { agent, profile } => Some(PlaceJson { agent_id: agent, profile_id: profile }),
        GrantPlace::Program { .. } => None,
    });
    SharedJson { provider: &shared.provider, places: places.collect() }
}

fn labelled(status: &AgentStatus, now: Millis) -> Vec<LabelledJson<'_>> {
    let mut profiles: Vec<&ProfileStatus> = status.profiles.iter().collect();
    profiles.sort_by(|a, b| (&a.provider, &a.id).cmp(&(&b.provider, &b.id)));
    let labelled = profiles.into_iter().map(|profile| LabelledJson {
        profile: profile.into(),
        source: if profile.is_pending { "import" } else { "store" },
        label: profile.label(),
        remaining_ms: profile.expires_at.map(|at| at.0 - now.0),
    });
    labelled.collect()
}

fn unusable(status: &AgentStatus, now: Millis) -> Vec<UnusableJson<'_>> {
    // The original knows these two words.
    let kind = |state| match state {
        Code::Cooldown | Code::UsageLimit => Some(Code::Cooldown),
        Code::Disabled => Some(Code::Disabled),
        _ => None,
    };
    let set_aside = status.profiles.iter().filter_map(|p| Some((p, kind(p.state)?)));
    let mut all: Vec<_> = set_aside
        .map(|(profile, kind)| {
            let until = profile.until.unwrap_or(now);
            UnusableJson {
                profile_id: &profile.id,
                provider: profile.provider.as_ref(),
                kind,
                until,
                remaining_ms: until.0 - now.0,
            }
        })
        .collect();
    all.sort_by_key(|one| one.remaining_ms);
    all
}

fn with_logins(status: &AgentStatus) -> Vec<String> {
    let counts = status.providers.iter().map(|provider| {
        let logins =
            of(status, &provider.provider).filter(|p| p.kind == "oauth" || p.kind == "token").count();
        (&provider.provider, logins)
    });
    counts
        .filter(|(_, logins)| *logins > 0)
        .map(|(provider, logins)| format!("{provider} ({logins})"))
        .collect()
}

/// Providers of the models in use that nothing can be lent for.
fn missing<'m>(status: &AgentStatus, models: impl Iterator<Item = &'m str>) -> Vec<String> {
    let mut missing: Vec<String> = models
        .filter_map(|model| Some(ProviderId::new(model.split_once('/')?.0)))
        .filter(|provider| {
            let known = status.providers.iter().find(|known| known.provider == *provider);
            known.is_none_or(|known| known.explanation.winner.is_none())
        })
        .map(|provider| provider.to_string())
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

fn provider<'a>(status: &'a AgentStatus, one: &'a ProviderStatus) -> ProviderJson<'a> {
    let profiles: Vec<_> = of(status, &one.provider).collect();
    let count = |kind: &str| profiles.iter().filter(|profile| profile.kind == kind).count();
    let winner = one.explanation.winner.as_ref();
    let (kind, detail) = match winner {
        None => ("missing", "-"),
        Some(winner) => match (&winner.profile_id, winner.source.as_str()) {
            (Some(id), _) => ("profiles", id.as_str()),
            (None, "config") => ("models.json", "config"),
            (None, source) => ("env", source),
        },
    };
    ProviderJson {
        provider: &one.provider,
        effective: EffectiveJson { kind, detail },
        winner,
        order_source: one.explanation.order_source,
        profiles: CountsJson {
            count: profiles.len(),
            oauth: count("oauth"),
            token: count("token"),
            api_key: count("api_key"),
            labels: profiles.iter().map(|profile| profile.label()).collect(),
        },
    }
}

fn health<'a>(status: &'a AgentStatus, one: &'a ProviderStatus) -> Option<HealthJson<'a>> {
    let profiles: Vec<_> = of(status, &one.provider).collect();
    if profiles.is_empty() {
        return None;
    }
    let has = |word: &str| profiles.iter().any(|profile| profile.status == word);
    let word = if has("expired") || has("missing") {
        "expired"
    } else if has("expiring") {
        "expiring"
    } else if has("ok") {
        "ok"
    } else {
        "static"
    };
    let profiles = profiles.into_iter().map(|profile| &profile.id).collect();
    Some(HealthJson { provider: &one.provider, status: word, profiles })
}

//! `models status`, and `coderclaw` alone: how every login stands, and what is used.

use coderclaw_auth::{AgentStatus, ProfileStatus, ProviderStatus};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, Millis, ProviderId};
use serde_json::{Map, Value, json};

use crate::args::StatusArgs;
use crate::commands::Context;
use crate::error::{CommandError, next_command};
use crate::report::Report;
use crate::text::{self, clean};

/// A credential that cannot renew itself is warned about in its last day.
const WARN_AFTER_MS: i64 = 86_400_000;

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let status = context.auth.status(&agent)?;
    let exit = if args.check { check(&status) } else { 0 };
    let report = if context.global.json {
        Report::json(&json(context, &agent, &status))
    } else {
        Report::text(words(context, &agent, &status))
    };
    Ok(report.exit(exit))
}

/// 1 where something needs a person, 2 where something that cannot renew itself ends within a day.
fn check(status: &AgentStatus) -> u8 {
    let words = || status.profiles.iter().map(|profile| profile.status);
    let unserved = status.providers.iter().any(|provider| provider.explanation.winner.is_none());
    if unserved || words().any(|word| word == "expired" || word == "missing") {
        1
    } else if words().any(|word| word == "expiring") {
        2
    } else {
        0
    }
}

/// One profile, as `list` and `status` show it.
pub(super) fn profile_json(profile: &ProfileStatus) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("profileId".into(), json!(profile.id));
    map.insert("provider".into(), json!(profile.provider));
    map.insert("type".into(), json!(profile.kind));
    map.insert("status".into(), json!(profile.status));
    map.insert("state".into(), json!(profile.state));
    let mut optional = |key: &str, value: Value| {
        if !value.is_null() {
            map.insert(key.into(), value);
        }
    };
    optional("email", json!(profile.email));
    optional("expiresAt", json!(profile.expires_at));
    optional("until", json!(profile.until));
    optional("detail", json!(profile.detail));
    map.insert("refreshable".into(), json!(profile.refreshable));
    map.insert("fingerprint".into(), json!(profile.fingerprint));
    map
}

fn label(profile: &ProfileStatus) -> String {
    match &profile.email {
        Some(email) if !profile.id.as_str().contains(email.as_str()) => format!("{} ({email})", profile.id),
        _ => profile.id.to_string(),
    }
}

fn json(context: &Context, agent: &AgentPaths, status: &AgentStatus) -> Value {
    let now = context.auth.clock().now();
    let (primary, fallbacks) = context.auth.config().default_model();
    let mut profiles: Vec<&ProfileStatus> = status.profiles.iter().collect();
    profiles.sort_by(|a, b| (&a.provider, &a.id).cmp(&(&b.provider, &b.id)));
    let oauth_profiles = profiles.iter().map(|profile| {
        let mut map = profile_json(profile);
        map.insert("source".into(), json!("store"));
        map.insert("label".into(), json!(label(profile)));
        if let Some(at) = profile.expires_at {
            map.insert("remainingMs".into(), json!(at.0 - now.0));
        }
        Value::Object(map)
    });
    let unusable = profiles.iter().filter(|profile| matches!(profile.state, Code::Cooldown | Code::Disabled));
    let mut unusable: Vec<Value> = unusable
        .map(|profile| {
            let until = profile.until.unwrap_or(now);
            json!({
                "profileId": profile.id,
                "provider": profile.provider,
                "kind": profile.state,
                "until": until,
                "remainingMs": until.0 - now.0,
            })
        })
        .collect();
    unusable.sort_by_key(|entry| entry["remainingMs"].as_i64());
    let mut root = json!({
        "configPath": context.auth.state().config_path(),
        "agentDir": agent.dir,
        "defaultModel": primary,
        "resolvedDefault": primary,
        "fallbacks": fallbacks,
        "auth": {
            "storePath": agent.store(),
            "shellEnvFallback": { "enabled": false, "appliedKeys": [] },
            "providersWithOAuth": with_logins(status),
            "missingProvidersInUse": missing(context, status),
            "providers": status.providers.iter().map(|p| provider_json(status, p)).collect::<Vec<_>>(),
            "unusableProfiles": unusable,
            "oauth": {
                "warnAfterMs": WARN_AFTER_MS,
                "profiles": oauth_profiles.collect::<Vec<_>>(),
                "providers": oauth_providers(status),
            },
        },
    });
    if context.global.agent.is_some() {
        root["agentId"] = json!(agent.agent);
    }
    if let Some((code, detail)) = &status.store_note {
        root["auth"]["store"] = json!({ "state": code, "detail": detail });
    }
    root
}

fn of<'a>(status: &'a AgentStatus, provider: &'a ProviderId) -> impl Iterator<Item = &'a ProfileStatus> {
    status.profiles.iter().filter(move |profile| profile.provider.as_ref() == Some(provider))
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
fn missing(context: &Context, status: &AgentStatus) -> Vec<String> {
    let (primary, fallbacks) = context.auth.config().default_model();
    let mut missing: Vec<String> = primary
        .into_iter()
        .chain(fallbacks)
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

fn provider_json(status: &AgentStatus, provider: &ProviderStatus) -> Value {
    let profiles: Vec<_> = of(status, &provider.provider).collect();
    let count = |kind: &str| profiles.iter().filter(|profile| profile.kind == kind).count();
    let winner = provider.explanation.winner.as_ref();
    let (kind, detail) = match winner {
        None => ("missing", "-".to_owned()),
        Some(winner) => match (&winner.profile_id, winner.source.as_str()) {
            (Some(id), _) => ("profiles", id.to_string()),
            (None, "config") => ("models.json", "config".into()),
            (None, source) => ("env", source.to_owned()),
        },
    };
    json!({
        "provider": provider.provider,
        "effective": { "kind": kind, "detail": detail },
        "winner": winner,
        "orderSource": provider.explanation.order_source,
        "profiles": {
            "count": profiles.len(),
            "oauth": count("oauth"),
            "token": count("token"),
            "apiKey": count("api_key"),
            "labels": profiles.iter().map(|profile| label(profile)).collect::<Vec<_>>(),
        },
    })
}

fn oauth_providers(status: &AgentStatus) -> Vec<Value> {
    let providers = status.providers.iter().filter_map(|provider| {
        let profiles: Vec<_> = of(status, &provider.provider).collect();
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
        let ids: Vec<_> = profiles.iter().map(|profile| &profile.id).collect();
        Some(json!({ "provider": provider.provider, "status": word, "profiles": ids }))
    });
    providers.collect()
}

fn words(context: &Context, agent: &AgentPaths, status: &AgentStatus) -> String {
    let now = context.auth.clock().now();
    let mut out = format!("Agent {}: {}\n", agent.agent, agent.store().display());
    if let Some((code, detail)) = &status.store_note {
        out.push_str(&format!("! {detail} [{code}]\n"));
    }
    if status.profiles.is_empty() && status.providers.is_empty() {
        out.push_str("\nNobody is logged in. To log in with a ChatGPT account:\n");
        out.push_str("  coderclaw models auth login --provider openai-codex\n");
        return out;
    }
    let mut attention: Vec<String> = Vec::new();
    for provider in &status.providers {
        out.push_str(&format!("\n{}  ({})\n", provider.provider, provider.name));
        let winner = provider.explanation.winner.as_ref();
        let mut shown = false;
        for profile in of(status, &provider.provider) {
            shown = true;
            let is_used = winner.is_some_and(|winner| winner.profile_id.as_ref() == Some(&profile.id));
            out.push_str(&profile_line(profile, is_used, now));
            note(context, profile, is_used, &mut attention);
        }
        if let Some(winner) = winner.filter(|winner| winner.profile_id.is_none()) {
            out.push_str(&format!("→ {}  a key from outside the store\n", winner.source));
        } else if shown && winner.is_none() {
            out.push_str("  nothing of this can be used now\n");
        }
    }
    let nameless: Vec<_> = status
        .profiles
        .iter()
        .filter(|profile| {
            !status.providers.iter().any(|provider| Some(&provider.provider) == profile.provider.as_ref())
        })
        .collect();
    if !nameless.is_empty() {
        out.push_str("\nOf no known provider\n");
        for profile in nameless {
            out.push_str(&profile_line(profile, false, now));
        }
    }
    if !attention.is_empty() {
        out.push_str("\nNeeds attention\n");
        out.extend(attention);
    }
    out
}

fn profile_line(profile: &ProfileStatus, is_used: bool, now: Millis) -> String {
    let mark = if is_used { '→' } else { ' ' };
    let mut facts = vec![profile.state.to_string()];
    match profile.expires_at {
        Some(at) if at > now => facts.push(format!("ends {}", text::when(at, now))),
        Some(at) => facts.push(format!("ended {}", text::when(at, now))),
        None => {}
    }
    if profile.refreshable && !matches!(profile.state, Code::NeedsLogin | Code::Interrupted) {
        facts.push("renews itself".into());
    }
    if let Some(until) = profile.until.filter(|until| *until > now) {
        facts.push(format!("until {}", text::local(until)));
    }
    if let Some(fingerprint) = &profile.fingerprint {
        facts.push(format!("#{fingerprint}"));
    }
    let mut line = format!("{mark} {}\n", clean(&label(profile)));
    for wrapped in text::wrap(&facts.join(" · "), text::width().saturating_sub(4)) {
        line.push_str(&format!("    {wrapped}\n"));
    }
    if let Some(detail) = &profile.detail {
        for wrapped in text::wrap(&clean(detail), text::width().saturating_sub(4)) {
            line.push_str(&format!("    {wrapped}\n"));
        }
    }
    line
}

/// What a person should do about a profile, as one line with one command.
fn note(context: &Context, profile: &ProfileStatus, is_used: bool, attention: &mut Vec<String>) {
    let calls = matches!(profile.status, "expired" | "missing" | "expiring")
        || (is_used && profile.state == Code::Offline);
    if !calls {
        return;
    }
    let provider = profile.provider.as_ref().map(ProviderId::as_str);
    let next = next_command(profile.state, provider, Some(profile.id.as_str()), context.agent_hint());
    attention.push(format!("  {}: {}\n", clean(profile.id.as_str()), profile.state.meaning()));
    if !next.is_empty() {
        attention.push(format!("    {next}\n"));
    }
}

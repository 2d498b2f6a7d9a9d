//! What decides which profile is used, and does not fit what is there: orders, pins, the config, logins that have ended.

use coderclaw_agents::Sessions;
use coderclaw_auth::{AgentStatus, OrderSource, ProfileStatus};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, ProfileId, ProviderId};

use super::{Check, Exam, Patient};
use crate::error::Next;
use crate::text::{clean, shell_word, when};

pub(super) fn look(exam: &mut Exam<'_>) {
    let mut stored: Vec<ProfileId> = Vec::new();
    for patient in exam.agents.clone().iter() {
        // What cannot be read was said before.
        let Some(status) = patient.status() else { continue };
        logins(exam, &patient.paths, status);
        orders(exam, patient, status);
        pins(exam, &patient.paths, status);
        stored.extend(status.profiles.iter().map(|profile| profile.id.clone()));
    }
    declared(exam, &stored);
    exam.or_else_ok("login", "no login needs a person");
    exam.or_else_ok("order", "each order names profiles that are there, and hides none");
    exam.or_else_ok("session_pin", "no session is pinned to a profile that is gone");
    exam.or_else_ok("config_profiles", "the config says nothing else about profiles than the stores");
}

fn logins(exam: &mut Exam<'_>, agent: &AgentPaths, status: &AgentStatus) {
    let now = exam.context.auth.clock().now();
    for profile in status.profiles.iter().filter(|profile| profile.owner.is_none()) {
        let id = clean(profile.id.as_str());
        let until = profile.until.filter(|until| *until > now);
        if matches!(profile.state, Code::Cooldown | Code::Disabled) {
            let until = until.map(|until| format!(" (again {})", when(until, now))).unwrap_or_default();
            let message = format!("agent {}: {id}: {}{until}", agent.agent, profile.state.meaning());
            let next = exam.of(agent, "coderclaw models auth cooldown list");
            exam.add(Check::warn("cooldown", message).code(profile.state).next(Some(next)));
            continue;
        }
        // A damaged entry was said before.
        if !matches!(profile.status, "expired" | "missing" | "expiring") || profile.state == Code::Corrupt {
            continue;
        }
        let detail = profile.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let message = format!("agent {}: {id}: {}{detail}", agent.agent, profile.state.meaning());
        let next = next_for(exam, agent, profile);
        exam.add(Check::warn("login", message).code(profile.state).next(next));
    }
}

fn next_for(exam: &Exam<'_>, agent: &AgentPaths, profile: &ProfileStatus) -> Option<String> {
    let auth = &exam.context.auth;
    let is_default = agent.agent == auth.config().default_agent();
    let command = Next::of(auth, profile, Some(agent.agent.as_str()).filter(|_| !is_default)).command();
    (!command.is_empty()).then_some(command)
}

fn orders(exam: &mut Exam<'_>, patient: &Patient, status: &AgentStatus) {
    let agent = &patient.paths;
    let stored: Vec<&ProfileId> = status.profiles.iter().map(|profile| &profile.id).collect();
    let mut found = Vec::new();
    for manifest in exam.context.auth.registry().iter() {
        let provider = ProviderId::new(&manifest.id);
        let next = exam.of(agent, &format!("coderclaw models auth order get --provider {provider}"));
        let own = patient.doc.as_ref().and_then(|doc| doc.order(&provider));
        let order = own.or_else(|| exam.context.auth.config().order(&provider).map(<[ProfileId]>::to_vec));
        let gone = |order: Vec<ProfileId>| -> Vec<ProfileId> {
            order.into_iter().filter(|id| !stored.contains(&id)).collect()
        };
        // An order of the config is everybody's; an agent without any profile of the provider is not meant.
        let has_some = status.profiles.iter().any(|profile| profile.provider.as_ref() == Some(&provider));
        let gone = order.filter(|_| has_some).map(gone).unwrap_or_default();
        if !gone.is_empty() {
            let message = format!(
                "agent {}: the order of {provider} names {}, and nobody has that",
                agent.agent,
                ids(&gone)
            );
            found.push(Check::warn("order", message).code(Code::MissingCredential).next(Some(next.clone())));
        }
        let explained =
            status.providers.iter().find(|one| one.provider == provider).map(|one| &one.explanation);
        let hidden: Vec<ProfileId> = explained
            .filter(|explained| explained.order_source != OrderSource::None)
            .map(|explained| explained.candidates.iter())
            .into_iter()
            .flatten()
            // With a detail, it would not work anyway.
            .filter(|one| one.reason == Code::ExcludedByOrder && one.detail.is_none())
            .filter_map(|one| one.profile_id.clone())
            .collect();
        if !hidden.is_empty() {
            let message = format!(
                "agent {}: the order of {provider} hides {}, which could be used",
                agent.agent,
                ids(&hidden)
            );
            found.push(Check::warn("order", message).code(Code::ExcludedByOrder).next(Some(next)));
        }
    }
    exam.checks.extend(found);
}

fn ids(ids: &[ProfileId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| clean(id.as_str())).collect();
    ids.join(", ")
}

fn pins(exam: &mut Exam<'_>, agent: &AgentPaths, status: &AgentStatus) {
    let all = match Sessions::of(&exam.context.auth, agent).list() {
        Ok(all) => all,
        Err(e) => {
            exam.add(Check::fail("session_pin", e.code(), format!("agent {}: {e}", agent.agent)));
            return;
        }
    };
    for (key, entry) in all {
        let Some(pin) = entry.pin().filter(|pin| pin.by_user) else { continue };
        if status.profiles.iter().any(|profile| profile.id == pin.profile) {
            continue;
        }
        let message = format!(
            "the session {} is pinned to {}, which is gone",
            clean(&key),
            clean(pin.profile.as_str())
        );
        let next = exam.of(agent, &format!("coderclaw sessions unpin {}", shell_word(&key)));
        exam.add(Check::warn("session_pin", message).code(Code::MissingCredential).next(Some(next)));
    }
}

/// What `auth.profiles` of the config says, which the original goes by, against what the stores have.
fn declared(exam: &mut Exam<'_>, stored: &[ProfileId]) {
    let mut found = Vec::new();
    // Where only one agent was looked at, another may have it.
    if exam.context.global.agent.is_none() {
        for one in exam.context.auth.config().declared_profiles() {
            if !stored.contains(&one.id) {
                let id = clean(one.id.as_str());
                let message = format!("the config declares {id}, and no agent has it");
                found.push(Check::warn("config_profiles", message).code(Code::MissingCredential));
            }
        }
    }
    for agent in exam.agents.iter() {
        let Some(status) = agent.status() else { continue };
        for candidate in status.providers.iter().flat_map(|provider| &provider.explanation.candidates) {
            let is_declared = matches!(candidate.reason, Code::ModeMismatch | Code::ProviderMismatch);
            let (true, Some(id), Some(detail)) = (is_declared, &candidate.profile_id, &candidate.detail)
            else {
                continue;
            };
            let message = format!("agent {}: {} is not used: {detail}", agent.name(), clean(id.as_str()));
            found.push(Check::warn("config_profiles", message).code(candidate.reason));
        }
    }
    exam.checks.extend(found);
}

//! What is around the state dir: the clock, keys in the environment, proxies and CAs, and, where it is asked for, the providers.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use coderclaw_auth::{ProbePlan, ProbeStatus};
use coderclaw_providers::{Billing, Manifest};
use coderclaw_store::{AuthProfiles, Entry, read_text};
use coderclaw_types::{Code, Millis, ProviderId};

use super::{Check, Exam};
use crate::text::{clean, when};

/// Clocks of one machine and its file server may differ by this much.
const TOLERATED: Duration = Duration::from_secs(5 * 60);
/// In milliseconds this is in 1973; what is below was written in seconds.
const TOO_SMALL: i64 = 100_000_000_000;
/// No access token is good for ten years.
const TOO_FAR: Duration = Duration::from_secs(10 * 365 * 86_400);
/// For all probes of one agent.
const PROBES: Duration = Duration::from_secs(8);

pub(super) fn look(exam: &mut Exam<'_>, deep: bool) {
    clock(exam);
    environment(exam);
    dotenv(exam);
    network(exam);
    if deep {
        probes(exam);
    }
}

fn clock(exam: &mut Exam<'_>) {
    let auth = &exam.context.auth;
    let now = auth.clock().now();
    let stores = exam.agents.iter().map(|agent| agent.paths.store());
    let paths = [auth.state().fingerprint_key_path(), auth.state().config_path().to_path_buf()];
    let mut found = Vec::new();
    for path in paths.into_iter().chain(stores) {
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        let changed = Millis(meta.mtime().saturating_mul(1_000));
        if changed > now.plus(TOLERATED) {
            let message = format!(
                "{} was changed {}: this machine's clock is behind, or was ahead then; a wrong clock lends tokens that have ended",
                path.display(),
                when(changed, now)
            );
            found.push(Check::warn("clock", message));
        }
    }
    for agent in exam.agents.iter() {
        for (id, entry) in agent.doc.iter().flat_map(AuthProfiles::entries) {
            let said = match &entry {
                Entry::OAuth(login) => odd_time(login.issued_at, login.expires, now, true),
                Entry::Token(token) => odd_time(None, token.expires, now, false),
                _ => None,
            };
            if let Some(said) = said {
                let message = format!("agent {}: {} {said}", agent.name(), clean(id.as_str()));
                found.push(Check::warn("clock", message).code(Code::InvalidExpires));
            }
        }
    }
    exam.checks.extend(found);
    exam.or_else_ok("clock", "no file and no login comes from the future");
}

fn odd_time(
    issued: Option<Millis>,
    expires: Option<Millis>,
    now: Millis,
    is_short_lived: bool,
) -> Option<&'static str> {
    if issued.is_some_and(|at| at > now.plus(TOLERATED)) {
        return Some("was issued in the future; is this machine's clock behind?");
    }
    let expires = expires?;
    if expires.0 > 0 && expires.0 < TOO_SMALL {
        return Some("has an end that looks like seconds; milliseconds are wanted");
    }
    if is_short_lived && expires > now.plus(TOO_FAR) {
        return Some("has an end more than ten years from now, so that it would never be refreshed");
    }
    None
}

/// Which agents use a variable, and which have something that goes before it.
#[derive(Default)]
struct Seen {
    used: Vec<String>,
    ignored: Vec<String>,
}

fn environment(exam: &mut Exam<'_>) {
    let auth = &exam.context.auth;
    let mut seen: BTreeMap<(String, String), Seen> = BTreeMap::new();
    for agent in exam.agents.iter() {
        let Some(status) = agent.status() else { continue };
        for provider in &status.providers {
            let Some(manifest) = auth.registry().get(&provider.provider) else { continue };
            for name in set_names(exam, manifest) {
                let winner = provider.explanation.winner.as_ref();
                let is_used = winner.is_some_and(|winner| winner.source == format!("env:{name}"));
                let one = seen.entry((name, manifest.id.to_string())).or_default();
                let list = if is_used { &mut one.used } else { &mut one.ignored };
                list.push(agent.name().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    for ((name, provider), one) in &seen {
        let manifest = auth.registry().get(&ProviderId::new(provider));
        let is_metered =
            manifest.is_some_and(|manifest| manifest.billing(manifest.env_kind(name)) == Billing::Metered);
        if !one.used.is_empty() {
            let message = format!("{name} is set, and {} it for {provider}", who(&one.used, "uses", "use"));
            found.push(match is_metered {
                true => Check::warn("environment", format!("{message}: it is billed per use")),
                false => Check::ok("environment", message),
            });
        }
        if !one.ignored.is_empty() {
            let has = who(&one.ignored, "has", "have");
            let message =
                format!("{name} is set and not used: {has} profiles of {provider}, which go before it");
            found.push(Check::ok("environment", message));
        }
    }
    if found.is_empty() {
        found.push(Check::ok("environment", "no variable holds a provider's key"));
    }
    exam.checks.extend(found);
}

fn set_names(exam: &Exam<'_>, manifest: &Manifest) -> Vec<String> {
    let env = exam.context.auth.env();
    manifest.env.iter().filter(|name| env.get(name).is_some()).map(ToString::to_string).collect()
}

fn who(agents: &[String], one: &str, many: &str) -> String {
    match agents {
        [agent] => format!("agent {agent} {one}"),
        agents => format!("agents {} {many}", agents.join(", ")),
    }
}

/// The original reads `.env` of the working folder and of the state dir; this program reads neither, since whoever can put a
/// file into a folder could otherwise choose the account.
fn dotenv(exam: &mut Exam<'_>) {
    let auth = &exam.context.auth;
    let names: Vec<String> =
        auth.registry().iter().flat_map(|manifest| manifest.env.iter()).map(ToString::to_string).collect();
    let state = auth.state().root().join(".env");
    let mut found = Vec::new();
    for path in [auth.env().cwd().join(".env"), state.clone()] {
        let Ok(Some(text)) = read_text(&path) else { continue };
        let has = |name: &&String| {
            text.lines().any(|line| {
                let line = line.trim().trim_start_matches("export ").trim_start();
                line.strip_prefix(name.as_str()).is_some_and(|rest| rest.trim_start().starts_with('='))
            })
        };
        let mut keys: Vec<&str> = names.iter().filter(has).map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        let holds = if keys.is_empty() { String::new() } else { format!(", nor {} in it", keys.join(", ")) };
        let message = format!("{} is not read{holds}", path.display());
        // Somebody put keys there for the original, and misses them here.
        let next = "coderclaw models auth paste-api-key --provider PROVIDER".to_owned();
        found.push(match path == state && !keys.is_empty() {
            true => Check::warn("dotenv", message).next(Some(next)),
            false => Check::ok("dotenv", message),
        });
    }
    exam.checks.extend(found);
}

fn network(exam: &mut Exam<'_>) {
    let auth = &exam.context.auth;
    let mut providers: Vec<&Manifest> = Vec::new();
    for agent in exam.agents.iter() {
        let Some(status) = agent.status() else { continue };
        for one in &status.providers {
            let manifest = auth.registry().get(&one.provider);
            providers
                .extend(manifest.filter(|manifest| !providers.iter().any(|known| known.id == manifest.id)));
        }
    }
    // Somebody who is about to log in for the first time wants to know as well.
    if providers.is_empty() {
        providers.extend(
            ["anthropic", "openai-codex"].iter().filter_map(|id| auth.registry().get(&ProviderId::new(id))),
        );
    }
    let mut ways: Vec<_> = providers.iter().flat_map(|manifest| auth.ways_out(manifest)).collect();
    ways.sort();
    ways.dedup();
    let mut found = Vec::new();
    let mut through: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for way in ways {
        match way.proxy {
            Ok(None) => through.entry("directly".into()).or_default().push(way.host),
            Ok(Some((variable, place))) => {
                through.entry(format!("through {place} ({variable})")).or_default().push(way.host);
            }
            Err(why) => {
                let message = format!("{} cannot be reached: {why}", way.host);
                found.push(Check::warn("network", message).code(Code::Offline));
            }
        }
    }
    for (how, hosts) in through {
        found.push(Check::ok("network", format!("{} {how}", hosts.join(", "))));
    }
    for file in auth.ca_files() {
        if let Some(problem) = file.problem {
            let message =
                format!("{} names {}, which is of no use: {problem}", file.variable, file.path.display());
            found.push(Check::warn("certificates", message));
        }
    }
    exam.checks.extend(found);
    let source = exam.context.auth.ca_source();
    exam.or_else_ok("certificates", &format!("trusted are {source}"));
}

fn probes(exam: &mut Exam<'_>) {
    let plan =
        ProbePlan { provider: None, profiles: Vec::new(), timeout: PROBES, concurrency: 4, max_tokens: None };
    let mut found = Vec::new();
    for agent in exam.agents.iter() {
        let Ok(probed) = exam.context.auth.probe(&agent.paths, &plan) else { continue };
        for one in probed {
            let what =
                one.profile.as_ref().map_or_else(|| "a key from outside".to_owned(), |id| clean(id.as_str()));
            let error = one.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
            let said =
                |verdict: &str| format!("agent {}: {}: {what}: {verdict}{error}", agent.name(), one.provider);
            found.push(match one.status {
                ProbeStatus::Ok => Check::ok("probe", said("the provider accepts it")),
                ProbeStatus::Auth => {
                    Check::warn("probe", said("the provider does not accept it")).code(Code::Rejected)
                }
                other => {
                    let check = Check::warn("probe", said(other.as_str()));
                    match one.code {
                        Some(code) => check.code(code),
                        None => check,
                    }
                }
            });
        }
    }
    if found.is_empty() {
        found.push(Check::ok("probe", "there is nothing to ask about"));
    }
    exam.checks.extend(found);
}

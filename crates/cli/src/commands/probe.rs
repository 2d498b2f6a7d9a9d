//! `models status --probe`: what the providers themselves say.

use std::time::Duration;

use coderclaw_auth::{ProbePlan, Probed};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, Millis, ProfileId, ProviderId};
use serde::Serialize;

use crate::args::StatusArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::paint::Paint;
use crate::text::{self, clean};

/// All probes of one call, in the original's shape.
/// For all probes together, where nobody says otherwise.
const TIMEOUT_MS: u64 = 8_000;
/// At a time, where nobody says otherwise.
const CONCURRENCY: u64 = 2;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probes {
    started_at: Millis,
    finished_at: Millis,
    duration_ms: i64,
    total_targets: usize,
    options: Options,
    results: Vec<ProbeJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<ProviderId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile_ids: Vec<ProfileId>,
    timeout_ms: u64,
    concurrency: u64,
    max_tokens: u32,
}

/// As the original has it. Without the flag nothing is spent, whatever this says.
const MAX_TOKENS: u32 = 8;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProbeJson {
    provider: ProviderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_id: Option<ProfileId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    label: String,
    source: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
}

impl From<Probed> for ProbeJson {
    fn from(one: Probed) -> Self {
        let label =
            one.profile.as_ref().map_or_else(|| "a key from outside the store".into(), ToString::to_string);
        Self {
            source: if one.profile.is_some() { "store" } else { "env" },
            provider: one.provider,
            profile_id: one.profile,
            model: one.model,
            label,
            status: one.status.as_str(),
            code: one.code,
            error: one.error,
            latency_ms: one.latency.and_then(|latency| u64::try_from(latency.as_millis()).ok()),
        }
    }
}

pub(super) fn run(context: &Context, agent: &AgentPaths, args: &StatusArgs) -> Result<Probes, CommandError> {
    let provider = args.probe_provider.as_deref().map(|name| context.provider(name)).transpose()?;
    let timeout_ms = args.probe_timeout.unwrap_or(TIMEOUT_MS);
    let concurrency = args.probe_concurrency.unwrap_or(CONCURRENCY);
    let plan = ProbePlan {
        provider: provider.map(|manifest| ProviderId::new(&manifest.id)),
        profiles: args.probe_profile.iter().map(|id| ProfileId::stored(id.trim())).collect(),
        timeout: Duration::from_millis(timeout_ms),
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        max_tokens: args.probe_max_tokens,
    };
    let started_at = context.auth.clock().now();
    let results = context.auth.probe(agent, &plan)?;
    let finished_at = context.auth.clock().now();
    Ok(Probes {
        started_at,
        finished_at,
        duration_ms: finished_at.0 - started_at.0,
        total_targets: results.len(),
        options: Options {
            provider: plan.provider,
            profile_ids: plan.profiles,
            timeout_ms,
            concurrency,
            max_tokens: args.probe_max_tokens.unwrap_or(MAX_TOKENS),
        },
        results: results.into_iter().map(ProbeJson::from).collect(),
    })
}

impl Probes {
    /// For people.
    pub(super) fn words(&self, paint: Paint) -> String {
        if self.results.is_empty() {
            return "\nNo probe targets.\n".into();
        }
        let mut out = format!("\n{}\n", paint.bold("Asked the providers"));
        for one in &self.results {
            let took = one.latency_ms.map(|ms| format!(" · {ms} ms")).unwrap_or_default();
            let status = match one.status {
                "ok" => paint.green(one.status),
                "auth" | "billing" => paint.red(one.status),
                other => paint.yellow(other),
            };
            let by = one.model.as_ref().map(|model| format!(" · by a call of {}", clean(model)));
            out.push_str(&format!("  {}  {status}{}{took}\n", clean(&one.label), by.unwrap_or_default()));
            if let Some(error) = &one.error {
                let lines = text::wrap(&clean(error), text::width().saturating_sub(4));
                out.extend(lines.iter().map(|line| format!("    {line}\n")));
            }
        }
        out.push_str(&format!("Probed {} targets in {} ms\n", self.total_targets, self.duration_ms));
        out
    }
}

//! Asking a provider whether a credential works: its cheapest authenticated GET, a model call only where that was asked
//! for, and a time limit for everything together.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use coderclaw_http::{Body, Client, HeaderText, Limits, Request, SendError, Url};
use coderclaw_providers::{Api, ApiKind, Manifest};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, ProfileId, ProviderId, Secret};
use serde_json::json;

use crate::context::Auth;
use crate::lease::Lease;
use crate::resolve::{Ask, ResolveError};

/// What is probed, and how long it may take.
#[derive(Debug, Clone)]
pub struct ProbePlan {
    /// Only this provider.
    pub provider: Option<ProviderId>,
    /// Only these profiles; none: all.
    pub profiles: Vec<ProfileId>,
    /// For all probes together.
    pub timeout: Duration,
    /// How many at a time.
    pub concurrency: usize,
    /// Where no free request tells, a call of the provider's configured model may be made for so many tokens of answer.
    /// `None`: nothing is spent.
    pub max_tokens: Option<u32>,
}

/// What a probe found. The words are the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeStatus {
    /// The provider accepts the credential.
    Ok,
    /// It does not.
    Auth,
    /// Too many requests.
    RateLimit,
    /// Credit is used up.
    Billing,
    /// No answer in time.
    Timeout,
    /// The provider did not understand the request.
    Format,
    /// Anything else, or nothing could be asked.
    Unknown,
    /// Only a model call would tell, and no model of this provider is configured.
    NoModel,
}

impl ProbeStatus {
    /// As it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Auth => "auth",
            Self::RateLimit => "rate_limit",
            Self::Billing => "billing",
            Self::Timeout => "timeout",
            Self::Format => "format",
            Self::Unknown => "unknown",
            Self::NoModel => "no_model",
        }
    }

    /// The original's table of HTTP status codes.
    fn of_http(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            401 | 403 => Self::Auth,
            402 => Self::Billing,
            408 => Self::Timeout,
            429 => Self::RateLimit,
            400 => Self::Format,
            _ => Self::Unknown,
        }
    }
}

/// One probe.
#[derive(Debug, Clone)]
pub struct Probed {
    /// The provider that was asked.
    pub provider: ProviderId,
    /// The profile; `None` for a key from the environment or the config.
    pub profile: Option<ProfileId>,
    /// The model that was called; `None` where nothing was spent.
    pub model: Option<String>,
    /// What was found.
    pub status: ProbeStatus,
    /// The code of a failure on our side of the wire.
    pub code: Option<Code>,
    /// More, for people.
    pub error: Option<String>,
    /// How long the provider took.
    pub latency: Option<Duration>,
}

impl Probed {
    fn new(target: &Target, status: ProbeStatus) -> Self {
        let (provider, profile) = (target.provider.clone(), target.profile.clone());
        Self { provider, profile, model: None, status, code: None, error: None, latency: None }
    }
}

/// What a provider said to a probe.
struct Said {
    status: ProbeStatus,
    /// The status of its answer; `None` where there was none.
    http: Option<u16>,
    code: Option<Code>,
    error: Option<String>,
    latency: Duration,
}

impl Said {
    fn of(status: u16, body: &[u8], latency: Duration) -> Self {
        let http = Some(status);
        let said = |status, code, error| Self { status, http, code, error, latency };
        match ProbeStatus::of_http(status) {
            ProbeStatus::Ok => said(ProbeStatus::Ok, None, None),
            // Neither another try nor a new login changes it: the provider goes by who asks.
            _ if (400..500).contains(&status) && is_for_another_program(body) => {
                let code = Code::NotAuthorizedHere;
                let error = "the provider takes this credential from Claude Code only, not from here".into();
                said(ProbeStatus::Auth, Some(code), Some(error))
            }
            other => said(other, None, Some(format!("the provider answered {status}"))),
        }
    }
}

/// One word to a model, for at most so many tokens of answer; `None` where the provider has no such API.
fn smallest_call(api: &Api, model: &str, tokens: u32) -> Option<Request> {
    let say = json!([{"role": "user", "content": "Hi"}]);
    let (path, body) = match api.kind? {
        ApiKind::OpenAiChat => {
            ("/chat/completions", json!({"model": model, "max_tokens": tokens, "messages": say}))
        }
        ApiKind::OpenAiResponses => {
            ("/responses", json!({"model": model, "max_output_tokens": tokens, "input": say, "store": false}))
        }
        ApiKind::AnthropicMessages => {
            ("/messages", json!({"model": model, "max_tokens": tokens, "messages": say}))
        }
    };
    let url = Url::parse(&format!("{}{path}", api.base_url.as_deref()?)).ok()?;
    let bytes = Secret::from(body.to_string());
    Some(Request::post(url, Body { content_type: "application/json", bytes }))
}

/// Anthropic's words where it takes a subscription's token from its own programs alone.
fn is_for_another_program(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("only authorized for use with Claude Code")
}

#[derive(Clone)]
struct Target {
    provider: ProviderId,
    profile: Option<ProfileId>,
}

impl Auth {
    /// Probes the agent's credentials. A login that is due is refreshed first, as for any use.
    ///
    /// Whatever has not answered within the time limit is reported as [`ProbeStatus::Timeout`]; the call returns then.
    ///
    /// # Errors
    /// Where the agent's files cannot be read.
    pub fn probe(&self, agent: &AgentPaths, plan: &ProbePlan) -> Result<Vec<Probed>, ResolveError> {
        let targets = self.targets(agent, plan)?;
        let deadline = Instant::now() + plan.timeout;
        let (results, inbox) = mpsc::channel::<(usize, Probed)>();
        let queue = std::sync::Arc::new(std::sync::Mutex::new((0..targets.len()).collect::<Vec<_>>()));
        for _ in 0..plan.concurrency.clamp(1, targets.len().max(1)) {
            let (auth, agent, targets) = (self.clone(), agent.clone(), targets.clone());
            let (queue, results) = (queue.clone(), results.clone());
            let (timeout, max_tokens) = (plan.timeout, plan.max_tokens);
            // Not waited for: what hangs is left behind when the time is up.
            std::thread::spawn(move || {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop());
                    let Some(at) = next else { return };
                    if results.send((at, auth.probe_one(&agent, &targets[at], timeout, max_tokens))).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(results);
        let mut probed: Vec<Option<Probed>> = vec![None; targets.len()];
        while let Ok((at, one)) = inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            probed[at] = Some(one);
        }
        let late = |target: &Target| Probed::new(target, ProbeStatus::Timeout);
        Ok(probed
            .into_iter()
            .zip(&targets)
            .map(|(one, target)| one.unwrap_or_else(|| late(target)))
            .collect())
    }

    /// Whether the provider says, within `timeout`, that it does not take this token (401). Anything else that it says, and
    /// silence, say nothing against the token. One request; none where the provider names no cheap one.
    pub fn is_rejected(&self, manifest: &Manifest, lease: &Lease, timeout: Duration) -> bool {
        let api = manifest.api(lease.kind);
        let url = api.base_url.as_deref().zip(api.probe.as_deref());
        let url = url.and_then(|(base, path)| Url::parse(&format!("{base}{path}")).ok());
        let said = url.and_then(|url| self.ask_provider(Request::get(url), lease, timeout).ok());
        said.is_some_and(|said| said.http == Some(401) && said.code.is_none())
    }

    fn targets(&self, agent: &AgentPaths, plan: &ProbePlan) -> Result<Vec<Target>, ResolveError> {
        let status = self.status(agent)?;
        let mut targets = Vec::new();
        for provider in &status.providers {
            if plan.provider.as_ref().is_some_and(|wanted| *wanted != provider.provider) {
                continue;
            }
            let own = status.profiles.iter().filter(|p| p.provider.as_ref() == Some(&provider.provider));
            let own: Vec<_> = own.map(|profile| Some(profile.id.clone())).collect();
            let candidates = if own.is_empty() { vec![None] } else { own };
            for profile in candidates {
                let wanted =
                    plan.profiles.is_empty() || profile.as_ref().is_some_and(|id| plan.profiles.contains(id));
                if wanted {
                    targets.push(Target { provider: provider.provider.clone(), profile });
                }
            }
        }
        Ok(targets)
    }

    fn probe_one(
        &self,
        agent: &AgentPaths,
        target: &Target,
        timeout: Duration,
        max_tokens: Option<u32>,
    ) -> Probed {
        let unknown = |code: Option<Code>, error: String| Probed {
            code,
            error: Some(error),
            ..Probed::new(target, ProbeStatus::Unknown)
        };
        let Some(manifest) = self.registry().get(&target.provider) else {
            return unknown(Some(Code::UnknownProvider), "no such provider".into());
        };
        let ask = Ask { profile: target.profile.clone(), ..Ask::default() };
        let lease = match self.lease(agent, manifest, &ask) {
            Ok(lease) => lease,
            Err(e) => return unknown(Some(e.code()), e.to_string()),
        };
        let api = manifest.api(lease.kind);
        let base = api.base_url.as_deref().unwrap_or_default();
        let free = api.probe.as_deref().and_then(|path| Url::parse(&format!("{base}{path}")).ok());
        let said = free.map(|url| self.ask_provider(Request::get(url), &lease, timeout));
        // A 404 proves nothing about the credential.
        let proves = |said: &Said| said.status != ProbeStatus::Unknown || said.http.is_none();
        let (model, said) = match (said, max_tokens) {
            (Some(Ok(said)), Some(tokens)) if !proves(&said) => {
                match self.call(manifest, &lease, tokens, timeout) {
                    Some((model, said)) => (Some(model), said),
                    None => (None, Ok(said)),
                }
            }
            (Some(said), _) => (None, said),
            (None, None) => return unknown(None, "this provider names no request that costs nothing".into()),
            (None, Some(tokens)) => match self.call(manifest, &lease, tokens, timeout) {
                Some((model, said)) => (Some(model), said),
                None => return Probed::new(target, ProbeStatus::NoModel),
            },
        };
        match said {
            Err(detail) => unknown(None, detail),
            Ok(said) => Probed {
                model,
                code: said.code,
                error: said.error,
                latency: Some(said.latency),
                ..Probed::new(target, said.status)
            },
        }
    }

    /// The smallest call of the provider's first configured model; `None` where none is configured.
    fn call(
        &self,
        manifest: &Manifest,
        lease: &Lease,
        tokens: u32,
        timeout: Duration,
    ) -> Option<(String, Result<Said, String>)> {
        let (primary, fallbacks) = self.config().default_model();
        let of_provider = |model: &str| {
            let (provider, name) = model.split_once('/')?;
            let is_it = self.canonical(&ProviderId::new(provider)) == ProviderId::new(&manifest.id);
            is_it.then(|| name.to_owned())
        };
        let model = primary.into_iter().chain(fallbacks).find_map(of_provider)?;
        let request = smallest_call(&manifest.api(lease.kind), &model, tokens)?;
        let said = self.ask_provider(request, lease, timeout);
        Some((format!("{}/{model}", manifest.id), said))
    }

    fn ask_provider(&self, mut request: Request, lease: &Lease, timeout: Duration) -> Result<Said, String> {
        let connect = timeout.min(Duration::from_secs(5));
        let client =
            Client::new(&self.network(), Limits { connect, total: timeout }).map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        for (name, value) in &lease.headers {
            request = request.header(name, HeaderText::Secret(Secret::from(value.expose())));
        }
        let began = Instant::now();
        let answer = runtime.block_on(client.send(request));
        runtime.shutdown_background();
        let latency = began.elapsed();
        Ok(match answer {
            Ok(answer) => Said::of(answer.status, &answer.body, latency),
            // A long list of models is cut short; its status has said enough.
            Err(SendError::Lost { status: Some(status), .. }) => Said::of(status, &[], latency),
            Err(SendError::Lost { why: coderclaw_http::LostWhy::Timeout, detail, .. }) => {
                Said { status: ProbeStatus::Timeout, http: None, code: None, error: Some(detail), latency }
            }
            Err(e) => {
                let error = Some(e.to_string());
                Said { status: ProbeStatus::Unknown, http: None, code: None, error, latency }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let told = |status, body: &str| {
            let said = Said::of(status, body.as_bytes(), Duration::ZERO);
            (said.status, said.code)
        };
        let refusal = r#"{"type":"error","error":{"type":"invalid_request_error","message":"This credential is only authorized for use with Claude Code and cannot be used for other API requests."}}"#;
        for status in [400, 401, 403] {
            assert_eq!(told(status, refusal), (ProbeStatus::Auth, Some(Code::NotAuthorizedHere)), "{status}");
        }
        assert_eq!(told(200, refusal), (ProbeStatus::Ok, None));
        assert_eq!(told(529, refusal), (ProbeStatus::Unknown, None));
        assert_eq!(told(403, "{}"), (ProbeStatus::Auth, None));
        assert_eq!(told(400, "{}"), (ProbeStatus::Format, None));
        assert_eq!(told(404, "{}"), (ProbeStatus::Unknown, None));
    }
}

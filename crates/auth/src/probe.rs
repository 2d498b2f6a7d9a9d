//! Asking a provider whether a credential works: its cheapest authenticated GET, no model call, and a time limit for
//! everything together.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use coderclaw_http::{Client, HeaderText, Limits, Request, SendError, Url};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, ProfileId, ProviderId, Secret};

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
        Self { provider, profile, status, code: None, error: None, latency: None }
    }
}

/// What a provider said to a probe.
struct Said {
    status: ProbeStatus,
    code: Option<Code>,
    error: Option<String>,
    latency: Duration,
}

impl Said {
    fn of(status: u16, body: &[u8], latency: Duration) -> Self {
        let said = |status, code, error| Self { status, code, error, latency };
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
            let (queue, results, timeout) = (queue.clone(), results.clone(), plan.timeout);
            // Not waited for: what hangs is left behind when the time is up.
            std::thread::spawn(move || {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop());
                    let Some(at) = next else { return };
                    if results.send((at, auth.probe_one(&agent, &targets[at], timeout))).is_err() {
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

    fn probe_one(&self, agent: &AgentPaths, target: &Target, timeout: Duration) -> Probed {
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
        let url = match (&api.base_url, &api.probe) {
            (Some(base), Some(path)) => Url::parse(&format!("{base}{path}")).ok(),
            _ => None,
        };
        let Some(url) = url else {
            return unknown(None, "this provider names no request that costs nothing".into());
        };
        match self.ask_provider(url, &lease, timeout) {
            Err(detail) => unknown(None, detail),
            Ok(said) => Probed {
                code: said.code,
                error: said.error,
                latency: Some(said.latency),
                ..Probed::new(target, said.status)
            },
        }
    }

    fn ask_provider(&self, url: Url, lease: &Lease, timeout: Duration) -> Result<Said, String> {
        let connect = timeout.min(Duration::from_secs(5));
        let client =
            Client::new(&self.network(), Limits { connect, total: timeout }).map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        let mut request = Request::get(url);
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
                Said { status: ProbeStatus::Timeout, code: None, error: Some(detail), latency }
            }
            Err(e) => Said { status: ProbeStatus::Unknown, code: None, error: Some(e.to_string()), latency },
        })
    }
}

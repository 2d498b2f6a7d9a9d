//! How much of its plan each profile has used, as its provider says: asked with that profile's own token and no other.
//!
//! Nothing that a provider answers here says anything about the login: a token that may not see its usage works all the
//! same.

mod read;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use coderclaw_http::{Body, Client, HeaderText, Limits, Request, Url};
use coderclaw_providers::{CredentialKind, PluginCall};
use coderclaw_store::{AgentPaths, Entry, UsageGuard, look_at_auth_store, read_usage_cache};
use coderclaw_types::{Millis, ProfileId, ProviderId, Secret, TokenHash};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use self::read::{Figures, How};
use crate::context::Auth;
use crate::lease::Lease;
use crate::plugin::PluginWindow;
use crate::resolve::{Ask, ResolveError};
use crate::status::ProfileStatus;

/// So long figures are shown without asking again.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// For all profiles together.
const LIMIT: Duration = Duration::from_secs(5);

/// A span of time in which only so much of a plan can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageWindow {
    /// `5h`, `Week`, and the like.
    pub label: String,
    /// From 0 to 100, as the provider says.
    pub used_percent: f64,
    /// When it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_at: Option<Millis>,
}

impl From<PluginWindow> for UsageWindow {
    fn from(one: PluginWindow) -> Self {
        Self { label: one.name, used_percent: one.used_percent, reset_at: one.resets_at }
    }
}

/// What a provider says about the plan of one profile. The names in JSON are the original's, and `profileId`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Whose figures they are.
    pub profile_id: ProfileId,
    /// Of which provider.
    #[serde(deserialize_with = "provider")]
    pub provider: ProviderId,
    /// What people call it.
    pub display_name: String,
    /// What is subscribed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// None where there are no figures.
    pub windows: Vec<UsageWindow>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the provider was asked.
    pub fetched_at: Millis,
}

/// What is remembered: the figures, and of which token they are.
#[derive(Serialize, Deserialize)]
struct Cached {
    token: TokenHash,
    usage: Usage,
}

/// What came of asking.
enum Told {
    /// Figures, or the sure answer that there are none for such a token.
    Known(TokenHash, Usage),
    Failed(Usage),
}

impl Auth {
    /// The figures that were fetched before with the tokens that are here now, whatever their age. Looks only.
    ///
    /// # Errors
    /// Where the agent's files cannot be read.
    pub fn known_usage(&self, agent: &AgentPaths) -> Result<Vec<Usage>, ResolveError> {
        let known = read_usage_cache(self.state(), agent.agent.as_str())?;
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let store = look_at_auth_store(&agent.store())?.doc;
        let is_its = |id: &ProfileId, token: &TokenHash| match store.get(id) {
            Some(Entry::OAuth(entry)) => entry.access.is_some_and(|access| token.is_of(&access)),
            Some(Entry::Token(entry)) => entry.token.is_some_and(|held| token.is_of(&held)),
            Some(Entry::ApiKey(entry)) => entry.key.is_some_and(|held| token.is_of(&held)),
            _ => false,
        };
        let all = store.ids().filter_map(|id| cached(&known, &id).filter(|one| is_its(&id, &one.token)));
        Ok(all.map(|one| one.usage).collect())
    }

    /// The figures of all profiles whose provider publishes them, each fetched with the profile's own token unless they are
    /// a few minutes old at most. What has not come within the time limit says so.
    ///
    /// # Errors
    /// Where the agent's files cannot be read.
    pub fn usage(&self, agent: &AgentPaths) -> Result<Vec<Usage>, ResolveError> {
        let mut known = read_usage_cache(self.state(), agent.agent.as_str())?;
        let profiles: Vec<ProfileStatus> =
            self.status(agent)?.profiles.into_iter().filter(|one| self.publishes(one)).collect();
        let (results, inbox) = mpsc::channel::<(usize, Told)>();
        for (at, profile) in profiles.iter().enumerate() {
            let (auth, agent, profile) = (self.clone(), agent.clone(), profile.clone());
            let before = cached(&known, &profile.id);
            let results = results.clone();
            // Not waited for: what hangs is left behind when the time is up.
            std::thread::spawn(move || results.send((at, auth.usage_of(&agent, &profile, before))).ok());
        }
        drop(results);
        let deadline = Instant::now() + LIMIT;
        let mut told: Vec<Option<Told>> = profiles.iter().map(|_| None).collect();
        while let Ok((at, one)) = inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            told[at] = Some(one);
        }
        let mut all = Vec::new();
        let mut is_new = false;
        for (profile, told) in profiles.iter().zip(told) {
            let late = || Told::Failed(self.no_figures(profile, "the provider has not answered in time"));
            match told.unwrap_or_else(late) {
                Told::Known(token, usage) => {
                    let entry = json!(Cached { token, usage: usage.clone() });
                    is_new |= known.insert(profile.id.as_str().into(), entry.clone()) != Some(entry);
                    all.push(usage);
                }
                Told::Failed(usage) => all.push(usage),
            }
        }
        if is_new {
            // Figures that cannot be remembered are fetched again.
            let guard = UsageGuard::acquire(self.state()).ok();
            guard.map(|guard| guard.commit(self.state(), agent.agent.as_str(), known));
        }
        Ok(all)
    }

    fn publishes(&self, profile: &ProfileStatus) -> bool {
        let Some(manifest) = profile.provider.as_ref().and_then(|id| self.registry().get(id)) else {
            return false;
        };
        let kind = match profile.kind.as_str() {
            "oauth" => CredentialKind::OAuth,
            "token" => CredentialKind::Token,
            "api_key" => CredentialKind::ApiKey,
            _ => return false,
        };
        let is_plan = kind != CredentialKind::ApiKey;
        if is_plan && manifest.plugin.as_ref().is_some_and(|plugin| plugin.does(PluginCall::Usage)) {
            return true;
        }
        read::question(manifest, kind).is_some()
    }

    fn no_figures(&self, profile: &ProfileStatus, why: &str) -> Usage {
        let provider = profile.provider.clone().unwrap_or_else(|| ProviderId::new(""));
        let name = self.registry().get(&provider).map(|manifest| manifest.name.to_string());
        Usage {
            profile_id: profile.id.clone(),
            display_name: name.unwrap_or_default(),
            provider,
            plan: None,
            windows: Vec::new(),
            error: Some(why.to_owned()),
            fetched_at: self.clock().now(),
        }
    }

    fn usage_of(&self, agent: &AgentPaths, profile: &ProfileStatus, before: Option<Cached>) -> Told {
        let failed = |why: &str| Told::Failed(self.no_figures(profile, why));
        let Some(manifest) = profile.provider.as_ref().and_then(|id| self.registry().get(id)) else {
            return failed("no such provider");
        };
        let ask = Ask { profile: Some(profile.id.clone()), ..Ask::default() };
        let lease = match self.lease(agent, manifest, &ask) {
            Ok(lease) if lease.profile.as_ref() == Some(&profile.id) => lease,
            Ok(_) => return failed("another profile would be used"),
            Err(e) => return failed(&e.to_string()),
        };
        let token = TokenHash::of(&lease.token);
        let now = self.clock().now();
        let is_fresh = |one: &Cached| {
            one.token == token && one.usage.fetched_at <= now && now.since(one.usage.fetched_at) < FRESH
        };
        if let Some(before) = before.filter(is_fresh) {
            return Told::Known(token, before.usage);
        }
        match self.plugin_usage(manifest, &lease) {
            Ok(None) => {}
            Ok(Some(windows)) => {
                let windows = windows.into_iter().map(UsageWindow::from).collect();
                return Told::Known(token, Usage { windows, error: None, ..self.no_figures(profile, "") });
            }
            Err(why) => return failed(&why),
        }
        let question = read::question(manifest, lease.kind);
        let asked = question.and_then(|one| Some((Url::parse(&one.url).ok()?, one.how)));
        let Some((url, how)) = asked else { return failed("its address is not known") };
        let request = match how {
            How::Get => with_headers(Request::get(url), &lease),
            How::Post => {
                let body = Body { content_type: "application/json", bytes: Secret::from("{}") };
                with_headers(Request::post(url, body), &lease)
            }
            How::GetWithLongLived => match self.long_lived(&lease) {
                Some(token) => bearer(url, &token),
                None => return failed("the login has no token to ask with"),
            },
        };
        let not_for_it = || Told::Known(token, self.no_figures(profile, "not available for this token type"));
        match self.ask_figures(request) {
            Err(why) => failed(&why),
            Ok((403, _)) => not_for_it(),
            Ok((status, body)) if (200..300).contains(&status) => match read::figures(&manifest.id, &body) {
                Figures::Plan(plan, windows) => {
                    Told::Known(token, Usage { plan, windows, error: None, ..self.no_figures(profile, "") })
                }
                Figures::NotForIt => not_for_it(),
                Figures::NotUnderstood => failed("the provider's answer is not understood"),
            },
            Ok((429, _)) => failed("the provider takes no more such questions for a while"),
            Ok((status, _)) => failed(&format!("the provider answered {status}")),
        }
    }

    /// The token of which the provider made the one that is lent. It goes where it goes for that too.
    fn long_lived(&self, lease: &Lease) -> Option<Secret> {
        let store = look_at_auth_store(&lease.owner.store()).ok()?.doc;
        match store.get(lease.profile.as_ref()?)? {
            Entry::OAuth(entry) => entry.refresh,
            _ => None,
        }
    }

    fn ask_figures(&self, request: Request) -> Result<(u16, Vec<u8>), String> {
        let limits = Limits { connect: LIMIT, total: LIMIT };
        let client = Client::new(&self.network(), limits).map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        let answer = runtime.block_on(client.send(request));
        runtime.shutdown_background();
        answer.map(|answer| (answer.status, answer.body.to_vec())).map_err(|e| e.to_string())
    }
}

/// With what a call of the model API carries.
fn with_headers(request: Request, lease: &Lease) -> Request {
    lease.headers.iter().fold(request, |request, (name, value)| {
        request.header(name, HeaderText::Secret(Secret::from(value.expose())))
    })
}

fn bearer(url: Url, token: &Secret) -> Request {
    let value = Secret::from(format!("Bearer {}", token.expose()));
    Request::get(url)
        .header("authorization", HeaderText::Secret(value))
        .header("accept", HeaderText::Plain("application/json".to_owned()))
}

fn provider<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ProviderId, D::Error> {
    Ok(ProviderId::new(&String::deserialize(deserializer)?))
}

fn cached(known: &Map<String, serde_json::Value>, id: &ProfileId) -> Option<Cached> {
    serde_json::from_value(known.get(id.as_str())?.clone())
        .ok()
        .filter(|one: &Cached| one.usage.profile_id == *id)
}

//! The values that a state dir has. Nothing is written, asked or locked, and what cannot be read has none.

use coderclaw_agents::{ModelNames, Sessions};
use coderclaw_auth::{Auth, Event, Runner};
use coderclaw_store::{AgentPaths, KeyPath, config_value, read_gateway_keys};
use coderclaw_types::{Clock, Env, ProviderId};
use serde_json::Value;

use super::Candidate;
use super::kind::Kind;
use super::spot::Spot;
use crate::commands::onboard::auth_choices;
use crate::commands::own_program;

/// Paths of the config are offered down to here: below are entries that nobody sets one by one.
const DEPTH: usize = 4;

/// A state dir, as far as it can be understood.
pub(super) struct Store {
    auth: Auth,
}

impl Store {
    /// None where the logins are another machine's.
    pub(super) fn open(env: Env, clock: Clock) -> Option<Self> {
        if env.get("CODERCLAW_SOCKET").is_some() {
            return None;
        }
        let (auth, _) = Auth::open_despite(env, clock, Runner::Process(own_program()));
        Some(Self { auth })
    }

    pub(super) fn values(&self, kind: Kind, spot: &Spot<'_>) -> Vec<Candidate> {
        match kind {
            Kind::Agent => self.agents(),
            Kind::Provider => self.providers(),
            Kind::Profile => self.profiles(spot),
            Kind::Session => self.sessions(spot),
            Kind::Model => self.models(),
            Kind::Alias => self.aliases(),
            Kind::Fallback => plain(self.auth.config().default_model().1),
            Kind::ImageFallback => plain(self.auth.config().image_model().1),
            Kind::GatewayKey => self.gateway_keys(),
            Kind::Plugin => plain(self.auth.state().installed_plugins()),
            Kind::Event => plain(Event::ALL.iter().map(|event| event.as_str())),
            Kind::Channel => plain(self.auth.config().channels().into_iter().map(|(name, _)| name)),
            Kind::ConfigPath => self.config_paths(),
            Kind::Choice => auth_choices().map(|(name, about)| Candidate::new(name, about)).collect(),
            Kind::Files | Kind::Commands | Kind::Free => Vec::new(),
        }
    }

    fn agent(&self, spot: &Spot<'_>) -> Option<AgentPaths> {
        self.auth.agent(spot.values("agent").last()).ok()
    }

    fn agents(&self) -> Vec<Candidate> {
        let config = self.auth.config();
        let name = |agent: &AgentPaths| config.agent_entry(&agent.agent)?.name.map(str::to_owned);
        let agents = self.auth.state().agents(config).unwrap_or_default();
        agents
            .iter()
            .map(|agent| Candidate::new(agent.agent.as_str(), name(agent).unwrap_or_default()))
            .collect()
    }

    fn providers(&self) -> Vec<Candidate> {
        self.auth.registry().iter().map(|one| Candidate::new(&*one.id, &*one.name)).collect()
    }

    /// The agent's, of the provider that was named before.
    fn profiles(&self, spot: &Spot<'_>) -> Vec<Candidate> {
        let wanted = spot.values("provider").last();
        let wanted =
            wanted.map(|name| self.auth.registry().canonical(name).unwrap_or_else(|| ProviderId::new(name)));
        let status = self.agent(spot).and_then(|agent| self.auth.status(&agent).ok());
        let all = status.map(|status| status.profiles).unwrap_or_default();
        all.into_iter()
            .filter(|one| wanted.is_none() || one.provider == wanted)
            .map(|one| Candidate::new(one.id.as_str(), format!("{}, {}", one.kind, one.state)))
            .collect()
    }

    /// By their names; those of other agents have none here.
    fn sessions(&self, spot: &Spot<'_>) -> Vec<Candidate> {
        let Some(agent) = self.agent(spot) else { return Vec::new() };
        let front = format!("agent:{}:", agent.agent);
        let all = Sessions::of(&self.auth, &agent).list().unwrap_or_default();
        let about = |entry: &coderclaw_store::SessionEntry| match (entry.pin(), entry.model()) {
            (Some(pin), _) => pin.profile.as_str().to_owned(),
            (None, Some((provider, model))) => format!("{provider}/{model}"),
            (None, None) => String::new(),
        };
        let named = |key: &str| key.strip_prefix(&front).unwrap_or(key).to_owned();
        all.iter().map(|(key, entry)| Candidate::new(named(key), about(entry))).collect()
    }

    fn models(&self) -> Vec<Candidate> {
        let mut all = self.aliases();
        let names = ModelNames::new(self.auth.config(), self.auth.registry());
        all.extend(plain(names.known().iter().map(ToString::to_string)));
        all
    }

    fn aliases(&self) -> Vec<Candidate> {
        let names = ModelNames::new(self.auth.config(), self.auth.registry());
        names.aliases().iter().map(|one| Candidate::new(one.name.as_str(), one.model.to_string())).collect()
    }

    fn gateway_keys(&self) -> Vec<Candidate> {
        let keys = read_gateway_keys(self.auth.state()).unwrap_or_default();
        let is_alone = |name: &str| keys.iter().filter(|one| one.name == name).count() == 1;
        keys.iter()
            .map(|key| match is_alone(&key.name) {
                true => Candidate::new(key.name.as_str(), key.id.as_str()),
                false => Candidate::new(key.id.as_str(), key.name.as_str()),
            })
            .collect()
    }

    fn config_paths(&self) -> Vec<Candidate> {
        let config = config_value(self.auth.state(), self.auth.env()).ok().flatten();
        let mut found = Vec::new();
        if let Some(config) = config {
            walk(&config, &KeyPath::root(), 0, &mut found);
        }
        plain(found)
    }
}

fn walk(value: &Value, path: &KeyPath, depth: usize, found: &mut Vec<String>) {
    let Some(map) = value.as_object().filter(|_| depth < DEPTH) else { return };
    for (key, value) in map {
        let path = path.clone().key(key.as_str());
        found.push(path.to_string());
        walk(value, &path, depth + 1, found);
    }
}

fn plain<T: Into<String>>(all: impl IntoIterator<Item = T>) -> Vec<Candidate> {
    all.into_iter().map(|one| Candidate::new(one, "")).collect()
}

//! `coderclaw.json`: what it says, and changing it.

mod channels;
mod check;
mod doc;
mod edit;
mod include;
mod key_path;
mod place;
mod problem;
mod schema;
mod source;
mod substitute;
pub(crate) mod tree;
mod views;

use std::fmt;
use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, Env, ProfileId, ProviderId, Secret};
use jsonc_parser::{ParseOptions, parse_to_serde_value};
use serde_json::{Map, Value};

use crate::paths::StateDir;
use crate::read::read_text;
use source::{Source, extended};

pub use doc::{ConfigDoc, ConfigEditError};
pub use edit::{ConfigEdit, edit_config};
pub use key_path::{InvalidKeyPath, KeyPath, Step};
pub use problem::{ConfigError, ConfigProblem, ConfigReport, check_config, config_value};
pub use views::{AgentConfig, ModelChoice, ModelEntry, ProviderConfig};

pub(crate) fn parse_options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

/// The value of a JSON5 text; that of an empty one is an empty object.
fn parse_text(path: &Path, text: &str) -> Result<Value, ConfigError> {
    let value: Value =
        parse_to_serde_value(text, &parse_options()).map_err(|e| ConfigError::syntax(path, &e))?;
    Ok(if value.is_null() { Value::Object(Map::new()) } else { value })
}

/// The value that a text means as JSON5; `None` where it is none, or nothing at all.
pub fn json5_value(text: &str) -> Option<Value> {
    if text.trim().is_empty() {
        return None;
    }
    parse_to_serde_value(text, &parse_options()).ok()
}

/// What the config says about one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProfile {
    /// Its id.
    pub id: ProfileId,
    /// Its provider.
    pub provider: ProviderId,
    /// `api_key`, `oauth` or `token`.
    pub mode: String,
}

/// `auth.cooldowns`, in hours; what is missing or absurd has the original's default.
#[derive(Debug, Clone, PartialEq)]
pub struct CooldownSettings {
    /// The first billing back-off.
    pub billing_backoff_hours: f64,
    /// The same for single providers.
    pub by_provider: Vec<(ProviderId, f64)>,
    /// The longest billing back-off.
    pub billing_max_hours: f64,
    /// After this long without a failure, counting starts anew.
    pub failure_window_hours: f64,
}

impl Default for CooldownSettings {
    fn default() -> Self {
        Self {
            billing_backoff_hours: 5.0,
            by_provider: Vec::new(),
            billing_max_hours: 24.0,
            failure_window_hours: 24.0,
        }
    }
}

#[derive(Clone)]
struct AgentEntry {
    id: AgentId,
    dir: Option<PathBuf>,
    default: bool,
}

/// What `coderclaw.json` says. Missing means all defaults.
///
/// `auth` and `agents` have been checked; what else is read is read leniently.
#[derive(Clone, Default)]
pub struct Config {
    orders: Vec<(ProviderId, Vec<ProfileId>)>,
    profiles: Vec<ConfigProfile>,
    cooldowns: CooldownSettings,
    agent_ids: Vec<AgentId>,
    agents: Vec<AgentEntry>,
    value: Value,
    unset: Vec<(KeyPath, String)>,
    vars: Vec<(String, String)>,
}

/// The config may hold API keys, so only the shape is shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("orders", &self.orders)
            .field("profiles", &self.profiles)
            .field("agents", &self.agent_ids)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the config of `state`.
    ///
    /// # Errors
    /// Where it exists and is not understood, or where `auth` or `agents` say something that they may not: a wrong
    /// guess sends the wrong account's token. What is wrong elsewhere is for [`check_config`].
    pub fn load(state: &StateDir, env: &Env) -> Result<Self, ConfigError> {
        let path = state.config_path();
        match read_text(path)? {
            None => Ok(Self::default()),
            Some(text) => {
                let config = Self::parse(path, &text, env)?;
                config.check_agent_dirs(state)?;
                Ok(config)
            }
        }
    }

    fn parse(path: &Path, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let source = Source::parse(path, text, env)?;
        let mut problems = check::vital(&source.root);
        problems.retain(|problem| problem.is_vital);
        if !source.unset.is_empty() {
            problems.extend(source.unset_problems().filter(check::Problem::is_in_vital_section));
        }
        if !problems.is_empty() {
            let more = problems.len() - 1;
            let mut first = source.placed(problems.swap_remove(0), text);
            first.more = more;
            return Err(ConfigError::Invalid(first));
        }
        let mut config = Self::default();
        if let Some(auth) = source.root.get("auth") {
            config.read_auth(auth);
        }
        if let Some(Value::Array(list)) = source.root.get("agents").and_then(|agents| agents.get("list")) {
            config.read_agents(list, env);
        }
        config.value = Value::Object(source.root);
        config.unset = source.unset;
        config.vars = source.vars;
        Ok(config)
    }

    /// Two agents in one folder would use each other's logins.
    fn check_agent_dirs(&self, state: &StateDir) -> Result<(), ConfigError> {
        if self.agents.iter().all(|agent| agent.dir.is_none()) {
            return Ok(());
        }
        let mut seen: Vec<(PathBuf, &AgentId)> = Vec::new();
        for id in &self.agent_ids {
            let dir = state.agent(self, id).dir;
            if let Some((_, other)) = seen.iter().find(|(known, _)| *known == dir) {
                return Err(ConfigError::SharedAgentDir {
                    path: state.config_path().to_path_buf(),
                    agents: [(*other).clone(), id.clone()],
                    dir,
                });
            }
            seen.push((dir, id));
        }
        Ok(())
    }

    fn read_auth(&mut self, auth: &Value) {
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        for (provider, ids) in object(auth.get("order")) {
            let ids = ids.as_array().into_iter().flatten();
            let ids = ids.filter_map(|id| ProfileId::new(id.as_str()?).ok());
            self.orders.push((ProviderId::new(provider), ids.collect()));
        }
        for (id, profile) in object(auth.get("profiles")) {
            self.profiles.push(ConfigProfile {
                id: ProfileId::stored(id),
                provider: ProviderId::new(&text(profile, "provider")),
                mode: text(profile, "mode"),
            });
        }
        if let Some(settings) = auth.get("cooldowns") {
            self.cooldowns = CooldownSettings::read(settings);
        }
    }

    fn read_agents(&mut self, list: &[Value], env: &Env) {
        for entry in list {
            let Some(id) = entry.get("id").and_then(Value::as_str).map(AgentId::new) else { continue };
            if self.agent_ids.contains(&id) {
                continue;
            }
            let dir = entry.get("agentDir").and_then(Value::as_str).map(|dir| env.resolve(dir.trim()));
            let default = entry.get("default").and_then(Value::as_bool).unwrap_or(false);
            self.agent_ids.push(id.clone());
            self.agents.push(AgentEntry { id, dir, default });
        }
    }

    /// `env` with the variables that the section `env` sets where they are not set.
    pub fn extend_env(&self, env: Env) -> Env {
        extended(env, &self.vars)
    }

    /// What stands at `key`, with what included files bring and with variables replaced. It may be a secret.
    pub fn get(&self, key: &KeyPath) -> Option<&Value> {
        key.find(&self.value)
    }

    /// `auth.order` for `provider`.
    pub fn order(&self, provider: &ProviderId) -> Option<&[ProfileId]> {
        let (_, order) = self.orders.iter().find(|(p, _)| p == provider)?;
        (!order.is_empty()).then_some(order)
    }

    /// What `auth.profiles` says about `id`.
    pub fn profile(&self, id: &ProfileId) -> Option<&ConfigProfile> {
        self.profiles.iter().find(|profile| profile.id == *id)
    }

    /// `auth.cooldowns`.
    pub fn cooldowns(&self) -> &CooldownSettings {
        &self.cooldowns
    }

    /// The ids of `agents.list`, in its order.
    pub fn agents(&self) -> &[AgentId] {
        &self.agent_ids
    }

    /// `agentDir` of the agent's entry.
    pub fn agent_dir(&self, agent: &AgentId) -> Option<PathBuf> {
        self.agents.iter().find(|entry| entry.id == *agent)?.dir.clone()
    }

    /// The agent that is meant where none is named: the first marked `default`, else the first, else `main`.
    pub fn default_agent(&self) -> AgentId {
        let marked = self.agents.iter().find(|entry| entry.default);
        marked.or_else(|| self.agents.first()).map_or_else(AgentId::main, |entry| entry.id.clone())
    }

    /// `models.providers.<provider>.apiKey`, where it is there and needs no variable that is not set.
    pub fn api_key(&self, provider: &ProviderId) -> Option<Secret> {
        let entry = self.provider(provider)?;
        match entry.unset_variable() {
            None => entry.api_key,
            Some(_) => None,
        }
    }

    /// The model that is used where none is named, and its fallbacks: `agents.defaults.model`.
    pub fn default_model(&self) -> (Option<&str>, Vec<&str>) {
        self.model_at("model")
    }
}

/// The entries of an object; none of anything else.
fn object(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

impl CooldownSettings {
    fn read(settings: &Value) -> Self {
        let hours = |value: Option<&Value>, default: f64| {
            value.and_then(Value::as_f64).filter(|hours| *hours > 0.0 && hours.is_finite()).unwrap_or(default)
        };
        let fallback = Self::default();
        let by_provider = object(settings.get("billingBackoffHoursByProvider")).map(|(provider, value)| {
            (ProviderId::new(provider), hours(Some(value), fallback.billing_backoff_hours))
        });
        Self {
            by_provider: by_provider.collect(),
            billing_backoff_hours: hours(settings.get("billingBackoffHours"), fallback.billing_backoff_hours),
            billing_max_hours: hours(settings.get("billingMaxHours"), fallback.billing_max_hours),
            failure_window_hours: hours(settings.get("failureWindowHours"), fallback.failure_window_hours),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        let env = Env::new([("HOME".into(), "/h".into())], None, "/".into());
        Config::parse(Path::new("/s/coderclaw.json"), text, &env)
    }

    #[test]
    fn json5_is_read() {
        let config = parse(
            r"// mine
            {
              auth: {
                order: { 'Z.AI': ['zai:b', 'zai:a',], },
                profiles: { 'zai:a': { provider: 'zai', mode: 'api_key' } },
                cooldowns: { billingBackoffHours: 2, billingMaxHours: -1, failureWindowHours: .5,
                             billingBackoffHoursByProvider: { Anthropic: 0x3 } },
              },
              agents: { list: [ { id: 'Work', agentDir: '~/w' }, { id: 'home', default: true } ],
                        defaults: { model: { primary: 'anthropic/claude', fallbacks: ['openai/gpt'] } } },
              models: { providers: { openai: { apiKey: 'sk-1' }, groq: { apiKey: '${X}' } } },
              channels: { unknown: { stays: +1 } },
            }",
        )
        .unwrap();
        let zai = ProviderId::new("zai");
        assert_eq!(config.order(&zai).unwrap()[0].as_str(), "zai:b");
        assert_eq!(config.profile(&ProfileId::stored("zai:a")).unwrap().mode, "api_key");
        let cooldowns = config.cooldowns();
        assert!((cooldowns.billing_backoff_hours - 2.0).abs() < 1e-9);
        assert!((cooldowns.billing_max_hours - 24.0).abs() < 1e-9);
        assert_eq!(cooldowns.by_provider, [(ProviderId::new("anthropic"), 3.0)]);
        assert_eq!(config.agents().len(), 2);
        assert_eq!(config.agent_dir(&AgentId::new("work")).unwrap(), Path::new("/h/w"));
        assert_eq!(config.default_agent().as_str(), "home");
        assert_eq!(config.default_model(), (Some("anthropic/claude"), vec!["openai/gpt"]));
        assert_eq!(config.api_key(&ProviderId::new("openai")).unwrap().expose(), "sk-1");
        assert!(config.api_key(&ProviderId::new("groq")).is_none());
        assert!(!format!("{config:?}").contains("sk-1"));
    }

    #[test]
    fn an_empty_file_means_all_defaults() {
        for text in ["", "  // nothing\n", "{}"] {
            assert_eq!(parse(text).unwrap().default_agent(), AgentId::main());
        }
    }

    #[test]
    fn errors_name_the_file_the_place_and_the_key() {
        let table = [
            ("{auth: {order: {openai: 'x'}}}", ":1:17: `auth.order.openai` should be a list of profile ids"),
            ("{auth: {order: {openai: [1]}}}", ":1:26: `auth.order.openai[0]` should be a profile id"),
            ("{auth: []}", ":1:2: `auth` should be an object, and is a list"),
            ("{auth: {profiles: {x: {provider: 'p'}}}}", "`auth.profiles.x.mode` is missing"),
            ("{\n agents: {list: [{}]}}", ":2:18: `agents.list[0].id` is missing"),
            ("{auth: {cooldowns: {billingMaxHours: 'x'}}}", "billingMaxHours` should be a number above 0"),
            ("[]", ":1:1: the file should be an object"),
            ("{auth: {ordr: {}, order: {}, x: 1}}", "and 1 more"),
            ("{a: 1 b: 2}", "line 1"),
            ("{", "line 1"),
            ("{agents: {list: [{id: '${GONE}'}]}}", "needs the variable GONE, which is not set"),
        ];
        for (text, message) in table {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("/s/coderclaw.json:") && error.contains(message), "{error}");
        }
    }

    #[test]
    fn variables_are_put_in_where_they_are_there() {
        let text = "{env: {vars: {MINE: 'm', HOME: 'x'}, OTHER: '${HOME}/o', BLANK: ''},
            agents: {list: [{id: 'a', agentDir: '${HOME}/${MINE}'}]},
            models: {providers: {groq: {apiKey: '${GONE}'}, xai: {apiKey: '${MINE}'}, zai: {apiKey: '$${MINE}'}}}}";
        let config = parse(text).unwrap();
        assert_eq!(config.agent_dir(&AgentId::new("a")).unwrap(), Path::new("/h/m"));
        let key =
            |provider: &str| config.api_key(&ProviderId::new(provider)).map(|key| key.expose().to_owned());
        assert_eq!(
            (key("groq"), key("xai").as_deref(), key("zai").as_deref()),
            (None, Some("m"), Some("${MINE}"))
        );
        assert_eq!(config.provider(&ProviderId::new("groq")).unwrap().unset_variable(), Some("GONE"));
        let env = config.extend_env(Env::new([("HOME".into(), "/h".into())], None, "/".into()));
        assert_eq!(
            (env.get("MINE"), env.get("HOME"), env.get("OTHER")),
            (Some("m"), Some("/h"), Some("/h/o"))
        );
    }

    #[test]
    fn two_agents_in_one_folder_are_refused() {
        let env = Env::new([("HOME".into(), "/h".into())], None, "/".into());
        let state = StateDir::from_env(&env);
        for list in [
            "[{id: 'a', agentDir: '/x'}, {id: 'b', agentDir: '/x'}]",
            "[{id: 'a'}, {id: 'b', agentDir: '~/.coderclaw/agents/a/agent'}]",
        ] {
            let config = parse(&format!("{{agents: {{list: {list}}}}}")).unwrap();
            let error = config.check_agent_dirs(&state).unwrap_err().to_string();
            assert!(error.contains("a and b"), "{error}");
        }
    }
}

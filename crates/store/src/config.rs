//! `coderclaw.json`: what it says, and changing it.

mod channels;
mod doc;
mod edit;
mod include;
mod key_path;
mod substitute;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, Code, Env, ProfileId, ProviderId, Secret};
use jsonc_parser::{ParseOptions, parse_to_serde_value};
use serde_json::Value;

pub use doc::{ConfigDoc, ConfigEditError};
pub use edit::{ConfigEdit, edit_config};
pub use key_path::{InvalidKeyPath, KeyPath, Step};

use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// A config that cannot be used. Nothing is guessed in its place: a wrong guess sends the wrong account's token.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not JSON5.
    #[error("{}: {detail}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What and where.
        detail: String,
    },
    /// A key has a value of the wrong kind.
    #[error("{}: `{key}` should be {wanted}", path.display())]
    Shape {
        /// Which file.
        path: PathBuf,
        /// The key, with dots.
        key: String,
        /// What should stand there.
        wanted: &'static str,
    },
    /// An `$include` that cannot be followed.
    #[error("{}: `$include` of \"{include}\": {detail}", path.display())]
    Include {
        /// The including file.
        path: PathBuf,
        /// What it includes.
        include: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl ConfigError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Read(ReadError::Corrupt { .. }) => Code::ConfigInvalid,
            Self::Read(e) => e.code(),
            Self::Syntax { .. } | Self::Shape { .. } | Self::Include { .. } => Code::ConfigInvalid,
        }
    }

    fn shape(path: &Path, key: &str, wanted: &'static str) -> Self {
        Self::Shape { path: path.into(), key: key.into(), wanted }
    }

    fn syntax(path: &Path, error: &jsonc_parser::errors::ParseError) -> Self {
        Self::Syntax { path: path.into(), detail: error.to_string() }
    }
}

fn parse_options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

/// The value of a JSON5 text; that of an empty one is an empty object.
fn parse_text(path: &Path, text: &str) -> Result<Value, ConfigError> {
    let value: Value =
        parse_to_serde_value(text, &parse_options()).map_err(|e| ConfigError::syntax(path, &e))?;
    Ok(if value.is_null() { Value::Object(serde_json::Map::new()) } else { value })
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

/// The parts of `coderclaw.json` that auth reads. Missing means all defaults.
#[derive(Clone, Default)]
pub struct Config {
    orders: Vec<(ProviderId, Vec<ProfileId>)>,
    profiles: Vec<ConfigProfile>,
    cooldowns: CooldownSettings,
    agent_ids: Vec<AgentId>,
    agents: Vec<AgentEntry>,
    value: Value,
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
    /// Where it exists and is not understood. What auth does not read is not looked at.
    pub fn load(state: &StateDir, env: &Env) -> Result<Self, ConfigError> {
        let path = state.config_path();
        match read_text(path)? {
            None => Ok(Self::default()),
            Some(text) => Self::parse(path, &text, env),
        }
    }

    fn parse(path: &Path, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let mut value = parse_text(path, text)?;
        if text.contains(include::INCLUDE) {
            value = include::resolve(path, value, &mut Vec::new())?;
        }
        let reader = Reader { path };
        let root = reader.object(&value, "the file")?;
        let mut config = Self::default();
        if let Some(auth) = root.get("auth") {
            config.read_auth(&reader, auth)?;
        }
        if let Some(list) = root.get("agents").and_then(|agents| agents.get("list")) {
            config.read_agents(&reader, list, env)?;
        }
        config.value = value;
        Ok(config)
    }

    fn read_auth(&mut self, reader: &Reader<'_>, auth: &Value) -> Result<(), ConfigError> {
        let auth = reader.object(auth, "auth")?;
        if let Some(orders) = auth.get("order") {
            for (provider, ids) in reader.object(orders, "auth.order")? {
                let key = format!("auth.order.{provider}");
                let ids = reader.list(ids, &key)?.iter().map(|id| match id.as_str().map(ProfileId::new) {
                    Some(Ok(id)) => Ok(id),
                    _ => Err(reader.shape(&key, "a list of profile ids")),
                });
                self.orders.push((ProviderId::new(provider), ids.collect::<Result<_, _>>()?));
            }
        }
        if let Some(profiles) = auth.get("profiles") {
            for (id, profile) in reader.object(profiles, "auth.profiles")? {
                let key = format!("auth.profiles.{id}");
                let profile = reader.object(profile, &key)?;
                let text = |name: &str| {
                    profile
                        .get(name)
                        .and_then(Value::as_str)
                        .ok_or_else(|| reader.shape(&format!("{key}.{name}"), "text"))
                };
                self.profiles.push(ConfigProfile {
                    id: ProfileId::stored(id),
                    provider: ProviderId::new(text("provider")?),
                    mode: text("mode")?.to_owned(),
                });
            }
        }
        if let Some(cooldowns) = auth.get("cooldowns") {
            self.cooldowns = reader.cooldowns(cooldowns)?;
        }
        Ok(())
    }

    fn read_agents(&mut self, reader: &Reader<'_>, list: &Value, env: &Env) -> Result<(), ConfigError> {
        for (i, entry) in reader.list(list, "agents.list")?.iter().enumerate() {
            let key = format!("agents.list[{i}]");
            let entry = reader.object(entry, &key)?;
            let Some(id) = entry.get("id").and_then(Value::as_str) else {
                return Err(reader.shape(&format!("{key}.id"), "an agent id"));
            };
            let dir = match entry.get("agentDir") {
                None => None,
                Some(Value::String(dir)) => Some(env.resolve(dir.trim())),
                Some(_) => return Err(reader.shape(&format!("{key}.agentDir"), "a path")),
            };
            let id = AgentId::new(id);
            let default = entry.get("default").and_then(Value::as_bool).unwrap_or(false);
            if !self.agent_ids.contains(&id) {
                self.agent_ids.push(id.clone());
                self.agents.push(AgentEntry { id, dir, default });
            }
        }
        Ok(())
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

    /// `models.providers.<provider>.apiKey`, where it is written out.
    pub fn api_key(&self, provider: &ProviderId) -> Option<Secret> {
        let providers = self.value.pointer("/models/providers")?.as_object()?;
        let (_, entry) = providers.iter().find(|(id, _)| ProviderId::new(id) == *provider)?;
        let key = entry.get("apiKey")?.as_str()?.trim();
        (!key.is_empty() && !key.contains("${")).then(|| Secret::from(key))
    }

    /// The model that is used where none is named, and its fallbacks: `agents.defaults.model`.
    pub fn default_model(&self) -> (Option<&str>, Vec<&str>) {
        let model = self.value.pointer("/agents/defaults/model");
        let primary = model.and_then(|m| m.get("primary")).and_then(Value::as_str);
        let fallbacks = model.and_then(|m| m.get("fallbacks")).and_then(Value::as_array);
        (primary, fallbacks.into_iter().flatten().filter_map(Value::as_str).collect())
    }
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn shape(&self, key: &str, wanted: &'static str) -> ConfigError {
        ConfigError::shape(self.path, key, wanted)
    }

    fn object<'v>(
        &self,
        value: &'v Value,
        key: &str,
    ) -> Result<&'v serde_json::Map<String, Value>, ConfigError> {
        value.as_object().ok_or_else(|| self.shape(key, "an object"))
    }

    fn list<'v>(&self, value: &'v Value, key: &str) -> Result<&'v Vec<Value>, ConfigError> {
        value.as_array().ok_or_else(|| self.shape(key, "a list"))
    }

    fn cooldowns(&self, value: &Value) -> Result<CooldownSettings, ConfigError> {
        let settings = self.object(value, "auth.cooldowns")?;
        let hours = |value: Option<&Value>, key: &str, default: f64| match value {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(hours) if hours > 0.0 && hours.is_finite() => Ok(hours),
                Some(_) => Ok(default),
                None => Err(self.shape(&format!("auth.cooldowns.{key}"), "a number of hours")),
            },
        };
        let fallback = CooldownSettings::default();
        let mut by_provider = Vec::new();
        if let Some(map) = settings.get("billingBackoffHoursByProvider") {
            for (provider, value) in self.object(map, "auth.cooldowns.billingBackoffHoursByProvider")? {
                let key = format!("billingBackoffHoursByProvider.{provider}");
                let hours = hours(Some(value), &key, fallback.billing_backoff_hours)?;
                by_provider.push((ProviderId::new(provider), hours));
            }
        }
        let get = |key: &str, default| hours(settings.get(key), key, default);
        Ok(CooldownSettings {
            billing_backoff_hours: get("billingBackoffHours", fallback.billing_backoff_hours)?,
            by_provider,
            billing_max_hours: get("billingMaxHours", fallback.billing_max_hours)?,
            failure_window_hours: get("failureWindowHours", fallback.failure_window_hours)?,
        })
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
    fn errors_name_the_file_and_the_key() {
        let table = [
            ("{auth: {order: {openai: 'x'}}}", "`auth.order.openai` should be a list"),
            ("{auth: {order: {openai: [1]}}}", "`auth.order.openai` should be a list of profile ids"),
            ("{auth: []}", "`auth` should be an object"),
            ("{auth: {profiles: {x: {provider: 'p'}}}}", "`auth.profiles.x.mode` should be text"),
            ("{agents: {list: [{}]}}", "`agents.list[0].id` should be an agent id"),
            (
                "{auth: {cooldowns: {billingMaxHours: 'x'}}}",
                "`auth.cooldowns.billingMaxHours` should be a number",
            ),
            ("[]", "`the file` should be an object"),
            ("{a: 1 b: 2}", "line 1"),
            ("{", "line 1"),
        ];
        for (text, message) in table {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("/s/coderclaw.json: ") && error.contains(message), "{error}");
        }
    }
}

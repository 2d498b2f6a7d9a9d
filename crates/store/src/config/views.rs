//! What the config says about agents, models and providers, typed.

use std::net::IpAddr;

use coderclaw_types::{AgentId, ProviderId, Secret};
use serde_json::{Map, Value};

use super::{Config, KeyPath, object};

/// A model and those that follow it when it fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelChoice<'a> {
    /// The model, as it is written.
    pub primary: Option<&'a str>,
    /// Those that follow; `None` where nothing is said about them.
    pub fallbacks: Option<Vec<&'a str>>,
}

/// One entry of `agents.list`.
#[derive(Debug, Clone)]
pub struct AgentConfig<'a> {
    /// Its id.
    pub id: AgentId,
    /// Where it stands in the list.
    pub index: usize,
    /// It is meant where none is named, if it is the first that says so.
    pub is_default: bool,
    /// What people call it.
    pub name: Option<&'a str>,
    /// Its workspace, as it is written.
    pub workspace: Option<&'a str>,
    /// Its agent dir, as it is written.
    pub agent_dir: Option<&'a str>,
    /// Its own model.
    pub model: ModelChoice<'a>,
    /// Name, theme, emoji, avatar.
    pub identity: Option<&'a Map<String, Value>>,
}

/// One model of `agents.defaults.models`: together they are the allowlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry<'a> {
    /// `provider/model`.
    pub key: &'a str,
    /// Its alias. An empty one means that it shall have none.
    pub alias: Option<&'a str>,
}

/// One entry of `models.providers`.
#[derive(Debug, Clone)]
pub struct ProviderConfig<'a> {
    /// Its id, folded.
    pub id: ProviderId,
    /// Its id as it is written.
    pub written: &'a str,
    /// The API's address.
    pub base_url: Option<&'a str>,
    /// The key. Where it needs a variable that is not set, it is no key: see [`ProviderConfig::unset_variable`].
    pub api_key: Option<Secret>,
    /// `api-key`, `aws-sdk`, `oauth` or `token`.
    pub auth: Option<&'a str>,
    /// The dialect, in the original's words.
    pub api: Option<&'a str>,
    /// Further headers.
    pub headers: Vec<(&'a str, Secret)>,
    /// Ids, names and limits of its models.
    pub models: &'a [Value],
    unset: Option<&'a str>,
}

impl<'a> ProviderConfig<'a> {
    /// The variable that the key needs and that is not set.
    pub fn unset_variable(&self) -> Option<&'a str> {
        self.unset
    }

    /// It is served on this machine or in its network, and nothing says that it wants a credential.
    pub fn is_keyless(&self) -> bool {
        self.api_key.is_none() && self.auth.is_none() && self.is_local()
    }

    /// It is served on this machine or in its network.
    pub fn is_local(&self) -> bool {
        self.base_url.is_some_and(is_near)
    }
}

/// Whether the address leads to this machine or its own network. A key that is missing for one farther away is missing.
fn is_near(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    };
    let host = host.to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
        Err(_) => {
            host == "localhost" || [".localhost", ".local", ".internal"].iter().any(|end| host.ends_with(end))
        }
    }
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

fn texts<'v>(value: &'v Value, name: &str) -> Option<Vec<&'v str>> {
    Some(value.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
}

fn choice(value: Option<&Value>) -> ModelChoice<'_> {
    match value {
        Some(Value::String(model)) => ModelChoice { primary: Some(model), fallbacks: None },
        Some(value) => ModelChoice { primary: text(value, "primary"), fallbacks: texts(value, "fallbacks") },
        None => ModelChoice::default(),
    }
}

impl Config {
    fn at(&self, section: &str, name: &str) -> Option<&Value> {
        self.value.get(section)?.get(name)
    }

    fn default_of(&self, name: &str) -> Option<&Value> {
        self.at("agents", "defaults")?.get(name)
    }

    pub(super) fn model_at(&self, name: &str) -> (Option<&str>, Vec<&str>) {
        let choice = choice(self.default_of(name));
        (choice.primary, choice.fallbacks.unwrap_or_default())
    }

    /// The model for pictures where none is named, and its fallbacks: `agents.defaults.imageModel`.
    pub fn image_model(&self) -> (Option<&str>, Vec<&str>) {
        self.model_at("imageModel")
    }

    /// `agents.defaults.models`, in its order. Where there are none, any model may be used.
    pub fn models(&self) -> Vec<ModelEntry<'_>> {
        let entries = object(self.default_of("models"));
        entries.map(|(key, entry)| ModelEntry { key, alias: text(entry, "alias").map(str::trim) }).collect()
    }

    /// `agents.defaults.workspace`, as it is written.
    pub fn default_workspace(&self) -> Option<&str> {
        self.default_of("workspace")?.as_str()
    }

    /// The entries of `agents.list`, in its order.
    pub fn agent_entries(&self) -> impl Iterator<Item = AgentConfig<'_>> {
        let list = self.at("agents", "list").and_then(Value::as_array).into_iter().flatten();
        list.enumerate().filter_map(|(index, entry)| {
            Some(AgentConfig {
                id: AgentId::new(text(entry, "id")?),
                index,
                is_default: entry.get("default").and_then(Value::as_bool).unwrap_or(false),
                name: text(entry, "name"),
                workspace: text(entry, "workspace"),
                agent_dir: text(entry, "agentDir"),
                model: choice(entry.get("model")),
                identity: entry.get("identity").and_then(Value::as_object),
            })
        })
    }

    /// The agent's entry; the first, where two are called the same.
    pub fn agent_entry(&self, agent: &AgentId) -> Option<AgentConfig<'_>> {
        self.agent_entries().find(|entry| entry.id == *agent)
    }

    /// The entries of `models.providers`, in their order.
    pub fn providers(&self) -> impl Iterator<Item = ProviderConfig<'_>> {
        object(self.at("models", "providers")).map(|(written, entry)| {
            let key = text(entry, "apiKey").map(str::trim).filter(|key| !key.is_empty());
            let place = || KeyPath::keys(["models", "providers", written, "apiKey"]);
            let unset = match self.unset.is_empty() {
                true => None,
                false => self.unset.iter().find(|(at, _)| *at == place()).map(|(_, name)| name.as_str()),
            };
            ProviderConfig {
                id: ProviderId::new(written),
                written,
                base_url: text(entry, "baseUrl").map(str::trim).filter(|url| !url.is_empty()),
                api_key: key.map(Secret::from),
                auth: text(entry, "auth"),
                api: text(entry, "api"),
                headers: object(entry.get("headers"))
                    .filter_map(|(name, value)| Some((name.as_str(), Secret::from(value.as_str()?))))
                    .collect(),
                models: entry.get("models").and_then(Value::as_array).map_or(&[], Vec::as_slice),
                unset,
            }
        })
    }

    /// The entry of this provider, under whichever of its spellings.
    pub fn provider(&self, provider: &ProviderId) -> Option<ProviderConfig<'_>> {
        self.providers().find(|entry| entry.id == *provider)
    }
}

#[cfg(test)]
mod tests {
    use super::is_near;

    /// C19: only what is served nearby may want no key.
    #[test]
    fn c19_near_and_far() {
        for near in [
            "http://localhost:11434/v1",
            "http://127.0.0.1:8000",
            "http://[::1]:8000/v1",
            "http://192.168.1.5/v1",
            "http://host.docker.internal:11434",
            "http://gpu.local/v1",
            "http://user@10.0.0.1/",
        ] {
            assert!(is_near(near), "{near}");
        }
        for far in [
            "https://api.x.example/v1",
            "https://localhost.evil.example",
            "https://1.2.3.4",
            "",
            "https://localhost@evil.example/",
        ] {
            assert!(!is_near(far), "{far}");
        }
    }
}

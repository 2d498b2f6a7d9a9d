//! `persisted.json`: which refresh token of a profile a secret store outside has, by its hash. Losing the file means that
//! what stands here now is taken for what stands there.

use coderclaw_types::{AgentId, ProfileId, TokenHash};
use serde_json::{Map, Value, json};

use crate::commit::{WriteError, replace};
use crate::locks::PersistGuard;
use crate::own_file::object;
use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Persisted {
    top: Map<String, Value>,
}

/// What is known to stand outside. Reads only; no file means nothing.
///
/// # Errors
/// Where the file exists and cannot be read or understood: what is not known must not be written back.
pub fn read_persisted(state: &StateDir) -> Result<Persisted, ReadError> {
    let path = state.persisted();
    let Some(text) = read_text(&path)? else { return Ok(Persisted::default()) };
    match serde_json::from_str(&text) {
        Ok(top) => Ok(Persisted { top }),
        Err(e) => Err(ReadError::Corrupt { path, detail: e.to_string() }),
    }
}

impl Persisted {
    /// The token of the profile that stands outside.
    pub fn token(&self, agent: &AgentId, profile: &ProfileId) -> Option<TokenHash> {
        let known = self.top.get("agents")?.get(agent.as_str())?.get(profile.as_str())?;
        serde_json::from_value(known.clone()).ok()
    }

    /// Notes that this one stands there now.
    pub fn set(&mut self, agent: &AgentId, profile: &ProfileId, token: &TokenHash) {
        self.top.entry("version").or_insert(json!(1));
        let agents = object(self.top.entry("agents").or_insert_with(|| json!({})));
        let profiles = object(agents.entry(agent.as_str()).or_insert_with(|| json!({})));
        profiles.insert(profile.as_str().into(), json!(token));
    }
}

impl PersistGuard {
    /// Replaces the file.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn commit(&self, persisted: &Persisted) -> Result<(), WriteError> {
        replace(self.target(), format!("{:#}\n", Value::Object(persisted.top.clone())).as_bytes())
    }
}

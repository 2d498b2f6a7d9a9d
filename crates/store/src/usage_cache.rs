//! `usage.json`: how much of their plans the profiles had used when a provider was last asked. Figures and hashes only.
//! Losing the file means asking again.

use serde_json::{Map, Value, json};

use crate::commit::{WriteError, replace};
use crate::locks::UsageGuard;
use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// What is remembered for `agent`, by profile id. Reads only; a damaged file means nothing.
///
/// # Errors
/// Where the file exists and cannot be read.
pub fn read_usage_cache(state: &StateDir, agent: &str) -> Result<Map<String, Value>, ReadError> {
    let profiles = |top: &Map<String, Value>| top.get("agents")?.get(agent)?.as_object().cloned();
    Ok(profiles(&read(state)?).unwrap_or_default())
}

fn read(state: &StateDir) -> Result<Map<String, Value>, ReadError> {
    match read_text(&state.usage_cache()) {
        Ok(text) => Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()),
        Err(ReadError::Corrupt { .. }) => Ok(Map::new()),
        Err(e) => Err(e),
    }
}

impl UsageGuard {
    /// Replaces what is remembered for `agent`.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn commit(
        &self,
        state: &StateDir,
        agent: &str,
        profiles: Map<String, Value>,
    ) -> Result<(), WriteError> {
        let mut top = read(state).unwrap_or_default();
        top.insert("version".into(), json!(1));
        let mut agents = top.get("agents").and_then(Value::as_object).cloned().unwrap_or_default();
        agents.insert(agent.into(), Value::Object(profiles));
        top.insert("agents".into(), Value::Object(agents));
        replace(self.target(), format!("{:#}\n", Value::Object(top)).as_bytes())
    }
}

//! `attention.json`: what people were told about logins that need them. Each note is tied to the token it speaks of, so
//! that one trouble is told once, by whichever process sees it first. Losing the file means being told again.

use coderclaw_types::{AgentId, Millis, ProfileId, TokenHash};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::commit::{WriteError, replace};
use crate::locks::AttentionGuard;
use crate::own_file::object;
use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// What was told about one profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// How urgent it was: a word of the teller's.
    pub level: String,
    /// The token it speaks of.
    pub token: TokenHash,
    /// When it was told.
    pub at: Millis,
    /// Somebody is at it: until that has ended, it is not known whether anybody heard of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub under_way: bool,
}

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attention {
    top: Map<String, Value>,
}

/// What was told so far. Reads only; a damaged file means nothing.
///
/// # Errors
/// Where the file exists and cannot be read.
pub fn read_attention(state: &StateDir) -> Result<Attention, ReadError> {
    match read_text(&state.attention()) {
        Ok(text) => {
            let top = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            Ok(Attention { top })
        }
        Err(ReadError::Corrupt { .. }) => Ok(Attention::default()),
        Err(e) => Err(e),
    }
}

impl Attention {
    /// What was told about the profile.
    pub fn told(&self, agent: &AgentId, profile: &ProfileId) -> Option<Told> {
        let told = self.top.get("agents")?.get(agent.as_str())?.get(profile.as_str())?;
        serde_json::from_value(told.clone()).ok()
    }

    /// Notes it, or forgets it.
    pub fn set(&mut self, agent: &AgentId, profile: &ProfileId, told: Option<&Told>) {
        self.top.entry("version").or_insert(json!(1));
        let profiles = object(
            object(self.top.entry("agents").or_insert_with(|| json!({})))
                .entry(agent.as_str())
                .or_insert_with(|| json!({})),
        );
        match told {
            Some(told) => drop(profiles.insert(profile.as_str().into(), json!(told))),
            None => drop(profiles.shift_remove(profile.as_str())),
        }
    }
}

impl AttentionGuard {
    /// Replaces the file.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn commit(&self, attention: &Attention) -> Result<(), WriteError> {
        replace(self.target(), format!("{:#}\n", Value::Object(attention.top.clone())).as_bytes())
    }
}

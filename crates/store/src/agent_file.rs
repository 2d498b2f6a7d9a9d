//! `agent.toml`: what a person decided about one agent and the original's config has no place for.
//!
//! A missing file means that nothing was decided. A damaged one is an error that names the file: guessing "not linked" would
//! take an agent's logins away, and guessing anything else would lend somebody else's.

use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, ProfileId};
use toml_edit::{DocumentMut, Item, TableLike, value};

use crate::commit::{WriteError, replace};
use crate::locks::AgentFileGuard;
use crate::paths::AgentPaths;
use crate::read::{ReadError, read_text};

/// What `agent.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentSettings {
    /// This agent also uses the profiles of that one, after its own.
    pub link: Option<AgentId>,
    /// A key that is billed per use may follow a subscription.
    pub metered_fallback: bool,
    /// The one profile that this agent uses for that profile's provider.
    pub auth_profile: Option<ProfileId>,
}

/// The file with everything in it that this version does not know, comments included.
#[derive(Debug, Clone)]
pub struct AgentDoc {
    path: PathBuf,
    text: String,
    doc: DocumentMut,
}

fn text(path: &Path) -> Result<Option<String>, ReadError> {
    read_text(path).map_err(|e| match e {
        ReadError::Corrupt { path, detail } => ReadError::Settings { path, detail },
        other => other,
    })
}

/// What the agent's `agent.toml` says. Reads only; costs one look where there is no such file.
///
/// # Errors
/// Where the file exists and cannot be read or understood.
pub fn read_agent_settings(agent: &AgentPaths) -> Result<AgentSettings, ReadError> {
    let path = agent.settings();
    match text(&path)? {
        None => Ok(AgentSettings::default()),
        Some(text) => AgentDoc::parse(&path, text)?.settings(),
    }
}

impl AgentFileGuard {
    /// The file as it is now.
    ///
    /// # Errors
    /// As [`read_agent_settings`].
    pub fn read(&self) -> Result<AgentDoc, ReadError> {
        let doc = AgentDoc::parse(self.target(), text(self.target())?.unwrap_or_default())?;
        doc.settings()?;
        Ok(doc)
    }

    /// Replaces the file with `doc`. False where that changes nothing; then nothing is written.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn commit(&self, doc: &AgentDoc) -> Result<bool, WriteError> {
        let text = doc.doc.to_string();
        if text == doc.text {
            return Ok(false);
        }
        replace(self.target(), text.as_bytes())?;
        Ok(true)
    }
}

impl AgentDoc {
    fn parse(path: &Path, text: String) -> Result<Self, ReadError> {
        let doc: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| {
            let line = e.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let detail = format!("{place}{}", e.message().lines().next().unwrap_or("not TOML"));
            ReadError::Settings { path: path.to_path_buf(), detail }
        })?;
        Ok(Self { path: path.to_path_buf(), text, doc })
    }

    /// What the file says.
    ///
    /// # Errors
    /// Where a key that is known here has a value of the wrong kind.
    pub fn settings(&self) -> Result<AgentSettings, ReadError> {
        let wrong = |key: &str, wanted: &str| ReadError::Settings {
            path: self.path.clone(),
            detail: format!("`{key}` should be {wanted}"),
        };
        let text = |key: &str, wanted: &str| match self.doc.get(key).map(Item::as_str) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text.trim())),
            Some(None) => Err(wrong(key, wanted)),
        };
        let agent = "the id of an agent";
        let link = match text("link", agent)? {
            // What is no name would be read as `main`, and that is not what somebody meant.
            Some(name) if !name.chars().any(|c| c.is_alphanumeric() || c == '_') => {
                return Err(wrong("link", agent));
            }
            name => name.map(AgentId::new),
        };
        let profile = "the id of a profile";
        let auth_profile = text("auth_profile", profile)?
            .map(|id| ProfileId::new(id).map_err(|_| wrong("auth_profile", profile)))
            .transpose()?;
        let metered_fallback = match self.doc.get("metered_fallback") {
            None => false,
            Some(item) => {
                item.as_bool().ok_or_else(|| wrong("metered_fallback", "true or false, without quotes"))?
            }
        };
        Ok(AgentSettings { link, metered_fallback, auth_profile })
    }

    /// Links the agent to `target`, or to nobody. Everything else stays as it is.
    pub fn set_link(&mut self, target: Option<&AgentId>) {
        match target {
            Some(target) => match self.doc.get_mut("link").and_then(Item::as_value_mut) {
                // In place, so that a comment behind it stays.
                Some(old) => {
                    let decor = old.decor().clone();
                    *old = target.as_str().into();
                    *old.decor_mut() = decor;
                }
                None => drop(self.doc.insert("link", value(target.as_str()))),
            },
            None => drop(TableLike::remove(self.doc.as_table_mut(), "link")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Config, StateDir};

    fn world() -> (tempfile::TempDir, StateDir, AgentPaths) {
        let (tmp, state) = StateDir::temporary();
        let agent = state.agent(&Config::default(), &AgentId::new("work"));
        (tmp, state, agent)
    }

    fn put(agent: &AgentPaths, text: &str) {
        fs::create_dir_all(&agent.dir).unwrap();
        fs::write(agent.settings(), text).unwrap();
    }

    /// Unknown keys, comments and the order of lines survive a change of one key, and its way back.
    #[test]
    fn what_is_not_known_survives() {
        let (_tmp, state, agent) = world();
        let text = "# ours\nfuture = [1, 2] # stays\nlink = 'Main' # why\n\n[room.deep]\nx = 1 # too\n";
        put(&agent, text);
        assert_eq!(read_agent_settings(&agent).unwrap().link, Some(AgentId::main()));
        let guard = AgentFileGuard::acquire(&state, &agent.settings()).unwrap();
        let mut doc = guard.read().unwrap();
        assert!(!guard.commit(&doc).unwrap(), "nothing changed");
        doc.set_link(Some(&AgentId::new("home")));
        assert!(guard.commit(&doc).unwrap());
        let now = fs::read_to_string(agent.settings()).unwrap();
        assert_eq!(now, text.replace("'Main'", "\"home\""));
        let mut doc = guard.read().unwrap();
        doc.set_link(None);
        guard.commit(&doc).unwrap();
        let now = fs::read_to_string(agent.settings()).unwrap();
        for kept in ["# ours", "future = [1, 2] # stays", "[room.deep]\nx = 1 # too"] {
            assert!(now.contains(kept), "{kept} in {now}");
        }
        assert_eq!(read_agent_settings(&agent).unwrap(), AgentSettings::default());
    }

    /// A link goes before the tables of a file that has some, or it would land inside the last of them.
    #[test]
    fn a_link_is_a_key_of_the_file_itself() {
        let (_tmp, state, agent) = world();
        put(&agent, "[room]\nx = 1\n");
        let guard = AgentFileGuard::acquire(&state, &agent.settings()).unwrap();
        let mut doc = guard.read().unwrap();
        doc.set_link(Some(&AgentId::main()));
        guard.commit(&doc).unwrap();
        drop(guard);
        assert_eq!(read_agent_settings(&agent).unwrap().link, Some(AgentId::main()));
    }

    /// What is damaged is named with its file and its place, and is never taken for "nothing was decided".
    #[test]
    fn damage_is_named() {
        let (_tmp, _state, agent) = world();
        assert_eq!(read_agent_settings(&agent).unwrap(), AgentSettings::default());
        let table = [
            ("x = 1\nlink = \n", "line 2"),
            ("link = 3", "`link` should be the id of an agent"),
            ("link = '!!!'", "`link` should be the id of an agent"),
            ("link = ''", "`link` should be the id of an agent"),
            ("metered_fallback = 'true'", "`metered_fallback` should be true or false"),
            ("auth_profile = ''", "`auth_profile` should be the id of a profile"),
            ("auth_profile = ['a:b']", "`auth_profile` should be the id of a profile"),
            ("link = 'a'\nlink = 'b'", "line 2"),
        ];
        for (text, said) in table {
            put(&agent, text);
            let error = read_agent_settings(&agent).unwrap_err().to_string();
            assert!(error.contains("agent.toml") && error.contains(said), "{text}: {error}");
        }
        fs::write(agent.settings(), b"link = '\xff'").unwrap();
        assert_eq!(
            read_agent_settings(&agent).unwrap_err().code(),
            coderclaw_types::Code::AgentSettingsInvalid
        );
        for good in ["", "\u{feff}link = 'x'", "metered_fallback = true\nauth_profile = 'a:b'\n"] {
            put(&agent, good);
            read_agent_settings(&agent).unwrap();
        }
    }
}

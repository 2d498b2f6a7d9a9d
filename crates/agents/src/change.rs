//! Adding an agent, and changing what the config says about one.

use std::fs;
use std::path::{Path, PathBuf};

use coderclaw_auth::Auth;
use coderclaw_store::{AgentPaths, ConfigDoc, ConfigEdit, edit_config};
use coderclaw_types::AgentId;
use serde_json::{Map, Value, json};

use crate::agent_error::AgentError;
use crate::binding::{Bound, Match, bind, bindings, is_among, plan, unbind};
use crate::identity::Identity;
use crate::roster::{list_place, place};

/// An agent that is to be.
#[derive(Debug, Clone, Default)]
pub struct NewAgent {
    /// What people call it; its id is made from that.
    pub name: String,
    /// Where it works, if not in a folder of its own in the state dir.
    pub workspace: Option<PathBuf>,
    /// The model that it uses, if not the one for all.
    pub model: Option<String>,
    /// Its agent dir, if not the one in the state dir.
    pub agent_dir: Option<PathBuf>,
    /// Whom it answers.
    pub bindings: Vec<Match>,
}

/// An agent that was added.
#[derive(Debug, Clone)]
pub struct Added {
    /// Its files.
    pub paths: AgentPaths,
    /// What people call it.
    pub name: String,
    /// Where it works.
    pub workspace: PathBuf,
    /// The model that it uses, where it has one of its own.
    pub model: Option<String>,
    /// What became of its bindings.
    pub bound: Bound,
    /// The config that says so now.
    pub config: PathBuf,
}

/// The id that `name` makes.
///
/// # Errors
/// Where it makes none, or `main`.
pub fn new_agent_id(name: &str) -> Result<AgentId, AgentError> {
    // What is no name would be read as `main`.
    if !name.chars().any(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(AgentError::NoName { name: name.trim().to_owned() });
    }
    let id = AgentId::new(name);
    if id == AgentId::main() { Err(AgentError::Reserved) } else { Ok(id) }
}

/// Adds an agent: its folders, each 0700, then its entry in the config, which makes it one. It starts without logins;
/// none is copied from anywhere.
///
/// Killed in between, it leaves empty folders, and is done by being called again.
///
/// # Errors
/// Where there is one of this name, its folder is another agent's, or something cannot be written.
pub fn add_agent(auth: &Auth, new: &NewAgent) -> Result<Added, AgentError> {
    let (state, config) = (auth.state(), auth.config());
    let id = new_agent_id(&new.name)?;
    let mut paths = state.agent(config, &id);
    if let Some(dir) = &new.agent_dir {
        paths.dir.clone_from(dir);
    }
    let exists = |listed: bool| if listed { Err(AgentError::Exists { agent: id.clone() }) } else { Ok(()) };
    exists(config.agents().contains(&id))?;
    for other in state.agents(config)? {
        if other.agent != id && is_same_folder(&other.dir, &paths.dir) {
            return Err(AgentError::SharedDir { dir: paths.dir, owner: other.agent });
        }
    }
    let workspace = new.workspace.clone().unwrap_or_else(|| state.default_workspace(&id));
    for dir in [&paths.dir, &paths.sessions_dir, &workspace] {
        state.ensure_dir(dir)?;
    }
    let name = new.name.trim();
    let default = config.default_agent();
    let edit: ConfigEdit<Bound> = edit_config(state, auth.env(), |doc| {
        exists(place(doc, &id).is_some())?;
        let is_first =
            doc.get(&list_place()).and_then(|list| Some(list.as_array()?.is_empty())).unwrap_or(true);
        if is_first {
            // Or the new one would become the default by being the only one.
            doc.push(&list_place(), json!({"id": default}))?;
        }
        let mut entry = Map::new();
        entry.insert("id".into(), json!(id));
        entry.insert("name".into(), json!(name));
        let text = |path: &Path| path.to_string_lossy().into_owned();
        for (key, value) in [
            ("workspace", new.workspace.as_deref().map(text)),
            ("agentDir", new.agent_dir.as_deref().map(text)),
            ("model", new.model.clone()),
        ] {
            if let Some(value) = value {
                entry.insert(key.into(), json!(value));
            }
        }
        doc.push(&list_place(), Value::Object(entry))?;
        Ok::<_, AgentError>(bind(doc, &id, &new.bindings)?)
    })?;
    Ok(Added {
        paths,
        name: name.to_owned(),
        workspace,
        model: new.model.clone(),
        bound: edit.value,
        config: edit.path,
    })
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    one == other || real(one) == real(other)
}

/// Binds the agent to what nobody has yet.
///
/// # Errors
/// Where another agent has one of them: then none is written.
pub fn bind_agent(auth: &Auth, agent: &AgentId, wanted: &[Match]) -> Result<ConfigEdit<Bound>, AgentError> {
    let refuse = |bound: Bound| {
        if bound.conflicts.is_empty() { Ok(bound) } else { Err(AgentError::AlreadyBound(bound.conflicts)) }
    };
    // Before a lock is made.
    refuse(plan(&bindings(auth.config()), agent, wanted))?;
    edit_config(auth.state(), auth.env(), |doc| refuse(bind(doc, agent, wanted)?))
}

/// Removes bindings of the agent: the `wanted` ones, or all.
///
/// # Errors
/// Where the config cannot be changed.
pub fn unbind_agent(
    auth: &Auth,
    agent: &AgentId,
    wanted: Option<&[Match]>,
) -> Result<ConfigEdit<Vec<Match>>, AgentError> {
    edit_config(auth.state(), auth.env(), |doc: &mut ConfigDoc| {
        Ok(unbind(doc, agent, |one| wanted.is_none_or(|wanted| is_among(one, wanted)))?)
    })
}

/// Says in the config who the agent is. What `identity` does not say stays.
///
/// # Errors
/// Where the config cannot be changed.
pub fn set_identity(
    auth: &Auth,
    agent: &AgentId,
    identity: &Identity,
) -> Result<ConfigEdit<Identity>, AgentError> {
    edit_config(auth.state(), auth.env(), |doc: &mut ConfigDoc| {
        let at = match place(doc, agent) {
            Some(at) => at,
            None => {
                doc.push(&list_place(), json!({"id": agent}))?;
                place(doc, agent).unwrap_or_default()
            }
        };
        let key = list_place().index(at).key("identity");
        let before = doc.get(&key);
        let before = before.as_ref().and_then(Value::as_object).map(Identity::from_map).unwrap_or_default();
        let now = identity.clone().or(before);
        if let Value::Object(parts) = now.to_value() {
            for (part, text) in parts {
                doc.set(&key.clone().key(part), text)?;
            }
        }
        Ok::<_, AgentError>(now)
    })
}

//! The agents of a state dir, with what the config says about each.

use std::path::PathBuf;

use coderclaw_auth::Auth;
use coderclaw_store::{AgentPaths, Config, ConfigDoc, KeyPath, ReadError};
use coderclaw_types::{AgentId, Env};
use serde_json::Value;

use crate::identity::{Identity, read_identity};

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentSummary {
    /// Its files.
    pub paths: AgentPaths,
    /// What people call it.
    pub name: Option<String>,
    /// Who it says that it is, and whether that stands in its workspace (`identity`) or in the config (`config`).
    pub identity: Option<(Identity, &'static str)>,
    /// Where it works.
    pub workspace: PathBuf,
    /// The model that it uses where none is named.
    pub model: Option<String>,
    /// It is the one that is meant where none is named.
    pub is_default: bool,
    /// The agent whose profiles it also uses.
    pub link: Option<AgentId>,
    /// What is wrong with its `agent.toml`.
    pub problem: Option<String>,
}

/// The place of the agents' entries in the config.
pub(crate) fn list_place() -> KeyPath {
    KeyPath::keys(["agents", "list"])
}

/// Where the entry of `agent` is in the list that is being changed.
pub(crate) fn place(doc: &ConfigDoc, agent: &AgentId) -> Option<usize> {
    doc.get(&list_place())?.as_array()?.iter().position(|entry| is_entry_of(entry, agent))
}

fn is_entry_of(entry: &Value, agent: &AgentId) -> bool {
    entry.get("id").and_then(Value::as_str).is_some_and(|id| AgentId::new(id) == *agent)
}

/// Where the agent works: as its entry says; for the default agent as the config says for all, else a folder in the home;
/// else a folder of its own in the state dir.
pub fn workspace(auth: &Auth, agent: &AgentId) -> PathBuf {
    let (config, env) = (auth.config(), auth.env());
    if let Some(own) = config.agent_entry(agent).and_then(|entry| entry.workspace) {
        return env.resolve(own);
    }
    if *agent != config.default_agent() {
        return auth.state().default_workspace(agent);
    }
    match config.default_workspace().map(str::trim).filter(|text| !text.is_empty()) {
        Some(for_all) => env.resolve(for_all),
        None => env.home().join(".coderclaw").join(home_workspace(env)),
    }
}

fn home_workspace(env: &Env) -> String {
    match env.get("CODERCLAW_PROFILE") {
        Some(profile) if !profile.eq_ignore_ascii_case("default") => format!("workspace-{profile}"),
        _ => "workspace".into(),
    }
}

/// The model that the agent uses where none is named.
pub fn model(config: &Config, agent: &AgentId) -> Option<String> {
    let own = config.agent_entry(agent).and_then(|entry| entry.model.primary);
    own.or(config.default_model().0).map(str::to_owned)
}

/// All agents: those of the config in its order, then those that have a folder.
///
/// # Errors
/// Where the folder of agents cannot be listed.
pub fn roster(auth: &Auth) -> Result<Vec<AgentSummary>, ReadError> {
    let default = auth.config().default_agent();
    let summaries = auth.state().agents(auth.config())?.into_iter().map(|paths| {
        let (link, problem) = match auth.settings(&paths) {
            Ok(settings) => (settings.link, None),
            Err(e) => (None, Some(e.to_string())),
        };
        let workspace = workspace(auth, &paths.agent);
        let entry = auth.config().agent_entry(&paths.agent);
        let own = read_identity(&workspace.join("IDENTITY.md")).map(|identity| (identity, "identity"));
        let in_config = || {
            let identity = Identity::from_map(entry.as_ref()?.identity?);
            (!identity.is_empty()).then_some((identity, "config"))
        };
        AgentSummary {
            name: entry.as_ref().and_then(|entry| entry.name).map(str::to_owned),
            identity: own.or_else(in_config),
            model: model(auth.config(), &paths.agent),
            is_default: paths.agent == default,
            workspace,
            link,
            problem,
            paths,
        }
    });
    Ok(summaries.collect())
}

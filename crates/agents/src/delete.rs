//! Deleting an agent: its files go to the trash, then its entry and its bindings leave the config.

use std::path::PathBuf;

use coderclaw_auth::{Auth, LoggedOut};
use coderclaw_store::{
    AgentFileGuard, AgentPaths, AuthProfiles, ConfigDoc, KeyPath, StoreGuard, Trashed, edit_config,
    read_auth_store,
};
use coderclaw_types::AgentId;
use serde_json::Value;

use crate::agent_error::AgentError;
use crate::binding::unbind;
use crate::roster::{list_place, place, workspace};

/// An agent that is gone.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The files that it had.
    pub paths: AgentPaths,
    /// Where it worked.
    pub workspace: PathBuf,
    /// What was moved, and what was not.
    pub trashed: Trashed,
    /// How many bindings led to it.
    pub removed_bindings: usize,
    /// How often it was allowed to be talked to by other agents.
    pub removed_allow: usize,
    /// The profiles that were logged out.
    pub logged_out: Vec<LoggedOut>,
    /// The profiles that went to the trash, where they count as held and are never refreshed.
    pub held: usize,
    /// The config, if it said anything about the agent.
    pub config: Option<PathBuf>,
}

/// What deleting the agent would meet: refuses what must not be deleted.
///
/// # Errors
/// [`AgentError::IsMain`], [`AgentError::InUse`], or an `agent.toml` that cannot be read: its agent may be linked.
pub fn check_deletable(auth: &Auth, agent: &AgentId) -> Result<(), AgentError> {
    if *agent == AgentId::main() {
        return Err(AgentError::IsMain);
    }
    let linkers = auth.linkers(agent)?;
    if linkers.is_empty() { Ok(()) } else { Err(AgentError::InUse { agent: agent.clone(), linkers }) }
}

/// Deletes the agent. With `purge` each of its profiles is logged out first, and revoked where its provider has a way
/// to; else they go to the trash as they are.
///
/// Killed in between, it leaves an agent that can be deleted again, and nothing that is half moved.
///
/// # Errors
/// Where it must not be deleted, a profile cannot be logged out, or something cannot be moved or written.
pub fn delete_agent(auth: &Auth, agent: &AgentPaths, purge: bool) -> Result<Deleted, AgentError> {
    let state = auth.state();
    check_deletable(auth, &agent.agent)?;
    let workspace = workspace(auth, &agent.agent);
    let mut logged_out = Vec::new();
    if purge {
        let ids: Vec<_> = read_auth_store(&agent.store())?.doc.ids().collect();
        for id in ids {
            logged_out.push(auth.logout(agent, &id, false)?);
        }
    }
    // Where there is no folder there is nothing to guard, and a lock would make one.
    let has_dir = agent.dir.is_dir();
    let links = if has_dir { Some(AgentFileGuard::acquire(state, &agent.settings())?) } else { None };
    check_deletable(auth, &agent.agent)?;
    let store = if has_dir { Some(StoreGuard::acquire(state, &agent.store())?) } else { None };
    // One that cannot be read goes to the trash as it is.
    let held = store.as_ref().and_then(|guard| guard.read().ok()).map(|store| store.doc);
    let held = held.unwrap_or_else(AuthProfiles::empty);
    let edit = edit_config(state, auth.env(), |doc| {
        let removed = forget(doc, &agent.agent)?;
        // Last, and before the config is written: what knows where the files are goes after them.
        let trashed = state.move_to_trash(agent, &workspace, auth.clock().now())?;
        Ok::<_, AgentError>((removed, trashed))
    })?;
    drop((store, links));
    let ((removed_bindings, removed_allow), trashed) = edit.value;
    auth.audit_agent_delete(agent, &held, trashed.dir.as_deref());
    Ok(Deleted {
        paths: agent.clone(),
        workspace,
        trashed,
        removed_bindings,
        removed_allow,
        logged_out,
        held: held.ids().count(),
        config: edit.is_changed.then_some(edit.path),
    })
}

/// Takes the agent out of the config: its entry, its bindings, and its name in the list of agents that others may talk
/// to. Gives the number of the latter two.
fn forget(doc: &mut ConfigDoc, agent: &AgentId) -> Result<(usize, usize), AgentError> {
    while let Some(at) = place(doc, agent) {
        doc.remove(&list_place().index(at))?;
    }
    let bindings = unbind(doc, agent, |_| true)?.len();
    let allow = KeyPath::keys(["tools", "agentToAgent", "allow"]);
    let listed = doc.get(&allow);
    let listed = listed.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let mut allowed = 0;
    for (at, name) in listed.iter().enumerate().rev() {
        if name.as_str().is_some_and(|name| name != "*" && AgentId::new(name) == *agent) {
            doc.remove(&allow.clone().index(at))?;
            allowed += 1;
        }
    }
    Ok((bindings, allowed))
}

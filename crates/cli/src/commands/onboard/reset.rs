//! `onboard --reset`: everything goes to the trash, nothing is deleted.

use std::path::{Path, PathBuf};

use coderclaw_auth::{Auth, EditError, Runner};
use coderclaw_store::StoreGuard;
use coderclaw_types::{Clock, Env};

use crate::commands::own_program;
use crate::error::CommandError;

/// Moves the config, the credentials, and each agent's stores and sessions. Also where the config is damaged: that may be why.
///
/// # Errors
/// Where a store is locked, or something cannot be moved. What was moved before lies in the trash.
pub(super) fn run(env: &Env, clock: &Clock) -> Result<Vec<PathBuf>, CommandError> {
    let (auth, _) = Auth::open_despite(env.clone(), clock.clone(), Runner::Process(own_program()));
    let (state, now) = (auth.state(), clock.now());
    let mut moved = Vec::new();
    if !state.root().exists() {
        return Ok(moved);
    }
    for agent in state.agents(auth.config()).map_err(coderclaw_auth::ResolveError::from)? {
        // Where there is no folder there is nothing to guard, and a lock would make one.
        let guard = if agent.dir.is_dir() {
            Some(StoreGuard::acquire(state, &agent.store()).map_err(EditError::from)?)
        } else {
            None
        };
        // No workspace goes with it: what is in there is a person's own work.
        moved.extend(state.move_to_trash(&agent, Path::new(""), now).map_err(EditError::from)?.dir);
        drop(guard);
    }
    moved.extend(state.move_config_to_trash(now).map_err(EditError::from)?);
    Ok(moved)
}

//! `prepare`: everything that can go wrong on this machine goes wrong before anything is sent.

use coderclaw_store::{
    OriginalGuard, Outcome, OutcomeKind, Record, StoreGuard, StoreOwner, WriteError, read_auth_store,
    store_owner,
};
use coderclaw_types::Code;

use crate::context::Auth;
use crate::grant::Refreshable;

use super::RefreshError;
use super::settle::Due;
use super::spacing::{dice, spacing};

/// Shuts the original program out of every store of the grant, until the guard is dropped after the commit. It may have
/// refreshed before we got there, so whoever called this settles again.
pub(super) fn shut_out(auth: &Auth, due: &mut Due<'_>) -> Result<OriginalGuard, RefreshError> {
    let grant = due.one.grant;
    let holds = |path: &std::path::PathBuf| {
        read_auth_store(path).is_ok_and(|store| !Refreshable::all_in(auth, &store, &grant).is_empty())
    };
    let stores = auth.state().agents(auth.config())?.into_iter().map(|agent| agent.store());
    let stores: Vec<_> = stores.filter(holds).collect();
    match OriginalGuard::acquire(auth.state(), &stores) {
        Ok(guard) => Ok(guard),
        Err(e) => {
            block(auth, due, e.code(), e.to_string())?;
            Err(e.into())
        }
    }
}

/// Records `prepared` once every store that holds the token can take its successor, and the journal has room for the
/// answer. An error is what stands in the way: nothing is sent then, and the reason is the outcome too.
pub(super) fn prepare(auth: &Auth, due: &mut Due<'_>) -> Result<(), RefreshError> {
    if let Err(e) = check(auth, due) {
        block(auth, due, e.code(), e.to_string())?;
        // The outcome may not have been written down, and the reason must not get lost.
        return Err(e);
    }
    Ok(due.journal.append(Record::Prepared { at: auth.clock().now() })?)
}

fn check(auth: &Auth, due: &mut Due<'_>) -> Result<(), RefreshError> {
    for agent in auth.state().agents(auth.config())? {
        let path = agent.store();
        let store = match read_auth_store(&path) {
            Ok(store) => store,
            Err(e) if agent == due.agent => return Err(e.into()),
            // Another agent's damaged store must not keep this one from its login.
            Err(_) => continue,
        };
        let holds =
            Refreshable::all_in(auth, &store, &due.one.grant).iter().any(|one| one.token == due.one.token);
        if !holds {
            continue;
        }
        let guard = StoreGuard::acquire(auth.state(), &path)?;
        if store.doc.version() > coderclaw_store::AuthProfiles::VERSION {
            return Err(WriteError::UnsupportedVersion { path, version: store.doc.version() }.into());
        }
        guard.check_writable()?;
        match store_owner(auth.state(), &path)? {
            StoreOwner::Ours => {}
            StoreOwner::Unclaimed => guard.claim(auth.state())?,
            // A copy of a token that another state dir refreshes: what its journal knows of it we cannot tell.
            StoreOwner::Foreign(owner) => {
                let detail = format!("{} is refreshed by the state dir {}", path.display(), owner.display());
                return Err(RefreshError::Denied { code: Code::ForeignStore, detail, until: None });
            }
        }
    }
    due.journal.reserve(auth.state())?;
    Ok(())
}

fn block(auth: &Auth, due: &mut Due<'_>, code: Code, detail: String) -> Result<(), RefreshError> {
    let now = auth.clock().now();
    let (failures, ambiguous) = due.counts();
    let seq = due.journal.view().next_seq();
    let mut outcome = Outcome::new(seq, OutcomeKind::Blocked, due.one.token, now, code);
    outcome.next_attempt_at = Some(now.plus(spacing(1, None, dice())));
    (outcome.failures, outcome.ambiguous) = (failures, ambiguous);
    outcome.detail = detail;
    match due.journal.finish(auth.state(), outcome) {
        // Where the disk takes nothing, the exit status says it.
        Ok(()) | Err(WriteError::Io { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

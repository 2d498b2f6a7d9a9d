//! `apply` and `finish`: the new tokens go into every entry that still holds the spent one, then the books are closed.

use coderclaw_store::{
    Entry, Journal, Ledger, Outcome, OutcomeKind, Record, StoreGuard, StoreSnapshot, TokenUpdate, WorkerLock,
    read_auth_store,
};
use coderclaw_types::{Code, GrantId, TokenHash};

use crate::context::Auth;
use crate::grant::Refreshable;
use crate::revoke::{revoke, target_of};

use super::RefreshError;
use super::worker::fault;

/// What goes into the outcome besides the tokens. It is not in the journal, and a recovery does not know it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Learned {
    /// The access token that forced the refresh.
    pub(super) rejected: Option<TokenHash>,
    /// See [`Outcome::clock_ahead`].
    pub(super) clock_ahead: Option<i64>,
}

/// Applies an answer that is in the journal and closes the books. Doing it twice is doing it once.
pub(super) fn apply_and_finish(
    auth: &Auth,
    lock: &WorkerLock,
    journal: &mut Journal<'_>,
    spent: &TokenHash,
    tokens: &TokenUpdate,
    learned: Learned,
) -> Result<(), RefreshError> {
    if journal.view().logged_out {
        return discard(auth, lock, journal, spent, tokens);
    }
    apply(auth, &lock.grant(), spent, tokens)?;
    fault("refresh.applied")?;
    finish(auth, lock, journal, spent, tokens, learned)
}

/// Ends the tokens of a login that was logged out before they were stored: no entry gets them, none is kept for
/// rescue, and the provider is told, best effort.
fn discard(
    auth: &Auth,
    lock: &WorkerLock,
    journal: &mut Journal<'_>,
    spent: &TokenHash,
    tokens: &TokenUpdate,
) -> Result<(), RefreshError> {
    if let Some(endpoint) = target_of(auth, tokens) {
        drop(revoke(auth, &endpoint, Some(&tokens.refresh), Some(&tokens.access)));
    }
    Ledger::load(lock)?.record(lock, *spent, TokenHash::of(&tokens.refresh))?;
    let (seq, now) = (journal.view().next_seq(), auth.clock().now());
    let mut outcome = Outcome::new(seq, OutcomeKind::Refused, *spent, now, Code::NeedsLogin);
    outcome.detail = "this login was logged out".into();
    journal.finish(auth.state(), outcome)?;
    Ok(journal.forget_tokens()?)
}

/// Puts `tokens` into every entry of the grant, in every store of the state dir, that still holds `spent`. An entry
/// that a login has replaced is left alone.
///
/// A store that cannot be read holds up nobody else: should it hold a copy of the spent token, the ledger leads that
/// copy to its successor later.
fn apply(auth: &Auth, grant: &GrantId, spent: &TokenHash, tokens: &TokenUpdate) -> Result<(), RefreshError> {
    let mut takers = 0;
    let mut unwritten = None;
    let mut unread = None;
    for agent in auth.state().agents(auth.config())? {
        match apply_to(auth, &agent.store(), grant, spent, tokens) {
            Ok(0) => {}
            Ok(taken) => {
                takers += taken;
                fault("refresh.applied_one")?;
            }
            Err(e @ RefreshError::Read(_)) => drop(unread.get_or_insert(e)),
            // The other stores must not wait for this one.
            Err(e) => drop(unwritten.get_or_insert(e)),
        }
    }
    let unread = unread.filter(|_| takers == 0);
    match unwritten.or(unread) {
        // The answer stays pending: the next holder of the lock tries again, and askers lend from the journal.
        Some(e) => Err(e),
        None => Ok(()),
    }
}

fn apply_to(
    auth: &Auth,
    path: &std::path::Path,
    grant: &GrantId,
    spent: &TokenHash,
    tokens: &TokenUpdate,
) -> Result<usize, RefreshError> {
    let takers = |store: &StoreSnapshot| {
        let mut all = Refreshable::all_in(auth, store, grant);
        all.retain(|one| one.token == *spent);
        all
    };
    // Most stores hold nothing of this grant and need no lock.
    if takers(&read_auth_store(path)?).is_empty() {
        return Ok(0);
    }
    let guard = StoreGuard::acquire(auth.state(), path)?;
    let mut store = guard.read()?;
    let all = takers(&store);
    for one in &all {
        let mut tokens = tokens.clone();
        // Names that the person or another program gave stay; only the tokens and what they say are new.
        if one.entry.email.is_some() {
            tokens.email.clone_from(&one.entry.email);
        }
        store.doc.refresh_entry(&one.profile, &tokens);
    }
    if !all.is_empty() {
        guard.commit(&store.doc)?;
    }
    Ok(all.len())
}

/// Puts tokens that the journal would not take into the stores. True where at least one has them durably.
pub(super) fn rescue(auth: &Auth, grant: &GrantId, spent: &TokenHash, tokens: &TokenUpdate) -> bool {
    let Ok(agents) = auth.state().agents(auth.config()) else {
        return false;
    };
    let taken = agents
        .iter()
        .filter(|agent| apply_to(auth, &agent.store(), grant, spent, tokens).is_ok_and(|taken| taken > 0));
    taken.count() > 0
}

fn successor_is_held(auth: &Auth, grant: &GrantId, successor: &TokenHash) -> Result<bool, RefreshError> {
    for agent in auth.state().agents(auth.config())? {
        let Ok(store) = read_auth_store(&agent.store()) else { continue };
        let mut entries = store.doc.entries().filter_map(|(_, entry)| match entry {
            Entry::OAuth(entry) if entry.grant == Some(*grant) => entry.refresh,
            _ => None,
        });
        if entries.any(|refresh| TokenHash::of(&refresh) == *successor) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ledger, `applied`, `done` with the outcome; then the tokens are wiped from the journal.
fn finish(
    auth: &Auth,
    lock: &WorkerLock,
    journal: &mut Journal<'_>,
    spent: &TokenHash,
    tokens: &TokenUpdate,
    learned: Learned,
) -> Result<(), RefreshError> {
    let successor = TokenHash::of(&tokens.refresh);
    Ledger::load(lock)?.record(lock, *spent, successor)?;
    fault("refresh.ledger")?;
    if !successor_is_held(auth, &lock.grant(), &successor)? {
        // The entry vanished or was replaced by a login meanwhile; what came is kept for rescue.
        journal.append(Record::Orphan { tokens: Box::new(tokens.clone()) })?;
    }
    if journal.view().pending.is_some() {
        journal.append(Record::Applied)?;
    }
    let (seq, now) = (journal.view().next_seq(), auth.clock().now());
    let mut outcome = Outcome::new(seq, OutcomeKind::Refreshed, *spent, now, Code::Ok);
    (outcome.rejected, outcome.clock_ahead) = (learned.rejected, learned.clock_ahead);
    journal.finish(auth.state(), outcome)?;
    fault("refresh.done")
}

#[cfg(test)]
mod tests {
    use coderclaw_sandbox::{Options, Sandbox};
    use coderclaw_store::GrantGuard;
    use coderclaw_types::{Clock, Env, Millis, ProfileId, Secret};

    use super::*;
    use crate::context::Runner;

    /// G7: a worker that finds an answer and a logout after it gives the new tokens to nobody, ends them at the
    /// provider, and leaves no copy. Without the logout, tokens that no entry takes are kept for rescue.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
    fn g7_tokens_that_come_after_a_logout_go_to_nobody() {
        for logged_out in [true, false] {
            let clock = Clock::from_fn(|| Millis(1_800_000_000_000));
            let sandbox = Sandbox::start(Options::new(clock.clone())).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let state = dir.path().join("state");
            let vars = [("CODERCLAW_STATE_DIR".into(), state.clone().into())];
            let auth = || Auth::open(Env::new(vars.clone(), None, "/".into()), clock.clone(), Runner::Thread);
            auth().unwrap().state().ensure_dir(&state.join("providers")).unwrap();
            let manifest = state.join("providers/openai-codex.toml");
            std::fs::write(&manifest, sandbox.manifest("openai-codex")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&manifest, mode).unwrap();
            let auth = auth().unwrap();

            let (old, new) = (sandbox.grant("me"), sandbox.grant("me"));
            let mut doc = coderclaw_store::AuthProfiles::empty();
            let tokens = |of: &coderclaw_sandbox::Grant, grant| {
                let mut tokens = TokenUpdate::new(
                    of.access.clone(),
                    of.refresh.clone(),
                    Millis(1_900_000_000_000),
                    Millis(1_800_000_000_000),
                );
                tokens.token_origin = Some(sandbox.origin().to_owned());
                tokens.grant = grant;
                tokens
            };
            let id = ProfileId::stored("openai-codex:me");
            let grant = GrantId::mint(sandbox.origin(), "c", &old.refresh);
            let provider = coderclaw_types::ProviderId::new("openai-codex");
            let held = Box::new(tokens(&old, Some(grant)));
            doc.put_login(&id, &provider, &coderclaw_store::LoginEntry::OAuth(held));
            let agent = auth.agent(None).unwrap();
            if logged_out {
                let guard = StoreGuard::acquire(auth.state(), &agent.store()).unwrap();
                guard.commit(&doc).unwrap();
            }

            let lock = GrantGuard::try_acquire(auth.state(), &grant).unwrap().unwrap().into_worker().unwrap();
            let mut journal = Journal::open(auth.state(), &lock).unwrap();
            journal.reserve(auth.state()).unwrap();
            let (spent, brought) = (TokenHash::of(&old.refresh), tokens(&new, Some(grant)));
            journal.append(Record::Answer { spent, tokens: Box::new(brought.clone()) }).unwrap();
            if logged_out {
                journal.append(Record::Logout { at: Millis(1) }).unwrap();
            }
            apply_and_finish(&auth, &lock, &mut journal, &spent, &brought, Learned::default()).unwrap();

            let view = coderclaw_store::JournalView::read(&auth.state().journal(&grant)).unwrap();
            assert!(view.pending.is_none());
            assert_eq!(view.orphan.is_some(), !logged_out);
            assert_eq!(sandbox.is_live(&new.refresh), !logged_out);
            assert_eq!(sandbox.counts().revokes, if logged_out { 2 } else { 0 });
            let bytes = std::fs::read(auth.state().journal(&grant)).unwrap();
            assert_eq!(crate::profile_edit::holds(&bytes, &new.refresh), !logged_out);
            if logged_out {
                let kept: Option<Secret> =
                    match read_auth_store(&agent.store()).unwrap().doc.get(&id).unwrap() {
                        Entry::OAuth(entry) => entry.refresh,
                        _ => None,
                    };
                assert_eq!(kept, Some(old.refresh));
            }
        }
    }
}

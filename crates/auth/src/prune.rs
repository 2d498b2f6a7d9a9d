//! Clearing away what can never serve again, and bringing back what went missing.

use std::path::{Path, PathBuf};

use coderclaw_store::{
    AgentPaths, AuthProfiles, Entry, JournalView, Origin, ReadError, read_auth_store, read_text,
};
use coderclaw_types::{Code, Millis, ProfileId, TokenHash};

use crate::context::Auth;
use crate::edit::{EditError, commit, forget_usage, lock};
use crate::events::{Event, Note};
use crate::grant::{Refreshable, life};

/// An entry that can never serve again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Its id.
    pub profile: ProfileId,
    /// `expired`, `missing_credential` or `corrupt`.
    pub reason: Code,
    /// More, for people.
    pub detail: String,
}

/// What a copy of a store has to offer.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The copy.
    pub from: PathBuf,
    /// Entries that are missing in the store and were, or would be, added.
    pub added: Vec<ProfileId>,
    /// Entries that are missing and must stay so, with the reason.
    pub left: Vec<(ProfileId, String)>,
    /// The store itself is damaged and was, or would be, written anew.
    pub repaired: bool,
}

/// Why a login that stands in a copy must not come into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StayOut {
    /// A person has logged it out.
    LoggedOut,
    /// The store has it, under this id.
    Held(ProfileId),
    /// Its refresh token has been used here, so that it is worth nothing.
    Spent,
}

impl std::fmt::Display for StayOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LoggedOut => f.write_str("it was logged out"),
            Self::Held(id) => write!(f, "the same login is there as {id}"),
            Self::Spent => f.write_str("its refresh token has been used since"),
        }
    }
}

impl Auth {
    /// The entries that are damaged, empty, or ended without a way to renew them. With `dry_run` they stay.
    ///
    /// # Errors
    /// Where the store cannot be read or changed.
    pub fn prune(&self, agent: &AgentPaths, dry_run: bool) -> Result<Vec<Spent>, EditError> {
        if !dry_run {
            self.import_first(agent);
        }
        let now = self.clock().now();
        let found = spent(&read_auth_store(&agent.store())?.doc, now);
        if dry_run || found.is_empty() {
            return Ok(found);
        }
        let guard = lock(self, agent)?;
        let mut doc = guard.read()?.doc;
        let found = spent(&doc, now);
        for one in &found {
            doc.remove(&one.profile);
        }
        let touched: Vec<&ProfileId> = found.iter().map(|one| &one.profile).collect();
        commit(&guard, &doc, &touched)?;
        for one in &found {
            forget_usage(self, agent, &one.profile, None)?;
        }
        drop(guard);
        self.renew_cache(agent);
        for one in &found {
            let note = Note::new(Event::Logout, agent, "pruned").of(None, &one.profile);
            self.audit(note.code(one.reason).detail(one.detail.as_str()));
        }
        Ok(found)
    }

    /// Adds the entries that `from`, or else the store's backup, has and the store lacks. An entry that is there is
    /// never touched, so that no token goes back to an older one. With `dry_run` nothing is written.
    ///
    /// # Errors
    /// Where the copy is none, or the store cannot be changed.
    pub fn restore(
        &self,
        agent: &AgentPaths,
        from: Option<&Path>,
        dry_run: bool,
    ) -> Result<Restored, EditError> {
        if !dry_run {
            self.import_first(agent);
        }
        let path = from.map_or_else(|| agent.backup(), Path::to_path_buf);
        let no_copy = |why: String| EditError::NoCopy { path: path.display().to_string(), why };
        let text = read_text(&path)?.ok_or_else(|| no_copy("there is no such file".into()))?;
        let copy = AuthProfiles::parse(&text).map_err(|e| no_copy(e.to_string()))?;
        let (mut doc, repaired) = base(read_auth_store(&agent.store()), from.is_some())?;
        let mut plan = self.add_missing(&mut doc, &copy)?;
        plan.repaired = repaired;
        plan.from = path;
        if dry_run || (plan.added.is_empty() && !plan.repaired) {
            return Ok(plan);
        }
        let guard = lock(self, agent)?;
        let (mut doc, repaired) = base(guard.read(), from.is_some())?;
        let again = self.add_missing(&mut doc, &copy)?;
        let touched: Vec<&ProfileId> = again.added.iter().collect();
        commit(&guard, &doc, &touched)?;
        drop(guard);
        self.renew_cache(agent);
        for id in &again.added {
            self.audit_stored(agent, id, doc.get(id).as_ref(), "restored");
        }
        Ok(Restored { from: plan.from, repaired, ..again })
    }

    fn add_missing(&self, doc: &mut AuthProfiles, copy: &AuthProfiles) -> Result<Restored, EditError> {
        let mut plan = Restored::default();
        for (id, entry) in copy.entries() {
            if doc.get(&id).is_some() {
                continue;
            }
            match self.must_stay_out(doc, &id, &entry)? {
                Some(why) => plan.left.push((id, why.to_string())),
                None => {
                    doc.take_from(copy, &id);
                    plan.added.push(id);
                }
            }
        }
        Ok(plan)
    }

    /// Why an entry of a copy must not come back.
    pub(crate) fn must_stay_out(
        &self,
        doc: &AuthProfiles,
        id: &ProfileId,
        entry: &Entry,
    ) -> Result<Option<StayOut>, EditError> {
        let Entry::OAuth(login) = entry else { return Ok(None) };
        let Some(one) = Refreshable::of(self, id, login) else { return Ok(None) };
        let journal = JournalView::read(&self.state().journal(&one.grant))?;
        if journal.logged_out {
            return Ok(Some(StayOut::LoggedOut));
        }
        let held = doc.entries().find_map(|(known, entry)| match entry {
            Entry::OAuth(entry) => {
                Refreshable::of(self, &known, &entry).filter(|known| known.grant == one.grant)
            }
            _ => None,
        });
        if let Some(held) = held {
            return Ok(Some(StayOut::Held(held.profile)));
        }
        let is_spent = journal.outcomes.iter().any(|outcome| {
            outcome.token == TokenHash::of(&one.refresh)
                && outcome.kind == coderclaw_store::OutcomeKind::Refreshed
        });
        Ok(is_spent.then_some(StayOut::Spent))
    }
}

/// What the store holds now, and whether it has to be written anew because it is damaged.
fn base(
    read: Result<coderclaw_store::StoreSnapshot, ReadError>,
    has_copy: bool,
) -> Result<(AuthProfiles, bool), EditError> {
    match read {
        Ok(store) => {
            let damaged = matches!(store.origin, Origin::Backup { .. });
            Ok((store.doc, damaged))
        }
        // Nothing of it can be read; the commit keeps it aside, by copy.
        Err(ReadError::Corrupt { .. }) if has_copy => Ok((AuthProfiles::empty(), true)),
        Err(e) => Err(e.into()),
    }
}

fn spent(doc: &AuthProfiles, now: Millis) -> Vec<Spent> {
    doc.entries()
        .filter_map(|(profile, entry)| {
            let (reason, detail) = verdict(&entry, now)?;
            Some(Spent { profile, reason, detail })
        })
        .collect()
}

/// Why an entry can never serve again; `None` where it can, or where that is not ours to judge.
fn verdict(entry: &Entry, now: Millis) -> Option<(Code, String)> {
    let empty = || Some((Code::MissingCredential, "it holds no credential".to_owned()));
    let ended = |at: Option<Millis>| {
        at.filter(|at| *at <= now).map(|_| (Code::Expired, "it has ended and cannot be renewed".to_owned()))
    };
    let blank = |secret: &Option<coderclaw_types::Secret>| {
        secret.as_ref().is_none_or(coderclaw_types::Secret::is_blank)
    };
    match entry {
        Entry::Damaged { why } => Some((Code::Corrupt, format!("it is damaged: {why}"))),
        Entry::ApiKey(key) if !key.is_ref && blank(&key.key) => empty(),
        Entry::Token(token) if !token.is_ref && blank(&token.token) => empty(),
        Entry::Token(token) if !token.is_ref => ended(token.expires),
        Entry::OAuth(login) if blank(&login.refresh) && blank(&login.access) => empty(),
        Entry::OAuth(login) if blank(&login.refresh) => ended(life(login).map(|life| life.expires)),
        Entry::ApiKey(_) | Entry::Token(_) | Entry::OAuth(_) | Entry::Unknown { .. } => None,
    }
}

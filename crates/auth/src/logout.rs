//! Logging out: the grant's lock, a record of it, the entry and everything about it, then the provider.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coderclaw_providers::Revoke;
use coderclaw_store::{
    AgentPaths, AuthProfiles, Entry, GrantGuard, HelperCache, Holder, Journal, JournalView, Ledger,
    OAuthEntry, Pending, Record, StoreGuard, StoreOwner, WorkerLock, read_auth_store, store_owner,
};
use coderclaw_types::{GrantId, Millis, ProfileId, ProviderId, Secret, TokenHash};

use crate::context::Auth;
use crate::edit::{EditError, commit, fault, forget_usage, lock};
use crate::events::{Event, Note};
use crate::grant::{Refreshable, life};
use crate::profile_edit::{holds, pinned_sessions};
use crate::revoke::{Revocation, revoke, target};

/// A refresh under way is given this long to end; it takes less, or its worker has died.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A profile that is gone from the disk, and what its provider knows about that.
#[derive(Debug, Clone)]
pub struct LoggedOut {
    /// Which profile.
    pub profile: ProfileId,
    /// Of which provider.
    pub provider: Option<ProviderId>,
    /// What it was: `oauth`, `token`, `api_key`.
    pub kind: String,
    /// What became of its refresh token.
    pub refresh: Revocation,
    /// What became of its access token, or of the token or key itself.
    pub access: Revocation,
    /// Until when the access token or the token works by itself, where known and ahead.
    pub works_until: Option<Millis>,
    /// Files that are not ours to change and still hold a token of it.
    pub copies: Vec<PathBuf>,
    /// Sessions that are still pinned to it.
    pub pinned_sessions: usize,
    /// The config still speaks of it.
    pub named_by_config: bool,
}

/// The tokens that end with the login.
#[derive(Debug, Default)]
struct Tokens {
    refresh: Option<Secret>,
    access: Option<Secret>,
    until: Option<Millis>,
}

impl Tokens {
    fn all(&self) -> Vec<&Secret> {
        [&self.refresh, &self.access].into_iter().flatten().collect()
    }

    fn has(&self, hash: &TokenHash) -> bool {
        self.all().iter().any(|token| TokenHash::of(token) == *hash)
    }
}

impl Auth {
    /// Removes a profile, its place in the orders of the store, what is known about its use, and every copy of its
    /// tokens that is this program's. Then its tokens are revoked, unless `local_only`, or another profile of this
    /// state dir holds the same login. The copies here are gone whatever the provider says.
    ///
    /// # Errors
    /// Where there is no such profile, a refresh of it does not end, or the store cannot be changed. It is then as it
    /// was.
    pub fn logout(
        &self,
        agent: &AgentPaths,
        id: &ProfileId,
        local_only: bool,
    ) -> Result<LoggedOut, EditError> {
        self.import_first(agent);
        let began = Instant::now();
        loop {
            let store = read_auth_store(&agent.store())?;
            let Some(entry) = store.doc.get(id) else {
                return Err(EditError::unknown(self, id, agent, &store.doc));
            };
            let one = match &entry {
                Entry::OAuth(login) => Refreshable::of(self, id, login),
                _ => None,
            };
            let Some(one) = one else {
                return self.remove_plain(agent, id, &entry, local_only);
            };
            let worker = wait_for_grant(self, &one.grant, began)?;
            // A login may have come while we waited: then it is that one that is meant.
            let guard = lock(self, agent)?;
            let doc = guard.read()?.doc;
            let now = match doc.get(id) {
                Some(Entry::OAuth(login)) => Refreshable::of(self, id, &login),
                _ => None,
            };
            match now {
                Some(now) if now.grant == one.grant => {
                    return self.remove_login(agent, guard, &worker, doc, &now, local_only);
                }
                _ => {}
            }
        }
    }

    /// A profile that no refresh is ever made of.
    fn remove_plain(
        &self,
        agent: &AgentPaths,
        id: &ProfileId,
        entry: &Entry,
        local_only: bool,
    ) -> Result<LoggedOut, EditError> {
        let guard = lock(self, agent)?;
        let mut doc = guard.read()?.doc;
        if !doc.remove(id) {
            return Err(EditError::unknown(self, id, agent, &doc));
        }
        let kept = match entry {
            Entry::ApiKey(one) => one.reference.as_ref(),
            Entry::Token(one) => one.reference.as_ref(),
            Entry::OAuth(_) | Entry::Unknown { .. } | Entry::Damaged { .. } => None,
        };
        if let (Some(Ok(reference)), Some(provider)) = (kept, entry.provider())
            && let Some(cache) = HelperCache::of(self.state(), &self.canonical(provider), reference)
        {
            cache.remove()?;
        }
        let tokens = match entry {
            Entry::Token(one) => Tokens { access: one.token.clone(), until: one.expires, refresh: None },
            Entry::ApiKey(one) => Tokens { access: one.key.clone(), ..Tokens::default() },
            Entry::OAuth(one) => Tokens {
                access: one.access.clone(),
                until: life(one).map(|life| life.expires),
                refresh: one.refresh.clone(),
            },
            Entry::Unknown { .. } | Entry::Damaged { .. } => Tokens::default(),
        };
        self.drop_from_cache(&guard, agent, &tokens.all());
        guard.drop_backup()?;
        commit(&guard, &doc, &[id])?;
        forget_usage(self, agent, id, None)?;
        drop(guard);
        self.renew_cache_without(agent, &|hash| tokens.has(hash));
        let (refresh, access) = match entry {
            Entry::OAuth(login) if !local_only => match target(self, login) {
                Ok((endpoint, _)) => revoke(self, &endpoint, tokens.refresh.as_ref(), tokens.access.as_ref()),
                Err(why) => not_tried(&tokens, &why),
            },
            Entry::OAuth(_) => not_tried(&tokens, LOCAL_ONLY),
            _ => not_tried(&tokens, "it ends only at the provider, by hand"),
        };
        Ok(self.result(agent, id, entry, tokens, refresh, access))
    }

    fn remove_login(
        &self,
        agent: &AgentPaths,
        guard: StoreGuard,
        worker: &WorkerLock,
        mut doc: AuthProfiles,
        one: &Refreshable,
        local_only: bool,
    ) -> Result<LoggedOut, EditError> {
        fault("logout.locked")?;
        let mut journal = Journal::open(self.state(), worker)?;
        let tokens = newest(one, &journal);
        let may_revoke = match store_owner(self.state(), guard.target())? {
            _ if local_only => Err(LOCAL_ONLY.to_owned()),
            StoreOwner::Foreign(owner) => Err(format!("the state dir {} refreshes it", owner.display())),
            _ => target(self, &one.entry),
        };
        let holder = self.other_holder(agent, one)?;
        guard.check_writable()?;
        if holder.is_none() {
            journal.reserve(self.state())?;
            journal.append(Record::Logout { at: self.clock().now() })?;
        }
        fault("logout.recorded")?;
        // The entry goes last. Whoever repeats a logout that was killed goes by it, and finds nothing else.
        if holder.is_none() {
            journal.forget_tokens()?;
        }
        fault("logout.wiped")?;
        doc.remove(&one.profile);
        self.drop_from_cache(&guard, agent, &tokens.all());
        guard.drop_backup()?;
        commit(&guard, &doc, &[&one.profile])?;
        fault("logout.removed")?;
        forget_usage(self, agent, &one.profile, None)?;
        // Nobody holds a store across the network.
        drop(guard);
        let ledger = Ledger::load(worker)?;
        self.renew_cache_without(agent, &|hash| tokens.has(hash) || ledger.is_spent(hash));
        let decided = match (holder, may_revoke) {
            (Some(holder), _) => Err(format!("{holder} holds the same login")),
            (None, Ok((endpoint, Revoke::Grant))) => match self.same_person_elsewhere(one)? {
                Some(other) => Err(format!("it would end {other} as well")),
                None => Ok(endpoint),
            },
            (None, Ok((endpoint, _))) => Ok(endpoint),
            (None, Err(why)) => Err(why),
        };
        let (refresh, access) = match decided {
            Ok(endpoint) => revoke(self, &endpoint, tokens.refresh.as_ref(), tokens.access.as_ref()),
            Err(why) => not_tried(&tokens, &why),
        };
        fault("logout.revoked")?;
        let entry = Entry::OAuth(Box::new(one.entry.clone()));
        Ok(self.result(agent, &one.profile, &entry, tokens, refresh, access))
    }

    /// Another profile of this state dir that lives on the same grant. A store that cannot be read may hold one.
    fn other_holder(&self, agent: &AgentPaths, one: &Refreshable) -> Result<Option<String>, EditError> {
        for (path, whose) in self.held_stores()? {
            let Ok(store) = read_auth_store(&path) else {
                return Ok(Some(format!("the store of {whose}, which cannot be read, may be one that")));
            };
            for (id, entry) in store.doc.entries() {
                let Entry::OAuth(entry) = entry else { continue };
                let Some(theirs) = Refreshable::of(self, &id, &entry) else { continue };
                let is_itself = id == one.profile && path == agent.store();
                if !is_itself && (theirs.grant == one.grant || theirs.token == one.token) {
                    return Ok(Some(format!("{id} of {whose}")));
                }
            }
        }
        Ok(None)
    }

    /// Every store whose logins somebody may still want, and whose it is: those of the agents, and those in the trash, where
    /// a login that was not purged is kept.
    fn held_stores(&self) -> Result<Vec<(PathBuf, String)>, EditError> {
        let agents = self.state().agents(self.config())?.into_iter();
        let mut stores: Vec<_> =
            agents.map(|agent| (agent.store(), format!("agent {}", agent.agent))).collect();
        for path in self.state().trashed_stores()? {
            let folder = path.parent().and_then(Path::parent).unwrap_or(&path).display().to_string();
            stores.push((path, format!("a deleted agent in {folder}")));
        }
        Ok(stores)
    }

    /// Another login of the same person with the same provider. Where a revocation ends all of a person's logins,
    /// that one would go along.
    fn same_person_elsewhere(&self, one: &Refreshable) -> Result<Option<String>, EditError> {
        let provider = self.canonical(&one.entry.provider);
        let same = |entry: &OAuthEntry| {
            let both = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
            self.canonical(&entry.provider) == provider
                && (both(&entry.subject, &one.entry.subject) || both(&entry.email, &one.entry.email))
        };
        for (path, whose) in self.held_stores()? {
            let Ok(store) = read_auth_store(&path) else { continue };
            for (id, entry) in store.doc.entries() {
                if let Entry::OAuth(entry) = entry
                    && same(&entry)
                {
                    return Ok(Some(format!("{id} of {whose}")));
                }
            }
        }
        Ok(None)
    }

    fn result(
        &self,
        agent: &AgentPaths,
        id: &ProfileId,
        entry: &Entry,
        tokens: Tokens,
        refresh: Revocation,
        access: Revocation,
    ) -> LoggedOut {
        let now = self.clock().now();
        let provider = entry.provider().map(|one| self.canonical(one));
        let mut note = Note::new(Event::Logout, agent, "removed").of(provider.as_ref(), id);
        note.fingerprint = tokens.access.as_ref().and_then(|token| self.fingerprint(token));
        self.audit(note.clone());
        self.forget_attention(agent, id, None);
        self.audit_revocation(&note, "refresh token", &refresh);
        self.audit_revocation(&note, "access token", &access);
        LoggedOut {
            profile: id.clone(),
            provider,
            kind: entry.kind().to_owned(),
            works_until: tokens.until.filter(|at| *at > now),
            copies: copies(self, agent, &tokens),
            refresh,
            access,
            pinned_sessions: pinned_sessions(agent, id),
            named_by_config: self.named_by_config(id, &Some(entry.clone())),
        }
    }
}

const LOCAL_ONLY: &str = "only the copy here was to go";

fn not_tried(tokens: &Tokens, why: &str) -> (Revocation, Revocation) {
    let one = |token: &Option<Secret>| match token {
        Some(_) => Revocation::NotTried(why.to_owned()),
        None => Revocation::None,
    };
    (one(&tokens.refresh), one(&tokens.access))
}

/// The tokens of the entry, or the newer ones that a refresh has brought and not yet stored.
fn newest(one: &Refreshable, journal: &Journal<'_>) -> Tokens {
    let view = journal.view();
    let pending = match &view.pending {
        Some(Pending::Answer { spent, tokens } | Pending::Applied { spent, tokens })
            if *spent == one.token =>
        {
            Some(tokens)
        }
        _ => None,
    };
    match pending {
        Some(tokens) => Tokens {
            refresh: Some(tokens.refresh.clone()),
            access: Some(tokens.access.clone()),
            until: Some(tokens.expires),
        },
        None => Tokens {
            refresh: Some(one.refresh.clone()),
            access: one.entry.access.clone(),
            until: life(&one.entry).map(|life| life.expires),
        },
    }
}

impl Auth {
    /// Ends what the journal has against `refresh`, because a login or an import is about to store that very token: it was
    /// logged out here, or refused, and the provider has handed it out again. Costs one look where there is nothing.
    ///
    /// # Errors
    /// Where a refresh of it does not end, or the journal cannot be written.
    pub(crate) fn readmit(&self, origin: &str, client_id: &str, refresh: &Secret) -> Result<(), EditError> {
        let (grant, token) = (GrantId::mint(origin, client_id, refresh), TokenHash::of(refresh));
        if !JournalView::read(&self.state().journal(&grant))?.is_against(&token) {
            return Ok(());
        }
        let worker = wait_for_grant(self, &grant, Instant::now())?;
        let mut journal = Journal::open(self.state(), &worker)?;
        if journal.view().is_against(&token) {
            journal.reserve(self.state())?;
            journal.append(Record::Login { token, at: self.clock().now() })?;
        }
        Ok(())
    }
}

fn wait_for_grant(auth: &Auth, grant: &GrantId, began: Instant) -> Result<WorkerLock, EditError> {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(worker) = GrantGuard::try_acquire(auth.state(), grant)?.and_then(GrantGuard::into_worker)
        {
            return Ok(worker);
        }
        if began.elapsed() >= PATIENCE {
            let holder = Holder::read(&GrantGuard::path(auth.state(), grant)).to_string();
            return Err(EditError::Busy { holder, secs: began.elapsed().as_secs() });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Files beside the store that hold one of the tokens: damaged stores that were set aside, and another program's
/// cache; and the file that older versions left. They hold other things too, so they are named and left.
fn copies(auth: &Auth, agent: &AgentPaths, tokens: &Tokens) -> Vec<PathBuf> {
    let secrets = tokens.all();
    let entries = std::fs::read_dir(&agent.dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .chain([auth.state().oauth_json()])
        .filter(|path| path.is_file())
        .filter(|path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            secrets.iter().any(|secret| holds(&bytes, secret))
        })
        .collect();
    found.sort();
    found
}

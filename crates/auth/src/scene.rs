//! What the resolver looks at, read once.

use std::cell::OnceCell;
use std::path::PathBuf;

use coderclaw_providers::Manifest;
use coderclaw_store::{
    AgentPaths, AgentSettings, AuthState, Entry, HelperCache, ReadError, StoreSnapshot, read_agent_settings,
    read_fingerprint_key,
};
use coderclaw_types::{AgentId, Fingerprint, FingerprintKey, Millis, ProfileId, ProviderId, Secret};

use crate::context::Auth;
use crate::decide::{Contender, Decision};
use crate::explain::{Explanation, Winner};
use crate::first_use::Plan;
use crate::lease::{ELSEWHERE, KEYLESS, Lease};
use crate::lender::Grounds;
use crate::link::{BrokenLink, Link};
use crate::resolve::{Ask, ResolveError};
use crate::standing::{Standing, set_aside, standing};

/// How a store is read: to be acted upon, or only to be shown.
type ReadStore = fn(&Auth, &AgentPaths) -> Result<(StoreSnapshot, AuthState), ReadError>;

/// One agent's store and usage at one moment.
pub(crate) struct Shelf {
    pub(crate) agent: AgentPaths,
    pub(crate) store: StoreSnapshot,
    pub(crate) usage: AuthState,
}

/// Everything that an agent may use, at one moment: its own shelf, and that of the agent that it is linked to.
pub(crate) struct Scene<'a> {
    pub(crate) auth: &'a Auth,
    pub(crate) own: Shelf,
    pub(crate) linked: Option<Shelf>,
    pub(crate) broken_link: Option<BrokenLink>,
    pub(crate) settings: AgentSettings,
    key: Option<FingerprintKey>,
    now: Millis,
    seen: Vec<Seen>,
    shadowed: Vec<Seen>,
}

/// On which shelf an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The agent's own.
    Own,
    /// The one of the agent that it is linked to.
    Linked,
}

/// One entry of a store. How it stands is found out when it is first asked for, since that may mean reading a journal.
pub(crate) struct Seen {
    pub(crate) id: ProfileId,
    pub(crate) entry: Entry,
    pub(crate) provider: Option<ProviderId>,
    /// It stands in a file of an older version, and is taken over when it is first used.
    pub(crate) is_pending: bool,
    pub(crate) whose: Whose,
    standing: OnceCell<Standing>,
    fingerprint: OnceCell<Option<Fingerprint>>,
}

impl Shelf {
    fn read(auth: &Auth, agent: &AgentPaths, read: ReadStore) -> Result<Self, ReadError> {
        let (store, usage) = read(auth, agent)?;
        Ok(Self { agent: agent.clone(), store, usage })
    }

    fn entries(&self, auth: &Auth, whose: Whose) -> Vec<Seen> {
        let seen = self.store.doc.entries().map(|(id, entry)| {
            let provider = entry.provider().map(|provider| auth.canonical(provider));
            let (standing, fingerprint) = (OnceCell::new(), OnceCell::new());
            Seen { id, entry, provider, is_pending: false, whose, standing, fingerprint }
        });
        seen.collect()
    }
}

impl<'a> Scene<'a> {
    /// Reads what the agent may use, once.
    pub(crate) fn read(auth: &'a Auth, agent: &AgentPaths) -> Result<Self, ResolveError> {
        Ok(Self::of(auth, agent, Auth::read, false)?.0)
    }

    /// The same, to be shown and not acted upon: with the logins of older versions that the first use would take over, as
    /// if it had.
    pub(crate) fn look(auth: &'a Auth, agent: &AgentPaths) -> Result<(Self, Plan), ResolveError> {
        Self::of(auth, agent, Auth::look, true)
    }

    fn of(
        auth: &'a Auth,
        agent: &AgentPaths,
        read: ReadStore,
        is_look: bool,
    ) -> Result<(Self, Plan), ResolveError> {
        let settings = read_agent_settings(agent)?;
        let mut own = Shelf::read(auth, agent, read)?;
        let plan = if is_look { auth.pending_imports(agent, &own.store) } else { Plan::default() };
        plan.add_to(&mut own.store.doc);
        let mut seen = own.entries(auth, Whose::Own);
        for one in &mut seen {
            one.is_pending = plan.taken.iter().any(|pending| pending.profile == one.id);
        }
        let mut shadowed = Vec::new();
        let (mut linked, mut broken_link) = (None, None);
        match auth.follow(agent, &settings)? {
            Link::None => {}
            Link::Broken(broken) => broken_link = Some(broken),
            Link::To(target) => match Shelf::read(auth, &target, read) {
                Ok(shelf) => {
                    for theirs in shelf.entries(auth, Whose::Linked) {
                        // A name means one profile, and the agent's own goes first.
                        let is_ours = seen.iter().any(|own| own.whose == Whose::Own && own.id == theirs.id);
                        if is_ours { shadowed.push(theirs) } else { seen.push(theirs) }
                    }
                    linked = Some(shelf);
                }
                // The agent's own profiles serve all the same.
                Err(e) => {
                    let (reason, detail) = (e.code(), e.to_string());
                    broken_link = Some(BrokenLink { target: target.agent, reason, detail });
                }
            },
        }
        let scene = Self {
            key: read_fingerprint_key(auth.state())?,
            now: auth.clock().now(),
            auth,
            own,
            linked,
            broken_link,
            settings,
            seen,
            shadowed,
        };
        scene.check_settings()?;
        Ok((scene, plan))
    }

    /// A profile that `agent.toml` names has a provider, by its entry or by its name. One that has none would be
    /// passed over for every provider, in silence.
    fn check_settings(&self) -> Result<(), ResolveError> {
        match &self.settings.auth_profile {
            Some(id) if self.provider_of(id).is_none() => {
                let detail = format!("`auth_profile` is \"{id}\": no such profile, and no provider's name");
                Err(ReadError::Settings { path: self.own.agent.settings(), detail }.into())
            }
            _ => Ok(()),
        }
    }

    /// The provider of a profile: as its entry says, else by its name.
    pub(crate) fn provider_of(&self, id: &ProfileId) -> Option<ProviderId> {
        let entry = self.seen.iter().find(|seen| seen.id == *id);
        entry.and_then(|seen| seen.provider.clone()).or_else(|| {
            let (prefix, _) = id.as_str().split_once(':')?;
            self.auth.registry().canonical(prefix)
        })
    }

    /// The agent's own store.
    pub(crate) fn store(&self) -> &StoreSnapshot {
        &self.own.store
    }

    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    /// All entries, in store order: the agent's own, then those that it is linked to. No id is there twice.
    pub(crate) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Whether there is a profile of this provider to use, in whatever state.
    pub(crate) fn has_profiles_of(&self, provider: &ProviderId) -> bool {
        self.seen.iter().any(|seen| seen.provider.as_ref() == Some(provider))
    }

    /// Entries of the linked agent whose id is that of one of the agent's own.
    pub(crate) fn shadowed(&self) -> &[Seen] {
        &self.shadowed
    }

    pub(crate) fn shelf(&self, whose: Whose) -> &Shelf {
        match (whose, &self.linked) {
            (Whose::Linked, Some(linked)) => linked,
            _ => &self.own,
        }
    }

    /// The agent whose entry it is, if that is another one.
    pub(crate) fn other(&self, whose: Whose) -> Option<AgentId> {
        (whose == Whose::Linked).then(|| self.shelf(whose).agent.agent.clone())
    }

    /// How an entry stands, cooldowns included.
    pub(crate) fn shown(&self, seen: &Seen) -> Result<Standing, ResolveError> {
        let mut standing = self.standing(seen)?.clone();
        set_aside(self.auth, &self.shelf(seen.whose).usage, &seen.id, &mut standing, self.now);
        Ok(standing)
    }

    pub(crate) fn standing<'s>(&self, seen: &'s Seen) -> Result<&'s Standing, ResolveError> {
        if let Some(known) = seen.standing.get() {
            return Ok(known);
        }
        let store = &self.shelf(seen.whose).store;
        let found = standing(self.auth, store, &seen.id, &seen.entry, self.now)?;
        Ok(seen.standing.get_or_init(|| found))
    }

    /// What identifies the entry's secret; `None` until the state dir has been written to.
    pub(crate) fn fingerprint(&self, seen: &Seen) -> Option<Fingerprint> {
        let secret = seen.standing.get()?.secret.as_ref();
        seen.fingerprint.get_or_init(|| self.fingerprint_of(secret)).clone()
    }

    fn fingerprint_of(&self, secret: Option<&Secret>) -> Option<Fingerprint> {
        Some(Fingerprint::of(self.key.as_ref()?, secret?))
    }

    /// The decision as it is told.
    pub(crate) fn explanation(&self, decision: &Decision, ask: &Ask) -> Explanation {
        Explanation {
            agent_id: self.own.agent.agent.clone(),
            provider: decision.provider.clone(),
            model: ask.model.clone(),
            session: ask.session.clone(),
            order_source: decision.order_source,
            pin_source: decision.pin_source,
            winner: decision.winner().map(|winner| self.winner(winner)),
            candidates: decision.contenders.iter().map(|c| c.candidate.clone()).collect(),
        }
    }

    fn winner(&self, contender: &Contender) -> Winner {
        let id = contender.candidate.profile_id.as_ref();
        let fingerprint = match self.seen.iter().find(|seen| Some(&seen.id) == id) {
            Some(seen) => self.fingerprint(seen),
            None => {
                self.fingerprint_of(contender.standing.secret.as_ref().filter(|secret| !secret.is_blank()))
            }
        };
        Winner {
            profile_id: contender.candidate.profile_id.clone(),
            source: contender.candidate.source.clone().unwrap_or_else(|| "profile".into()),
            fingerprint,
            valid_until: contender.standing.valid_until,
        }
    }

    /// What the decision was made from, beside config and provider files.
    pub(crate) fn grounds(&self, decision: &Decision, ask: &Ask) -> Grounds {
        let shelves = std::iter::once(&self.own).chain(&self.linked);
        let mut files: Vec<PathBuf> = shelves
            .flat_map(|shelf| [shelf.agent.store(), shelf.agent.state(), shelf.agent.settings()])
            .collect();
        files.extend(ask.session.as_ref().map(|_| self.own.agent.sessions()));
        let mut until = None;
        for standing in decision.contenders.iter().map(|contender| &contender.standing) {
            files.extend(standing.grant.as_ref().map(|grant| self.auth.state().journal(grant)));
            let helper = standing
                .reference
                .as_ref()
                .and_then(|reference| HelperCache::of(self.auth.state(), &decision.provider, reference));
            files.extend(helper.map(|cache| cache.path().to_path_buf()));
            let ahead =
                [standing.until, standing.changes_at].into_iter().flatten().filter(|at| *at > self.now);
            until = ahead.chain(until).min();
        }
        Grounds { files, until }
    }

    /// The winner as a lease on what `standing` holds. `None` where it holds nothing that could be lent.
    pub(crate) fn lend(
        &self,
        manifest: &Manifest,
        contender: &Contender,
        standing: &Standing,
    ) -> Option<Lease> {
        let kind = contender.kind?;
        let token = standing.secret.clone()?;
        let account = standing.account_id.as_deref();
        let usual = if standing.reference.is_some() { ELSEWHERE } else { "profile" };
        let source = contender.candidate.source.clone().unwrap_or_else(|| usual.into());
        let mut headers = manifest.request_headers(kind, &token, account);
        let mut env = manifest.lend_env(kind, &token, account);
        if source == KEYLESS {
            headers.remove(0);
            env.clear();
        }
        Some(Lease {
            provider: ProviderId::new(&manifest.id),
            profile: contender.candidate.profile_id.clone(),
            owner: self.shelf(contender.whose).agent.clone(),
            source,
            kind,
            headers,
            env,
            account_id: standing.account_id.clone(),
            valid_until: standing.valid_until,
            lent_at: self.now,
            after_rejection: false,
            moved: None,
            token,
        })
    }
}

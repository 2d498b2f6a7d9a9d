//! Storing what was pasted, choosing a profile, renaming one.

use std::time::Duration;

use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_store::{AgentPaths, Entry, LoginEntry, fingerprint_key, read_auth_store, read_sessions};
use coderclaw_types::{Code, Millis, ProfileId, ProviderId, Secret};

use crate::context::Auth;
use crate::edit::{EditError, commit, forget_usage, lock};
use crate::events::{Event, Note, pasted as pasted_words};
use crate::paste::{Cleaned, PasteKind};
use crate::resolve::Ask;
use crate::standing::{Readiness, standing};

/// How long a token lasts that a vendor's program has just made for use elsewhere.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What is to be stored.
#[derive(Debug, Clone)]
pub struct Pasted {
    /// The token.
    pub cleaned: Cleaned,
    /// What it is.
    pub kind: PasteKind,
    /// Under this id instead of `provider:manual`.
    pub profile_id: Option<ProfileId>,
    /// It ends so long after now.
    pub expires_in: Option<Duration>,
    /// Also where the id holds another credential that still works.
    pub replace: bool,
    /// What the provider wants to know beside a key, such as an account.
    pub metadata: Vec<(String, String)>,
}

/// A pasted credential that is on disk.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Under which id.
    pub profile: ProfileId,
    /// Of which provider.
    pub provider: ProviderId,
    /// `token` or `api_key`.
    pub kind: CredentialKind,
    /// When it ends.
    pub expires: Option<Millis>,
    /// Nobody said when it ends; it is taken to be new.
    pub expires_assumed: bool,
    /// The id existed before.
    pub replaced: bool,
    /// An order hides it.
    pub hidden_by_order: bool,
    /// Nothing could be told about the token, and it was stored because the person insisted.
    pub forced: bool,
}

/// A profile that was made the first choice.
#[derive(Debug, Clone)]
pub struct Used {
    /// Of which provider.
    pub provider: ProviderId,
    /// The agent's order now.
    pub order: Vec<ProfileId>,
    /// Keys that are billed per use and were not put into the new order, since being in one is consent.
    pub left_out: Vec<ProfileId>,
    /// There was no order before.
    pub created: bool,
    /// Nothing had to be written.
    pub unchanged: bool,
}

/// A profile that has a new name.
#[derive(Debug, Clone)]
pub struct Renamed {
    /// Sessions that are still pinned to the old name.
    pub pinned_sessions: usize,
    /// The config still speaks of the old name.
    pub named_by_config: bool,
}

impl Auth {
    /// Stores a pasted credential. A profile of the same id is replaced where it no longer works; its cooldowns end.
    ///
    /// # Errors
    /// Where the id holds another credential that works, or the store cannot be changed. Nothing is written then.
    pub fn store_pasted(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        pasted: &Pasted,
    ) -> Result<Stored, EditError> {
        let provider = ProviderId::new(&manifest.id);
        let manual = || ProfileId::stored(&format!("{provider}:manual"));
        let profile = pasted.profile_id.clone().unwrap_or_else(manual);
        self.import_first(agent);
        self.check_free(agent, &profile, pasted)?;
        let now = self.clock().now();
        let secret = pasted.cleaned.secret.clone();
        let assumed = pasted.expires_in.is_none() && pasted.cleaned.lasts_a_year;
        let lasts = pasted.expires_in.or(assumed.then_some(A_YEAR));
        let expires = lasts.map(|span| now.plus(span)).filter(|_| pasted.kind != PasteKind::ApiKey);
        let login = match pasted.kind.makes() {
            CredentialKind::ApiKey => LoginEntry::ApiKey { key: secret },
            _ => LoginEntry::Token { token: secret, expires, issued_at: now },
        };
        fingerprint_key(self.state())?;
        let guard = lock(self, agent)?;
        self.check_free(agent, &profile, pasted)?;
        let mut doc = guard.read()?.doc;
        let replaced = doc.get(&profile).is_some();
        doc.put_login(&profile, &provider, &login);
        doc.set_metadata(&profile, &pasted.metadata);
        commit(&guard, &doc, &[&profile])?;
        // What the old credential was set aside for says nothing about the new one.
        self.clear_usage(agent, std::slice::from_ref(&profile))?;
        drop(guard);
        self.renew_cache(agent);
        let note = Note::new(Event::Login, agent, if replaced { "replaced" } else { "stored" });
        let note = note.of(Some(&provider), &profile).detail(pasted_words(pasted.kind.makes()));
        self.audit_of(Some(&pasted.cleaned.secret), note);
        self.attend(agent, &profile);
        let order = doc.order(&provider).or_else(|| self.config().order(&provider).map(<[_]>::to_vec));
        Ok(Stored {
            hidden_by_order: order.is_some_and(|order| !order.contains(&profile)),
            profile,
            provider,
            kind: pasted.kind.makes(),
            expires_assumed: assumed && expires.is_some(),
            expires,
            replaced,
            forced: pasted.cleaned.forced,
        })
    }

    /// Refuses an id that holds another credential, unless that one is of no use any more.
    fn check_free(&self, agent: &AgentPaths, id: &ProfileId, pasted: &Pasted) -> Result<(), EditError> {
        let store = read_auth_store(&agent.store())?;
        let Some(entry) = store.doc.get(id) else { return Ok(()) };
        let taken = || Err(EditError::IdTaken { id: id.clone() });
        if pasted.replace {
            return Ok(());
        }
        let held = match &entry {
            Entry::ApiKey(entry) => &entry.key,
            Entry::Token(entry) => &entry.token,
            Entry::OAuth(entry) => &entry.access,
            // Not ours to judge.
            Entry::Unknown { .. } | Entry::Damaged { .. } => return taken(),
        };
        if held.as_ref() == Some(&pasted.cleaned.secret) {
            return Ok(());
        }
        let is_ref = matches!(&entry, Entry::ApiKey(one) if one.is_ref)
            || matches!(&entry, Entry::Token(one) if one.is_ref);
        let standing = standing(self, &store, id, &entry, self.clock().now())?;
        if standing.readiness == Readiness::Never && !is_ref { Ok(()) } else { taken() }
    }

    /// Makes `id` the first choice of the agent for its provider, by the agent's own order. Asks nobody.
    ///
    /// Where there is no order yet, one is made of the profiles that are there; keys that are billed per use are put
    /// into it only if they are chosen.
    ///
    /// # Errors
    /// Where there is no such profile, or the store cannot be changed.
    pub fn use_profile(&self, agent: &AgentPaths, id: &ProfileId) -> Result<Used, EditError> {
        self.import_first(agent);
        let store = read_auth_store(&agent.store())?;
        let Some(entry) = store.doc.get(id) else {
            return Err(EditError::unknown(self, id, agent, &store.doc));
        };
        let no_provider = || EditError::NoProvider { id: id.clone() };
        let provider = entry.provider().map(|one| self.canonical(one)).ok_or_else(no_provider)?;
        let manifest = self.registry().get(&provider).ok_or_else(no_provider)?;
        let known = store.doc.order(&provider);
        let created = known.is_none();
        let mut left_out = Vec::new();
        let mut order = vec![id.clone()];
        match &known {
            Some(known) => order.extend(known.iter().filter(|one| *one != id).cloned()),
            None => {
                for candidate in self.explain(agent, manifest, &Ask::default())?.candidates {
                    // An order is about the agent's own profiles.
                    let own = candidate.profile_id.filter(|_| candidate.agent_id.is_none());
                    let Some(one) = own.filter(|one| one != id) else { continue };
                    match candidate.reason {
                        Code::ExcludedByOrder | Code::ProviderMismatch => {}
                        Code::MissingCredential if store.doc.get(&one).is_none() => {}
                        Code::MeteredNotAllowed => left_out.push(one),
                        _ => order.push(one),
                    }
                }
            }
        }
        order.dedup();
        let unchanged = known.as_ref() == Some(&order);
        if !unchanged {
            let guard = lock(self, agent)?;
            let mut doc = guard.read()?.doc;
            if doc.get(id).is_none() {
                return Err(EditError::unknown(self, id, agent, &doc));
            }
            doc.set_order(&provider, Some(&order));
            commit(&guard, &doc, &[])?;
            drop(guard);
            self.renew_cache(agent);
            self.audit_order(agent, &provider, Some(&order));
        }
        Ok(Used { provider, order, left_out, created, unchanged })
    }

    /// Gives a profile another id, in its place, in the orders of the agent's store and in what is known about its
    /// use. The login itself goes on: a refresh under way finds it under its new name.
    ///
    /// # Errors
    /// Where there is no such profile, or the new id is taken.
    pub fn rename_profile(
        &self,
        agent: &AgentPaths,
        id: &ProfileId,
        to: &ProfileId,
    ) -> Result<Renamed, EditError> {
        let check = |doc: &coderclaw_store::AuthProfiles| {
            if doc.get(id).is_none() {
                return Err(EditError::unknown(self, id, agent, doc));
            }
            if doc.get(to).is_some() {
                return Err(EditError::NameTaken { id: to.clone() });
            }
            Ok(())
        };
        self.import_first(agent);
        check(&read_auth_store(&agent.store())?.doc)?;
        let guard = lock(self, agent)?;
        let mut doc = guard.read()?.doc;
        check(&doc)?;
        doc.rename(id, to);
        commit(&guard, &doc, &[id, to])?;
        forget_usage(self, agent, id, Some(to))?;
        drop(guard);
        self.renew_cache(agent);
        self.audit_rename(agent, id, to, doc.get(to).as_ref());
        self.forget_attention(agent, id, Some(to));
        Ok(Renamed {
            pinned_sessions: pinned_sessions(agent, id),
            named_by_config: self.named_by_config(id, &doc.get(to)),
        })
    }

    /// Whether the config declares the id or has it in an order.
    pub(crate) fn named_by_config(&self, id: &ProfileId, entry: &Option<Entry>) -> bool {
        let provider = entry.as_ref().and_then(Entry::provider).map(|one| self.canonical(one));
        let order = provider.as_ref().and_then(|provider| self.config().order(provider));
        self.config().profile(id).is_some() || order.is_some_and(|order| order.contains(id))
    }
}

/// How many sessions of the agent name the profile. They are another program's as well, and are not changed.
pub(crate) fn pinned_sessions(agent: &AgentPaths, id: &ProfileId) -> usize {
    let Ok(sessions) = read_sessions(&agent.sessions()) else { return 0 };
    sessions.iter().filter(|(_, entry)| entry.pin().is_some_and(|pin| pin.profile == *id)).count()
}

/// Whether a text holds the secret, for looking through copies.
pub(crate) fn holds(text: &[u8], secret: &Secret) -> bool {
    let wanted = secret.expose().as_bytes();
    !wanted.is_empty() && text.windows(wanted.len()).any(|window| window == wanted)
}

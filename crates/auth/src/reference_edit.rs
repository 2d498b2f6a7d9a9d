//! Storing where a secret is kept, instead of the secret.

use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_store::{AgentPaths, Entry, LoginEntry, Reference, fingerprint_key, read_auth_store};
use coderclaw_types::{ProfileId, ProviderId};

use crate::context::Auth;
use crate::edit::{EditError, commit, lock};
use crate::events::{Event, Note};
use crate::profile_edit::Stored;
use crate::standing::{Readiness, standing};

/// What is to be stored.
#[derive(Debug, Clone)]
pub struct Referred {
    /// Where the secret is kept.
    pub reference: Reference,
    /// It is a key that is billed per use, and no bearer token.
    pub is_key: bool,
    /// Under this id instead of `provider:manual`.
    pub profile_id: Option<ProfileId>,
    /// Also where the id holds another credential that still works.
    pub replace: bool,
}

impl Auth {
    /// Stores where a secret is kept. The secret itself is not looked at.
    ///
    /// # Errors
    /// Where the id holds another credential that works, or the store cannot be changed. Nothing is written then.
    pub fn store_reference(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        referred: &Referred,
    ) -> Result<Stored, EditError> {
        let provider = ProviderId::new(&manifest.id);
        let manual = || ProfileId::stored(&format!("{provider}:manual"));
        let profile = referred.profile_id.clone().unwrap_or_else(manual);
        self.import_first(agent);
        fingerprint_key(self.state())?;
        let guard = lock(self, agent)?;
        self.check_unused(agent, &profile, referred)?;
        let mut doc = guard.read()?.doc;
        let replaced = doc.get(&profile).is_some();
        let login = LoginEntry::Reference { is_key: referred.is_key, reference: referred.reference.clone() };
        doc.put_login(&profile, &provider, &login);
        commit(&guard, &doc, &[&profile])?;
        self.clear_usage(agent, std::slice::from_ref(&profile))?;
        drop(guard);
        self.renew_cache(agent);
        let note = Note::new(Event::Login, agent, if replaced { "replaced" } else { "stored" });
        self.audit(note.of(Some(&provider), &profile).detail(format!("kept at {}", referred.reference)));
        let order = doc.order(&provider).or_else(|| self.config().order(&provider).map(<[_]>::to_vec));
        Ok(Stored {
            hidden_by_order: order.is_some_and(|order| !order.contains(&profile)),
            profile,
            provider,
            kind: if referred.is_key { CredentialKind::ApiKey } else { CredentialKind::Token },
            expires: None,
            expires_assumed: false,
            replaced,
            forced: false,
        })
    }

    /// Refuses an id that holds another credential, unless that one is of no use any more.
    fn check_unused(&self, agent: &AgentPaths, id: &ProfileId, referred: &Referred) -> Result<(), EditError> {
        let store = read_auth_store(&agent.store())?;
        let Some(entry) = store.doc.get(id).filter(|_| !referred.replace) else { return Ok(()) };
        let kept = match &entry {
            Entry::ApiKey(one) => one.reference.as_ref(),
            Entry::Token(one) => one.reference.as_ref(),
            Entry::OAuth(_) | Entry::Unknown { .. } | Entry::Damaged { .. } => None,
        };
        let standing = standing(self, &store, id, &entry, self.clock().now())?;
        let is_same = kept.is_some_and(|kept| kept.as_ref() == Ok(&referred.reference));
        match is_same || (standing.readiness == Readiness::Never && kept.is_none()) {
            true => Ok(()),
            false => Err(EditError::IdTaken { id: id.clone() }),
        }
    }
}

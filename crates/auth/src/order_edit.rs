//! Setting and clearing an agent's explicit order.

use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, AuthProfiles, fingerprint_key, look_at_auth_store, read_auth_store};
use coderclaw_types::{ProfileId, ProviderId};

use crate::context::Auth;
use crate::edit::{EditError, commit, lock};

impl Auth {
    /// The order in the agent's own store. Reads only.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn order(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
    ) -> Result<Option<Vec<ProfileId>>, EditError> {
        Ok(look_at_auth_store(&agent.store())?.doc.order(&ProviderId::new(&manifest.id)))
    }

    /// Sets the order in the agent's own store, or clears it with `None`. Every id must be a profile of the provider;
    /// repeated ids count once.
    ///
    /// # Errors
    /// Where an id is not, or the store cannot be changed. Nothing is written then.
    pub fn set_order(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        order: Option<&[ProfileId]>,
    ) -> Result<Vec<ProfileId>, EditError> {
        let provider = ProviderId::new(&manifest.id);
        let mut wanted: Vec<ProfileId> = Vec::new();
        let check = |doc: &AuthProfiles, id: &ProfileId| {
            let Some(entry) = doc.get(id) else {
                return Err(EditError::unknown(self, id, agent, doc));
            };
            let theirs = entry.provider().map(|p| self.canonical(p));
            if theirs.as_ref() != Some(&provider) {
                let theirs = theirs.map_or_else(|| "no provider".to_owned(), |p| p.to_string());
                return Err(EditError::OtherProvider { id: id.clone(), theirs, wanted: provider.clone() });
            }
            Ok(())
        };
        self.import_first(agent);
        // Checked before anything is created, and again under the lock.
        let before = read_auth_store(&agent.store())?;
        for id in order.unwrap_or_default() {
            check(&before.doc, id)?;
            if !wanted.contains(id) {
                wanted.push(id.clone());
            }
        }
        if order.is_none() && before.doc.order(&provider).is_none() {
            return Ok(wanted);
        }
        let guard = lock(self, agent)?;
        let mut doc = guard.read()?.doc;
        wanted.iter().try_for_each(|id| check(&doc, id))?;
        doc.set_order(&provider, order.map(|_| wanted.as_slice()));
        commit(&guard, &doc, &[])?;
        drop(guard);
        drop(fingerprint_key(self.state()));
        self.renew_cache(agent);
        self.audit_order(agent, &provider, order.map(|_| wanted.as_slice()));
        Ok(wanted)
    }
}

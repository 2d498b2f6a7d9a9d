//! Setting and clearing an agent's explicit order.

use coderclaw_providers::Manifest;
use coderclaw_store::{
    AgentPaths, LockError, ReadError, StoreGuard, WriteError, fingerprint_key, read_auth_store,
};
use coderclaw_types::{Code, ProfileId, ProviderId};

use crate::context::Auth;

/// Why an order was not set.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The store has no such profile.
    #[error("profile \"{id}\" not found in {store}")]
    Unknown {
        /// Which profile.
        id: ProfileId,
        /// Which store.
        store: String,
    },
    /// The profile belongs to another provider.
    #[error("profile \"{id}\" is for {theirs}, not {wanted}")]
    OtherProvider {
        /// Which profile.
        id: ProfileId,
        /// Whose it is.
        theirs: String,
        /// Whose order was to be set.
        wanted: ProviderId,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store's lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl OrderError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } => Code::UnknownProfile,
            Self::OtherProvider { .. } => Code::ProviderMismatch,
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
        }
    }
}

impl Auth {
    /// The order in the agent's own store. Reads only.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn order(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
    ) -> Result<Option<Vec<ProfileId>>, OrderError> {
        Ok(read_auth_store(&agent.store())?.doc.order(&ProviderId::new(&manifest.id)))
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
    ) -> Result<Vec<ProfileId>, OrderError> {
        let provider = ProviderId::new(&manifest.id);
        let path = agent.store();
        let mut wanted: Vec<ProfileId> = Vec::new();
        let check = |doc: &coderclaw_store::AuthProfiles, id: &ProfileId| {
            let Some(entry) = doc.get(id) else {
                return Err(OrderError::Unknown { id: id.clone(), store: path.display().to_string() });
            };
            let theirs = entry.provider().map(|p| self.canonical(p));
            if theirs.as_ref() != Some(&provider) {
                let theirs = theirs.map_or_else(|| "no provider".to_owned(), |p| p.to_string());
                return Err(OrderError::OtherProvider { id: id.clone(), theirs, wanted: provider.clone() });
            }
            Ok(())
        };
        // Checked before anything is created, and again under the lock.
        let before = read_auth_store(&path)?;
        for id in order.unwrap_or_default() {
            check(&before.doc, id)?;
            if !wanted.contains(id) {
                wanted.push(id.clone());
            }
        }
        if order.is_none() && before.doc.order(&provider).is_none() {
            return Ok(wanted);
        }
        let guard = StoreGuard::acquire(self.state(), &path)?;
        let mut doc = guard.read()?.doc;
        wanted.iter().try_for_each(|id| check(&doc, id))?;
        doc.set_order(&provider, order.map(|_| wanted.as_slice()));
        guard.commit(&doc)?;
        drop(fingerprint_key(self.state()));
        Ok(wanted)
    }
}

//! Handing a login that was refreshed to a secret store outside, as CI has one: whoever starts from that store next must
//! not find a refresh token there that was used up.
//!
//! What stands outside is remembered by its hash. What was handed over once, or what the login started from, is never
//! handed over again: only a newer one is. A kill at any point leaves the hash of the older one, so the next call hands
//! over what this one could not.

use coderclaw_store::{AgentPaths, AuthProfiles, Entry, PersistGuard, read_auth_store, read_persisted};
use coderclaw_types::{Code, ProfileId, Secret, TokenHash};

use crate::context::Auth;
use crate::edit::EditError;

/// Why a login was not handed over. It stands in the store here all the same.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// The store, or the note of what was handed over, cannot be used.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Whoever should take it did not.
    #[error("{why}; the new token is kept here, and is handed over by the next call")]
    Refused {
        /// In its own words.
        why: String,
    },
}

impl PersistError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Edit(e) => e.code(),
            Self::Refused { .. } => Code::NotPersisted,
        }
    }
}

impl Auth {
    /// Before a refresh: what stands here now is what stands outside, unless that is known already.
    ///
    /// # Errors
    /// Where that cannot be written down. Nothing should be refreshed then.
    pub fn begin_persisting(&self, agent: &AgentPaths, profile: &ProfileId) -> Result<(), EditError> {
        let known = |auth: &Self| read_persisted(auth.state()).map(|all| all.token(&agent.agent, profile));
        if known(self)?.is_some() {
            return Ok(());
        }
        let guard = PersistGuard::acquire(self.state())?;
        let mut all = read_persisted(self.state())?;
        let Some((_, token)) = self.material(agent, profile)? else { return Ok(()) };
        if all.token(&agent.agent, profile).is_none() {
            all.set(&agent.agent, profile, &token);
            guard.commit(&all)?;
        }
        Ok(())
    }

    /// Hands the login to `send` if what stands outside is older: as a store with this one entry, refresh token included.
    /// True where it did. Nobody else hands over meanwhile, so that an older one never comes last.
    ///
    /// # Errors
    /// Where `send` says that it did not take it. The next call tries again.
    pub fn persist(
        &self,
        agent: &AgentPaths,
        profile: &ProfileId,
        send: &mut dyn FnMut(&Secret) -> Result<(), String>,
    ) -> Result<bool, PersistError> {
        let guard = PersistGuard::acquire(self.state()).map_err(EditError::from)?;
        let mut all = read_persisted(self.state()).map_err(EditError::from)?;
        let Some((material, token)) = self.material(agent, profile)? else { return Ok(false) };
        if all.token(&agent.agent, profile).is_none_or(|known| known == token) {
            return Ok(false);
        }
        send(&material).map_err(|why| PersistError::Refused { why })?;
        all.set(&agent.agent, profile, &token);
        guard.commit(&all).map_err(EditError::from)?;
        Ok(true)
    }

    /// The login as it stands in the store, and what identifies it; `None` for what does not renew itself.
    fn material(
        &self,
        agent: &AgentPaths,
        profile: &ProfileId,
    ) -> Result<Option<(Secret, TokenHash)>, EditError> {
        let store = read_auth_store(&agent.store())?.doc;
        let Some(Entry::OAuth(entry)) = store.get(profile) else { return Ok(None) };
        let Some(refresh) = entry.refresh else { return Ok(None) };
        let mut alone = AuthProfiles::empty();
        alone.take_from(&store, profile);
        Ok(Some((Secret::from(alone.to_text()), TokenHash::of(&refresh))))
    }
}

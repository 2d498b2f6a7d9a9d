//! One guard for each kind of file: proof that its lock is held, for the functions that write it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::{Held, LockError, acquire_for, lock_for, try_lock, wait_for};
use crate::commit::WriteError;
use crate::original::{self, Shut};
use crate::paths::StateDir;

/// Proof that a store's lock is held, and that the original program is shut out. Reads and commits go through it.
#[derive(Debug)]
pub struct StoreGuard {
    // Dropped first: the original's lock goes while ours is still held.
    shut: Option<Shut>,
    held: Held,
}

impl StoreGuard {
    /// Takes the lock of the store at `store`, creating its folder where it is missing. A symlink is followed: the
    /// lock and every commit are its target's.
    ///
    /// # Errors
    /// [`LockError::Held`] after 5 s, and where the original program is at the store for more than 3 s;
    /// [`LockError::Write`] where the folders cannot be made or are another user's.
    pub fn acquire(state: &StateDir, store: &Path) -> Result<Self, LockError> {
        Self::acquire_within(state, store, original::PATIENCE)
    }

    /// The same for who has in hand what must not get lost: the original is waited for until its lock counts as abandoned.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`], after half a minute.
    pub fn acquire_patiently(state: &StateDir, store: &Path) -> Result<Self, LockError> {
        Self::acquire_within(state, store, Duration::from_secs(32))
    }

    fn acquire_within(state: &StateDir, store: &Path, limit: Duration) -> Result<Self, LockError> {
        let held = acquire_for(state, "store", store)?;
        Ok(Self { shut: original::shut_out(state, store, limit)?, held })
    }

    /// To be called every few seconds by whoever holds it for as long as somebody else pleases: the original takes a mark
    /// that is half a minute old for abandoned.
    ///
    /// # Errors
    /// [`LockError::Held`] where it has done so, since this process stood still for so long.
    pub fn renew(&self) -> Result<(), LockError> {
        self.shut.as_ref().map_or(Ok(()), Shut::renew)
    }

    /// The store's real path.
    pub fn target(&self) -> &Path {
        &self.held.target
    }
}

/// Guards that differ in nothing but in what they guard: the word in the lock's name, and the file where there is only one.
macro_rules! guards {
    ($($(#[$doc:meta])* $vis:vis $name:ident, $what:literal $(, $file:ident)?;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        $vis struct $name(Held);

        impl $name {
            guards!(@acquire $vis, $what $($file)?);

            /// The file's real path.
            $vis fn target(&self) -> &Path {
                &self.0.target
            }
        }
    )*};
    (@acquire $vis:vis, $what:literal) => {
        /// Takes the lock of the file at `path`. A symlink is followed: lock and commits are its target's.
        ///
        /// # Errors
        /// As [`StoreGuard::acquire`].
        $vis fn acquire(state: &StateDir, path: &Path) -> Result<Self, LockError> {
            Ok(Self(acquire_for(state, $what, path)?))
        }
    };
    (@acquire $vis:vis, $what:literal $file:ident) => {
        /// Takes the lock of the file.
        ///
        /// # Errors
        /// As [`StoreGuard::acquire`].
        $vis fn acquire(state: &StateDir) -> Result<Self, LockError> {
            Ok(Self(acquire_for(state, $what, &state.$file())?))
        }
    };
}

guards! {
    /// Proof that an `auth-state.json`'s lock is held.
    pub StateGuard, "state";
    /// Proof that an `agent.toml`'s lock is held. A link is made under the locks of both agents, so that no two links make
    /// a chain.
    pub AgentFileGuard, "agent";
    /// Proof that the lock of a `sessions.json`, and of the transcripts beside it, is held.
    pub SessionsGuard, "sessions";
    /// Proof that the lock of the gateway's keys is held.
    pub(crate) KeysGuard, "gateway";
    /// Proof that the config's lock is held.
    pub(crate) ConfigGuard, "config";
    /// Proof that nobody else imports, and that the receipts of imports are ours to write. It comes before the lock of a
    /// store, never after.
    pub ImportGuard, "import", receipts;
    /// Proof that nobody else connects a program or disconnects one.
    pub(crate) ConnectionsGuard, "connections", connections;
    /// Proof that the lock of the generations is held.
    pub(crate) GenerationsGuard, "generations", generations;
    /// Proof that the lock of `attention.json` is held: of what people were told.
    pub AttentionGuard, "attention", attention;
    /// Proof that nobody else hands a login to a secret store outside. It is held while that goes on, so a wait for it may end
    /// without it.
    pub PersistGuard, "persisted", persisted;
    /// Proof that the lock of `registrations.json` is held: of the clients that people have registered this program as.
    pub RegistrationsGuard, "registrations", registrations;
    /// Proof that the lock of `usage.json` is held: of the figures that providers gave.
    pub UsageGuard, "usage", usage_cache;
}

/// Proof that the lock of a token socket is held: nobody else listens there.
#[derive(Debug)]
pub struct SocketGuard(Held);

impl SocketGuard {
    /// Takes the lock of the socket at `path`, or says at once who has it.
    pub(crate) fn lock(state: &StateDir, path: &Path) -> Result<Self, LockError> {
        Ok(Self(lock_for(state, "socket", path, Duration::ZERO)?))
    }

    /// Where the socket really is.
    pub fn target(&self) -> &Path {
        &self.0.target
    }
}

/// Proof that nobody else runs this helper program. It is the one lock besides a grant's that is held while something
/// else works, which its time limit ends.
#[derive(Debug)]
pub struct HelperGuard(File);

impl HelperGuard {
    pub(crate) fn acquire(state: &StateDir, name: &str, limit: Duration) -> Result<Self, LockError> {
        state.ensure_dir(&state.locks())?;
        Ok(Self(wait_for(&state.locks().join(format!("helper-{name}")), limit)?))
    }
}

impl Drop for HelperGuard {
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// Proof that nobody else gives the parts of the audit trail other names.
#[derive(Debug)]
pub(crate) struct RotationGuard(File);

impl RotationGuard {
    /// Takes the lock if it is free; `None` where somebody holds it, and is at it already.
    pub(crate) fn try_acquire(state: &StateDir) -> Result<Option<Self>, WriteError> {
        state.ensure_dir(&state.locks())?;
        Ok(try_lock(&state.locks().join("audit"))?.map(Self))
    }
}

impl Drop for RotationGuard {
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

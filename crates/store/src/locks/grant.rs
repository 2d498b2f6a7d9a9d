//! A grant's lock, which goes from the process that asks to the one that refreshes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use coderclaw_types::GrantId;

use super::{LockError, same_file, try_lock};
use crate::paths::StateDir;
use crate::read::Signature;

/// A grant's lock in the hands of an asker. Dropping it frees the lock; handing it over does not.
#[derive(Debug)]
pub struct GrantGuard {
    file: Option<File>,
    grant: GrantId,
}

impl GrantGuard {
    /// Takes the grant's lock if it is free; `None` where somebody holds it.
    ///
    /// # Errors
    /// Where the lock file cannot be made.
    pub fn try_acquire(state: &StateDir, grant: &GrantId) -> Result<Option<Self>, LockError> {
        state.ensure_dir(&state.locks())?;
        let file = try_lock(&Self::path(state, grant))?;
        Ok(file.map(|file| Self { file: Some(file), grant: *grant }))
    }

    /// The lock file of `grant`.
    pub fn path(state: &StateDir, grant: &GrantId) -> PathBuf {
        state.locks().join(grant.to_string())
    }

    /// The signatures of the store and the journal: they change whenever something happens to the grant that a waiter
    /// may want to know. Needs no lock.
    pub fn watch(state: &StateDir, store: &Path, grant: &GrantId) -> (Option<Signature>, Option<Signature>) {
        (Signature::of(store), Signature::of(&state.journal(grant)))
    }

    /// A second handle on the same open file, to become a worker's standard input. The lock belongs to the open
    /// file, so that either handle keeps it (flock(2)).
    ///
    /// # Errors
    /// What the system says, such as too many open files.
    pub fn handle_for_child(&self) -> io::Result<File> {
        match &self.file {
            Some(file) => file.try_clone(),
            None => Err(io::Error::other("the lock was handed over")),
        }
    }

    /// Lets go of our handle without unlocking: the worker has the lock now.
    pub fn handed_over(mut self) {
        drop(self.file.take());
    }

    /// Keeps the lock for a worker in this process.
    pub fn into_worker(mut self) -> Option<WorkerLock> {
        self.file.take().map(|file| WorkerLock { file, grant: self.grant })
    }
}

impl Drop for GrantGuard {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            drop(file.unlock());
        }
    }
}

/// A grant's lock in the hands of the worker that refreshes it: proof for journal and ledger. Freed only when the
/// last handle on the open file is closed.
#[derive(Debug)]
pub struct WorkerLock {
    file: File,
    grant: GrantId,
}

impl WorkerLock {
    /// Takes over the lock that came as an open file, after proving that it is this grant's and that it is held.
    ///
    /// # Errors
    /// [`LockError::NotOurs`].
    pub fn inherit(state: &StateDir, grant: &GrantId, file: File) -> Result<Self, LockError> {
        if !same_file(&file, &GrantGuard::path(state, grant)) {
            return Err(LockError::NotOurs);
        }
        // Succeeds at once where this very open file holds the lock, and fails where another one does.
        file.try_lock().map_err(|_| LockError::NotOurs)?;
        Ok(Self { file, grant: *grant })
    }

    /// Which grant it is.
    pub fn grant(&self) -> GrantId {
        self.grant
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

//! Kernel locks, and guards that prove they are held.
//!
//! A lock file is named for what it guards, lives under `locks/`, is never renamed or deleted, and is never the file
//! that gets replaced. The kernel frees a lock when its holder dies, so nothing here ever looks stale. Two kinds of
//! guard differ in how they end: a [`StoreGuard`] unlocks on drop, also where a child forked meanwhile still has the
//! file open; a [`WorkerLock`] has no unlock at all, since the open file may be shared with the process that asked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coderclaw_types::{Code, GrantId, sha256_parts};

use crate::commit::{WriteError, private_folder};
use crate::original::{self, Shut};
use crate::paths::StateDir;
use crate::read::Signature;

/// How long a writer waits for a store. Nobody holds one across the network.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// The head of a lock file is for people: who holds it.
const HOLDER_BYTES: usize = 256;

/// A lock that was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{} is held by {holder} (waited {} ms)", path.display(), waited.as_millis())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as the file says.
        holder: Holder,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The lock file cannot be made.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The file that was handed over is not this lock, or does not hold it.
    #[error("the lock file that was handed over is not the lock of this grant")]
    NotOurs,
}

impl LockError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Held { .. } => Code::Locked,
            Self::Write(e) => e.code(),
            Self::NotOurs => Code::WorkerFailed,
        }
    }
}

/// Who says that it holds a lock. Only for messages: the kernel decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(String);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "another process" } else { &self.0 })
    }
}

impl Holder {
    /// A program that is not ours.
    pub(crate) fn other(pid: Option<i32>) -> Self {
        Self(pid.map_or_else(|| "another program".into(), |pid| format!("another program, pid {pid}")))
    }

    /// What the lock file at `path` says.
    pub fn read(path: &Path) -> Self {
        let mut head = [0; HOLDER_BYTES];
        let read = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
        let text = String::from_utf8_lossy(&head[..read]);
        let line = text.lines().next().unwrap_or_default().trim_matches(['\0', ' ']);
        let plain = line.starts_with("pid ") && line.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        Self(if plain { line.to_owned() } else { String::new() })
    }
}

/// A lock that is held over one file, and unlocked explicitly: a child forked meanwhile may still have it open.
#[derive(Debug)]
struct Held {
    file: File,
    target: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.file.unlock());
    }
}

/// Proof that a store's lock is held, and that the original program is shut out. Reads and commits go through it.
#[derive(Debug)]
pub struct StoreGuard {
    // Dropped first: the original's lock goes while ours is still held.
    shut: Option<Shut>,
    held: Held,
}

/// Proof that an `auth-state.json`'s lock is held.
#[derive(Debug)]
pub struct StateGuard(Held);

/// Proof that nobody else imports, and that the receipts of imports are ours to write.
#[derive(Debug)]
pub struct ImportGuard(Held);

/// Proof that an `agent.toml`'s lock is held. A link is made under the locks of both agents, so that no two links make
/// a chain.
#[derive(Debug)]
pub struct AgentFileGuard(Held);

/// Proof that the lock of a `sessions.json`, and of the transcripts beside it, is held.
#[derive(Debug)]
pub struct SessionsGuard(Held);

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

impl StateGuard {
    /// Takes the lock of the `auth-state.json` at `path`.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`].
    pub fn acquire(state: &StateDir, path: &Path) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "state", path)?))
    }

    /// The file's real path.
    pub fn target(&self) -> &Path {
        &self.0.target
    }
}

impl ImportGuard {
    /// Takes the lock of the receipts. It comes before the lock of a store, never after.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`].
    pub fn acquire(state: &StateDir) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "import", &state.receipts())?))
    }

    /// The real path of the receipts.
    pub fn target(&self) -> &Path {
        &self.0.target
    }
}

impl AgentFileGuard {
    /// Takes the lock of the `agent.toml` at `path`.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`].
    pub fn acquire(state: &StateDir, path: &Path) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "agent", path)?))
    }

    /// The file's real path.
    pub fn target(&self) -> &Path {
        &self.0.target
    }
}

impl SessionsGuard {
    /// Takes the lock of the `sessions.json` at `path`.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`].
    pub fn acquire(state: &StateDir, path: &Path) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "sessions", path)?))
    }

    /// The file's real path.
    pub fn target(&self) -> &Path {
        &self.0.target
    }
}

/// Proof that the lock of the gateway's keys is held.
#[derive(Debug)]
pub(crate) struct KeysGuard(Held);

impl KeysGuard {
    /// Takes the lock of the `keys.toml` at `path`.
    pub(crate) fn acquire(state: &StateDir, path: &Path) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "gateway", path)?))
    }

    /// The file's real path.
    pub(crate) fn target(&self) -> &Path {
        &self.0.target
    }
}

/// Proof that nobody else connects a program or disconnects one.
#[derive(Debug)]
pub(crate) struct ConnectionsGuard(Held);

impl ConnectionsGuard {
    /// Takes the lock of `connections.json`.
    pub(crate) fn acquire(state: &StateDir) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "connections", &state.connections())?))
    }

    /// The file's real path.
    pub(crate) fn target(&self) -> &Path {
        &self.0.target
    }
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

/// Proof that the lock of the generations is held.
#[derive(Debug)]
pub(crate) struct GenerationsGuard(Held);

impl GenerationsGuard {
    /// Takes the lock of the file of generations.
    pub(crate) fn acquire(state: &StateDir) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "generations", &state.generations())?))
    }

    /// The file's real path.
    pub(crate) fn target(&self) -> &Path {
        &self.0.target
    }
}

/// Proof that the lock of `attention.json` is held.
#[derive(Debug)]
pub struct AttentionGuard(Held);

impl AttentionGuard {
    /// Takes the lock of the file that remembers what people were told.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`].
    pub fn acquire(state: &StateDir) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "attention", &state.attention())?))
    }

    /// The file's real path.
    pub fn target(&self) -> &Path {
        &self.0.target
    }
}

/// Proof that nobody else hands a login to a secret store outside.
#[derive(Debug)]
pub struct PersistGuard(Held);

impl PersistGuard {
    /// Takes the lock. It is held while a login is handed over, so the wait may end without it.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`].
    pub fn acquire(state: &StateDir) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "persisted", &state.persisted())?))
    }

    /// The file's real path.
    pub fn target(&self) -> &Path {
        &self.0.target
    }
}

/// Proof that the lock of `usage.json` is held.
#[derive(Debug)]
pub struct UsageGuard(Held);

impl UsageGuard {
    /// Takes the lock of the figures that providers gave.
    ///
    /// # Errors
    /// As [`StoreGuard::acquire`].
    pub fn acquire(state: &StateDir) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "usage", &state.usage_cache())?))
    }

    /// The file's real path.
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

/// Proof that the config's lock is held.
#[derive(Debug)]
pub(crate) struct ConfigGuard(Held);

impl ConfigGuard {
    /// Takes the lock of the config at `path`. A symlink is followed: the lock and every commit are its target's.
    pub(crate) fn acquire(state: &StateDir, path: &Path) -> Result<Self, LockError> {
        Ok(Self(acquire_for(state, "config", path)?))
    }

    /// The file's real path.
    pub(crate) fn target(&self) -> &Path {
        &self.0.target
    }
}

fn acquire_for(state: &StateDir, what: &str, path: &Path) -> Result<Held, LockError> {
    lock_for(state, what, path, STORE_WAIT)
}

fn lock_for(state: &StateDir, what: &str, path: &Path, limit: Duration) -> Result<Held, LockError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    state.check_owner()?;
    private_folder(folder)?;
    state.ensure_dir(&state.locks())?;
    let target = real_path(path)?;
    check_file_owner(&target)?;
    let lock = lock_path(&state.locks(), what, &target);
    Ok(Held { file: wait_for(&lock, limit)?, target })
}

/// The lock of `what` at the real path `target`.
pub(crate) fn lock_path(locks: &Path, what: &str, target: &Path) -> PathBuf {
    let name = sha256_parts("lock", &[target.as_os_str().as_encoded_bytes()]);
    let name: String = name[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    locks.join(format!("{what}-{name}"))
}

/// Refuses to replace what is another user's: the new file would be ours, and its owner could not read it any more.
pub(crate) fn check_file_owner(target: &Path) -> Result<(), WriteError> {
    let me = rustix::process::geteuid().as_raw();
    match fs::metadata(target) {
        Ok(meta) if meta.uid() != me => {
            Err(WriteError::NotOwner { path: target.to_path_buf(), owner: meta.uid(), me })
        }
        _ => Ok(()),
    }
}

pub(crate) fn real_path(path: &Path) -> Result<PathBuf, WriteError> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(real),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                let source = io::Error::other("it is a link to a file that is not there");
                return Err(WriteError::Io { path: path.to_path_buf(), source });
            }
            let folder = path.parent().unwrap_or(Path::new("/"));
            let folder = fs::canonicalize(folder).map_err(WriteError::io(folder))?;
            Ok(folder.join(path.file_name().unwrap_or_default()))
        }
        Err(e) => Err(WriteError::io(path)(e)),
    }
}

pub(crate) fn wait_for(path: &Path, limit: Duration) -> Result<File, LockError> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(file) = try_lock(path)? {
            return Ok(file);
        }
        let waited = started.elapsed();
        if waited >= limit {
            return Err(LockError::Held { path: path.to_path_buf(), holder: Holder::read(path), waited });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, WriteError> {
    loop {
        let mut file = open_lock(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(WriteError::io(path)(e)),
        }
        // Somebody may have removed or replaced the file between open and lock: then this is nobody's lock.
        if same_file(&file, path) {
            // Only for messages, so a failure to write it changes nothing.
            let line = format!("pid {}\n", std::process::id());
            drop(file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(line.as_bytes())));
            return Ok(Some(file));
        }
    }
}

fn open_lock(path: &Path) -> Result<File, WriteError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(WriteError::io(path))
}

pub(crate) fn same_file(file: &File, path: &Path) -> bool {
    let (Ok(here), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (here.dev(), here.ino()) == (there.dev(), there.ino())
}

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

#[cfg(test)]
mod tests {
    use coderclaw_types::Secret;

    use super::*;

    fn world() -> (tempfile::TempDir, StateDir, GrantId) {
        let (tmp, state) = StateDir::temporary();
        let grant = GrantId::mint("https://x", "c", &Secret::from("rt"));
        (tmp, state, grant)
    }

    #[test]
    fn a_grant_has_one_holder() {
        let (_tmp, state, grant) = world();
        let guard = GrantGuard::try_acquire(&state, &grant).unwrap().unwrap();
        assert!(GrantGuard::try_acquire(&state, &grant).unwrap().is_none());
        drop(guard);
        assert!(GrantGuard::try_acquire(&state, &grant).unwrap().is_some());
    }

    /// A9: an asker that goes away does not free the lock that it has handed over.
    #[test]
    fn a9_a_handed_over_lock_outlives_its_asker() {
        let (_tmp, state, grant) = world();
        let guard = GrantGuard::try_acquire(&state, &grant).unwrap().unwrap();
        let child = guard.handle_for_child().unwrap();
        guard.handed_over();
        assert!(GrantGuard::try_acquire(&state, &grant).unwrap().is_none());
        let worker = WorkerLock::inherit(&state, &grant, child).unwrap();
        assert!(GrantGuard::try_acquire(&state, &grant).unwrap().is_none());
        drop(worker);
        assert!(GrantGuard::try_acquire(&state, &grant).unwrap().is_some());
    }

    #[test]
    fn a_file_that_does_not_hold_the_lock_is_refused() {
        let (tmp, state, grant) = world();
        let guard = GrantGuard::try_acquire(&state, &grant).unwrap().unwrap();
        let other = File::open(GrantGuard::path(&state, &grant)).unwrap();
        assert!(matches!(WorkerLock::inherit(&state, &grant, other), Err(LockError::NotOurs)));
        let stray = File::create(tmp.path().join("stray")).unwrap();
        assert!(matches!(WorkerLock::inherit(&state, &grant, stray), Err(LockError::NotOurs)));
        drop(guard);
    }

    /// F8: what stands in a lock file is harmless.
    #[test]
    fn f8_garbage_in_a_lock_file_is_harmless() {
        let (_tmp, state, grant) = world();
        state.ensure_dir(&state.locks()).unwrap();
        let path = GrantGuard::path(&state, &grant);
        for garbage in [&b""[..], b"pid 1\n", b"\xff\xfe\x00", &[b'x'; 100_000]] {
            fs::write(&path, garbage).unwrap();
            assert!(GrantGuard::try_acquire(&state, &grant).unwrap().is_some());
            assert!(Holder::read(&path).to_string().len() < 40);
        }
    }
}

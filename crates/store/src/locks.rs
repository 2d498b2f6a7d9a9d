//! Kernel locks, and guards that prove they are held.
//!
//! A lock file is named for what it guards, lives under `locks/`, is never renamed or deleted, and is never the file
//! that gets replaced. The kernel frees a lock when its holder dies, so nothing here ever looks stale. Two kinds of
//! guard differ in how they end: a [`StoreGuard`] unlocks on drop, also where a child forked meanwhile still has the
//! file open; a [`WorkerLock`] has no unlock at all, since the open file may be shared with the process that asked.

mod grant;
mod guards;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coderclaw_types::{Code, sha256_parts};

pub use self::grant::{GrantGuard, WorkerLock};
pub use self::guards::{
    AgentFileGuard, AttentionGuard, HelperGuard, ImportGuard, PersistGuard, RegistrationsGuard,
    SessionsGuard, SocketGuard, StateGuard, StoreGuard, UsageGuard,
};
pub(crate) use self::guards::{ConfigGuard, ConnectionsGuard, GenerationsGuard, KeysGuard, RotationGuard};
use crate::commit::{WriteError, private_folder};
use crate::paths::StateDir;

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

#[cfg(test)]
mod tests {
    use coderclaw_types::{GrantId, Secret};

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

//! The original program's lock, held for as long as we write what it may be writing too.
//!
//! The original knows no kernel locks. It makes `auth-profiles.json.lock` beside the store, notes its process id and the
//! time in it, and deletes it when it is done. It takes such a file for abandoned once the process is gone or 30 s have
//! passed. This module does the same by the same rules, on top of our own locks: who changes a store shuts the original
//! out meanwhile, and who refreshes does so from before the request to the commit.
//!
//! Among ourselves the kernel decides. Who makes a mark holds `locks/legacy-…` as long as the mark stands, so a mark of
//! ours whose lock is free is one that somebody died with, whatever process has its id today. A mark goes only under the
//! store's lock: who has that lock and sees a mark of ours can rely on it until the end of the change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coderclaw_types::sha256_parts;
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::commit::{WriteError, create_private, is_mount_point};
use crate::faults;
use crate::locks::{
    Holder, LockError, check_file_owner, lock_path, real_path, same_file, try_lock, wait_for,
};
use crate::paths::StateDir;

/// How long we wait for the original, all stores together.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// How long a refresh waits for other refreshes of ours in the same stores: as long as one request may take. Nobody outside is
/// kept waiting meanwhile.
const QUEUE: Duration = Duration::from_secs(20);
/// The original takes a lock that is older for abandoned, and so do we.
const STALE_MS: i64 = 30_000;
/// How long the end of a refresh waits for the lock of a store, to take its mark away.
const FAREWELL: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// Where one store's mark is, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Beside the name that the original knows the store by, also where that is a link.
    mark: PathBuf,
    /// The lock among ourselves. Its path in a mark says whose the mark is.
    lock: PathBuf,
    /// The next mark, until it gets its name: complete from its first moment.
    next: PathBuf,
    /// The store's real path.
    store: PathBuf,
}

impl Place {
    fn of(state: &StateDir, store: &Path) -> Result<Self, WriteError> {
        state.ensure_dir(&state.locks())?;
        let folder = store.parent().unwrap_or(Path::new("/"));
        let folder = fs::canonicalize(folder).map_err(WriteError::io(folder))?;
        let name = store.file_name().unwrap_or_default().to_string_lossy();
        let mark = folder.join(format!("{name}.lock"));
        let locks = fs::canonicalize(state.locks()).map_err(WriteError::io(&state.locks()))?;
        let lock = lock_path(&locks, "legacy", &mark);
        // Two state dirs that share a store do not share this name.
        let ours = sha256_parts("mark", &[lock.as_os_str().as_encoded_bytes()]);
        let next = folder.join(format!(".{name}.lock-{:02x}{:02x}{:02x}.next", ours[0], ours[1], ours[2]));
        let store = real_path(store)?;
        check_file_owner(&store)?;
        Ok(Self { mark, lock, next, store })
    }

    fn body(&self, at: i64) -> Vec<u8> {
        let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
        let body = json!({
            "pid": std::process::id(),
            "createdAt": format!("{at:.3}"),
            "heldBy": self.lock.to_string_lossy(),
        });
        format!("{body:#}").into_bytes()
    }

    /// Whether a mark of this state dir stands there.
    fn is_ours(&self) -> bool {
        fs::read(&self.mark).is_ok_and(|bytes| self.wrote(&parse(&bytes)))
    }

    fn wrote(&self, mark: &Value) -> bool {
        mark["heldBy"].as_str() == Some(&self.lock.to_string_lossy())
    }

    /// What the mark that stands there means to who holds our lock.
    fn standing(&self, now: i64) -> Standing {
        let mut file = match File::open(&self.mark) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Standing::Gone,
            Err(_) => return Standing::Held(Holder::other(None)),
        };
        let mut bytes = Vec::new();
        drop(Read::by_ref(&mut file).take(4096).read_to_end(&mut bytes));
        let mark = parse(&bytes);
        let pid =
            mark.get("pid").map(|pid| pid.as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0));
        let created = mark.get("createdAt").and_then(Value::as_str).map(str::parse::<jiff::Timestamp>);
        let is_old = |at: i64| now.saturating_sub(at) > STALE_MS;
        let is_left = self.wrote(&mark)
            || pid.is_some_and(|pid| !is_alive(pid))
            || created.is_some_and(|at| at.map_or(true, |at| is_old(at.as_millisecond())))
            || file.metadata().is_ok_and(|meta| is_old(millis(&meta)));
        if is_left { Standing::Left(file) } else { Standing::Held(Holder::other(pid)) }
    }

    fn held(&self, holder: Holder, waited: Duration) -> LockError {
        LockError::Held { path: self.mark.clone(), holder, waited }
    }
}

enum Standing {
    Gone,
    /// Abandoned: it counts for nothing.
    Left(File),
    /// Somebody is at it.
    Held(Holder),
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// The original asks with signal 0, and takes every failure for "gone".
fn is_alive(pid: i32) -> bool {
    rustix::process::Pid::from_raw(pid).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// When the file was last changed, by the clock of its file system: the one by which its age is judged.
fn millis(meta: &fs::Metadata) -> i64 {
    meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000
}

/// The original is shut out of one store until this is dropped.
#[derive(Debug)]
pub(crate) struct Shut {
    place: Place,
    lock: File,
    mark: Option<File>,
}

impl Drop for Shut {
    fn drop(&mut self) {
        // One that was slow for more than 30 s may find the original's own lock in its place.
        if self.stands() {
            drop(fs::remove_file(&self.place.mark));
        }
        drop(self.lock.unlock());
    }
}

impl Shut {
    /// Makes the mark, once nobody else's stands there. `lock` is held.
    fn make(place: Place, lock: File, began: Instant, limit: Duration) -> Result<Self, LockError> {
        let mut shut = Self { place, lock, mark: None };
        let place = &shut.place;
        let mut file = create_private(&place.next)?;
        let born = Instant::now();
        let at = file.metadata().map(|meta| millis(&meta)).map_err(WriteError::io(&place.next))?;
        file.write_all(&place.body(at)).map_err(WriteError::io(&place.next))?;
        let now = || at.saturating_add(i64::try_from(born.elapsed().as_millis()).unwrap_or(i64::MAX));
        let mut pause = FIRST_PAUSE;
        let made = loop {
            match name(&file, place) {
                Ok(mark) => break Ok(mark),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => break Err(WriteError::io(&place.mark)(e).into()),
            }
            match place.standing(now()) {
                Standing::Gone => continue,
                Standing::Left(left) if same_file(&left, &place.mark) => match fs::remove_file(&place.mark) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        break Err(WriteError::io(&place.mark)(e).into());
                    }
                    _ => continue,
                },
                Standing::Left(_) => continue,
                Standing::Held(holder) if began.elapsed() >= limit => {
                    break Err(place.held(holder, began.elapsed()));
                }
                Standing::Held(_) => pause_for(&mut pause),
            }
        };
        drop(fs::remove_file(&place.next));
        shut.mark = Some(made?);
        faults::hit("original.marked").map_err(WriteError::io(&shut.place.mark))?;
        Ok(shut)
    }

    fn stands(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| same_file(mark, &self.place.mark))
    }

    /// Makes the mark as young as it can be.
    pub(crate) fn renew(&self) -> Result<(), LockError> {
        let place = &self.place;
        let Some(mark) = self.mark.as_ref().filter(|mark| same_file(mark, &place.mark)) else {
            return Err(place.held(Holder::other(None), Duration::ZERO));
        };
        let age = || mark.metadata().map(|meta| millis(&meta));
        let write = |at| mark.write_all_at(&place.body(at), 0);
        // The same bytes first, for the time that the file system gives them. Both writes are of the same length, so no
        // reader ever finds half a mark.
        let renewed = age().and_then(write).and_then(|()| age()).and_then(write);
        Ok(renewed.map_err(WriteError::io(&place.mark))?)
    }
}

/// Gives the next mark its name, where nobody has it. Where the file system has no links it is written in place.
fn name(next: &File, place: &Place) -> io::Result<File> {
    match fs::hard_link(&place.next, &place.mark) {
        Ok(()) => next.try_clone(),
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)) => {
            let mut mark =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&place.mark)?;
            mark.write_all(&fs::read(&place.next)?)?;
            Ok(mark)
        }
        Err(e) => Err(e),
    }
}

fn pause_for(pause: &mut Duration) {
    std::thread::sleep(*pause);
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

/// A folder that takes no mark takes no store either; where the store is a mount of its own, that is the thing to say.
fn said_of(place: &Place, e: LockError) -> LockError {
    match e {
        LockError::Write(WriteError::Io { .. }) if is_mount_point(&place.store) => {
            WriteError::SingleFileMount { path: place.store.clone() }.into()
        }
        e => e,
    }
}

/// Shuts the original out of `store` for one change. The caller holds the store's lock. `None`: a refresh of ours has
/// done so already, and takes its mark away only under that lock.
pub(crate) fn shut_out(state: &StateDir, store: &Path, limit: Duration) -> Result<Option<Shut>, LockError> {
    let place = Place::of(state, store)?;
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        if let Some(lock) = try_lock(&place.lock)? {
            return Shut::make(place.clone(), lock, began, limit).map(Some).map_err(|e| said_of(&place, e));
        }
        if place.is_ours() {
            return Ok(None);
        }
        // One of ours is waiting for the original.
        if began.elapsed() >= limit {
            return Err(place.held(Holder::other(None), began.elapsed()));
        }
        pause_for(&mut pause);
    }
}

/// The original is shut out of every store that a refresh concerns, from before the request to the last commit.
#[derive(Debug)]
pub struct OriginalGuard {
    locks: PathBuf,
    shut: Vec<Shut>,
}

impl OriginalGuard {
    /// Shuts the original out of `stores`, in the order of their paths. It waits 20 s for our own refreshes there, then 3 s for
    /// the original. No lock of a store is held.
    ///
    /// # Errors
    /// [`LockError::Held`] where the original, or another state dir, is at one of them; [`LockError::Write`] where a
    /// folder takes no file.
    pub fn acquire(state: &StateDir, stores: &[PathBuf]) -> Result<Self, LockError> {
        let mut places = stores.iter().map(|one| Place::of(state, one)).collect::<Result<Vec<_>, _>>()?;
        places.sort();
        // Two agents may have one folder.
        places.dedup_by(|one, other| one.mark == other.mark);
        let began = Instant::now();
        let ours = |place: &Place| wait_for(&place.lock, QUEUE.saturating_sub(began.elapsed()));
        let locks = places.iter().map(ours).collect::<Result<Vec<_>, _>>()?;
        // No mark stands while we wait for each other: the original takes one for abandoned after 30 s.
        let began = Instant::now();
        let mut guard = Self { locks: state.locks(), shut: Vec::new() };
        for (place, lock) in places.into_iter().zip(locks) {
            let shut = Shut::make(place.clone(), lock, began, PATIENCE).map_err(|e| said_of(&place, e))?;
            guard.shut.push(shut);
        }
        Ok(guard)
    }

    /// Asked right before the request, whose time limits make 20 s: the marks are still ours, and are made as young as
    /// they can be, so that the commit comes long before they count as abandoned.
    ///
    /// # Errors
    /// [`LockError::Held`] where the original has taken one for abandoned, since this process stood still for so long.
    pub fn renew(&self) -> Result<(), LockError> {
        self.shut.iter().try_for_each(Shut::renew)
    }

    /// Whether all marks are still ours. Where the original took one away, each commit has to shut it out anew.
    pub fn is_whole(&self) -> bool {
        self.shut.iter().all(Shut::stands)
    }
}

impl Drop for OriginalGuard {
    fn drop(&mut self) {
        for shut in self.shut.drain(..) {
            // A change under way relies on the mark. One that takes this long is a person's own command.
            let lock = lock_path(&self.locks, "store", &shut.place.store);
            let held = wait_for(&lock, FAREWELL).ok();
            drop(shut);
            if let Some(held) = held {
                drop(held.unlock());
            }
        }
    }
}

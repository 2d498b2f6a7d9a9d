//! Reading while others write, and telling "not there" from "cannot be read" from "damaged".

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coderclaw_types::{Code, Millis};

use crate::faults;
use crate::profiles::AuthProfiles;

/// How long a file that does not parse is read again: the original truncates its store before it writes it.
const TORN_FOR: Duration = Duration::from_millis(500);
/// A look believes that a damaged file is not being written once it has stood still for so long. Between its truncation and
/// its write a file is empty, and a busy machine may leave it so for a while; no single write leaves half a store standing.
const STILL_FOR: Duration = Duration::from_millis(20);
const EMPTY_FOR: Duration = Duration::from_millis(100);
/// No file of ours comes near this; a larger one is not ours.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A file that exists and is of no use. A missing file is not an error.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not let us read it: permission, too many open files, an I/O error. Never taken for "empty".
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was read and is not what it should be.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        detail: String,
    },
    /// What a person decided about an agent was read and is not understood. Nothing is guessed in its place.
    #[error("{}: {detail}", path.display())]
    Settings {
        /// Which `agent.toml`.
        path: PathBuf,
        /// Where and how.
        detail: String,
    },
}

impl ReadError {
    pub(crate) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: path.to_path_buf(), source }
    }

    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::Unreadable,
            Self::Corrupt { .. } => Code::Corrupt,
            Self::Settings { .. } => Code::AgentSettingsInvalid,
        }
    }
}

/// What tells two versions of a file apart without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    dev: u64,
    ino: u64,
    size: u64,
    ctime: (i64, i64),
}

impl Signature {
    /// The signature of the file at `path` now; `None` where there is none.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from_metadata)
    }

    /// Whether the file was last changed before `time`, by the system's clock.
    pub fn changed_before(&self, time: Millis) -> bool {
        let (secs, nanos) = self.ctime;
        secs.saturating_mul(1000).saturating_add(nanos / 1_000_000) < time.0
    }

    fn from_metadata(meta: &fs::Metadata) -> Self {
        Self { dev: meta.dev(), ino: meta.ino(), size: meta.size(), ctime: (meta.ctime(), meta.ctime_nsec()) }
    }
}

/// Where a snapshot's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// There is no store yet.
    Missing,
    /// The store itself.
    File,
    /// The store is damaged; its backup, which is of the same generation, serves.
    Backup {
        /// What is wrong with the store.
        detail: String,
    },
}

/// One agent's store as it was at one moment.
#[derive(Debug, Clone)]
pub struct StoreSnapshot {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub doc: AuthProfiles,
    /// Where the content comes from.
    pub origin: Origin,
}

/// The text of `path`; `None` where there is no such file.
///
/// # Errors
/// Where it exists and cannot be read, is not UTF-8, or is no plain file.
pub fn read_text(path: &Path) -> Result<Option<String>, ReadError> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))),
        Err(e) => {
            let detail = format!("not UTF-8 after byte {}", e.utf8_error().valid_up_to());
            Err(ReadError::Corrupt { path: path.to_path_buf(), detail })
        }
    }
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    let unreadable = |source| ReadError::unreadable(path, source);
    faults::hit("store.read").map_err(unreadable)?;
    // Asked first: opening a FIFO would wait for a writer.
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(unreadable(e)),
    };
    if !meta.is_file() {
        return Err(unreadable(io::Error::other("it is not a plain file")));
    }
    if meta.len() > MAX_BYTES {
        let detail = format!("{} bytes is more than any store has", meta.len());
        return Err(ReadError::Corrupt { path: path.to_path_buf(), detail });
    }
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Some(bytes))
}

/// Reads an auth store without a lock.
///
/// A store that does not parse is read again for half a second, since a writer that truncates may be at work; after
/// that its backup serves, and [`Origin::Backup`] says so. Nothing is written.
///
/// # Errors
/// Where the store exists and cannot be read, or is damaged and has no usable backup.
pub fn read_auth_store(path: &Path) -> Result<StoreSnapshot, ReadError> {
    read_or_wait(path, Patience::Full)
}

/// Reads an auth store to show what is in it. Where it is damaged and stands still, its backup is shown without the wait of
/// [`read_auth_store`].
///
/// Never to act upon: the original keeps no backup, so that this one may be older than what is being written, and a refresh
/// token out of it may be spent.
///
/// # Errors
/// As [`read_auth_store`].
pub fn look_at_auth_store(path: &Path) -> Result<StoreSnapshot, ReadError> {
    read_or_wait(path, Patience::UntilStill)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Full,
    UntilStill,
}

/// Since when a file is as it is.
#[derive(Debug, Clone, Copy)]
struct Still {
    signature: Option<Signature>,
    since: Instant,
}

impl Still {
    /// The same, seen again.
    fn seen(self, signature: Option<Signature>, now: Instant) -> Self {
        if signature == self.signature { self } else { Self { signature, since: now } }
    }

    /// Nobody is writing it.
    fn is_settled(&self, now: Instant) -> bool {
        let Some(signature) = self.signature else { return false };
        let limit = if signature.size == 0 { EMPTY_FOR } else { STILL_FOR };
        now.saturating_duration_since(self.since) >= limit
    }
}

fn read_or_wait(path: &Path, patience: Patience) -> Result<StoreSnapshot, ReadError> {
    let snapshot = |doc, origin| StoreSnapshot { path: path.to_path_buf(), doc, origin };
    let started = Instant::now();
    let mut pause = Duration::from_micros(100);
    let mut still: Option<Still> = None;
    let detail = loop {
        let problem = match read_text(path) {
            Ok(None) => return Ok(snapshot(AuthProfiles::empty(), Origin::Missing)),
            Ok(Some(text)) => match AuthProfiles::parse(&text) {
                Ok(doc) => return Ok(snapshot(doc, Origin::File)),
                Err(e) => e.to_string(),
            },
            // A multi-byte character may be cut by the same torn write.
            Err(ReadError::Corrupt { detail, .. }) => detail,
            Err(e) => return Err(e),
        };
        if started.elapsed() >= TORN_FOR {
            break problem;
        }
        if patience == Patience::UntilStill {
            let (signature, now) = (Signature::of(path), Instant::now());
            let seen = still.map_or(Still { signature, since: now }, |still| still.seen(signature, now));
            // Without a backup there is nothing to gain, and "damaged" is not said in a hurry.
            if seen.is_settled(now)
                && let Some(doc) = backup_of(path)
            {
                return Ok(snapshot(doc, Origin::Backup { detail: problem }));
            }
            still = Some(seen);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    };
    if let Some(doc) = backup_of(path) {
        return Ok(snapshot(doc, Origin::Backup { detail }));
    }
    Err(ReadError::Corrupt { path: path.to_path_buf(), detail })
}

fn backup_of(store: &Path) -> Option<AuthProfiles> {
    AuthProfiles::parse(&read_text(&backup_path(store)).ok()??).ok()
}

pub(crate) fn backup_path(store: &Path) -> PathBuf {
    with_suffix(store, ".bak")
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const STORE: &str = r#"{"version":1,"profiles":{"a:x":{"type":"api_key","provider":"a","key":"k"}}}"#;

    fn file(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("auth-profiles.json");
        fs::write(&path, text).unwrap();
        (tmp, path)
    }

    /// F2: what is not there is empty; what is there and cannot be used is an error of its own.
    #[test]
    fn f2_missing_unreadable_and_corrupt_differ() {
        let (tmp, path) = file(STORE.as_bytes());
        assert_eq!(read_auth_store(&path).unwrap().origin, Origin::File);
        let missing = tmp.path().join("none.json");
        assert_eq!(read_auth_store(&missing).unwrap().origin, Origin::Missing);
        assert_eq!(read_auth_store(tmp.path()).unwrap_err().code(), Code::Unreadable);
        for bad in [&b""[..], b"{", b"[]", b"nope", b"\xff\xfe{}", br#"{"profiles":[]}"#, br#"{"version":1}"#]
        {
            fs::write(&path, bad).unwrap();
            assert_eq!(read_auth_store(&path).unwrap_err().code(), Code::Corrupt, "{bad:?}");
            assert_eq!(fs::read(&path).unwrap(), bad, "reading wrote");
        }
    }

    /// F1: the last good copy serves, and the damaged file is left as it is.
    #[test]
    fn f1_a_damaged_store_is_served_from_its_backup() {
        let (_tmp, path) = file(&STORE.as_bytes()[..40]);
        fs::write(backup_path(&path), STORE).unwrap();
        let snapshot = read_auth_store(&path).unwrap();
        assert!(matches!(snapshot.origin, Origin::Backup { .. }));
        assert_eq!(snapshot.doc.ids().count(), 1);
        assert_eq!(fs::read(&path).unwrap().len(), 40);
    }

    /// F1: a look at a damaged store that nobody writes does not wait for a writer; whoever acts upon it does, and so does a
    /// look that has no backup to show.
    #[test]
    fn f1_a_look_at_a_damaged_store_is_quick() {
        let took = |read: fn(&Path) -> Result<StoreSnapshot, ReadError>, path: &Path| {
            let began = Instant::now();
            let is_backup = read(path).is_ok_and(|store| matches!(store.origin, Origin::Backup { .. }));
            (is_backup, began.elapsed())
        };
        for damage in [&STORE.as_bytes()[..40], b""] {
            let (_tmp, path) = file(damage);
            fs::write(backup_path(&path), STORE).unwrap();
            // The best of some, since a test machine is busy.
            let looks: Vec<_> = (0..5).map(|_| took(look_at_auth_store, &path)).collect();
            let quickest = looks.iter().map(|(_, took)| *took).min().unwrap();
            assert!(looks.iter().all(|(is_backup, _)| *is_backup));
            assert!(quickest >= if damage.is_empty() { EMPTY_FOR } else { STILL_FOR }, "{quickest:?}");
            assert!(quickest < TORN_FOR - EMPTY_FOR, "{quickest:?}");
            let (is_backup, patient) = took(read_auth_store, &path);
            assert!(is_backup && patient >= TORN_FOR, "{patient:?}");
            assert_eq!(fs::read(&path).unwrap(), damage, "reading wrote");
            fs::write(backup_path(&path), "{").unwrap();
            let (is_backup, patient) = took(look_at_auth_store, &path);
            assert!(!is_backup && patient >= TORN_FOR, "{patient:?}");
        }
    }

    /// Every change begins the wait anew; an empty file is waited for longer, since a writer has just emptied it.
    #[test]
    fn a_file_that_changes_is_not_still() {
        let at = |size, ctime| Some(Signature { dev: 1, ino: 2, size, ctime: (7, ctime) });
        let began = Instant::now();
        let after = |ms| began + Duration::from_millis(ms);
        let still = Still { signature: at(40, 0), since: began };
        assert!(!still.is_settled(after(19)) && still.is_settled(after(20)));
        for changed in [at(41, 0), at(40, 1), at(0, 0), None] {
            assert!(!still.seen(changed, after(30)).is_settled(after(49)), "{changed:?}");
        }
        assert!(still.seen(at(40, 0), after(30)).is_settled(after(30)));
        assert!(still.seen(at(41, 0), after(30)).is_settled(after(50)));
        let empty = still.seen(at(0, 1), after(30));
        assert!(!empty.is_settled(after(129)) && empty.is_settled(after(130)));
        assert!(!still.seen(None, after(30)).is_settled(after(999)), "it has gone: something is at work");
    }

    #[test]
    fn a_byte_order_mark_is_no_damage() {
        let (_tmp, path) = file(format!("\u{feff}{STORE}").as_bytes());
        assert_eq!(read_auth_store(&path).unwrap().doc.ids().count(), 1);
    }

    /// A reader beside a writer that truncates in a loop never sees half a store.
    #[test]
    fn a_torn_store_is_read_again() {
        let (_tmp, path) = file(STORE.as_bytes());
        fs::write(backup_path(&path), STORE).unwrap();
        let stop = AtomicBool::new(false);
        let (looks, read) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Truncates, then writes, as the original does; whole for about as long as torn.
                    fs::write(&path, STORE).unwrap();
                    fs::read(&path).unwrap();
                }
            });
            let looks = (0..300).map(|_| look_at_auth_store(&path)).collect::<Result<Vec<_>, _>>();
            let read = (0..300).map(|_| read_auth_store(&path)).collect::<Result<Vec<_>, _>>();
            stop.store(true, Ordering::Relaxed);
            (looks, read)
        });
        // Either the store or its backup, and never half of one.
        assert!(looks.unwrap().iter().all(|snapshot| snapshot.doc.ids().count() == 1));
        for snapshot in read.unwrap() {
            assert_eq!((snapshot.doc.ids().count(), snapshot.origin), (1, Origin::File));
        }
    }
}

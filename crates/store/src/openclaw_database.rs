//! The databases in which later versions of OpenClaw keep their logins. They are that program's own and never written here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coderclaw_types::Code;

use crate::read::{ReadError, Signature};
use crate::sqlite::{Database, Place, SqliteError, told};

/// An agent's own, in its folder: sessions and logins.
pub const AGENT_DATABASE: &str = "openclaw-agent.sqlite";
/// What all agents share, in `state/`.
pub const SHARED_DATABASE: &str = "openclaw.sqlite";

const OWN: Place = Place { table: "auth_profile_store", key: "store_key", value: "store_json" };
const STATE: Place = Place { table: "config_machine_state", key: "state_key", value: "value_json" };
/// How much of a database is its head.
const HEAD: usize = 100;
/// Three rows are found in a moment. What takes longer was made to.
const TIME: Duration = Duration::from_secs(10);

/// Why a database has told nothing.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It is in use, or was when its program died: not all that was written is in the file yet.
    #[error(
        "{} is in use, and {beside} has what was written last; close OpenClaw first (if it has died, start and close it)",
        path.display()
    )]
    InUse {
        /// Which database.
        path: PathBuf,
        /// The name of the file beside it that says so.
        beside: String,
    },
    /// It was written while it was read.
    #[error("{} was being written; close OpenClaw first", .0.display())]
    Changed(PathBuf),
    /// It is no database, or a broken one.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// It is one of a version that is not known here.
    #[error("{} is of a version that is not known here: {detail}", path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// What is not known.
        detail: String,
    },
    /// The system does not let us read it.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl DatabaseError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::InUse { .. } | Self::Changed(_) => Code::Locked,
            Self::Damaged { .. } => Code::Corrupt,
            Self::Unknown { .. } => Code::UnsupportedVersion,
            Self::Read(e) => e.code(),
        }
    }
}

/// What a database has of logins: the text of a store, in the form of `auth-profiles.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseStores {
    /// The agent's own.
    pub own: Option<String>,
    /// That of all agents, which is the main one's.
    pub shared: Option<String>,
    /// Whether OpenClaw itself looks at the shared one.
    pub is_shared_in_force: bool,
}

/// Reads the database at `path`. A file or folder that is not there has no logins.
///
/// # Errors
/// Where it is in use, or what it has cannot be told.
pub fn read_openclaw_database(path: &Path) -> Result<DatabaseStores, DatabaseError> {
    let unreadable = |e: io::Error| DatabaseError::Read(ReadError::unreadable(path, e));
    // What is not written yet stands beside the file itself, not beside a link to it.
    let real = match std::fs::canonicalize(path) {
        Ok(real) => real,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(DatabaseStores::default()),
        Err(e) => return Err(unreadable(e)),
    };
    if !real.is_file() {
        let detail = "it is no file".to_owned();
        return Err(DatabaseError::Damaged { path: path.to_path_buf(), detail });
    }
    in_use(path, &real)?;
    let file = File::open(&real).map_err(unreadable)?;
    // The head counts the transactions, also those that fall into one tick of the file's clock.
    let seen = || {
        let mut head = [0; HEAD];
        let read = file.read_at(&mut head, 0)?;
        io::Result::Ok((Signature::of(&real), head, read, file.metadata()?.len()))
    };
    let before = seen().map_err(unreadable)?;
    let (_, head, _, length) = &before;
    let read = match length {
        // As a database without tables may be.
        0 => Ok(DatabaseStores::default()),
        _ => check_head(head, *length).and_then(|()| stores(&real, TIME)),
    };
    // Whatever was found is only worth something if nobody was writing.
    in_use(path, &real)?;
    if seen().map_err(unreadable)? != before {
        return Err(DatabaseError::Changed(path.to_path_buf()));
    }
    read.map_err(|e| {
        let (path, detail) = (path.to_path_buf(), e.to_string());
        match e {
            SqliteError::Io(e) => unreadable(e),
            SqliteError::Layout(_) => DatabaseError::Unknown { path, detail },
            SqliteError::Damaged(_) => DatabaseError::Damaged { path, detail },
        }
    })
}

/// A write-ahead log or a rollback journal that is not empty has what the file does not have, or should not have.
fn in_use(path: &Path, real: &Path) -> Result<(), DatabaseError> {
    for end in ["-wal", "-journal"] {
        let mut beside = real.as_os_str().to_owned();
        beside.push(end);
        let beside = PathBuf::from(beside);
        if std::fs::metadata(&beside).is_ok_and(|meta| meta.len() > 0) {
            let beside = beside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(DatabaseError::InUse { path: path.to_path_buf(), beside });
        }
    }
    Ok(())
}

/// Whether a file of `length` bytes with this head is a whole database. SQLite itself takes what is missing of the last page
/// for zeros. (sqlite.org/fileformat2.html has the numbers.)
fn check_head(head: &[u8; HEAD], length: u64) -> Result<(), SqliteError> {
    if !head.starts_with(b"SQLite format 3\0") {
        return Err(SqliteError::Damaged("it is no SQLite database"));
    }
    let page = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65_536,
        size => u64::from(size).max(1),
    };
    // The number of pages holds where whoever wrote it is who wrote last.
    let pages = match head[24..28] == head[92..96] {
        true => u32::from_be_bytes([head[28], head[29], head[30], head[31]]),
        false => 0,
    };
    let whole = match pages {
        0 => length.next_multiple_of(page),
        pages => page * u64::from(pages),
    };
    if length < whole.max(HEAD as u64) {
        return Err(SqliteError::Damaged("it is cut short"));
    }
    if head[19] > 2 {
        return Err(SqliteError::Layout("of contents"));
    }
    Ok(())
}

fn stores(path: &Path, time: Duration) -> Result<DatabaseStores, SqliteError> {
    let database = Database::open(path, time).map_err(|e| told(e, OWN.table))?;
    let is_in_force = |text: String| {
        serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|place| place["location"] == "state-db")
    };
    Ok(DatabaseStores {
        own: database.text(OWN, "primary")?,
        shared: database.text(STATE, "authProfiles.store")?,
        is_shared_in_force: database.text(STATE, "auth.sharedStore")?.is_some_and(is_in_force),
    })
}

#[cfg(test)]
mod tests;

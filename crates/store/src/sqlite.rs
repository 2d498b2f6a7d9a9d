//! One text of a database that somebody else wrote. It is read by SQLite, and nothing that stands in it is trusted.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, OptionalExtension};

/// No row of interest comes near this.
const MAX_ROW: i32 = 16 * 1024 * 1024;
/// Nor does the line that made a table come near this.
const MAX_SQL: i32 = 1024 * 1024;
/// How many steps of SQLite's are between two looks at the time.
const STEPS: i32 = 100;

/// Why a row cannot be had. SQLite's own messages are not passed on: in a damaged file a secret may stand where they quote a name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqliteError {
    #[error("{0}")]
    Damaged(&'static str),
    #[error("its table {0} has a layout that is not known here")]
    Layout(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where a text stands: in the column `value` of the row whose `key` is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) table: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
}

/// A database that is only looked at.
pub(crate) struct Database(Connection);

impl Database {
    /// Opens the file at `path`, which is no link, for no longer than `time`.
    pub(crate) fn open(path: &Path, time: Duration) -> rusqlite::Result<Self> {
        let path = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
        // Of a file that does not change SQLite makes no lock, and neither a log nor a memory of it beside it.
        let uri = format!("file:{path}?mode=ro&immutable=1");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut sqlite = Connection::open_with_flags(uri, flags)?;
        sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        sqlite.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW)?;
        sqlite.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL)?;
        sqlite.pragma_update(None, "cell_size_check", true)?;
        let since = Instant::now();
        sqlite.progress_handler(STEPS, Some(move || since.elapsed() > time))?;
        Ok(Self(sqlite))
    }

    /// The text at `place` whose key is `wanted`.
    pub(crate) fn text(&self, place: Place, wanted: &str) -> Result<Option<String>, SqliteError> {
        self.look(place, wanted).map_err(|e| told(e, place.table))
    }

    fn look(&self, place: Place, wanted: &str) -> rusqlite::Result<Option<String>> {
        let Place { table, key, value } = place;
        // A column may also be made up of a formula, which could go on for hours without a step.
        let is_plain = self.0.query_row(
            "SELECT type = 'table' AND substr(sql, 1, 13) = 'CREATE TABLE ' AND 2 = (SELECT count(*) \
             FROM pragma_table_xinfo(schema.name) WHERE hidden = 0 AND name COLLATE NOCASE IN (?2, ?3)) \
             FROM sqlite_schema AS schema WHERE name = ?1 COLLATE NOCASE",
            [table, key, value],
            |row| row.get::<_, bool>(0),
        );
        match is_plain.optional()? {
            None => return Ok(None),
            Some(true) => {}
            Some(false) => return Err(Error::InvalidQuery),
        }
        // Without a rowid it is a tree of another kind, which OpenClaw does not make.
        let sql = format!("SELECT {value}, rowid FROM {table} WHERE {key} = ?1");
        self.0.query_row(&sql, [wanted], |row| row.get(0)).optional()
    }
}

/// What a failure of SQLite's at `table` says about the file.
pub(crate) fn told(e: Error, table: &'static str) -> SqliteError {
    let failure = match e {
        Error::SqliteFailure(failure, _) | Error::SqlInputError { error: failure, .. } => failure,
        Error::InvalidColumnType(..) => return SqliteError::Damaged("where a text should be there is none"),
        Error::Utf8Error(..) | Error::FromSqlConversionFailure(..) => {
            return SqliteError::Damaged("a text in it is none");
        }
        _ => return SqliteError::Layout(table),
    };
    match failure.code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            SqliteError::Damaged("a page of it makes no sense")
        }
        ErrorCode::TooBig => SqliteError::Damaged("a row in it is larger than what is read"),
        ErrorCode::OperationInterrupted => {
            SqliteError::Io(io::Error::new(io::ErrorKind::TimedOut, "a search in it takes too long"))
        }
        // What SQLite does not understand: a column that is not there, a format of a later day.
        ErrorCode::Unknown => SqliteError::Layout(table),
        _ => SqliteError::Io(io::Error::other(failure)),
    }
}

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;

/// Written by SQLite 3.40: pages of 512 bytes, tables of several pages, a row that goes on over three more.
const WHOLE: &[u8] = include_bytes!("../../tests/fixtures/openclaw-agent.sqlite");

/// A folder with a database in it, and whatever reading it may have left beside it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("a.sqlite")
    }

    fn made_by(sql: &str) -> Self {
        let folder = Self::new();
        Connection::open(folder.path()).unwrap().execute_batch(sql).unwrap();
        folder
    }

    fn read(&self) -> Result<DatabaseStores, DatabaseError> {
        let read = read_openclaw_database(&self.path());
        assert_eq!(std::fs::read_dir(&self.0).unwrap().count(), 1, "something was made beside it");
        read
    }

    fn read_bytes(&self, bytes: &[u8]) -> Result<DatabaseStores, DatabaseError> {
        std::fs::write(self.path(), bytes).unwrap();
        let read = self.read();
        assert!(std::fs::read(self.path()).unwrap() == bytes);
        read
    }
}

/// H1: what SQLite has written is read, over inner pages and overflow pages; what is not there is not found.
#[test]
fn h1_rows_of_a_real_database() {
    let folder = Folder::new();
    let stores = folder.read_bytes(WHOLE).unwrap();
    let own: serde_json::Value = serde_json::from_str(&stores.own.unwrap()).unwrap();
    let key = own["profiles"]["groq:default"]["key"].as_str().unwrap();
    assert_eq!((key.len(), &key[..11]), (1511, "key-canary-"));
    assert_eq!(stores.shared.as_deref(), Some(r#"{"version":1,"profiles":{}}"#));
    assert_eq!(folder.read_bytes(b"").unwrap(), DatabaseStores::default());
    let database = Database::open(&folder.path(), TIME);
    assert!(database.is_ok_and(|it| it.text(OWN, "primary").unwrap().is_none()));
    std::fs::write(folder.path(), WHOLE).unwrap();
    let database = Database::open(&folder.path(), TIME).unwrap();
    assert_eq!(database.text(OWN, "nobody").unwrap(), None);
    assert_eq!(database.text(Place { table: "no_table", ..OWN }, "primary").unwrap(), None);
    let other = database.text(Place { value: "no_column", ..OWN }, "primary");
    assert!(matches!(other, Err(SqliteError::Layout(_))), "{other:?}");
}

/// H1: a path means itself, whatever it has that would mean something in an address, or in no encoding.
#[test]
fn h1_any_name_of_a_file() {
    for name in
        [&b"a b?mode=rwc#c%41&immutable=0"[..], b"%2e%2e%00", b"\xff\xfe.sqlite", "größe;'\"".as_bytes()]
    {
        let folder = Folder::new();
        let path = folder.0.path().join(OsStr::from_bytes(name));
        std::fs::write(&path, WHOLE).unwrap();
        assert!(read_openclaw_database(&path).unwrap().own.is_some(), "{path:?}");
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "{path:?}");
    }
    // Longer than what SQLite opens: that is said, and is not taken for a database without logins.
    let folder = Folder::new();
    let deep = folder.0.path().join(["d".repeat(200), "e".repeat(200), "f".repeat(200)].join("/"));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("a.sqlite"), WHOLE).unwrap();
    let told = read_openclaw_database(&deep.join("a.sqlite"));
    assert!(matches!(told, Err(DatabaseError::Read(_))), "{told:?}");
}

/// H1: what else stands in a database does not matter, also where it asks for what this SQLite was built without.
#[test]
fn h1_what_else_a_database_has() {
    let folder = Folder::made_by(
        "PRAGMA writable_schema = ON; CREATE TABLE auth_profile_store (a); CREATE TABLE sessions (b); \
         UPDATE sqlite_schema SET sql = 'CREATE TABLE auth_profile_store (\"store_key\" TEXT, [store_json] TEXT \
         CHECK (json_valid(store_json)), made TEXT DEFAULT (datetime(''now'')), at INT DEFAULT CURRENT_TIMESTAMP, \
         version AS (json_extract(store_json, ''$.version'')) STORED)' WHERE name = 'auth_profile_store'; \
         UPDATE sqlite_schema SET sql = 'CREATE TABLE sessions (b TEXT COLLATE their_own, c AS (theirs(b)))' \
         WHERE name = 'sessions'; \
         INSERT INTO sqlite_schema VALUES \
         ('table', 'fts', 'fts', 0, 'CREATE VIRTUAL TABLE fts USING fts5(entry)'), \
         ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec USING vec0(v float[3])'), \
         ('view', 'v', 'v', 0, 'CREATE VIEW v AS SELECT json_extract(b, 1) FROM nowhere'), \
         ('trigger', 't', 'auth_profile_store', 0, 'CREATE TRIGGER t AFTER INSERT ON auth_profile_store \
         BEGIN SELECT theirs(1); END')",
    );
    // The row as their SQLite would have written it, since this one cannot.
    let row = Connection::open(folder.path()).unwrap();
    row.execute_batch(
        "PRAGMA writable_schema = ON; CREATE TABLE plain (k, v, made, at, version); \
         INSERT INTO plain VALUES ('primary', '{\"version\":1}', NULL, 1, 1); \
         CREATE INDEX i ON plain (k); \
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'plain') \
         WHERE name = 'auth_profile_store'; \
         UPDATE sqlite_schema SET tbl_name = 'auth_profile_store', sql = 'CREATE INDEX i ON auth_profile_store \
         (json_extract(store_json, ''$.version'')) WHERE store_json > json(1)' WHERE name = 'i'; \
         DELETE FROM sqlite_schema WHERE name = 'plain'",
    )
    .unwrap();
    drop(row);
    assert_eq!(folder.read().unwrap().own.as_deref(), Some(r#"{"version":1}"#));
}

/// F4: cut anywhere, it is an error, and never half of a store.
#[test]
fn f4_a_database_cut_short() {
    let folder = Folder::new();
    std::fs::write(folder.path(), WHOLE).unwrap();
    let file = File::options().write(true).open(folder.path()).unwrap();
    for end in (1..WHOLE.len()).rev() {
        file.set_len(end as u64).unwrap();
        let Err(DatabaseError::Damaged { detail, .. }) = folder.read() else { panic!("{end}") };
        let expected = if end < 15 { "it is no SQLite database" } else { "it is cut short" };
        assert_eq!(detail, expected, "{end}");
    }
    // One whose number of pages does not hold is cut short if its last page is.
    let mut older = WHOLE.to_vec();
    older[24] ^= 1;
    assert!(folder.read_bytes(&older).unwrap().own.is_some());
    assert!(matches!(folder.read_bytes(&older[..WHOLE.len() - 1]), Err(DatabaseError::Damaged { .. })));
}

/// F4: a database that is made to look like one of OpenClaw's: each is told apart, and none of its formulas is run.
#[test]
fn f4_what_is_not_as_openclaw_makes_it() {
    const TABLE: &str = "CREATE TABLE auth_profile_store (store_key TEXT PRIMARY KEY, store_json";
    let row = |value: &str| format!("{TABLE}); INSERT INTO auth_profile_store VALUES ('primary', {value})");
    let none = "where a text should be there is none";
    let layout = "its table auth_profile_store has a layout that is not known here";
    for (sql, code, said) in [
        (row("NULL"), Code::Corrupt, none),
        (row("7"), Code::Corrupt, none),
        (row("x'7b7d'"), Code::Corrupt, none),
        (row("CAST(x'7bff7d' AS TEXT)"), Code::Corrupt, "a text in it is none"),
        (row("CAST(zeroblob(17000000) AS TEXT)"), Code::Corrupt, "a row in it is larger than what is read"),
        (
            "CREATE VIEW auth_profile_store AS SELECT 'primary' AS store_key, '{}' AS store_json".into(),
            Code::UnsupportedVersion,
            layout,
        ),
        (
            format!("{TABLE} AS (store_key || 'x')); INSERT INTO auth_profile_store VALUES ('primary')"),
            Code::UnsupportedVersion,
            layout,
        ),
        (format!("{TABLE}) WITHOUT ROWID"), Code::UnsupportedVersion, layout),
        (TABLE.replace("store_json", "json)"), Code::UnsupportedVersion, layout),
    ] {
        let told = Folder::made_by(&sql).read().unwrap_err();
        assert!(told.code() == code && told.to_string().ends_with(said), "{sql}: {told:?}");
    }
    let folder = Folder::made_by(&row("'{}'"));
    assert_eq!(folder.read().unwrap().own.as_deref(), Some("{}"));
    // A format of a later day: the number of its contents, then that of its tables.
    for at in [19, 47] {
        let mut later = std::fs::read(folder.path()).unwrap();
        later[at] = 9;
        assert_eq!(folder.read_bytes(&later).unwrap_err().code(), Code::UnsupportedVersion, "{at}");
    }
}

/// F4: a search that does not end is ended.
#[test]
fn f4_a_search_has_its_time() {
    let folder = Folder::made_by(
        "CREATE TABLE auth_profile_store (store_key, store_json); \
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000) \
         INSERT INTO auth_profile_store SELECT n, '{}' FROM n",
    );
    assert_eq!(folder.read().unwrap(), DatabaseStores::default());
    let told = stores(&folder.path(), Duration::ZERO);
    assert!(matches!(&told, Err(SqliteError::Io(e)) if e.kind() == io::ErrorKind::TimedOut), "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// F4: whatever bytes are changed, it ends, without a panic, and nothing is written.
    #[test]
    fn f4_damage_is_survived(changes in prop::collection::vec((0..WHOLE.len(), any::<u8>()), 1..40)) {
        let mut bytes = WHOLE.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        drop(Folder::new().read_bytes(&bytes));
    }

    #[test]
    fn f4_what_is_no_database_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let folder = Folder::new();
        drop(folder.read_bytes(&bytes));
        // The number of pages is not for these.
        let head = 100.min(bytes.len());
        bytes[..head].copy_from_slice(&WHOLE[..head]);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        if head == 100 {
            bytes[24] ^= 1;
        }
        drop(folder.read_bytes(&bytes));
    }
}

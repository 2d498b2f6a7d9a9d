use std::io;

use proptest::prelude::*;

use super::*;

/// Written by SQLite 3.40: pages of 512 bytes, tables of several pages, a row that goes on over three more.
const WHOLE: &[u8] = include_bytes!("../../tests/fixtures/openclaw-agent.sqlite");

type Texts = (Option<String>, Option<String>);

fn read(bytes: &[u8]) -> Result<Texts, SqliteError> {
    let read_at = |into: &mut [u8], at: u64| {
        let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..at + into.len()));
        into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    };
    let Some(database) = Database::open(bytes.len() as u64, &read_at)? else { return Ok((None, None)) };
    Ok((
        database.text("auth_profile_store", "store_key", "primary", "store_json")?,
        database.text("config_machine_state", "state_key", "authProfiles.store", "value_json")?,
    ))
}

/// H1: what SQLite has written is read, over inner pages and overflow pages; what is not there is not found.
#[test]
fn h1_rows_of_a_real_database() {
    let (own, shared) = read(WHOLE).unwrap();
    let own: serde_json::Value = serde_json::from_str(&own.unwrap()).unwrap();
    let key = own["profiles"]["groq:default"]["key"].as_str().unwrap();
    assert_eq!((key.len(), &key[..11]), (1511, "key-canary-"));
    assert_eq!(shared.as_deref(), Some(r#"{"version":1,"profiles":{}}"#));
    assert_eq!(read(b"").unwrap(), (None, None));
    let read_at = |into: &mut [u8], at: u64| {
        into.copy_from_slice(&WHOLE[usize::try_from(at).unwrap()..][..into.len()]);
        Ok(())
    };
    let database = Database::open(WHOLE.len() as u64, &read_at).unwrap().unwrap();
    assert_eq!(database.text("auth_profile_store", "store_key", "nobody", "store_json").unwrap(), None);
    assert_eq!(database.text("no_table", "store_key", "primary", "store_json").unwrap(), None);
    let other = database.text("auth_profile_store", "store_key", "primary", "no_column");
    assert!(matches!(other, Err(SqliteError::Layout(_))), "{other:?}");
}

/// F4: cut anywhere, it is an error or another store, and never half of one.
#[test]
fn f4_a_database_cut_short() {
    for end in 1..WHOLE.len() {
        let told = read(&WHOLE[..end]);
        assert!(
            matches!(told, Err(SqliteError::NotOne | SqliteError::CutShort | SqliteError::Io(_))),
            "{end}: {told:?}"
        );
    }
}

#[test]
fn columns_are_read_from_how_a_table_was_made() {
    let columns = |sql: &str| column_names(sql);
    assert_eq!(columns("CREATE TABLE t(a, b TEXT DEFAULT (1, 2), \"c d\" INT)"), ["a", "b", "c d"]);
    assert_eq!(columns("CREATE TABLE t -- (x)\n (/* y, z */ [a,b] TEXT, `c`)"), ["a,b", "c"]);
    assert_eq!(columns("CREATE TABLE t(a DEFAULT ')', b, PRIMARY KEY (a))"), ["a", "b", "PRIMARY"]);
    assert!(columns("CREATE TABLE t").is_empty() && columns("").is_empty());
    assert!(
        has_no_rowid("CREATE TABLE t(a) without rowid") && !has_no_rowid("CREATE TABLE without(a) STRICT")
    );
    assert_eq!(varint(&[0xff; 9]).unwrap().0, u64::MAX);
    assert_eq!(varint(&[0x81, 0x00]).unwrap().0, 128);
    assert!(varint(&[0x80; 8]).is_none() && varint(&[]).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// F4: whatever bytes are changed, the walk ends, and without a panic.
    #[test]
    fn f4_damage_is_survived(changes in prop::collection::vec((0..WHOLE.len(), any::<u8>()), 1..40)) {
        let mut bytes = WHOLE.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        drop(read(&bytes));
    }

    #[test]
    fn f4_what_is_no_database_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        drop(read(&bytes));
        let head = 100.min(bytes.len());
        bytes[..head].copy_from_slice(&WHOLE[..head]);
        drop(read(&bytes));
    }
}

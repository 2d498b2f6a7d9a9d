//! `gateway/keys.toml`: which programs may come to the gateway, and what each of them may borrow.
//!
//! A key itself stands nowhere, only its hash. A damaged file means no key at all, with an error that names it: guessing
//! would let somebody in. Tables and keys that this version does not know survive every change.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::{AgentId, Code, Millis, ProfileId, ProviderId, Secret, TokenHash};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::commit::{WriteError, replace};
use crate::locks::{KeysGuard, LockError};
use crate::paths::StateDir;
use crate::read::{ReadError, read_text};

/// What a program may borrow with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayKey {
    /// Its public id.
    pub id: String,
    /// What the person calls it.
    pub name: String,
    /// What stands for the key.
    pub hash: TokenHash,
    /// Whose logins; `None`: those of the default agent.
    pub agent: Option<AgentId>,
    /// Of which providers; empty: of all.
    pub providers: Vec<ProviderId>,
    /// This profile and no other.
    pub profile: Option<ProfileId>,
    /// When it was made.
    pub created_at: Option<Millis>,
    /// When it ends.
    pub expires_at: Option<Millis>,
}

impl GatewayKey {
    /// Whether it has ended.
    pub fn has_ended(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it may be used for this provider.
    pub fn allows(&self, provider: &ProviderId) -> bool {
        self.providers.is_empty() || self.providers.contains(provider)
    }
}

/// Why the keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayKeysError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It was read and is not understood.
    #[error("{}: {detail}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        detail: String,
    },
    /// There is a key of this name.
    #[error("there is a gateway key called \"{name}\" already: {id}")]
    Taken {
        /// The name.
        name: String,
        /// The id of the key that has it.
        id: String,
    },
    /// There is no such key.
    #[error("no gateway key has the id or the name \"{name}\"")]
    Unknown {
        /// What was asked for.
        name: String,
    },
}

impl GatewayKeysError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Read(ReadError::Corrupt { .. }) | Self::Invalid { .. } => Code::GatewayKeysInvalid,
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
            Self::Taken { .. } => Code::GatewayKeyTaken,
            Self::Unknown { .. } => Code::UnknownGatewayKey,
        }
    }
}

/// The keys, in the order of the file. Reads only.
///
/// # Errors
/// Where the file exists and cannot be read or understood.
pub fn read_gateway_keys(state: &StateDir) -> Result<Vec<GatewayKey>, GatewayKeysError> {
    let path = state.gateway_keys();
    let Some(text) = read_text(&path)? else { return Ok(Vec::new()) };
    keys_of(&path, &parse(&path, &text)?)
}

/// Makes a key of this name and returns it: `ccg_` and 32 random bytes. `wanted.id` and `wanted.hash` are filled in.
///
/// # Errors
/// Where the name is taken, or the file cannot be read or written; then there is no new key.
pub fn add_gateway_key(
    state: &StateDir,
    wanted: &GatewayKey,
) -> Result<(GatewayKey, Secret), GatewayKeysError> {
    let path = state.gateway_keys();
    let guard = KeysGuard::acquire(state, &path)?;
    let text = read_text(guard.target())?.unwrap_or_default();
    let mut doc = parse(&path, &text)?;
    let known = keys_of(&path, &doc)?;
    if let Some(other) = known.iter().find(|other| other.name == wanted.name) {
        return Err(GatewayKeysError::Taken { name: wanted.name.clone(), id: other.id.clone() });
    }
    let mut bytes = [0; 32];
    let mut id = [0; 4];
    for part in [&mut bytes[..], &mut id[..]] {
        getrandom::fill(part).map_err(|e| WriteError::io(&path)(std::io::Error::other(e)))?;
    }
    let key = Secret::from(format!("ccg_{}", URL_SAFE_NO_PAD.encode(bytes)));
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let made = GatewayKey { id: format!("gk_{id}"), hash: TokenHash::of(&key), ..wanted.clone() };
    let tables = doc.entry("key").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(tables) = tables.as_array_of_tables_mut() else {
        return Err(invalid(&path, "`key` should be tables: [[key]]"));
    };
    tables.push(table_of(&made));
    replace(guard.target(), doc.to_string().as_bytes())?;
    Ok((made, key))
}

/// Takes the key of this id or name away, and returns what it was.
///
/// # Errors
/// Where there is none, or the file cannot be read or written.
pub fn revoke_gateway_key(state: &StateDir, name: &str) -> Result<GatewayKey, GatewayKeysError> {
    let unknown = || GatewayKeysError::Unknown { name: name.to_owned() };
    let path = state.gateway_keys();
    // Before a lock is made in a state dir that has no keys at all.
    if read_text(&path)?.is_none() {
        return Err(unknown());
    }
    let guard = KeysGuard::acquire(state, &path)?;
    let text = read_text(guard.target())?.unwrap_or_default();
    let mut doc = parse(&path, &text)?;
    let known = keys_of(&path, &doc)?;
    let by_id = known.iter().position(|key| key.id == name);
    let at = by_id.or_else(|| known.iter().position(|key| key.name == name)).ok_or_else(unknown)?;
    if let Some(tables) = doc.get_mut("key").and_then(Item::as_array_of_tables_mut) {
        tables.remove(at);
    }
    replace(guard.target(), doc.to_string().as_bytes())?;
    let gone = known.into_iter().nth(at).ok_or_else(unknown)?;
    crate::kept_key::forget(state, &gone.id)?;
    Ok(gone)
}

fn invalid(path: &Path, detail: impl Into<String>) -> GatewayKeysError {
    GatewayKeysError::Invalid { path: path.to_path_buf(), detail: detail.into() }
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut, GatewayKeysError> {
    text.parse().map_err(|e: toml_edit::TomlError| {
        let line = e.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        invalid(path, format!("{place}{}", e.message().lines().next().unwrap_or("not TOML")))
    })
}

fn keys_of(path: &Path, doc: &DocumentMut) -> Result<Vec<GatewayKey>, GatewayKeysError> {
    let Some(item) = doc.get("key") else { return Ok(Vec::new()) };
    let tables = item.as_array_of_tables();
    let tables = tables.ok_or_else(|| invalid(path, "`key` should be tables: [[key]]"))?;
    tables.iter().enumerate().map(|(at, table)| key_of(path, at + 1, table)).collect()
}

fn key_of(path: &Path, number: usize, table: &Table) -> Result<GatewayKey, GatewayKeysError> {
    let wrong = |key: &str, wanted: &str| invalid(path, format!("key {number}: `{key}` should be {wanted}"));
    let text = |key: &str| match table.get(key).map(Item::as_str) {
        None => Ok(None),
        Some(Some(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
        Some(_) => Err(wrong(key, "a text")),
    };
    let time = |key: &str| match table.get(key).map(Item::as_integer) {
        None => Ok(None),
        Some(Some(ms)) => Ok(Some(Millis(ms))),
        Some(None) => Err(wrong(key, "milliseconds since 1970")),
    };
    let providers = match table.get("providers") {
        None => Vec::new(),
        Some(item) => {
            let list = item.as_array().filter(|list| !list.is_empty());
            let ids = list.and_then(|list| list.iter().map(|one| one.as_str()).collect::<Option<Vec<_>>>());
            let ids = ids.ok_or_else(|| wrong("providers", "a list of ids"))?;
            ids.into_iter().map(ProviderId::new).collect()
        }
    };
    let hash = text("hash")?.and_then(|hash| hash.parse().ok());
    let profile = text("profile")?.map(ProfileId::new).transpose();
    Ok(GatewayKey {
        id: text("id")?.ok_or_else(|| wrong("id", "a text"))?.to_owned(),
        name: text("name")?.ok_or_else(|| wrong("name", "a text"))?.to_owned(),
        hash: hash.ok_or_else(|| wrong("hash", "64 lower-case hex digits"))?,
        agent: text("agent")?.map(AgentId::new),
        providers,
        profile: profile.map_err(|_| wrong("profile", "the id of a profile"))?,
        created_at: time("created_at")?,
        expires_at: time("expires_at")?,
    })
}

fn table_of(key: &GatewayKey) -> Table {
    let mut table = Table::new();
    table.insert("id", value(&key.id));
    table.insert("name", value(&key.name));
    table.insert("hash", value(key.hash.to_string()));
    if let Some(agent) = &key.agent {
        table.insert("agent", value(agent.as_str()));
    }
    if !key.providers.is_empty() {
        let providers: Array = key.providers.iter().map(ProviderId::as_str).collect();
        table.insert("providers", value(providers));
    }
    if let Some(profile) = &key.profile {
        table.insert("profile", value(profile.as_str()));
    }
    for (name, time) in [("created_at", key.created_at), ("expires_at", key.expires_at)] {
        if let Some(time) = time {
            table.insert(name, value(time.0));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn world() -> (tempfile::TempDir, StateDir) {
        StateDir::temporary()
    }

    fn wanted(name: &str) -> GatewayKey {
        GatewayKey {
            id: String::new(),
            name: name.into(),
            hash: TokenHash::from_bytes([0; 32]),
            agent: Some(AgentId::main()),
            providers: vec![ProviderId::new("anthropic")],
            profile: Some(ProfileId::new("anthropic:work").unwrap()),
            created_at: Some(Millis(1)),
            expires_at: Some(Millis(2)),
        }
    }

    /// The key is 32 bytes and stands nowhere; the file is private, and what it does not know survives.
    #[test]
    fn a_key_is_kept_as_its_hash() {
        let (_tmp, state) = world();
        let (made, key) = add_gateway_key(&state, &wanted("laptop")).unwrap();
        assert_eq!(key.expose().len(), 4 + 43);
        assert!(key.expose().starts_with("ccg_") && made.hash.is_of(&key));
        let path = state.gateway_keys();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(key.expose()) && !text.contains(&key.expose()[4..]), "{text}");
        assert_eq!(read_gateway_keys(&state).unwrap(), std::slice::from_ref(&made));
        let taken = add_gateway_key(&state, &wanted("laptop")).unwrap_err();
        assert_eq!(taken.code(), Code::GatewayKeyTaken);
        fs::write(&path, format!("# mine\nfuture = 1\n{text}new = true\n")).unwrap();
        let (second, _) = add_gateway_key(&state, &wanted("ci")).unwrap();
        assert_eq!(revoke_gateway_key(&state, &second.id).unwrap(), second);
        let now = fs::read_to_string(&path).unwrap();
        for kept in ["# mine", "future = 1", "new = true"] {
            assert!(now.contains(kept), "{kept} in {now}");
        }
        assert_eq!(revoke_gateway_key(&state, "laptop").unwrap().id, made.id);
        assert_eq!(read_gateway_keys(&state).unwrap(), []);
        assert_eq!(revoke_gateway_key(&state, "laptop").unwrap_err().code(), Code::UnknownGatewayKey);
    }

    /// Nothing in a damaged file is guessed: no key counts, and the file is not replaced.
    #[test]
    fn a_damaged_file_lets_nobody_in() {
        let (_tmp, state) = world();
        assert_eq!(read_gateway_keys(&state).unwrap(), []);
        let (_, _) = add_gateway_key(&state, &wanted("a")).unwrap();
        let good = fs::read_to_string(state.gateway_keys()).unwrap();
        let table = [
            ("key = 1", "`key` should be tables"),
            ("[[key]]\nid = 'x'\n", "key 1: `name` should be a text"),
            ("\n[[key]\n", "line 2"),
            (&good.replace("anthropic:work", ""), "key 1: `profile`"),
            (&good.replace("[\"anthropic\"]", "[]"), "key 1: `providers` should be a list"),
            (&good.replace("expires_at = 2", "expires_at = '2'"), "key 1: `expires_at`"),
            (&good.replace("hash = \"", "hash = \"F"), "key 1: `hash`"),
        ];
        for (text, said) in table {
            fs::write(state.gateway_keys(), text).unwrap();
            let error = read_gateway_keys(&state).unwrap_err();
            assert!(error.to_string().contains(said), "{text}: {error}");
            assert_eq!(error.code(), Code::GatewayKeysInvalid);
            assert!(add_gateway_key(&state, &wanted("b")).is_err());
            assert_eq!(fs::read_to_string(state.gateway_keys()).unwrap(), text);
        }
    }
}

//! `auth.json`: the runtime cache. For each provider the token that would be lent now, for programs that read this file
//! instead of asking.
//!
//! It is never read back as truth and holds no refresh token. A marker entry says that it is ours and which entries we
//! wrote; everything else in it is somebody else's and stays. A file of this name without the marker is the original's.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, Secret, TokenHash};
use serde_json::{Map, Value, json};

use crate::commit::{WriteError, replace, sync_folder};
use crate::faults;
use crate::locks::StoreGuard;
use crate::profiles::DocumentError;
use crate::read::with_suffix;

/// No provider has this name, and readers of the original skip an entry of an unknown type.
const MARKER: &str = "_coderclaw";
const MARKER_TYPE: &str = "runtime_cache";

/// One agent's runtime cache.
#[derive(Clone, Default, PartialEq)]
pub struct RuntimeCache {
    top: Map<String, Value>,
}

/// Its keys only: its values are secrets.
impl fmt::Debug for RuntimeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.top.keys().collect();
        f.debug_struct("RuntimeCache").field("keys", &keys).finish()
    }
}

impl RuntimeCache {
    /// Reads the text of an `auth.json`, whoever wrote it.
    ///
    /// # Errors
    /// Where it is no JSON object.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        match serde_json::from_str(text) {
            Ok(Value::Object(top)) => Ok(Self { top }),
            Ok(_) => Err(DocumentError::Shape { key: "auth.json".into(), wanted: "an object" }),
            Err(e) => Err(DocumentError::Syntax(e.to_string())),
        }
    }

    /// Whether it carries our marker.
    pub fn is_ours(&self) -> bool {
        self.top.get(MARKER).and_then(|marker| marker.get("type")).and_then(Value::as_str)
            == Some(MARKER_TYPE)
    }

    /// Whether it holds nothing at all, so that there need not be such a file.
    pub fn is_empty(&self) -> bool {
        self.top.keys().all(|key| key == MARKER)
    }

    /// Whether it holds what `other`, which has no marker, holds, and nothing else but the marker.
    pub fn differs_by_marker(&self, other: &Self) -> bool {
        self.top.iter().filter(|(key, _)| *key != MARKER).eq(other.top.iter())
    }

    /// The cache with `lendable` (a provider's id and what would be lent for it) in place of what we wrote before.
    ///
    /// Copies that others made of our tokens go too; `is_own` knows those. An entry of somebody else stays, also in
    /// the place of one of ours: it may be the only copy of what it holds.
    #[must_use]
    pub fn renewed(
        &self,
        agent: &AgentId,
        lendable: &[(String, Secret)],
        is_own: &dyn Fn(&TokenHash) -> bool,
    ) -> Self {
        let mut top = Map::new();
        top.insert(MARKER.into(), Value::Null);
        for (key, entry) in &self.top {
            if key != MARKER && !self.wrote(key, entry) && !holds(entry, is_own) {
                top.insert(key.clone(), entry.clone());
            }
        }
        let mut written = Map::new();
        for (provider, secret) in lendable {
            if !top.contains_key(provider) {
                top.insert(provider.clone(), json!({"type": "api_key", "key": secret.expose()}));
                written.insert(provider.clone(), json!(TokenHash::of(secret)));
            }
        }
        let note = "Written by CoderClaw, never read back. Access tokens and keys only.";
        top.insert(
            MARKER.into(),
            json!({"type": MARKER_TYPE, "agentId": agent, "wrote": written, "note": note}),
        );
        Self { top }
    }

    /// The cache without the entries that hold a secret which `is_gone` knows.
    #[must_use]
    pub fn without(&self, is_gone: &dyn Fn(&TokenHash) -> bool) -> Self {
        let kept = self.top.iter().filter(|(key, entry)| *key == MARKER || !holds(entry, is_gone));
        Self { top: kept.map(|(key, entry)| (key.clone(), entry.clone())).collect() }
    }

    /// Whether the entry is as we wrote it.
    fn wrote(&self, key: &str, entry: &Value) -> bool {
        let hash = self.top.get(MARKER).and_then(|marker| marker.pointer("/wrote")?.get(key)?.as_str());
        let Some(hash) = hash.and_then(|hash| hash.parse::<TokenHash>().ok()) else { return false };
        holds(entry, &|one| *one == hash)
    }

    fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.top).unwrap_or_else(|_| "{}".into());
        text.push('\n');
        text
    }
}

fn holds(entry: &Value, wanted: &dyn Fn(&TokenHash) -> bool) -> bool {
    ["key", "token", "access", "refresh"].iter().any(|field| {
        let secret = entry.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        secret.is_some_and(|secret| wanted(&TokenHash::of(&Secret::from(secret))))
    })
}

impl StoreGuard {
    /// Replaces the runtime cache at `path`, which stands beside the store of this guard, or removes it where it is
    /// empty.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn replace_cache(&self, path: &Path, cache: &RuntimeCache) -> Result<(), WriteError> {
        faults::hit("cache.write").map_err(WriteError::io(path))?;
        if !cache.is_empty() {
            return replace(path, cache.to_text().as_bytes());
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(WriteError::io(path)(e)),
            _ => sync_folder(path),
        }
    }

    /// Gives an `auth.json` of the original, whose entries the store has by now, the name `auth.json.imported`. Its
    /// bytes stay; others lose the right to read it.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn set_imported_aside(&self, path: &Path) -> Result<PathBuf, WriteError> {
        use std::os::unix::fs::PermissionsExt;
        let mut aside = with_suffix(path, ".imported");
        let mut n = 1;
        while fs::symlink_metadata(&aside).is_ok() {
            n += 1;
            aside = with_suffix(path, &format!(".imported-{n}"));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(WriteError::io(path))?;
        #[expect(clippy::disallowed_methods, reason = "the store moves its own neighbour")]
        fs::rename(path, &aside).map_err(WriteError::io(path))?;
        sync_folder(path)?;
        Ok(aside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Secret {
        Secret::from(text)
    }

    fn lend(cache: &RuntimeCache, what: &[(&str, &str)], own: &[&str]) -> RuntimeCache {
        let what: Vec<_> =
            what.iter().map(|(provider, secret)| ((*provider).to_owned(), key(secret))).collect();
        let own: Vec<_> = own.iter().map(|one| TokenHash::of(&key(one))).collect();
        cache.renewed(&AgentId::main(), &what, &|hash| own.contains(hash))
    }

    /// What we wrote is replaced and pruned; what others wrote stays, byte for byte, also in our place.
    #[test]
    fn ours_is_pruned_and_foreign_entries_stay() {
        let one = lend(&RuntimeCache::default(), &[("a", "t1"), ("b", "t2")], &[]);
        assert!(one.is_ours() && !one.is_empty());
        let two = lend(&one, &[("a", "t3")], &[]);
        assert_eq!(two.top["a"], json!({"type": "api_key", "key": "t3"}));
        assert!(two.top.get("b").is_none());
        let mut others = two.clone();
        others.top.insert("a".into(), json!({"type": "api_key", "key": "typed by hand", "x": 1.5}));
        others.top.insert("c".into(), json!({"type": "oauth", "refresh": "theirs"}));
        let three = lend(&others, &[("a", "t4"), ("c", "t5"), ("d", "t6")], &[]);
        assert_eq!((&three.top["a"], &three.top["c"]), (&others.top["a"], &others.top["c"]));
        assert_eq!(three.top["d"]["key"], "t6");
        assert!(lend(&lend(&RuntimeCache::default(), &[("a", "t")], &[]), &[], &[]).is_empty());
    }

    /// A copy that the original made of one of our logins gives way; one that holds anything else does not.
    #[test]
    fn copies_of_our_own_tokens_give_way() {
        let theirs = RuntimeCache::parse(
            r#"{"a": {"type": "oauth", "access": "x", "refresh": "known"}, "b": {"type": "oauth", "refresh": "rotated"}}"#,
        )
        .unwrap();
        assert!(!theirs.is_ours());
        let now = lend(&theirs, &[("a", "t"), ("b", "u")], &["known"]);
        assert_eq!(now.top["a"]["key"], "t");
        assert_eq!(now.top["b"]["refresh"], "rotated");
        let known = TokenHash::of(&key("t"));
        assert!(now.without(&|hash| *hash == known).top.get("a").is_none());
    }

    /// G1: the marker is told from an entry, and nothing shows a secret.
    #[test]
    fn g1_the_debug_form_shows_keys_only() {
        let cache = lend(&RuntimeCache::default(), &[("a", "canary-secret")], &[]);
        assert!(!format!("{cache:?}").contains("canary"));
        assert!(cache.to_text().ends_with("}\n") && cache.to_text().contains("\n  \"a\": {\n    \"type\""));
        for wrong in ["", "[]", "7", "{", r#""x""#] {
            assert!(RuntimeCache::parse(wrong).is_err(), "{wrong}");
        }
        for unmarked in [r#"{"_coderclaw": 1}"#, r#"{"_coderclaw": {"type": "api_key"}}"#, "{}"] {
            assert!(!RuntimeCache::parse(unmarked).unwrap().is_ours(), "{unmarked}");
        }
    }
}

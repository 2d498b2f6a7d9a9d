//! Where secrets belong: every file and folder of the state dir that may hold one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::context::Auth;
use crate::edit::EditError;

/// A file or folder in which secrets belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPlace {
    /// Where it is.
    pub path: PathBuf,
    /// What it is, for people.
    pub what: &'static str,
}

impl Auth {
    /// Every file and folder in which secrets belong, or in which a person may have put one, in the order in which a
    /// person would look.
    ///
    /// # Errors
    /// Where agents or trash cannot be listed.
    pub fn secret_places(&self) -> Result<Vec<SecretPlace>, EditError> {
        let mut all = self.token_places()?;
        let state = self.state();
        let mut add = |path: PathBuf, what| all.push(SecretPlace { path, what });
        add(state.settings_file(), "the settings: the address of a webhook can be a secret");
        add(state.providers(), "the folder of your own providers: headers can hold a key");
        Ok(all)
    }

    /// Those of them in which the tokens and keys of a store belong.
    pub(crate) fn token_places(&self) -> Result<Vec<SecretPlace>, EditError> {
        let state = self.state();
        let mut all = Vec::new();
        let mut add = |path: PathBuf, what| all.push(SecretPlace { path, what });
        for one in state.agents(self.config())? {
            add(one.store(), "the store: all credentials of one agent");
            let target = real(&one.store());
            if target != real(&one.dir).join("auth-profiles.json") && target.exists() {
                add(next(&target), "the store's next version, while it is written");
                add(target, "where the store really is");
            }
            add(one.backup(), "its backup, of the same generation");
            add(one.dir.join(".auth-profiles.json.next"), "its next version, while it is written");
            add(
                one.dir.join(".auth-profiles.json.bak.next"),
                "the backup's next version, while it is written",
            );
            for path in beside(&one.dir, "auth-profiles.json.damaged-") {
                add(path, "a damaged store, set aside");
            }
            add(one.cache(), "the runtime cache: access tokens and keys only");
            add(one.dir.join(".auth.json.next"), "the cache's next version, while it is written");
            for path in beside(&one.dir, "auth.json.imported") {
                add(path, "credentials of an older version; the store has them");
            }
        }
        add(state.trash(), "the folder of deleted agents and of resets: their stores, until you delete it");
        for store in state.trashed_stores()? {
            add(store, "the store of a deleted agent");
        }
        for folder in beside(&state.trash(), "reset-") {
            add(folder, "the config and the old logins of before a reset");
        }
        add(state.journals(), "the folder of refresh journals: tokens while a refresh is unfinished");
        add(state.logins(), "the folder of logins that were begun and not finished: code verifiers");
        add(state.helpers(), "the folder of what helper programs gave, each for its time");
        add(state.gateway_keys(), "the gateway's keys: their hashes only");
        for path in beside(&state.root().join("gateway"), "gk_") {
            add(path, "a gateway key, kept for a program that was connected");
        }
        add(
            state.connections(),
            "what was written into other programs' settings, and what stood there before",
        );
        add(state.oauth_json(), "logins of an older version; imported once, never written");
        add(state.fingerprint_key_path(), "the key of the fingerprints");
        let config = state.config_path();
        add(config.to_path_buf(), "the config: API keys, where some stand in it");
        for suffix in ["", ".1", ".2", ".3", ".4"] {
            let mut path = config.as_os_str().to_owned();
            path.push(format!(".bak{suffix}"));
            add(path.into(), "an older version of the config");
        }
        add(next(config), "the config's next version, while it is written");
        Ok(all)
    }
}

/// The name under which a file's next version is written.
fn next(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.next"))
}

/// The path behind all links, where there is one.
pub(crate) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

fn beside(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_meant = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(prefix);
    let mut paths: Vec<PathBuf> = entries.filter(is_meant).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

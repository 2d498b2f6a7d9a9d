//! `models auth paths`: every file that may hold a secret, for backups, deny-lists and people.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;

#[derive(Serialize)]
struct Listed {
    path: PathBuf,
    what: &'static str,
    exists: bool,
}

pub(super) fn run(context: &Context) -> Result<Report, CommandError> {
    let state = context.auth.state();
    let agent = context.agent()?;
    let mut files = Vec::new();
    let mut add = |path: PathBuf, what: &'static str| {
        let exists = path.exists();
        files.push(Listed { path, what, exists });
    };
    for one in state.agents(context.auth.config()).map_err(coderclaw_auth::ResolveError::from)? {
        let store = one.store();
        add(store.clone(), "the store: all credentials of one agent");
        add(one.backup(), "its backup, of the same generation");
        add(one.dir.join(".auth-profiles.json.next"), "its next version, while it is written");
        add(one.dir.join(".auth-profiles.json.bak.next"), "the backup's next version, while it is written");
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
    for store in state.trashed_stores().map_err(coderclaw_auth::ResolveError::from)? {
        add(store, "the store of a deleted agent");
    }
    for folder in beside(&state.trash(), "reset-") {
        add(folder, "the config and the old logins of before a reset");
    }
    add(state.journals(), "the folder of refresh journals: tokens while a refresh is unfinished");
    add(state.logins(), "the folder of logins that were begun and not finished: code verifiers");
    add(state.gateway_keys(), "the gateway's keys: their hashes only");
    add(state.oauth_json(), "logins of an older version; imported once, never written");
    add(state.fingerprint_key_path(), "the key of the fingerprints");
    add(state.config_path().to_path_buf(), "the config: API keys, where some stand in it");
    let quiet = [
        (state.audit_log(), "the audit trail: events and fingerprints; older parts beside it"),
        (state.attention(), "what people were told about logins that need them, by hashes"),
        (state.settings_file(), "settings: hooks, audit"),
    ];
    let quiet = quiet.map(|(path, what)| Listed { exists: path.exists(), path, what });
    if context.global.json {
        return Ok(Report::json(&json!({
            "stateDir": state.root(),
            "configPath": state.config_path(),
            "agentId": agent.agent,
            "agentDir": agent.dir,
            "authStorePath": agent.store(),
            "locks": state.locks(),
            "secrets": files,
            "others": quiet,
        })));
    }
    let mut text =
        format!("State dir: {}\nAuth file: {}\n\n", state.root().display(), agent.store().display());
    text.push_str("May hold a secret (* is there now):\n");
    for file in &files {
        let mark = if file.exists { '*' } else { ' ' };
        text.push_str(&format!("{mark} {}\n      {}\n", file.path.display(), file.what));
    }
    text.push_str("\nHold none:\n");
    for file in &quiet {
        let mark = if file.exists { '*' } else { ' ' };
        text.push_str(&format!("{mark} {}\n      {}\n", file.path.display(), file.what));
    }
    Ok(Report::text(text))
}

fn beside(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

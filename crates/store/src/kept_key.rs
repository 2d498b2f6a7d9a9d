//! Gateway keys that are kept, for programs that run a command to get theirs. Only connecting a program keeps one; any
//! other key is shown once.

use std::fs;
use std::io;

use coderclaw_types::Secret;

use crate::commit::{WriteError, replace};
use crate::gateway_keys::{GatewayKey, GatewayKeysError};
use crate::paths::StateDir;
use crate::read::read_text;

/// Keeps `key`, which has just been made as `made`, until it is revoked: 0600 from birth.
///
/// # Errors
/// Where the disk does not take it.
pub fn keep_gateway_key(state: &StateDir, made: &GatewayKey, key: &Secret) -> Result<(), GatewayKeysError> {
    let path = state.kept_gateway_key(&made.id);
    Ok(replace(&path, format!("{}\n", key.expose()).as_bytes())?)
}

/// The key of this record, if it was kept and is the one that the record speaks of. Reads only.
///
/// # Errors
/// Where its file is there and cannot be read.
pub fn read_kept_gateway_key(state: &StateDir, of: &GatewayKey) -> Result<Option<Secret>, GatewayKeysError> {
    if !is_id(&of.id) {
        return Ok(None);
    }
    let text = read_text(&state.kept_gateway_key(&of.id))?;
    Ok(text.map(|text| Secret::from(text.trim())).filter(|key| of.hash.is_of(key)))
}

/// Takes the kept key away with its record.
pub(crate) fn forget(state: &StateDir, id: &str) -> Result<(), WriteError> {
    if !is_id(id) {
        return Ok(());
    }
    let path = state.kept_gateway_key(id);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(WriteError::io(&path)(e)),
        _ => Ok(()),
    }
}

/// As they are made here. People can edit the file of the keys, and an id becomes the name of a file.
fn is_id(id: &str) -> bool {
    id.strip_prefix("gk_").is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

//! What a helper program gave, for as long as it said, for all processes of this state dir.
//!
//! It is no store: losing it costs a run of the helper. It is named for a hash of the command, so that who uses the same
//! helper for the same provider shares it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coderclaw_types::{Millis, ProviderId, Secret, sha256_parts};
use serde::{Deserialize, Serialize, Serializer};

use crate::commit::{WriteError, replace};
use crate::locks::{HelperGuard, LockError};
use crate::paths::StateDir;
use crate::read::read_text;
use crate::reference::{Place, Reference};

/// What the last run of a helper came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelperResult {
    /// What it gave.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub token: Option<Secret>,
    /// Until when that is used.
    #[serde(default)]
    pub until: Millis,
    /// When the helper ended.
    #[serde(default)]
    pub at: Millis,
    /// When it last ran because the provider had rejected what it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced_at: Option<Millis>,
    /// Why it gave nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

fn exposed<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_str(secret.expose()),
        None => serializer.serialize_none(),
    }
}

/// The file of one helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperCache {
    name: String,
    path: PathBuf,
}

impl HelperCache {
    /// The file of this helper for this provider; `None` where nothing is kept.
    pub fn of(state: &StateDir, provider: &ProviderId, reference: &Reference) -> Option<Self> {
        reference.ttl?;
        let words: Vec<&[u8]> = match &reference.place {
            Place::Exec(command) => command.iter().map(String::as_bytes).collect(),
            Place::OnePassword(address) => vec![address.as_bytes()],
            Place::Env(_) | Place::File(_) => return None,
        };
        let parts: Vec<&[u8]> = std::iter::once(provider.as_str().as_bytes()).chain(words).collect();
        let hash = sha256_parts("coderclaw helper v1", &parts);
        let name: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let path = state.helpers().join(format!("{name}.json"));
        Some(Self { name, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands there now. What cannot be read counts as nothing.
    pub fn read(&self) -> HelperResult {
        let text = read_text(&self.path).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Waits until nobody else runs this helper.
    ///
    /// # Errors
    /// [`LockError::Held`] after `limit`.
    pub fn lock(&self, state: &StateDir, limit: Duration) -> Result<HelperGuard, LockError> {
        HelperGuard::acquire(state, &self.name, limit)
    }

    /// Keeps a result.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn write(
        &self,
        state: &StateDir,
        _guard: &HelperGuard,
        result: &HelperResult,
    ) -> Result<(), WriteError> {
        state.ensure_dir(&state.helpers())?;
        let bytes = serde_json::to_vec(result).map_err(|e| WriteError::io(&self.path)(e.into()))?;
        replace(&self.path, &bytes)
    }

    /// Takes it away.
    ///
    /// # Errors
    /// Where it stays.
    pub fn remove(&self) -> Result<(), WriteError> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(WriteError::io(&self.path)(e)),
            _ => Ok(()),
        }
    }
}

//! The settings of other programs: what CoderClaw writes into them, and how it is undone.
//!
//! A program that is connected has a few settings of ours in its own file. `connections.json` in the state dir remembers
//! each of them with what stood there before, so that disconnecting takes back exactly that and leaves what people have
//! changed since. The file is another program's: its comments, order, mode and links stay, and it is never guessed at.

mod apply;
mod record;
mod syntax;

use std::path::{Path, PathBuf};

use coderclaw_types::{Code, Millis};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use apply::{plan_connection, plan_disconnection};

use crate::commit::WriteError;
use crate::gateway_keys::GatewayKeysError;
use crate::locks::LockError;
use crate::read::ReadError;

/// How a settings file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsFormat {
    /// JSON; comments are kept where there are some.
    Json,
    /// TOML.
    Toml,
}

/// The settings file of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSettings {
    /// What the program is called here.
    pub tool: String,
    /// Where it looks for its settings. A link is followed and stays.
    pub path: PathBuf,
    /// How they are written.
    pub format: SettingsFormat,
}

/// What is to stand at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSetting {
    /// The keys that lead there, from the outside in.
    pub key: Vec<String>,
    /// The value.
    pub value: Value,
}

/// One place of a settings file, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// The keys that lead there, from the outside in.
    pub key: Vec<String>,
    /// What stood there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// A program that is connected, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Which program.
    pub tool: String,
    /// Its settings file, as the program names it.
    pub path: PathBuf,
    /// When it was connected first.
    pub connected_at: Millis,
    /// What was written, and what stood there before the first time.
    pub changes: Vec<SettingChange>,
    /// A hash of the file as it was written last.
    pub written: String,
    /// A hash of the file as it was found.
    #[serde(default)]
    pub found: String,
    /// There was no such file.
    #[serde(default)]
    pub made_file: bool,
    /// There was no such folder.
    #[serde(default)]
    pub made_folder: bool,
    /// The id of the gateway key that was made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_key: Option<String>,
    /// What a newer version has noted.
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

/// What would be written, before anything is.
#[derive(Debug)]
pub struct ConnectionPlan {
    settings: ToolSettings,
    old: Option<String>,
    /// `None`: the file goes.
    new: Option<String>,
    record: Option<Connection>,
    was: Option<Connection>,
    /// What changes in the file, in its order.
    pub changes: Vec<SettingChange>,
    /// Settings that somebody else made, where ours would go.
    pub conflicts: Vec<SettingChange>,
    /// Places that were changed since, and stay as they are.
    pub left: Vec<SettingChange>,
}

impl ConnectionPlan {
    /// Whether there is anything to write.
    pub fn is_done(&self) -> bool {
        self.old == self.new && self.record.is_some() == self.was.is_some()
    }

    /// The gateway key that was made for the program, if one was.
    pub fn gateway_key(&self) -> Option<&str> {
        self.was.as_ref()?.gateway_key.as_deref()
    }

    /// Where the old file is kept, or will be; `None` where there was none.
    pub fn backup(&self) -> Option<PathBuf> {
        let path = backup(&self.settings.path);
        let is_made = self.was.is_none() && self.record.is_some() && self.old.is_some();
        (is_made || path.exists()).then_some(path)
    }
}

/// The old file is kept under this name while the program is connected.
fn backup(path: &Path) -> PathBuf {
    crate::read::with_suffix(path, ".before-coderclaw")
}

/// Why a program was not connected or disconnected. Its settings are then what they were.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Somebody else is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The gateway key for it cannot be made or revoked.
    #[error(transparent)]
    Key(#[from] GatewayKeysError),
    /// It is not what it should be.
    #[error("{}: {detail}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        detail: String,
    },
    /// The owner has made it read-only.
    #[error("{} is read-only; `chmod u+w` it to let it be changed", path.display())]
    ReadOnly {
        /// Which file.
        path: PathBuf,
    },
    /// It was changed between the look and the write.
    #[error("{} was changed by another program just now; nothing was written", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// Nothing is remembered about it.
    #[error("{tool} is not connected: nothing of CoderClaw's was written to {}", path.display())]
    NotConnected {
        /// Which program.
        tool: String,
        /// Its settings file.
        path: PathBuf,
    },
}

impl ConnectError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Read(ReadError::Corrupt { .. }) | Self::Invalid { .. } => Code::SettingsInvalid,
            Self::Read(e) => e.code(),
            Self::Write(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Key(e) => e.code(),
            Self::ReadOnly { .. } => Code::NotWritable,
            Self::Changed { .. } => Code::SettingsChanged,
            Self::NotConnected { .. } => Code::NotConnected,
        }
    }
}

#[cfg(test)]
mod tests;

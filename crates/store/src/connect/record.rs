//! `connections.json`: which programs are connected, and how that is undone.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ConnectError, Connection};
use crate::commit::replace;
use crate::locks::ConnectionsGuard;
use crate::read::read_text;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Records {
    #[serde(default)]
    pub(super) connections: Vec<Connection>,
    /// What a newer version has noted.
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Records {
    pub(super) fn read(path: &Path) -> Result<Self, ConnectError> {
        let Some(text) = read_text(path)? else { return Ok(Self::default()) };
        serde_json::from_str(&text)
            .map_err(|e| ConnectError::Invalid { path: path.to_path_buf(), detail: e.to_string() })
    }

    pub(super) fn of(&self, tool: &str, path: &Path) -> Option<&Connection> {
        self.connections.iter().find(|one| one.tool == tool && one.path == path)
    }

    /// Puts `record` in the place of what was remembered of this program's file, or forgets it.
    pub(super) fn write(
        mut self,
        guard: &ConnectionsGuard,
        tool: &str,
        path: &Path,
        record: Option<Connection>,
    ) -> Result<(), ConnectError> {
        let at = self.connections.iter().position(|one| one.tool == tool && one.path == path);
        match (at, record) {
            (Some(at), Some(record)) => self.connections[at] = record,
            (Some(at), None) => drop(self.connections.remove(at)),
            (None, Some(record)) => self.connections.push(record),
            (None, None) => return Ok(()),
        }
        let text = serde_json::to_string_pretty(&self).unwrap_or_default() + "\n";
        Ok(replace(guard.target(), text.as_bytes())?)
    }
}

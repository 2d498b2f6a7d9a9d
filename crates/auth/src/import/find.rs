//! Where another program keeps its stores: a state dir, one agent's folder, or one file.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::ImportError;

/// How an SQLite file begins (its file format, section 1.3).
const DATABASE: &[u8] = b"SQLite format 3\0";

/// A store of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStore {
    /// Whose it is there, where the path says so.
    pub agent: Option<String>,
    /// The file.
    pub path: PathBuf,
}

/// What a path leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundStores {
    /// Stores that can be read, by agent.
    pub stores: Vec<FoundStore>,
    /// Databases of a later version: what stands in the stores may be old.
    pub databases: Vec<PathBuf>,
}

/// The stores at `path`: a state dir with `agents/*/agent/auth-profiles.json`, an agent's folder, or a store itself.
///
/// # Errors
/// Where there is none.
pub fn find_stores(path: &Path) -> Result<FoundStores, ImportError> {
    if !path.exists() {
        return Err(ImportError::NoFile(path.to_path_buf()));
    }
    if is_database(path) {
        return Err(ImportError::Database(path.to_path_buf()));
    }
    if path.is_file() {
        let agent = path.parent().and_then(agent_of);
        return Ok(FoundStores {
            stores: vec![FoundStore { agent, path: path.to_path_buf() }],
            databases: vec![],
        });
    }
    let mut found = FoundStores::default();
    for folder in [path.to_path_buf(), path.join("agent")] {
        look_into(&folder, agent_of(&folder), &mut found);
    }
    found.databases.extend(databases_in(&path.join("state")));
    let mut agents: Vec<PathBuf> = std::fs::read_dir(path.join("agents"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    agents.sort();
    for agent in agents {
        let name = agent.file_name().map(|name| name.to_string_lossy().into_owned());
        look_into(&agent.join("agent"), name, &mut found);
    }
    match found.databases.first() {
        _ if !found.stores.is_empty() => Ok(found),
        Some(database) => Err(ImportError::Database(database.clone())),
        None => Err(ImportError::NoStore(path.to_path_buf())),
    }
}

fn look_into(folder: &Path, agent: Option<String>, found: &mut FoundStores) {
    let path = folder.join("auth-profiles.json");
    if path.is_file() {
        found.stores.push(FoundStore { agent, path });
    }
    found.databases.extend(databases_in(folder));
}

/// `agents/<id>/agent` names an agent.
fn agent_of(folder: &Path) -> Option<String> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let above = folder.parent()?;
    (name(folder)? == "agent" && name(above.parent()?)? == "agents").then(|| name(above)).flatten()
}

fn databases_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "sqlite"));
    let mut all: Vec<PathBuf> = named.filter(|path| is_database(path)).collect();
    all.sort();
    all
}

/// Whether the file is an SQLite database.
pub(super) fn is_database(path: &Path) -> bool {
    let mut head = [0; DATABASE.len()];
    path.is_file()
        && std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut head).is_ok())
        && head == *DATABASE
}

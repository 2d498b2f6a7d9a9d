//! Where another program keeps its stores: a state dir, one agent's folder, or one file.

use std::io::Read;
use std::path::{Path, PathBuf};

use coderclaw_store::{AGENT_DATABASE, SHARED_DATABASE, read_openclaw_database};

use super::ImportError;

/// The agent whose logins all others see, in later versions of OpenClaw.
const MAIN: &str = "main";

/// A store of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStore {
    /// Whose it is there, where the path says so.
    pub agent: Option<String>,
    /// The file: an `auth-profiles.json`, or a database.
    pub path: PathBuf,
}

/// The stores at `path`: a state dir with `agents/*/agent`, an agent's folder, or a store itself. Where an agent's logins are
/// in its database, what is left of its `auth-profiles.json` is an older version and no store.
///
/// # Errors
/// Where there is none, or a database does not tell whether it is one.
pub fn find_stores(path: &Path) -> Result<Vec<FoundStore>, ImportError> {
    if !path.exists() {
        return Err(ImportError::NoFile(path.to_path_buf()));
    }
    if path.is_file() {
        let agent = path.parent().and_then(agent_of);
        return Ok(vec![FoundStore { agent, path: path.to_path_buf() }]);
    }
    if !path.is_dir() {
        return Err(ImportError::NoStore(path.to_path_buf()));
    }
    let mut found = Vec::new();
    for folder in [path.to_path_buf(), path.join("agent")] {
        found.extend(store_in(&folder, agent_of(&folder))?);
    }
    let mut agents: Vec<PathBuf> = std::fs::read_dir(path.join("agents"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    agents.sort();
    for agent in agents {
        let name = agent.file_name().map(|name| name.to_string_lossy().into_owned());
        found.extend(store_in(&agent.join("agent"), name)?);
    }
    let shared = path.join("state").join(SHARED_DATABASE);
    let state = read_openclaw_database(&shared)?;
    let is_main = |store: &FoundStore| store.agent.as_deref() == Some(MAIN);
    // Until it is in force, OpenClaw itself looks at the main agent's own.
    if state.shared.is_some() && (state.is_shared_in_force || !found.iter().any(is_main)) {
        found.insert(0, FoundStore { agent: Some(MAIN.to_owned()), path: shared });
    }
    if found.is_empty() { Err(ImportError::NoStore(path.to_path_buf())) } else { Ok(found) }
}

fn store_in(folder: &Path, agent: Option<String>) -> Result<Option<FoundStore>, ImportError> {
    let database = folder.join(AGENT_DATABASE);
    let file = folder.join("auth-profiles.json");
    let path = match read_openclaw_database(&database)?.own {
        Some(_) => database,
        None if file.is_file() => file,
        None => return Ok(None),
    };
    Ok(Some(FoundStore { agent, path }))
}

/// `agents/<id>/agent` names an agent.
fn agent_of(folder: &Path) -> Option<String> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let above = folder.parent()?;
    (name(folder)? == "agent" && name(above.parent()?)? == "agents").then(|| name(above)).flatten()
}

/// How a database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Whether the file is a database, or should be by its name.
pub(super) fn is_database(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    path.extension().is_some_and(|end| end == "sqlite")
        || path.is_file()
            && std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut head).is_ok())
            && head == *MAGIC
}

/// The store in a database.
pub(super) fn text_in(path: &Path) -> Result<Option<String>, ImportError> {
    let stores = read_openclaw_database(path)?;
    Ok(stores.own.or(stores.shared))
}

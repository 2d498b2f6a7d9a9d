//! Where deleted agents go: `trash/<agent>-<time>/` in the state dir, by a rename, so that nothing is half deleted and
//! nothing depends on another program. What lies there is never used and never refreshed; it counts as held, so that a logout
//! elsewhere does not end a login that somebody may want back.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, Millis};

use crate::commit::{WriteError, create_private, sync_folder};
use crate::faults;
use crate::locks::{ConfigGuard, LockError};
use crate::paths::{AgentPaths, StateDir};
use crate::read::ReadError;

/// What was moved, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trashed {
    /// The folder in the trash; `None` where there was nothing to move.
    pub dir: Option<PathBuf>,
    /// What is a person's own, and was left where it is.
    pub left: Vec<PathBuf>,
}

/// The names of this program's and the original's files in an agent dir; what else lies there is not ours to move.
const OURS: [&str; 5] = ["auth-profiles.json", "auth-state.json", "auth.json", "agent.toml", "models.json"];

/// The original's lock, which the caller holds: it goes with its holder, not with the files.
const ORIGINAL_LOCK: &str = "auth-profiles.json.lock";

impl StateDir {
    /// The folder of deleted agents.
    pub fn trash(&self) -> PathBuf {
        self.root().join("trash")
    }

    /// The stores of deleted agents, by name.
    ///
    /// # Errors
    /// Where the folder exists and cannot be listed.
    pub fn trashed_stores(&self) -> Result<Vec<PathBuf>, ReadError> {
        let dir = self.trash();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(ReadError::unreadable(&dir, e)),
        };
        let mut stores = Vec::new();
        for entry in entries {
            let store =
                entry.map_err(|e| ReadError::unreadable(&dir, e))?.path().join("agent/auth-profiles.json");
            if fs::symlink_metadata(&store).is_ok() {
                stores.push(store);
            }
        }
        stores.sort();
        Ok(stores)
    }

    /// Moves the agent's files to the trash: its folder in the state dir as a whole, of an agent dir elsewhere only the files
    /// that are this program's, and the workspace where it is the one that was made for this agent. The caller holds
    /// the lock of the agent's store, if there is one.
    ///
    /// Killed in between, it has moved some of them, each as a whole, and does the rest when it is called again.
    ///
    /// # Errors
    /// Where something cannot be moved. What was moved before stays moved.
    pub fn move_to_trash(
        &self,
        agent: &AgentPaths,
        workspace: &Path,
        now: Millis,
    ) -> Result<Trashed, WriteError> {
        let home = self.agent_home(&agent.agent);
        let own_workspace = self.default_workspace(&agent.agent);
        let is_elsewhere = agent.dir != home.join("agent");
        let elsewhere = if is_elsewhere { files_of(&agent.dir) } else { Vec::new() };
        let mut trashed = Trashed::default();
        if is_elsewhere && agent.dir.exists() {
            trashed.left.push(agent.dir.clone());
        }
        if workspace != own_workspace && workspace.exists() {
            trashed.left.push(workspace.to_path_buf());
        }
        let has_workspace = workspace == own_workspace && workspace.exists();
        if !home.exists() && elsewhere.is_empty() && !has_workspace {
            return Ok(trashed);
        }
        self.ensure_dir(&self.trash())?;
        let dir = self.free_name(&agent.agent, now);
        if home.exists() {
            rename(&home, &dir)?;
            // The caller's own, as a rule; whoever made it, it guards nothing any more.
            drop(fs::remove_file(dir.join("agent").join(ORIGINAL_LOCK)));
        } else {
            fs::DirBuilder::new().mode(0o700).create(&dir).map_err(WriteError::io(&dir))?;
            sync_folder(&dir)?;
        }
        fault("trash.moved", &dir)?;
        if !elsewhere.is_empty() {
            let to = dir.join("agent");
            self.ensure_dir(&to)?;
            for from in elsewhere {
                let name = from.file_name().unwrap_or_default();
                move_file(&from, &to.join(name))?;
            }
        }
        if has_workspace {
            rename(workspace, &dir.join("workspace"))?;
        }
        fault("trash.done", &dir)?;
        trashed.dir = Some(dir);
        Ok(trashed)
    }

    /// Moves the config with its backups, and the folder of credentials that older versions kept, to the trash. `None` where there
    /// is nothing of it.
    ///
    /// # Errors
    /// Where the config is locked, or something cannot be moved. What was moved before stays moved.
    pub fn move_config_to_trash(&self, now: Millis) -> Result<Option<PathBuf>, LockError> {
        let config = self.config_path();
        let name = config.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = config.parent().unwrap_or(config);
        let is_its = |path: &PathBuf| {
            let other = path.file_name().unwrap_or_default().to_string_lossy();
            other == name || other.strip_prefix(&name).is_some_and(|rest| rest.starts_with(".bak"))
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let files: Vec<PathBuf> = entries.filter(is_its).collect();
        let credentials = self.root().join("credentials");
        if files.is_empty() && !credentials.exists() {
            return Ok(None);
        }
        self.ensure_dir(&self.trash())?;
        let guard = ConfigGuard::acquire(self, config)?;
        let dir = self.free_name(&AgentId::new("reset"), now);
        self.ensure_dir(&dir)?;
        for from in files {
            let name = from.file_name().unwrap_or_default().to_owned();
            move_file(&from, &dir.join(name))?;
        }
        if credentials.exists() {
            rename(&credentials, &dir.join("credentials"))?;
        }
        drop(guard);
        Ok(Some(dir))
    }

    /// The workspace of an agent that names none.
    pub fn default_workspace(&self, agent: &AgentId) -> PathBuf {
        self.root().join(format!("workspace-{agent}"))
    }

    fn free_name(&self, agent: &AgentId, now: Millis) -> PathBuf {
        let mut at = now.0;
        loop {
            let dir = self.trash().join(format!("{agent}-{at}"));
            if fs::symlink_metadata(&dir).is_err() {
                return dir;
            }
            at += 1;
        }
    }
}

fn fault(point: &'static str, path: &Path) -> Result<(), WriteError> {
    faults::hit(point).map_err(WriteError::io(path))
}

/// The files in `dir` that are this program's: the known names, their backups, next versions and damaged copies.
fn files_of(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.strip_prefix('.').unwrap_or(&name);
        name != ORIGINAL_LOCK
            && OURS.iter().any(|ours| {
                name == *ours || name.strip_prefix(ours).is_some_and(|rest| rest.starts_with('.'))
            })
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_ours).collect();
    files.sort();
    files
}

fn rename(from: &Path, to: &Path) -> Result<(), WriteError> {
    #[expect(clippy::disallowed_methods, reason = "a whole folder goes, or none of it")]
    fs::rename(from, to).map_err(WriteError::io(from))?;
    sync_folder(from)?;
    sync_folder(to)
}

/// Moves one file, also to another disk: then the copy is complete before the original goes.
fn move_file(from: &Path, to: &Path) -> Result<(), WriteError> {
    match rename(from, to) {
        Err(WriteError::Io { source, .. }) if source.kind() == io::ErrorKind::CrossesDevices => {
            let mut old = fs::File::open(from).map_err(WriteError::io(from))?;
            let mut new = create_private(to)?;
            io::copy(&mut old, &mut new).and_then(|_| new.sync_all()).map_err(WriteError::io(to))?;
            sync_folder(to)?;
            fs::remove_file(from).map_err(WriteError::io(from))?;
            sync_folder(from)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::Config;

    fn world() -> (tempfile::TempDir, StateDir, AgentPaths) {
        let (tmp, state) = StateDir::temporary();
        let agent = state.agent(&Config::default(), &AgentId::new("work"));
        (tmp, state, agent)
    }

    #[test]
    fn an_agent_goes_as_a_whole_and_twice_is_once() {
        let (_tmp, state, agent) = world();
        let workspace = state.default_workspace(&agent.agent);
        assert_eq!(state.move_to_trash(&agent, &workspace, Millis(7)).unwrap(), Trashed::default());
        for _ in 0..2 {
            for dir in [&agent.dir, &agent.sessions_dir, &workspace] {
                state.ensure_dir(dir).unwrap();
            }
            fs::write(agent.store(), "{}").unwrap();
            let trashed = state.move_to_trash(&agent, &workspace, Millis(7)).unwrap();
            let dir = trashed.dir.unwrap();
            assert!(trashed.left.is_empty());
            assert!(!state.agent_home(&agent.agent).exists() && !workspace.exists());
            for part in ["agent/auth-profiles.json", "sessions", "workspace"] {
                assert!(dir.join(part).exists(), "{part}");
            }
        }
        assert_eq!(state.trashed_stores().unwrap().len(), 2);
    }

    /// An agent dir elsewhere may be anybody's folder: only what is ours leaves it.
    #[test]
    fn of_a_folder_elsewhere_only_our_files_go() {
        let (tmp, state, mut agent) = world();
        agent.dir = tmp.path().join("project");
        fs::create_dir_all(agent.dir.join("src")).unwrap();
        for name in ["auth-profiles.json", "auth-profiles.json.bak", ".auth-profiles.json.next", "main.rs"] {
            fs::write(agent.dir.join(name), name).unwrap();
        }
        let workspace = tmp.path().join("mine");
        fs::create_dir(&workspace).unwrap();
        let trashed = state.move_to_trash(&agent, &workspace, Millis(7)).unwrap();
        assert_eq!(trashed.left, [agent.dir.clone(), workspace.clone()]);
        let mut names: Vec<_> = fs::read_dir(&agent.dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["main.rs", "src"]);
        let moved = trashed.dir.unwrap().join("agent");
        assert_eq!(fs::read_dir(moved).unwrap().count(), 3);
        assert!(workspace.exists());
    }
}

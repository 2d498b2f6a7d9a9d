//! What of the state dir others may read or write, and taking that from them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::commit::WriteError;
use crate::paths::{AgentPaths, StateDir};

/// All bits of the group and of everybody else.
const OTHERS: u32 = 0o077;
/// The folders that are this program's as a whole. What else lies in the state dir is a person's own: workspaces, plugins.
const OURS: [&str; 9] =
    ["agents", "credentials", "gateway", "helpers", "journal", "locks", "logins", "logs", "providers"];
/// The trash is closed as a whole; what lies in it came from elsewhere.
const ONLY_ITSELF: &str = "trash";
/// Nothing of ours lies deeper.
const DEPTH: usize = 6;
/// More is not looked at.
const MOST: usize = 50_000;

/// A file or folder that is not private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    /// Which one.
    pub path: PathBuf,
    /// Its mode, without the type.
    pub mode: u32,
    /// It is a folder.
    pub is_dir: bool,
    /// Where it leads, if it is a link. What a link leads to is never changed.
    pub link_to: Option<PathBuf>,
    /// Its owner, where that is not the user of this process.
    pub other_owner: Option<u32>,
}

/// All that is not private, among what holds credentials, state or config. Reads only; what cannot be listed is passed over.
pub fn loose(state: &StateDir, agents: &[AgentPaths]) -> Vec<Loose> {
    let mut search = Search { me: rustix::process::geteuid().as_raw(), seen: 0, found: Vec::new() };
    let root = state.root();
    search.look(root);
    for path in entries(root) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if OURS.contains(&name.as_str()) {
            search.walk(&path, DEPTH);
        } else if name == ONLY_ITSELF || !path.is_dir() {
            search.look(&path);
        }
    }
    if !state.config_path().starts_with(root) {
        search.look(state.config_path());
    }
    for agent in agents.iter().filter(|agent| !agent.dir.starts_with(root)) {
        search.look(&agent.dir);
        for path in entries(&agent.dir) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.trim_start_matches('.').starts_with("auth") || name == "agent.toml" {
                search.look(&path);
            }
        }
    }
    search.found.sort_by(|a, b| a.path.cmp(&b.path));
    search.found
}

/// Takes from others what they may do with it. The owner's rights stay.
///
/// # Errors
/// Where the system does not let us, or where it is a link by now.
pub fn tighten(loose: &Loose) -> Result<(), WriteError> {
    let failed = |e| WriteError::io(&loose.path)(e);
    let meta = fs::symlink_metadata(&loose.path).map_err(failed)?;
    if meta.is_symlink() {
        return Err(failed(std::io::Error::other("it is a link")));
    }
    let mode = meta.permissions().mode() & 0o7777 & !OTHERS;
    fs::set_permissions(&loose.path, fs::Permissions::from_mode(mode)).map_err(failed)
}

struct Search {
    me: u32,
    seen: usize,
    found: Vec<Loose>,
}

impl Search {
    fn walk(&mut self, path: &Path, depth: usize) {
        let is_folder = self.look(path);
        if !is_folder || depth == 0 || self.seen > MOST {
            return;
        }
        for entry in entries(path) {
            self.walk(&entry, depth - 1);
        }
    }

    /// Whether it is a folder, and no link to one.
    fn look(&mut self, path: &Path) -> bool {
        self.seen += 1;
        let Ok(own) = fs::symlink_metadata(path) else { return false };
        let Ok(meta) = fs::metadata(path) else { return false };
        if !meta.is_file() && !meta.is_dir() {
            return false;
        }
        let mode = meta.mode() & 0o7777;
        let other_owner = Some(meta.uid()).filter(|owner| *owner != self.me);
        if mode & OTHERS != 0 || other_owner.is_some() {
            let link_to = own.is_symlink().then(|| fs::canonicalize(path).unwrap_or_default());
            let is_dir = meta.is_dir();
            self.found.push(Loose { path: path.to_path_buf(), mode, is_dir, link_to, other_owner });
        }
        own.is_dir()
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use coderclaw_types::{AgentId, Env};

    use super::*;
    use crate::Config;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn put(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn private_folders(root: &Path) {
        for path in entries(root) {
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
                private_folders(&path);
            }
        }
    }

    /// F7: what is open is found wherever it lies, a person's own files are not, and tightening leaves the owner's bits.
    #[test]
    fn f7_what_others_may_read_is_found_and_closed() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("s");
        let env = Env::new([("CODERCLAW_STATE_DIR".into(), root.clone().into())], None, "/".into());
        let state = StateDir::from_env(&env);
        let agent = state.agent(&Config::default(), &AgentId::main());
        put(&agent.store(), 0o644);
        put(&agent.state(), 0o600);
        put(&root.join("coderclaw.json"), 0o640);
        put(&root.join("journal/g"), 0o606);
        put(&root.join("workspace/readme"), 0o666);
        put(&root.join("locks/l"), 0o400);
        let outside = tmp.path().join("outside.json");
        put(&outside, 0o644);
        symlink(&outside, agent.dir.join("auth.json")).unwrap();
        private_folders(&root);
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let found = loose(&state, std::slice::from_ref(&agent));
        let paths: Vec<_> =
            found.iter().map(|one| one.path.strip_prefix(&root).unwrap().to_owned()).collect();
        let wanted = [
            "",
            "agents/main/agent/auth-profiles.json",
            "agents/main/agent/auth.json",
            "coderclaw.json",
            "journal/g",
        ];
        assert_eq!(paths, wanted.map(PathBuf::from));
        for one in &found {
            assert_eq!(tighten(one).is_ok(), one.link_to.is_none(), "{one:?}");
        }
        assert_eq!((mode(&root), mode(&agent.store()), mode(&outside)), (0o700, 0o600, 0o644));
        assert_eq!(loose(&state, &[agent]).len(), 1, "the link stays as it is");
    }

    #[test]
    fn an_agent_elsewhere_is_looked_at_file_by_file() {
        let (tmp, state) = StateDir::temporary();
        let elsewhere = tmp.path().join("elsewhere");
        let own = state.agent(&Config::default(), &AgentId::main());
        let agent = AgentPaths { dir: elsewhere, ..own };
        put(&agent.store(), 0o644);
        put(&agent.dir.join(".auth-profiles.json.next"), 0o644);
        put(&agent.dir.join("my-notes"), 0o644);
        fs::set_permissions(&agent.dir, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(loose(&state, &[agent]).len(), 2);
    }
}

//! Where everything is.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use coderclaw_types::{AgentId, Env, GrantId};

use crate::commit::{WriteError, sync_folder};
use crate::config::Config;
use crate::read::ReadError;

/// The folder that holds everything: `CODERCLAW_STATE_DIR`, else `~/.coderclaw-<CODERCLAW_PROFILE>`, else
/// `~/.coderclaw`.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
    config: PathBuf,
    main_agent_dir: Option<PathBuf>,
    oauth_dir: Option<PathBuf>,
}

/// One agent's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPaths {
    /// Whose they are.
    pub agent: AgentId,
    /// The agent dir.
    pub dir: PathBuf,
    /// The folder of its sessions. In the state dir also where the agent dir is elsewhere, so that two agents whose
    /// agent dirs are neighbours do not share one.
    pub sessions_dir: PathBuf,
}

#[cfg(test)]
impl StateDir {
    /// One of a test's own, which nobody has made yet. It goes with the folder around it.
    pub(crate) fn temporary() -> (tempfile::TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("s");
        let env = Env::new([("CODERCLAW_STATE_DIR".into(), root.into())], None, "/".into());
        (folder, Self::from_env(&env))
    }
}

impl StateDir {
    /// Finds the state dir from the environment; touches nothing.
    pub fn from_env(env: &Env) -> Self {
        let root = match (env.get("CODERCLAW_STATE_DIR"), env.get("CODERCLAW_PROFILE")) {
            (Some(dir), _) => env.resolve(dir),
            (None, Some(profile)) if !profile.eq_ignore_ascii_case("default") => {
                env.home().join(format!(".coderclaw-{profile}"))
            }
            _ => env.home().join(".coderclaw"),
        };
        let config = env
            .get("CODERCLAW_CONFIG_PATH")
            .map_or_else(|| root.join("coderclaw.json"), |path| env.resolve(path));
        let main_agent_dir = env
            .get("CODERCLAW_AGENT_DIR")
            .or_else(|| env.get("PI_CODING_AGENT_DIR"))
            .map(|path| env.resolve(path));
        let oauth_dir = env.get("CODERCLAW_OAUTH_DIR").map(|path| env.resolve(path));
        Self { root, config, main_agent_dir, oauth_dir }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `coderclaw.json`, or what `CODERCLAW_CONFIG_PATH` names.
    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// The folder of lock files. They are never renamed and never deleted.
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// The folder of redo logs.
    pub fn journals(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The folder of logins that wait for their answer in another process.
    pub fn logins(&self) -> PathBuf {
        self.root.join("logins")
    }

    /// What was done with the logins, line by line: events, no secrets. Older parts have `.1`, `.2`... behind the name.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("logs").join("auth.jsonl")
    }

    /// What people were told about logins that need them, so that nobody is told twice.
    pub fn attention(&self) -> PathBuf {
        self.root.join("attention.json")
    }

    /// Which refresh tokens a secret store outside has, by their hashes.
    pub fn persisted(&self) -> PathBuf {
        self.root.join("persisted.json")
    }

    /// How much of their plans the profiles had used when a provider was last asked.
    pub fn usage_cache(&self) -> PathBuf {
        self.root.join("usage.json")
    }

    /// A person's settings for which the original's config has no place.
    pub fn settings_file(&self) -> PathBuf {
        self.root.join("settings.toml")
    }

    /// The grant's redo log.
    pub fn journal(&self, grant: &GrantId) -> PathBuf {
        self.journals().join(grant.to_string())
    }

    /// The folder of a person's own provider manifests.
    pub fn providers(&self) -> PathBuf {
        self.root.join("providers")
    }

    /// The folder of installed plugins, one folder each.
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The folder of what helper programs gave, each for its time.
    pub fn helpers(&self) -> PathBuf {
        self.root.join("helpers")
    }

    /// What one plugin has said on its standard error.
    pub fn plugin_log(&self, id: &str) -> PathBuf {
        self.root.join("logs").join(format!("plugin-{id}.log"))
    }

    /// The file of the gateway's keys: their hashes, and what each may do.
    pub fn gateway_keys(&self) -> PathBuf {
        self.root.join("gateway").join("keys.toml")
    }

    /// The gateway key with this id, where it is kept for a program that CoderClaw was connected to.
    pub(crate) fn kept_gateway_key(&self, id: &str) -> PathBuf {
        self.root.join("gateway").join(format!("{id}.key"))
    }

    /// What was written into other programs' settings, so that it can be undone.
    pub fn connections(&self) -> PathBuf {
        self.root.join("connections.json")
    }

    /// One file for each link that still lets a browser into the console.
    pub(crate) fn console_links(&self) -> PathBuf {
        self.root.join("gateway").join("links")
    }

    /// The Unix socket on which the gateway lends tokens.
    pub fn token_socket(&self) -> PathBuf {
        self.root.join("gateway").join("token.sock")
    }

    /// The file that says which of two tokens is the newer one.
    pub fn generations(&self) -> PathBuf {
        self.root.join("gateway").join("generations.json")
    }

    /// The logins of versions before there were stores: in `CODERCLAW_OAUTH_DIR`, else in `credentials/`. Only ever read.
    pub fn oauth_json(&self) -> PathBuf {
        self.oauth_dir.clone().unwrap_or_else(|| self.root.join("credentials")).join("oauth.json")
    }

    /// The file with the key of this state dir's fingerprints.
    pub fn fingerprint_key_path(&self) -> PathBuf {
        self.root.join("fingerprint.key")
    }

    /// The files of `agent`: `agentDir` of its config entry, for `main` what `CODERCLAW_AGENT_DIR` or
    /// `PI_CODING_AGENT_DIR` says, else `agents/<id>/agent`.
    pub fn agent(&self, config: &Config, agent: &AgentId) -> AgentPaths {
        let named = match &self.main_agent_dir {
            Some(dir) if *agent == AgentId::main() => Some(dir.clone()),
            _ => config.agent_dir(agent),
        };
        let home = self.agent_home(agent);
        let dir = named.unwrap_or_else(|| home.join("agent"));
        AgentPaths { agent: agent.clone(), dir, sessions_dir: home.join("sessions") }
    }

    /// The folder of `agent` in the state dir: agent dir and sessions are in it, unless the config says otherwise.
    pub(crate) fn agent_home(&self, agent: &AgentId) -> PathBuf {
        self.root.join("agents").join(agent.as_str())
    }

    /// All agents of this state dir: those of the config, in its order, then those that have a folder, by name, then
    /// `main` if nothing else is there.
    ///
    /// # Errors
    /// Where the folder of agents exists and cannot be listed.
    pub fn agents(&self, config: &Config) -> Result<Vec<AgentPaths>, ReadError> {
        let mut ids: Vec<AgentId> = config.agents().to_vec();
        let mut found = Vec::new();
        let dir = self.root.join("agents");
        match fs::read_dir(&dir) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(|e| ReadError::unreadable(&dir, e))?;
                    let name = entry.file_name();
                    let Some(name) = name.to_str() else { continue };
                    let id = AgentId::new(name);
                    if id.as_str() == name && entry.path().is_dir() {
                        found.push(id);
                    }
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(ReadError::unreadable(&dir, e)),
        }
        found.sort();
        if self.main_agent_dir.is_some() {
            found.push(AgentId::main());
        }
        for id in found {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.is_empty() {
            ids.push(AgentId::main());
        }
        Ok(ids.iter().map(|id| self.agent(config, id)).collect())
    }

    /// Whether there may be more than one agent. Cheaper than to list them, for what every look asks.
    pub fn may_have_several_agents(&self, config: &Config) -> bool {
        if !config.agents().is_empty() || self.main_agent_dir.is_some() {
            return true;
        }
        fs::read_dir(self.root.join("agents")).is_ok_and(|entries| entries.take(2).count() > 1)
    }

    /// Creates `dir` and what is missing above it, each 0700 from birth.
    ///
    /// # Errors
    /// [`WriteError::NotOwner`] where the state dir belongs to another user; else what the system says.
    pub fn ensure_dir(&self, dir: &Path) -> Result<(), WriteError> {
        self.check_owner()?;
        if dir.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| WriteError::Io { path: dir.to_path_buf(), source })?;
        // The folder itself has to survive a power cut, or what is synced inside it does not help.
        sync_folder(dir)
    }

    /// Refuses where the state dir belongs to another user: files that root leaves in a person's home lock that
    /// person out.
    ///
    /// # Errors
    /// [`WriteError::NotOwner`].
    pub fn check_owner(&self) -> Result<(), WriteError> {
        let me = rustix::process::geteuid().as_raw();
        let mut probe: &Path = &self.root;
        loop {
            if let Ok(meta) = fs::metadata(probe) {
                let exists = probe == self.root;
                if meta.uid() != me && (exists || me == 0) {
                    return Err(WriteError::NotOwner { path: probe.to_path_buf(), owner: meta.uid(), me });
                }
                return Ok(());
            }
            match probe.parent() {
                Some(parent) => probe = parent,
                None => return Ok(()),
            }
        }
    }
}

impl AgentPaths {
    /// The token sink.
    pub fn store(&self) -> PathBuf {
        self.dir.join("auth-profiles.json")
    }

    /// The store's backup, of the same generation.
    pub fn backup(&self) -> PathBuf {
        self.dir.join("auth-profiles.json.bak")
    }

    /// The runtime cache; before there were stores, the original kept its credentials under this name.
    pub fn cache(&self) -> PathBuf {
        self.dir.join("auth.json")
    }

    /// Usage statistics and cooldowns.
    pub fn state(&self) -> PathBuf {
        self.dir.join("auth-state.json")
    }

    /// What a person decided about this agent: `agent.toml`. It holds no secret.
    pub fn settings(&self) -> PathBuf {
        self.dir.join("agent.toml")
    }

    /// The index of the agent's sessions.
    pub fn sessions(&self) -> PathBuf {
        self.sessions_dir.join("sessions.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Env {
        Env::new(vars.iter().map(|(k, v)| ((*k).into(), (*v).into())), None, "/cwd".into())
    }

    #[test]
    fn state_dir_precedence() {
        type Vars<'a> = &'a [(&'a str, &'a str)];
        let table: [(Vars<'_>, &str, &str); 5] = [
            (
                &[("HOME", "/h"), ("CODERCLAW_STATE_DIR", "~/s"), ("CODERCLAW_PROFILE", "x")],
                "/h/s",
                "/h/s/coderclaw.json",
            ),
            (
                &[("HOME", "/h"), ("CODERCLAW_PROFILE", "Dev")],
                "/h/.coderclaw-Dev",
                "/h/.coderclaw-Dev/coderclaw.json",
            ),
            (
                &[("HOME", "/h"), ("CODERCLAW_PROFILE", "default")],
                "/h/.coderclaw",
                "/h/.coderclaw/coderclaw.json",
            ),
            (&[("HOME", "/h"), ("CODERCLAW_CONFIG_PATH", "c.json")], "/h/.coderclaw", "/cwd/c.json"),
            (&[("HOME", "/h")], "/h/.coderclaw", "/h/.coderclaw/coderclaw.json"),
        ];
        for (vars, root, config) in table {
            let dir = StateDir::from_env(&env(vars));
            assert_eq!((dir.root(), dir.config_path()), (Path::new(root), Path::new(config)), "{vars:?}");
        }
    }

    /// F7: folders are private from birth, whatever the umask.
    #[test]
    fn f7_folders_are_private_from_birth() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("a/b");
        let dir = StateDir::from_env(&env(&[("CODERCLAW_STATE_DIR", root.to_str().unwrap())]));
        dir.ensure_dir(&dir.locks()).unwrap();
        for path in [tmp.path().join("a"), root.clone(), dir.locks()] {
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn provider_files_that_others_may_write_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let tmp = tempfile::tempdir().unwrap();
        let dir = StateDir::from_env(&env(&[("CODERCLAW_STATE_DIR", tmp.path().to_str().unwrap())]));
        assert!(dir.provider_folder().unwrap().files.is_empty());
        fs::create_dir(dir.providers()).unwrap();
        let path = dir.providers().join("x.toml");
        fs::write(&path, "id = 'x'").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(dir.provider_folder().unwrap().files.len(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        assert!(matches!(dir.provider_folder(), Err(ReadError::Corrupt { .. })));
    }
}

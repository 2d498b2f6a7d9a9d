//! One state dir, seen with one environment and one clock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use coderclaw_http::Network;
use coderclaw_providers::{Manifest, ManifestError, Registry};
use coderclaw_store::{
    AgentPaths, AuthState, Config, ConfigError, ProviderFolder, ReadError, StateDir, StoreSnapshot,
    look_at_auth_store, read_auth_state, read_auth_store,
};
use coderclaw_types::{AgentId, Clock, Code, Env, ProviderId};

use crate::plugin::BrokenPlugin;
use crate::resolve::ResolveError;

/// A program that runs for weeks and takes no notes must not fill its memory with them.
const NOTES: usize = 64;

/// How a refresh is run, so that it outlives whoever asked for it.
#[derive(Debug, Clone)]
pub enum Runner {
    /// As a process of its own: this program, called with [`crate::WORKER_VARIABLE`] set, which must then call
    /// [`crate::run_worker_process`] before anything else.
    Process(PathBuf),
    /// As a thread, which the asker waits for. A kill of this process then cuts it off; the journal recovers.
    Thread,
}

/// Why there is nothing to work with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The config is not understood.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A provider file is not understood.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A provider file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl OpenError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Config(e) => e.code(),
            Self::Manifest(_) | Self::Read(ReadError::Corrupt { .. }) => Code::ManifestInvalid,
            Self::Read(e) => e.code(),
        }
    }
}

/// The logins of one state dir. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: StateDir,
    env: Env,
    clock: Clock,
    config: Config,
    registry: Registry,
    runner: Runner,
    broken: Vec<BrokenPlugin>,
    command: OnceLock<String>,
    herald: OnceLock<PathBuf>,
    notes: Mutex<Vec<String>>,
}

/// The built-in providers with what `providers/` adds to them. Where it adds nothing, nothing more is read.
fn assemble(state: &StateDir, folder: ProviderFolder) -> Result<(Registry, Vec<BrokenPlugin>), OpenError> {
    let mut registry = match folder.files.is_empty() {
        true => Registry::built_in(),
        false => Registry::with_files(folder.files)?,
    };
    let broken = crate::plugin::load(state, &folder.plugins, &mut registry);
    Ok((registry, broken))
}

impl Auth {
    /// Opens the state dir that `env` names. Reads the config and a person's own provider files; writes nothing.
    ///
    /// # Errors
    /// Where one of them is not understood.
    pub fn open(env: Env, clock: Clock, runner: Runner) -> Result<Self, OpenError> {
        let state = StateDir::from_env(&env);
        let config = Config::load(&state, &env)?;
        let folder = state.provider_folder()?;
        let (registry, broken) = assemble(&state, folder)?;
        Ok(Self::assembled(state, env, clock, runner, config, registry, broken))
    }

    /// The state dir that `env` names with these providers and no others, to try one of them out.
    ///
    /// # Errors
    /// Where the config is not understood.
    pub fn with_registry(
        env: Env,
        clock: Clock,
        runner: Runner,
        registry: Registry,
    ) -> Result<Self, OpenError> {
        let state = StateDir::from_env(&env);
        let config = Config::load(&state, &env)?;
        Ok(Self::assembled(state, env, clock, runner, config, registry, Vec::new()))
    }

    /// Opens as much as can be understood, to look for what is wrong: a config or provider files that are not understood
    /// count as none, and why is handed back. Nothing must be lent from this, since the wrong account could be.
    pub fn open_despite(env: Env, clock: Clock, runner: Runner) -> (Self, Vec<OpenError>) {
        let state = StateDir::from_env(&env);
        let mut problems = Vec::new();
        let config = Config::load(&state, &env).unwrap_or_else(|e| {
            problems.push(e.into());
            Config::default()
        });
        let folder = state.provider_folder().map_err(OpenError::from);
        let assembled = folder.and_then(|folder| assemble(&state, folder));
        let (registry, broken) = assembled.unwrap_or_else(|e| {
            problems.push(e);
            (Registry::built_in(), Vec::new())
        });
        (Self::assembled(state, env, clock, runner, config, registry, broken), problems)
    }

    fn assembled(
        state: StateDir,
        env: Env,
        clock: Clock,
        runner: Runner,
        config: Config,
        mut registry: Registry,
        broken: Vec<BrokenPlugin>,
    ) -> Self {
        let env = config.extend_env(env);
        for provider in config.providers() {
            if let Some(base_url) = provider.base_url {
                registry.declare(&provider.id, base_url, provider.api, state.config_path().to_path_buf());
            }
        }
        let command = OnceLock::new();
        let (notes, herald) = (Mutex::default(), OnceLock::new());
        let auth = Self(Arc::new(Inner {
            state,
            env,
            clock,
            config,
            registry,
            runner,
            broken,
            command,
            herald,
            notes,
        }));
        for plugin in &auth.0.broken {
            auth.note(format!("the plugin {} is not in force: {}", plugin.id, plugin.why));
        }
        auth
    }

    /// The plugins that are allowed and cannot be used. Their providers are not there; all others are.
    pub fn broken_plugins(&self) -> &[BrokenPlugin] {
        &self.0.broken
    }

    /// The state dir.
    pub fn state(&self) -> &StateDir {
        &self.0.state
    }

    /// The environment.
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// Says in the course of which command all this happens, for the audit trail: its name, without arguments. The first
    /// call counts.
    pub fn called_by(&self, command: &str) {
        drop(self.0.command.set(command.to_owned()));
    }

    /// The program that tells people, where this process must not wait for that: the runner's, else what
    /// [`Auth::heralded_by`] named.
    pub(crate) fn herald(&self) -> Option<&Path> {
        match &self.0.runner {
            Runner::Process(program) => Some(program),
            Runner::Thread => self.0.herald.get().map(PathBuf::as_path),
        }
    }

    /// Names the program that tells people, for a worker that starts no other workers.
    pub(crate) fn heralded_by(&self, program: PathBuf) {
        drop(self.0.herald.set(program));
    }

    pub(crate) fn command(&self) -> &str {
        self.0.command.get().map_or("", String::as_str)
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The config.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The providers that one can log in to.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Says something beside the result of what is being done. It must hold no secret.
    pub(crate) fn note(&self, text: String) {
        if let Ok(mut notes) = self.0.notes.lock()
            && notes.len() < NOTES
            && !notes.contains(&text)
        {
            notes.push(text);
        }
    }

    /// What was said beside the results since the last call: logins of older versions that were imported, and what went
    /// wrong without being anybody's failure.
    pub fn take_notes(&self) -> Vec<String> {
        self.0.notes.lock().map(|mut notes| std::mem::take(&mut *notes)).unwrap_or_default()
    }

    pub(crate) fn runner(&self) -> &Runner {
        &self.0.runner
    }

    pub(crate) fn network(&self) -> Network {
        Network::from_env(&self.0.env)
    }

    /// The agent that `name` means, or the default agent.
    ///
    /// # Errors
    /// [`ResolveError::UnknownAgent`].
    pub fn agent(&self, name: Option<&str>) -> Result<AgentPaths, ResolveError> {
        let Some(name) = name else {
            return Ok(self.state().agent(self.config(), &self.config().default_agent()));
        };
        let id = AgentId::new(name);
        // Nothing that could be a name means the default agent elsewhere; here it is a variable that was not set.
        let is_name = name.chars().any(|c| c.is_alphanumeric() || c == '_');
        match self.known_agent(&id)?.filter(|_| is_name) {
            Some(agent) => Ok(agent),
            None => Err(ResolveError::UnknownAgent {
                name: name.to_owned(),
                known: self.state().agents(self.config())?.into_iter().map(|agent| agent.agent).collect(),
            }),
        }
    }

    /// The agent with this id, if there is one.
    pub(crate) fn known_agent(&self, id: &AgentId) -> Result<Option<AgentPaths>, ReadError> {
        // `main` needs no config and no folder: it is where a first login goes.
        if *id == AgentId::main() && self.config().agents().is_empty() {
            return Ok(Some(self.state().agent(self.config(), id)));
        }
        Ok(self.state().agents(self.config())?.into_iter().find(|agent| agent.agent == *id))
    }

    /// The provider that `name` means: an id, an alias, or an old spelling.
    ///
    /// # Errors
    /// [`ResolveError::UnknownProvider`], with the nearest ids.
    pub fn provider(&self, name: &str) -> Result<&Manifest, ResolveError> {
        let unknown =
            || ResolveError::UnknownProvider { name: name.to_owned(), near: self.registry().near(name) };
        let id = self.registry().canonical(name).ok_or_else(unknown)?;
        self.registry().get(&id).ok_or_else(unknown)
    }

    /// The id under which a provider that a store or an order names is known here.
    pub(crate) fn canonical(&self, provider: &ProviderId) -> ProviderId {
        self.registry().canonical(provider.as_str()).unwrap_or_else(|| provider.clone())
    }

    /// The same as [`Auth::read`], to be shown and not acted upon.
    pub(crate) fn look(&self, agent: &AgentPaths) -> Result<(StoreSnapshot, AuthState), ReadError> {
        let store = look_at_auth_store(&agent.store())?;
        let usage = read_auth_state(&agent.state(), &store.doc)?;
        Ok((store, usage))
    }

    /// The agent's store and usage, as they are now.
    pub(crate) fn read(&self, agent: &AgentPaths) -> Result<(StoreSnapshot, AuthState), ReadError> {
        let store = read_auth_store(&agent.store())?;
        let usage = read_auth_state(&agent.state(), &store.doc)?;
        Ok((store, usage))
    }
}

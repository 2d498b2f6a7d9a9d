//! What the demo plays on: a pretend provider, a throw-away state dir, and processes of this very program.

use std::fs::{DirBuilder, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coderclaw_auth::{Auth, Runner};
use coderclaw_sandbox::{Options, Sandbox, User};
use coderclaw_store::{AgentPaths, AuthProfiles, Entry, read_auth_store, read_fingerprint_key};
use coderclaw_types::{Clock, Code, Env, Fingerprint, Secret};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Broken;
use crate::commands::own_program;
use crate::error::CommandError;

pub(super) const PROVIDER: &str = "openai-codex";

/// Nothing in the demo takes this long, also on a slow machine. What does has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(5);

/// Where everything happens. Dropping it takes the folder away.
pub(super) struct Stage {
    pub(super) sandbox: Sandbox,
    pub(super) auth: Auth,
    pub(super) agent: AgentPaths,
    root: PathBuf,
    env: Env,
    interrupted: Arc<AtomicBool>,
    keep: bool,
}

/// A finished process.
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    pub(super) stdout: Secret,
    pub(super) stderr: String,
}

impl Stage {
    /// Starts the provider, makes the state dir, and tells the built-in provider to go to the pretend one.
    pub(super) fn set(env: &Env, clock: Clock, keep: bool) -> Result<Self, CommandError> {
        let internal = |e: io::Error| CommandError::new(Code::Internal, e.to_string());
        let interrupted = listen_for_interrupts().map_err(internal)?;
        let sandbox = Sandbox::start(Options::new(clock.clone())).map_err(internal)?;
        for name in ["personal", "work"] {
            sandbox.add_user(User::named(name));
        }
        let unwritable = |e: io::Error| {
            let hint = "TMPDIR=/tmp coderclaw demo".to_owned();
            CommandError::new(Code::NotWritable, format!("the demo's folder cannot be made: {e}")).hint(hint)
        };
        let root = new_folder(&env.resolve(env.get("TMPDIR").unwrap_or("/tmp"))).map_err(unwritable)?;
        let folder = Folder(Some(root.clone()));
        write_manifest(&root, &sandbox.manifest(PROVIDER)).map_err(unwritable)?;
        let only = [
            ("HOME", root.clone().into_os_string()),
            ("PATH", env.get_os("PATH").unwrap_or_default().to_os_string()),
            ("CODERCLAW_STATE_DIR", root.clone().into_os_string()),
        ];
        let env = Env::new(only.map(|(name, value)| (name.into(), value)), None, root.clone());
        // It logs in and looks; refreshes are made by the processes.
        let auth = Auth::open(env.clone(), clock, Runner::Thread)?;
        let agent = auth.agent(None)?;
        folder.leave();
        Ok(Self { sandbox, auth, agent, root, env, interrupted, keep })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn store(&self) -> Result<AuthProfiles, Broken> {
        Ok(read_auth_store(&self.agent.store()).map_err(Broken::because)?.doc)
    }

    /// Every access and refresh token that the store holds now.
    pub(super) fn tokens(&self) -> Result<Vec<Secret>, Broken> {
        let store = self.store()?;
        let entries = store.ids().filter_map(|id| store.get(&id));
        Ok(entries
            .flat_map(|entry| match entry {
                Entry::OAuth(login) => [login.access, login.refresh],
                _ => [None, None],
            })
            .flatten()
            .collect())
    }

    /// What `models status` would call this token.
    pub(super) fn fingerprint(&self, token: &Secret) -> Result<String, Broken> {
        let key = read_fingerprint_key(self.auth.state()).map_err(Broken::because)?;
        Ok(key.map_or_else(|| "?".into(), |key| Fingerprint::of(&key, token).to_string()))
    }

    /// Ends the story where the person has pressed Ctrl-C.
    pub(super) fn go_on(&self) -> Result<(), Broken> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Broken::Interrupted) } else { Ok(()) }
    }

    /// Asks again and again; false where it is still not so after [`PATIENCE`].
    pub(super) fn wait_until(&self, mut is_so: impl FnMut() -> Result<bool, Broken>) -> Result<bool, Broken> {
        let began = Instant::now();
        loop {
            self.go_on()?;
            if is_so()? {
                return Ok(true);
            }
            if began.elapsed() >= PATIENCE {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Starts this program anew, with three variables and nothing else.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Running<'_>, Broken> {
        let child = Command::new(own_program())
            .args(arguments)
            .env_clear()
            .envs(self.env.names().filter_map(|name| Some((name, self.env.get_os(name.to_str()?)?))))
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Running { stage: self, child })
    }

    /// Runs a command of this program to its end, which must be a good one.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, Broken> {
        let ran = self.start(arguments)?.finish()?;
        if ran.status.success() {
            return Ok(ran.stdout.expose().to_owned());
        }
        Err(Broken::Failed(format!("coderclaw {}: {}", arguments.join(" "), ran.complaint())))
    }

    /// Whether the folder is gone (true) or left on purpose (false).
    pub(super) fn clear(&mut self) -> Result<bool, Broken> {
        if self.keep {
            return Ok(false);
        }
        remove(&self.root)?;
        Ok(!self.root.exists())
    }

    /// After everything is cleaned up: ends as a program ends that knows nothing of the signal.
    pub(super) fn end_as_interrupted() {
        signal_hook::low_level::emulate_default_handler(SIGINT).ok();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.clear().ok();
    }
}

/// A process of this program. Dropping it ends it.
pub(super) struct Running<'a> {
    stage: &'a Stage,
    child: Child,
}

impl Running<'_> {
    /// SIGKILL: it gets no chance to tidy up. Gives how it ended.
    pub(super) fn kill(mut self) -> Result<ExitStatus, Broken> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// Waits for its end. What it prints is short enough to wait in the pipes.
    pub(super) fn finish(mut self) -> Result<Ran, Broken> {
        let mut ended = None;
        self.stage.wait_until(|| {
            ended = self.child.try_wait()?;
            Ok(ended.is_some())
        })?;
        let status = ended.ok_or_else(|| Broken::Failed("a process did not end in time".into()))?;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        if let (Some(mut out), Some(mut err)) = (self.child.stdout.take(), self.child.stderr.take()) {
            out.read_to_string(&mut stdout)?;
            err.read_to_string(&mut stderr)?;
        }
        Ok(Ran { status, stdout: stdout.into(), stderr })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Ran {
    /// The token that it printed, where it went well.
    pub(super) fn token(&self) -> Option<Secret> {
        let token = self.stdout.expose().trim();
        (self.status.success() && !token.is_empty()).then(|| token.into())
    }

    /// The first line of what it complained about.
    pub(super) fn complaint(&self) -> String {
        let line = self.stderr.lines().next().unwrap_or("no word of why");
        crate::text::clean(line)
    }
}

/// A folder that goes again unless what it is for works out.
struct Folder(Option<PathBuf>);

impl Folder {
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            remove(path).ok();
        }
    }
}

/// True once a person has pressed Ctrl-C, or the program was asked to end. The first signal asks the demo to clean up,
/// the second ends it at once.
fn listen_for_interrupts() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}

/// Private from birth: a provider file decides where tokens are sent.
fn write_manifest(root: &Path, text: &str) -> io::Result<()> {
    let folder = root.join("providers");
    DirBuilder::new().mode(0o700).create(&folder)?;
    let path = folder.join(format!("{PROVIDER}.toml"));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// Makes a folder with a new name, 0700 from birth. A name that is taken, by whatever it is, is not used.
pub(crate) fn new_folder(parent: &Path) -> io::Result<PathBuf> {
    let mut tries = 0;
    loop {
        let random = RandomState::new().build_hasher().finish();
        let path = parent.join(format!("coderclaw-demo-{:08x}", random >> 32));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < 8 => tries += 1,
            Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
        }
    }
}

/// A refresh that outlives its asker may still be writing its last file, so removing is tried a few times.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match std::fs::remove_dir_all(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) if tries < 50 => tries += 1,
            done => return done,
        }
        std::thread::sleep(PAUSE * 4);
    }
}

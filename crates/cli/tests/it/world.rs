//! A throw-away world: a state dir, a home, a sandbox, and the binary with nothing else in its environment.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coderclaw_sandbox::{Options, Sandbox, User};
use coderclaw_types::{Clock, Millis, Secret, TokenHash};
use serde_json::{Value, json};

use crate::canaries::Canaries;
pub(crate) use crate::ran::Ran;

/// The provider that the tests use: the built-in one, pointed at the sandbox.
pub(crate) const PROVIDER: &str = "openai-codex";
pub(crate) const ME: &str = "openai-codex:me@x.test";

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    dir: tempfile::TempDir,
    shift: i64,
    vars: Vec<(String, String)>,
    pub(crate) canaries: Canaries,
}

/// A login as it stands in a store.
pub(crate) struct Login {
    pub(crate) access: Secret,
    pub(crate) refresh: Secret,
    pub(crate) entry: Value,
}

pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Millis(i64::try_from(since.as_millis()).unwrap())
}

/// Whether the process ends in time.
pub(crate) fn ends_within(child: &Child, limit: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let mut end = [PollFd::new(&process, PollFlags::IN)];
    let limit = Timespec::try_from(limit).unwrap();
    rustix::io::retry_on_intr(|| poll(&mut end, Some(&limit))).unwrap() > 0
}

impl World {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::start(Options::new(Clock::from_fn(now))).unwrap();
        sandbox.add_user(User {
            email: "me@x.test".into(),
            account: "acct-me-1".into(),
            ..User::named("user-me")
        });
        sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
        let dir = tempfile::tempdir().unwrap();
        let world = Self { sandbox, dir, shift: 0, vars: Vec::new(), canaries: Canaries::default() };
        std::fs::create_dir_all(world.state().join("providers")).unwrap();
        std::fs::create_dir_all(world.home()).unwrap();
        world.private(&world.state().join("providers/openai-codex.toml"), &world.sandbox.manifest(PROVIDER));
        world
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn store_of(&self, agent: &str) -> PathBuf {
        self.state().join("agents").join(agent).join("agent/auth-profiles.json")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.store_of("main")
    }

    /// Moves the clock of the processes started from now on.
    pub(crate) fn shift_clock(&mut self, by: Duration) {
        self.shift += i64::try_from(by.as_millis()).unwrap();
    }

    /// Sets a variable for the processes started from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.vars.retain(|(known, _)| known != name);
        self.vars.push((name.into(), value.into()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.vars.retain(|(known, _)| known != name);
    }

    /// A file that only its owner can read.
    pub(crate) fn private(&self, path: &Path, text: &str) {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(std::fs::remove_file(path));
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A login of `me@x.test` whose access token ends `left` from now (negative: it has ended).
    pub(crate) fn login(&self, left: i64) -> Login {
        let grant = self.sandbox.grant("user-me");
        self.canaries.add(&[grant.access.expose(), grant.refresh.expose()]);
        let expires = now().0 + self.shift + left;
        let entry = json!({
            "type": "oauth",
            "provider": PROVIDER,
            "access": grant.access.expose(),
            "refresh": grant.refresh.expose(),
            "expires": expires,
            "issuedAt": expires - 3_600_000,
            "email": "me@x.test",
            "accountId": "acct-me-1",
        });
        Login { access: grant.access, refresh: grant.refresh, entry }
    }

    /// Writes a store with these entries, as the original would.
    pub(crate) fn seed(&self, agent: &str, entries: &[(&str, &Value)]) {
        let profiles: serde_json::Map<String, Value> =
            entries.iter().map(|(id, entry)| ((*id).to_owned(), (*entry).clone())).collect();
        let text = format!("{:#}\n", json!({"version": 1, "profiles": profiles}));
        self.private(&self.store_of(agent), &text);
    }

    /// A world whose one login has expired.
    pub(crate) fn expired() -> (Self, Login) {
        let world = Self::new();
        let login = world.login(-1_000);
        world.seed("main", &[(ME, &login.entry)]);
        (world, login)
    }

    /// The entry as it stands in the store now.
    pub(crate) fn entry(&self, agent: &str, id: &str) -> Value {
        let text = std::fs::read_to_string(self.store_of(agent)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["profiles"][id].clone()
    }

    /// Waits until the entry holds this access token. A worker may still be at it after its asker was answered.
    pub(crate) fn wait_for_access(&self, agent: &str, id: &str, access: &str) {
        let began = std::time::Instant::now();
        while self.entry(agent, id)["access"] != access {
            assert!(began.elapsed() < Duration::from_secs(30), "the store never got the token");
            std::thread::yield_now();
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coderclaw"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("CODERCLAW_STATE_DIR", self.state())
            .env("CODERCLAW_CLOCK", self.shift.to_string())
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.ended(arguments, self.command(arguments).output().unwrap())
    }

    /// What a process left that has ended, after a look for secrets in it.
    pub(crate) fn ended(&self, arguments: &[&str], output: Output) -> Ran {
        let ran = Ran::from(output);
        self.canaries.look(self, arguments, &ran);
        ran
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.start(self.command(arguments).stdin(Stdio::piped()));
        // Who is called wrongly ends without reading.
        let written = child.stdin.take().unwrap().write_all(input.as_bytes());
        assert!(written.is_ok() || written.is_err_and(|e| e.kind() == ErrorKind::BrokenPipe));
        self.canaries.add(&[input.trim()]);
        self.ended(arguments, child.wait_with_output().unwrap())
    }

    /// `models auth token` for the test's provider.
    pub(crate) fn token(&self) -> Ran {
        self.run(TOKEN)
    }

    pub(crate) fn start(&self, command: &mut Command) -> Child {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts `count` processes that ask for a token, all at once.
    pub(crate) fn storm(&self, count: usize) -> Vec<Ran> {
        let children: Vec<Child> = (0..count).map(|_| self.start(&mut self.command(TOKEN))).collect();
        let all: Vec<Ran> =
            children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap())).collect();
        self.canaries.look_at_all(self, TOKEN, &all);
        all
    }

    /// Everything under the state dir and the home: path, mode, size, content. A worker that outlives its asker may still
    /// be writing; what it has put in its place meanwhile is no longer there under the name it was found by.
    pub(crate) fn picture(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        use std::os::unix::fs::MetadataExt;
        let is_gone = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
        let mut all = Vec::new();
        let mut folders = vec![self.state(), self.home()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = match std::fs::symlink_metadata(&path) {
                    Err(e) if is_gone(&e) => continue,
                    meta => meta.unwrap(),
                };
                let mut content = Vec::new();
                if meta.is_dir() {
                    folders.push(path.clone());
                } else if meta.is_file() {
                    let mut file = match std::fs::File::open(&path) {
                        Err(e) if is_gone(&e) => continue,
                        file => file.unwrap(),
                    };
                    file.read_to_end(&mut content).unwrap();
                    // Reading leaves no trace but the access time; everything else is compared.
                    content.extend_from_slice(&meta.mtime_nsec().to_le_bytes());
                }
                all.push((path, meta.mode(), content));
            }
        }
        all.sort();
        all
    }

    /// How often the server has seen this refresh token.
    pub(crate) fn sent(&self, refresh: &Secret) -> usize {
        usize::try_from(self.sandbox.counts().refreshes_of(&TokenHash::of(refresh))).unwrap()
    }
}

pub(crate) const TOKEN: &[&str] = &["models", "auth", "token", "--provider", PROVIDER];

/// A path, its mode, when it last changed, and what is in it.
pub(crate) type Item = (PathBuf, u32, (i64, i64), Vec<u8>);

impl World {
    /// The whole world, folders and their times included; stricter than [`World::picture`].
    pub(crate) fn everything(&self) -> Vec<Item> {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::MetadataExt;
        let mut all = Vec::new();
        let mut paths = vec![self.path().to_path_buf()];
        while let Some(path) = paths.pop() {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let mut content = Vec::new();
            if meta.is_dir() {
                paths.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if meta.is_symlink() {
                content = std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec();
            } else if meta.is_file() {
                content = std::fs::read(&path).unwrap();
            }
            all.push((path, meta.mode(), (meta.mtime(), meta.mtime_nsec()), content));
        }
        all.sort();
        all
    }

    /// Writes the config.
    pub(crate) fn config(&self, text: &str) {
        self.private(&self.state().join("coderclaw.json"), text);
    }

    /// Makes the key of the fingerprints, as a first write would.
    pub(crate) fn fingerprint_key(&self) {
        self.private(&self.state().join("fingerprint.key"), "0123456789abcdef0123456789abcdef");
    }

    /// A login of somebody else, as [`World::login`].
    pub(crate) fn login_of(&self, name: &str, left: i64) -> Login {
        let mut login = self.login(left);
        self.sandbox.add_user(User::named(name));
        let grant = self.sandbox.grant(name);
        self.canaries.add(&[grant.access.expose(), grant.refresh.expose()]);
        login.entry["access"] = json!(grant.access.expose());
        login.entry["refresh"] = json!(grant.refresh.expose());
        login.entry["email"] = json!(grant.user.email);
        login.entry["accountId"] = json!(grant.user.account);
        Login { access: grant.access, refresh: grant.refresh, ..login }
    }

    /// Now, as the processes see it that are started from now on, plus so many milliseconds.
    pub(crate) fn at(&self, ms: i64) -> i64 {
        now().0 + self.shift + ms
    }

    /// The text of the store.
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.store()).unwrap()
    }

    /// Runs a command that must end by itself. One that hangs is killed, and the test fails.
    pub(crate) fn run_within(&self, limit: Duration, arguments: &[&str]) -> Ran {
        let mut child = self.start(&mut self.command(arguments));
        if !ends_within(&child, limit) {
            child.kill().unwrap();
            panic!("{arguments:?} hangs");
        }
        self.ended(arguments, child.wait_with_output().unwrap())
    }

    /// The same command under another umask.
    pub(crate) fn with_umask(&self, umask: &str, arguments: &[&str]) -> Command {
        let inner = self.command(arguments);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// `models auth login` for the test's provider, with a browser that does what the page says.
    pub(crate) fn log_in(&self, more: &[&str]) -> (Ran, coderclaw_sandbox::BrowserPage) {
        self.log_in_with(&mut self.command(&[LOGIN, more].concat()))
    }

    pub(crate) fn log_in_with(&self, command: &mut Command) -> (Ran, coderclaw_sandbox::BrowserPage) {
        use std::io::BufRead;
        let mut child = self.start(command);
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let url = loop {
            let from = said.len();
            assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "no address was shown: {said}");
            if said[from..].starts_with("http") {
                break said[from..].trim().to_owned();
            }
        };
        let page = coderclaw_sandbox::browse(&url).unwrap();
        stderr.read_to_string(&mut said).unwrap();
        let mut ran = Ran::from(child.wait_with_output().unwrap());
        ran.stderr = said;
        self.canaries.look(self, LOGIN, &ran);
        (ran, page)
    }
}

pub(crate) const LOGIN: &[&str] = &["models", "auth", "login", "--provider", PROVIDER];

impl Ran {
    /// The error object that a failed command with `--json` prints, and nothing else.
    pub(crate) fn error_json(&self) -> Value {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stderr, "", "words beside the JSON");
        let value: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout));
        let keys: Vec<_> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error"]);
        assert!(value["error"]["message"].is_string(), "{value}");
        value["error"].clone()
    }
}

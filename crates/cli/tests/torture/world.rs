//! The state dir, the three providers, and the programs that run on them.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coderclaw_sandbox::{ErrorStyle, Options, Reuse, Sandbox, User};
use coderclaw_types::{Clock, Millis, Secret, TokenHash};
use serde_json::{Map, Value, json};

use crate::plan::Target;

pub(crate) const AGENTS: [&str; 8] = ["main", "a1", "a2", "a3", "a4", "a5", "a6", "a7"];
pub(crate) const PROVIDERS: [&str; 3] = ["openai-codex", "acme", "bolt"];
/// These agents begin with copies of the first one's logins.
pub(crate) const CLONES: std::ops::Range<usize> = 6..8;

/// Longer than anything may take that is not stopped.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct World {
    pub(crate) dir: PathBuf,
    pub(crate) sandboxes: Vec<Sandbox>,
    shift: Arc<AtomicI64>,
    pub(crate) started: AtomicUsize,
}

/// What a process was, and what it left.
pub(crate) struct Ran {
    pub(crate) what: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ran {
    /// `ok`, `killed`, or the code that it named.
    pub(crate) fn word(&self) -> &str {
        match self.code {
            Some(0) => "ok",
            None => "killed",
            _ => {
                let lines = self.err.lines().filter_map(|line| line.strip_suffix(']')?.rsplit_once('['));
                lines.map(|(_, code)| code).next_back().unwrap_or("no code")
            }
        }
    }
}

fn real_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

impl World {
    pub(crate) fn new(dir: PathBuf) -> Self {
        let shift = Arc::new(AtomicI64::new(0));
        let sandboxes: Vec<_> = (0..PROVIDERS.len())
            .map(|index| {
                let shift = Arc::clone(&shift);
                let clock = Clock::from_fn(move || Millis(real_now() + shift.load(Ordering::SeqCst)));
                let sandbox = Sandbox::start(Options::new(clock)).unwrap();
                (0..AGENTS.len()).for_each(|agent| sandbox.add_user(user(agent)));
                sandbox.policy(|policy| {
                    policy.refresh_lifetime = Duration::from_secs(20 * 365 * 86_400);
                    match index {
                        0 => {}
                        1 => policy.errors = ErrorStyle::Rfc6749,
                        _ => policy.reuse = Reuse::Grace(Duration::from_secs(86_400)),
                    }
                });
                sandbox
            })
            .collect();
        let world = Self { dir, sandboxes, shift, started: AtomicUsize::new(0) };
        for (index, provider) in PROVIDERS.iter().enumerate() {
            let sandbox = &world.sandboxes[index];
            let text =
                if index == 0 { sandbox.manifest(provider) } else { manifest(provider, sandbox.origin()) };
            private(&world.state().join("providers").join(format!("{provider}.toml")), &text);
        }
        std::fs::create_dir_all(world.dir.join("home")).unwrap();
        let entries: Vec<Map<String, Value>> = (0..AGENTS.len()).map(|agent| world.entries(agent)).collect();
        for (agent, own) in entries.iter().enumerate() {
            let profiles = if CLONES.contains(&agent) { &entries[0] } else { own };
            private(&world.store(agent), &json!({"version": 1, "profiles": profiles}).to_string());
        }
        world
    }

    fn entries(&self, agent: usize) -> Map<String, Value> {
        let mut profiles = Map::new();
        for (provider, sandbox) in PROVIDERS.iter().zip(&self.sandboxes) {
            let grant = sandbox.grant(&user(agent).subject);
            let entry = json!({
                "type": "oauth", "provider": provider, "access": grant.access.expose(),
                "refresh": grant.refresh.expose(), "expires": self.now() - 1, "issuedAt": self.now() - 3_600_000,
                "email": user(agent).email, "accountId": user(agent).account,
            });
            profiles.insert(format!("{provider}:{}", user(agent).email), entry);
        }
        profiles
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    pub(crate) fn store(&self, agent: usize) -> PathBuf {
        self.state().join("agents").join(AGENTS[agent]).join("agent/auth-profiles.json")
    }

    pub(crate) fn now(&self) -> i64 {
        real_now() + self.shift.load(Ordering::SeqCst)
    }

    pub(crate) fn move_clock(&self, by: Duration) {
        self.shift.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Whose login the target is: a copy is the first agent's until somebody logs in there.
    pub(crate) fn email_of(&self, target: Target) -> String {
        let ids = self.ids_of(target);
        let id = ids.into_iter().next().unwrap_or_default();
        match id.split_once(':') {
            Some((_, email)) if email.contains('@') => email.to_owned(),
            _ => user(target.agent).email,
        }
    }

    /// The profiles that the target's store has of its provider.
    pub(crate) fn ids_of(&self, target: Target) -> Vec<String> {
        let profiles = self.profiles(target.agent);
        let prefix = format!("{}:", PROVIDERS[target.provider]);
        profiles.keys().filter(|id| id.starts_with(&prefix)).cloned().collect()
    }

    pub(crate) fn profiles(&self, agent: usize) -> Map<String, Value> {
        let text = std::fs::read_to_string(self.store(agent)).unwrap_or_default();
        let store: Value = serde_json::from_str(&text).unwrap_or_default();
        store["profiles"].as_object().cloned().unwrap_or_default()
    }

    /// The refresh token that the target's only profile holds.
    pub(crate) fn token_of(&self, target: Target) -> Option<Secret> {
        let id = self.ids_of(target).into_iter().next()?;
        let profile = self.profiles(target.agent).remove(&id)?;
        profile["refresh"].as_str().map(Secret::from)
    }

    pub(crate) fn sandbox(&self, target: Target) -> &Sandbox {
        &self.sandboxes[target.provider]
    }

    pub(crate) fn command(&self, agent: usize, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coderclaw"));
        command
            .args(words)
            .args(["--agent", AGENTS[agent]])
            .env_clear()
            .env("HOME", self.dir.join("home"))
            .env("PATH", "/usr/bin:/bin")
            .env("CODERCLAW_STATE_DIR", self.state())
            .env("CODERCLAW_CLOCK", self.shift.load(Ordering::SeqCst).to_string())
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn asker(&self, target: Target, plan: Option<&str>) -> Command {
        let mut command = self
            .command(target.agent, &["models", "auth", "token", "--provider", PROVIDERS[target.provider]]);
        if let Some(plan) = plan {
            command.env("CODERCLAW_FAULT", plan);
        }
        command
    }

    /// Starts a process and waits for its end.
    pub(crate) fn run(&self, what: String, command: &mut Command) -> Result<Ran, String> {
        let began = Instant::now();
        let child = self.start(command)?;
        ended(what, child, began)
    }

    pub(crate) fn start(&self, command: &mut Command) -> Result<Child, String> {
        self.started.fetch_add(1, Ordering::Relaxed);
        command.spawn().map_err(|e| format!("a process cannot be started: {e}"))
    }

    /// Logs in, with a browser that does what the page says.
    pub(crate) fn log_in(&self, target: Target, email: &str) -> Result<Ran, String> {
        use std::io::{BufRead, BufReader, Read};
        let began = Instant::now();
        let provider = PROVIDERS[target.provider];
        let words = ["models", "auth", "login", "--provider", provider];
        let mut child = self.start(&mut self.command(target.agent, &words))?;
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        loop {
            let from = said.len();
            if stderr.read_line(&mut said).map_err(|e| e.to_string())? == 0 {
                break;
            }
            if said[from..].starts_with("http") {
                let url = format!("{}&user={email}", said[from..].trim());
                // What the page says is the command's affair; its own words count here.
                drop(coderclaw_sandbox::browse(&url));
                break;
            }
        }
        stderr.read_to_string(&mut said).map_err(|e| e.to_string())?;
        let mut ran = ended(format!("login {target}"), child, began)?;
        ran.err = said;
        Ok(ran)
    }

    /// The processes of this state dir that run now: workers, once all else has ended.
    pub(crate) fn running(&self) -> Vec<u32> {
        let state = format!("CODERCLAW_STATE_DIR={}\0", self.state().display());
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter(|entry| {
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            environ.windows(state.len()).any(|window| window == state.as_bytes())
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
    }

    /// Waits for the end of all workers.
    pub(crate) fn settle(&self) -> Result<(), String> {
        let began = Instant::now();
        while !self.running().is_empty() {
            if began.elapsed() > PATIENCE {
                return Err(format!("processes {:?} do not end", self.running()));
            }
            // They are nobody's children any more, and may start others.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// How often each server has seen each refresh token, and how often that was answered badly.
    pub(crate) fn sends(&self) -> HashMap<TokenHash, (usize, usize)> {
        let mut sends: HashMap<TokenHash, (usize, usize)> = HashMap::new();
        for seen in self.sandboxes.iter().flat_map(Sandbox::log) {
            if let (coderclaw_sandbox::Kind::Refresh, Some(token)) = (seen.kind, seen.token) {
                let count = sends.entry(token).or_default();
                count.0 += 1;
                count.1 += usize::from(seen.fault.is_some());
            }
        }
        sends
    }
}

/// Waits for a process, which must end.
pub(crate) fn ended(what: String, child: Child, began: Instant) -> Result<Ran, String> {
    let pid = child.id();
    let (done, waits) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Output { status, stdout, stderr } = match waits.recv_timeout(PATIENCE) {
        Ok(output) => output.map_err(|e| e.to_string())?,
        Err(_) => return Err(format!("{what} (process {pid}) has not ended after {PATIENCE:?}")),
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { what, code: status.code(), out: text(stdout), err: text(stderr), took: began.elapsed() })
}

pub(crate) fn user(agent: usize) -> User {
    let name = format!("u{agent}");
    User { email: format!("{name}@x.test"), account: format!("acct-{name}"), ..User::named(&name) }
}

fn manifest(id: &str, origin: &str) -> String {
    format!(
        "id = \"{id}\"\nname = \"{id}\"\n\n[api]\nkind = \"openai-chat\"\nbase_url = \"{origin}/v1\"\n\n\
         [[auth]]\nmethod = \"oauth\"\nbilling = \"subscription\"\nauthorize_url = \"{origin}/oauth/authorize\"\n\
         token_url = \"{origin}/oauth/token\"\nrevoke_url = \"{origin}/oauth/revoke\"\nrevoke = \"token\"\n\
         client_id = \"{id}-cli\"\nscopes = [\"openid\", \"offline_access\"]\n\
         redirect = \"http://127.0.0.1/callback\"\nrotates = true\ndefault_lifetime = \"1h\"\n\n\
         [auth.identity]\nsubject = \"/sub\"\nemail = \"/https:~1~1api.openai.com~1profile/email\"\n\
         account = \"/https:~1~1api.openai.com~1auth/chatgpt_account_id\"\n"
    )
}

pub(crate) fn private(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

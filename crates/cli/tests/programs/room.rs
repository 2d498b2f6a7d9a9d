//! A machine with nothing on it but a program, its empty home, and the sandbox: nothing that the program does leaves it.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use coderclaw_sandbox::{KeyKind, ModelCall};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::gateway_world::Gate;
use crate::running::{Done, Running};
use crate::world::{Login, ME, PROVIDER, World, now};

/// A company's own proxy, whose login expires and renews itself.
pub(crate) const COMPANY: &str = "company";
const COMPANY_ME: &str = "company:me@x.test";
const SETUP: &str = "anthropic:work";
/// A token that is good for so long, in milliseconds, is good for one prompt.
pub(crate) const BRIEF: i64 = 25_000;
/// One that is good for this long needs nothing.
pub(crate) const LONG: i64 = 3_000_000;
/// No prompt of these tests takes longer, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Room {
    pub(crate) world: World,
    pub(crate) login: Login,
    proxy: Proxy,
}

impl Room {
    /// One person with one login, known to the ChatGPT plan's API and to the company's proxy, whose access token is good for
    /// `left` milliseconds; and a setup-token of Anthropic.
    pub(crate) fn new(left: i64) -> Self {
        let world = World::new();
        for provider in ["anthropic", PROVIDER, "openai"] {
            let path = world.state().join(format!("providers/{provider}.toml"));
            world.private(&path, &world.sandbox.model_manifest(provider));
        }
        let path = world.state().join("providers/company.toml");
        world.private(&path, &world.sandbox.company_manifest(COMPANY));
        let lifetime = Duration::from_millis(u64::try_from(left).unwrap_or(1_000));
        world.sandbox.policy(|policy| policy.access_lifetime = lifetime.max(Duration::from_secs(1)));
        let mut login = world.login(left);
        if (0..=BRIEF).contains(&left) {
            // It lives as long as that, and so is due only shortly before its end.
            login.entry["issuedAt"] = json!(now().0 - 1_000);
        }
        // A grant is of one client, whoever shows its token where.
        login.entry["clientId"] = json!("sandbox-client");
        world.sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
        let mut company = login.entry.clone();
        company["provider"] = json!(COMPANY);
        let setup = Secret::from(format!("sk-ant-oat01-canary-{}", "w".repeat(70)));
        world.sandbox.add_key(KeyKind::SetupToken, &setup, "work");
        let setup = json!({"type": "token", "provider": "anthropic", "token": setup.expose()});
        world.seed("main", &[(ME, &login.entry), (COMPANY_ME, &company), (SETUP, &setup)]);
        std::fs::create_dir_all(world.path().join("work")).unwrap();
        Self { world, login, proxy: Proxy::start() }
    }

    /// Waits until nobody takes this access token any more.
    pub(crate) fn wait_for_the_end_of(&self, access: &Secret) {
        let began = Instant::now();
        while self.world.sandbox.is_live_access(access) {
            assert!(began.elapsed() < LIMIT, "the access token never ends");
            // Time alone ends it: there is nothing to be woken by.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Connects a program, through the gateway where there is one.
    pub(crate) fn connect(&self, tool: &str, gate: Option<&Gate>, more: &[&str]) {
        let port = gate.map(|gate| gate.port.to_string());
        let way: &[&str] = match &port {
            Some(port) => &["--through", "gateway", "--port", port],
            None => &["--through", "helper"],
        };
        self.world.run(&[&["connect", tool, "--yes"], way, more].concat()).ok();
    }

    /// A program in its empty home. What it wants from the network beyond this machine ends at a proxy that goes nowhere.
    pub(crate) fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        assert!(program.exists(), "`cargo xtask e2e --with` fetches {}", program.display());
        let mut command = Command::new(program);
        let proxy = format!("http://127.0.0.1:{}", self.proxy.port);
        command.args(arguments).env_clear().current_dir(self.world.path().join("work"));
        command.env("HOME", self.world.home()).env("PATH", "/usr/bin:/bin").env("TZ", "UTC");
        command.env("TERM", "dumb").env("LANG", "C.UTF-8");
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(name, &proxy);
        }
        for name in ["no_proxy", "NO_PROXY"] {
            command.env(name, "127.0.0.1,localhost");
        }
        command
    }

    pub(crate) fn run(&self, command: Command) -> Done {
        let done = Running::start(command).end(LIMIT);
        assert!(done.code.is_some(), "it hangs: {done:?}");
        done
    }

    /// The requests that asked a model something: which account was served (none: it was refused), in their order.
    pub(crate) fn turns(&self) -> Vec<ModelCall> {
        let calls = self.world.sandbox.log().into_iter().filter_map(|seen| seen.model);
        calls.filter(|call| call.method == "POST" && !call.path.ends_with("/count_tokens")).collect()
    }

    /// How often the model was asked while `what` ran.
    pub(crate) fn turns_of<T>(&self, what: impl FnOnce() -> T) -> (T, usize) {
        let before = self.turns().len();
        let done = what();
        (done, self.turns().len() - before)
    }

    pub(crate) fn refreshes(&self) -> u32 {
        self.world.sandbox.counts().refreshes
    }

    /// The access token that the store lends now.
    pub(crate) fn stored(&self) -> Secret {
        Secret::from(self.world.entry("main", ME)["access"].as_str().unwrap())
    }

    /// The person's login ends at the provider, and nothing else is the matter with it.
    pub(crate) fn end_of_the_login(&self) {
        self.world.run(&["models", "auth", "cooldown", "clear"]).ok();
        self.world.sandbox.revoke_all("user-me");
    }

    /// The hosts beyond this machine that were asked for.
    pub(crate) fn wanted_from_outside(&self) -> Vec<String> {
        self.proxy.wanted.lock().unwrap().clone()
    }

    /// No refresh token and no gateway key is in anything that the program keeps.
    pub(crate) fn check_that_nothing_was_taken(&self) {
        let store: Value = serde_json::from_str(&self.world.text()).unwrap();
        let refresh = store["profiles"][ME]["refresh"].as_str().unwrap().to_owned();
        let mut folders = vec![self.world.home(), self.world.path().join("work")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    let text = String::from_utf8_lossy(&bytes);
                    for secret in [refresh.as_str(), self.login.refresh.expose(), "ccg_"] {
                        assert!(!text.contains(secret), "{}", path.display());
                    }
                }
            }
        }
    }
}

/// A proxy that goes nowhere, and says what was wanted.
struct Proxy {
    port: u16,
    wanted: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let wanted = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&wanted);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || note(stream, &all));
            }
        });
        Self { port, wanted }
    }
}

fn note(stream: TcpStream, all: &Mutex<Vec<String>>) {
    drop(stream.set_read_timeout(Some(Duration::from_secs(5))));
    let mut line = String::new();
    drop(BufReader::new(stream).read_line(&mut line));
    all.lock().unwrap().push(line.split(' ').take(2).collect::<Vec<_>>().join(" "));
}

/// Where npm put a program.
pub(crate) fn fetched(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e").join(path)
}

/// The one folder below `folder` whose name begins like this: native programs come in one per platform.
pub(crate) fn below(folder: &Path, begins: &str) -> PathBuf {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let fits =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begins));
    names.into_iter().find(fits).unwrap_or_else(|| folder.join(begins))
}

/// A program that is told one thing after the other, and answers in lines of JSON.
pub(crate) struct Talk {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Talk {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn say(&mut self, line: &Value) {
        use std::io::Write;
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that is wanted.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().expect("it ended").unwrap();
            let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
            if wanted(&value) {
                return value;
            }
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

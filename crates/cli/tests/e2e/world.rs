//! A throw-away state dir with one provider, and the binary with nothing else in its environment.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::browser::{Page, follow};
pub(crate) use crate::ran::Ran;
use crate::server::Server;

pub(crate) const TOKEN: &[&str] = &["models", "auth", "token", "--provider", "acme"];
pub(crate) const REFRESH: &[&str] = &["models", "auth", "refresh", "--provider", "acme"];
const LOGIN: &[&str] = &["models", "auth", "login", "--provider", "acme", "--no-browser"];

pub(crate) struct World {
    pub(crate) server: Server,
    dir: tempfile::TempDir,
    shift: i64,
    vars: Vec<(String, String)>,
}

impl World {
    /// An empty state dir.
    pub(crate) fn without_a_provider(server: Server) -> Self {
        let world = Self { server, dir: tempfile::tempdir().unwrap(), shift: 0, vars: Vec::new() };
        std::fs::create_dir_all(world.path().join("home")).unwrap();
        world
    }

    /// All that the provider's file says is the issuer, the client and the scopes.
    pub(crate) fn new(server: Server) -> Self {
        let world = Self::without_a_provider(server);
        let manifest = format!(
            r#"
            id = "acme"
            name = "Acme"
            [api]
            kind = "openai-chat"
            base_url = "https://api.acme.test/v1"
            [[auth]]
            method = "oauth"
            issuer = "{}"
            client_id = "coderclaw-e2e"
            scopes = ["openid", "email", "offline_access"]
            authorize_params = {{ prompt = "consent", login_hint = "ann@e2e.test" }}
            identity = {{ subject = "/sub", email = "/email" }}
            "#,
            world.server.issuer_text
        );
        world.private(&world.path().join("state/providers/acme.toml"), &manifest);
        world
    }

    /// All that the provider's file says is who it is, its issuer and the client.
    pub(crate) fn by_issuer(server: Server, more: &str) -> Self {
        let world = Self::new(server);
        let manifest = format!(
            "id = \"acme\"\nname = \"Acme\"\n[[auth]]\nmethod = \"oauth\"\nissuer = \"{}\"\n\
             client_id = \"coderclaw-e2e\"\n{more}",
            world.server.issuer_text
        );
        world.private(&world.path().join("state/providers/acme.toml"), &manifest);
        world
    }

    /// `models auth login --device`, with a person who types in the code elsewhere.
    pub(crate) fn login_by_code(&self) -> Ran {
        self.login_by_code_and(Server::approve)
    }

    /// The same, with a person who does something else about the code.
    pub(crate) fn login_by_code_and(&self, answer: fn(&Server, &str)) -> Ran {
        let mut child = self.command(&[LOGIN, &["--device"]].concat()).spawn().unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap());
        let mut stderr = String::new();
        while !stderr.contains("Ctrl-C") {
            assert_ne!(words.read_line(&mut stderr).unwrap(), 0, "{stderr}");
        }
        let code = stderr.split("type in this code:").nth(1).and_then(|rest| rest.split_whitespace().next());
        answer(&self.server, code.expect(&stderr));
        words.read_to_string(&mut stderr).unwrap();
        let mut ran = Ran::from(child.wait_with_output().unwrap());
        ran.stderr = stderr;
        ran
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file that only its owner can read.
    fn private(&self, path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("state/agents/main/agent/auth-profiles.json")
    }

    /// The one entry of the store, with its id.
    pub(crate) fn entry(&self) -> (String, Value) {
        let store: Value = serde_json::from_str(&std::fs::read_to_string(self.store()).unwrap()).unwrap();
        let profiles = store["profiles"].as_object().unwrap();
        assert_eq!(profiles.len(), 1, "{:?}", profiles.keys());
        profiles.iter().next().map(|(id, entry)| (id.clone(), entry.clone())).unwrap()
    }

    pub(crate) fn refresh_token(&self) -> String {
        self.entry().1["refresh"].as_str().unwrap().to_owned()
    }

    /// Changes the one entry behind the program's back.
    pub(crate) fn tamper(&self, key: &str, value: &str) {
        let mut store: Value = serde_json::from_str(&std::fs::read_to_string(self.store()).unwrap()).unwrap();
        let id = self.entry().0;
        store["profiles"][id][key] = value.into();
        self.private(&self.store(), &store.to_string());
    }

    /// Moves the clock of the processes started from now on. The servers know nothing of it.
    pub(crate) fn later(&mut self, seconds: i64) {
        self.shift += seconds * 1_000;
    }

    /// Sets a variable for the processes started from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.vars.push((name.into(), value.into()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.vars.retain(|(known, _)| known != name);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coderclaw"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path().join("home"))
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("CODERCLAW_STATE_DIR", self.path().join("state"))
            .env("CODERCLAW_CLOCK", self.shift.to_string())
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::from(child.wait_with_output().unwrap())
    }

    /// `models auth token`, after it went well.
    pub(crate) fn token(&self) -> String {
        self.run(TOKEN).ok().trim().to_owned()
    }

    /// Starts `count` processes that ask for a token, all at once.
    pub(crate) fn storm(&self, count: usize) -> Vec<Ran> {
        let children: Vec<Child> = (0..count).map(|_| self.command(TOKEN).spawn().unwrap()).collect();
        children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap())).collect()
    }

    /// `models auth login`, with a person who opens the page that standard error names. Returns what they saw last.
    pub(crate) fn login(&self) -> (Ran, Option<Page>) {
        let mut child = self.command(LOGIN).spawn().unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap());
        let (mut stderr, mut page) = (String::new(), None);
        loop {
            let mut line = String::new();
            if words.read_line(&mut line).unwrap() == 0 {
                break;
            }
            stderr.push_str(&line);
            if line.starts_with("http") {
                page = Some(follow(line.trim(), &self.server.issuer, self.server.port));
                words.read_to_string(&mut stderr).unwrap();
            }
        }
        let mut ran = Ran::from(child.wait_with_output().unwrap());
        ran.stderr = stderr;
        (ran, page)
    }

    /// A world where somebody is logged in.
    pub(crate) fn logged_in(server: Server) -> Self {
        let world = Self::new(server);
        world.login_ok();
        world
    }

    /// A login that went well; what it printed.
    pub(crate) fn login_ok(&self) -> String {
        let (ran, page) = self.login();
        let page = page.unwrap_or_else(|| panic!("no page to open: {ran:?}"));
        assert!(page.status == 200 && page.body.contains("You are logged in"), "{page:?}\n{ran:?}");
        ran.ok()
    }
}

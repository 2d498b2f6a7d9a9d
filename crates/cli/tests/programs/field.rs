//! One provider, and three programs that use it as they were built to: by its own names, behind a proxy that finds them on this
//! machine. The proxy knows no other name.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use coderclaw_sandbox::Grant;
use coderclaw_types::{Secret, TokenHash};
use serde_json::{Value, json};

use crate::company::{FrontDoor, Proxy};
use crate::room::{below, fetched};
use crate::running::{Done, Running};
use crate::world::{ME, PROVIDER, World, now};

/// A prompt that takes longer is ended.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);
/// How long somebody waits before each further try, before the login counts as gone.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];
const PROVIDERS: [&str; 2] = ["auth.openai.com", "chatgpt.com"];
/// A model that openclaw knows. The sandbox serves any.
const MODEL: &str = "gpt-5.3-codex";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Coderclaw,
    Codex,
    Openclaw,
}

pub(crate) const ALL: [Program; 3] = [Program::Coderclaw, Program::Codex, Program::Openclaw];

pub(crate) struct Field {
    pub(crate) world: World,
    /// openclaw's state dir: its own, or ours.
    pub(crate) openclaw: PathBuf,
    door: FrontDoor,
    proxy: Proxy,
    is_online: bool,
}

/// What became of trying again and again.
#[derive(Debug)]
pub(crate) struct Tries {
    pub(crate) prompts: usize,
    /// `None`: none was served.
    pub(crate) served_after: Option<Duration>,
    /// The last one.
    pub(crate) last: Done,
}

impl Field {
    pub(crate) fn new() -> Self {
        let world = World::new();
        // The built-in addresses are good enough here.
        std::fs::remove_file(world.state().join("providers/openai-codex.toml")).unwrap();
        // The other programs keep the tokens where they please.
        world.canaries.are_copied();
        let door = FrontDoor::new(world.path(), &PROVIDERS);
        let port = world.sandbox.origin().rsplit_once(':').unwrap().1.parse().unwrap();
        door.open(port);
        let proxy = Proxy::start(&PROVIDERS.map(|name| format!("{name}:443")), door.port);
        let openclaw = world.path().join("openclaw");
        std::fs::create_dir_all(world.path().join("work")).unwrap();
        let mut field = Self { world, openclaw, door, proxy, is_online: true };
        field.network(true);
        field.world.set("SSL_CERT_FILE", field.door.ca_file.to_str().unwrap());
        field
    }

    /// One whose openclaw works on our state dir.
    pub(crate) fn shared() -> Self {
        let mut field = Self::new();
        field.openclaw = field.world.state();
        field
    }

    /// With the network gone, not even the proxy answers.
    pub(crate) fn network(&mut self, is_online: bool) {
        self.is_online = is_online;
        self.world.set("HTTPS_PROXY", self.proxy_url());
    }

    fn proxy_url(&self) -> String {
        if self.is_online { self.proxy.url.clone() } else { "http://127.0.0.1:1".to_owned() }
    }

    /// A new login whose access token has ended, or ends in an hour.
    pub(crate) fn grant(&self, is_expired: bool) -> Grant {
        let lifetime = Duration::from_secs(if is_expired { 1 } else { 3_600 });
        self.world.sandbox.policy(|policy| policy.access_lifetime = lifetime);
        let grant = self.world.sandbox.grant("user-me");
        self.world.sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
        while is_expired && self.world.sandbox.is_live_access(&grant.access) {
            std::thread::sleep(Duration::from_millis(20));
        }
        grant
    }

    /// Where a program keeps the login of an agent. Codex CLI knows no agents; each has a home of its own there.
    pub(crate) fn file(&self, program: Program, agent: &str) -> PathBuf {
        match program {
            Program::Coderclaw => self.world.store_of(agent),
            Program::Codex => self.world.home().join(format!(".codex-{agent}/auth.json")),
            Program::Openclaw => self.openclaw.join(format!("agents/{agent}/agent/auth-profiles.json")),
        }
    }

    /// Puts a login where the program's own login would put it.
    pub(crate) fn give(&self, program: Program, agent: &str, grant: &Grant) {
        let file = self.file(program, agent);
        if program == Program::Codex {
            let auth = json!({
                "auth_mode": "chatgpt",
                "OPENAI_API_KEY": null,
                "tokens": {
                    "id_token": grant.id_token.expose(),
                    "access_token": grant.access.expose(),
                    "refresh_token": grant.refresh.expose(),
                    "account_id": "acct-me-1",
                },
                "last_refresh": "2026-11-22T23:40:20.123456789Z",
            });
            self.world.private(&file, &format!("{auth:#}"));
            self.set_up_codex(agent);
            return;
        }
        let lives = if grant.expires_in > 1 { grant.expires_in * 1_000 } else { -1_000 };
        let entry = json!({
            "type": "oauth",
            "provider": PROVIDER,
            "access": grant.access.expose(),
            "refresh": grant.refresh.expose(),
            "expires": now().0 + lives,
            "email": "me@x.test",
            "accountId": "acct-me-1",
        });
        self.world.private(&file, &format!("{:#}\n", json!({"version": 1, "profiles": {ME: entry}})));
        if program == Program::Openclaw {
            self.set_up_openclaw();
        }
    }

    /// The provider is the built-in one. It is named, since Codex asks another host first where the name is its own.
    fn set_up_codex(&self, agent: &str) {
        let config = format!(
            "model = \"{MODEL}\"\nmodel_provider = \"sandbox\"\ncheck_for_update_on_startup = false\n\n\
             [analytics]\nenabled = false\n\n\
             [model_providers.sandbox]\nname = \"Sandbox\"\nbase_url = \"https://chatgpt.com/backend-api/codex\"\n\
             wire_api = \"responses\"\nrequires_openai_auth = true\nsupports_websockets = false\n"
        );
        let folder = self.file(Program::Codex, agent);
        self.world.private(&folder.with_file_name("config.toml"), &config);
    }

    fn set_up_openclaw(&self) {
        let config = json!({"agents": {
            "defaults": {"model": {"primary": format!("openai-codex/{MODEL}")}},
            "list": [{"id": "main", "default": true}, {"id": "work"}],
        }});
        self.world.private(&self.openclaw.join("openclaw.json"), &config.to_string());
    }

    /// A program with these arguments, with nothing in its environment but its place and the way out.
    pub(crate) fn command(&self, program: Program, agent: &str, arguments: &[&str]) -> Command {
        if program == Program::Coderclaw {
            let mut command = self.world.command(arguments);
            command.current_dir(self.world.path().join("work"));
            return command;
        }
        let mut path = "/usr/bin:/bin".to_owned();
        let binary = if program == Program::Codex {
            below(&below(&fetched("codex/node_modules/@openai"), "codex-").join("vendor"), "")
                .join("bin/codex")
        } else {
            let modules = fetched("openclaw/node_modules");
            path = format!("{}:{path}", below(&modules, "node-linux-").join("bin").display());
            modules.join(".bin/openclaw")
        };
        assert!(binary.exists(), "`cargo xtask e2e --with` fetches {}", binary.display());
        let mut command = Command::new(binary);
        command.args(arguments).env_clear().current_dir(self.world.path().join("work"));
        command.env("HOME", self.world.home()).env("PATH", path).env("TZ", "UTC").env("TERM", "dumb");
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"] {
            command.env(name, self.proxy_url());
        }
        command.env("NO_PROXY", "127.0.0.1,localhost");
        for name in ["SSL_CERT_FILE", "CODEX_CA_CERTIFICATE", "NODE_EXTRA_CA_CERTS"] {
            command.env(name, &self.door.ca_file);
        }
        command.env("OPENCLAW_STATE_DIR", &self.openclaw);
        command.env("CODEX_HOME", self.file(Program::Codex, agent).parent().unwrap());
        command
    }

    /// Starts a prompt in a conversation of its own.
    pub(crate) fn prompt(&self, program: Program, agent: &str, number: usize) -> Running {
        let (text, session) = (format!("say {number}"), format!("s{number}"));
        let model = format!("openai-codex/{MODEL}");
        let arguments = match program {
            Program::Coderclaw => vec![
                "agent",
                "--agent",
                agent,
                "--message",
                &text,
                "--model",
                &model,
                "--session-key",
                &session,
            ],
            Program::Codex => vec!["exec", "--skip-git-repo-check", &text],
            Program::Openclaw => {
                vec!["agent", "--local", "--agent", agent, "--message", &text, "--session-id", &session]
            }
        };
        Running::start(self.command(program, agent, &arguments))
    }

    /// A prompt to its end.
    pub(crate) fn ask(&self, program: Program, agent: &str, number: usize) -> Done {
        self.prompt(program, agent, number).end(LIMIT)
    }

    /// Somebody tries again until it works, or gives up after half a minute.
    pub(crate) fn until_served(&self, program: Program, agent: &str) -> Tries {
        let began = Instant::now();
        let mut last = self.ask(program, agent, 100);
        for (at, pause) in PAUSES.into_iter().enumerate() {
            if is_served(&last) {
                return Tries { prompts: at + 1, served_after: Some(began.elapsed()), last };
            }
            std::thread::sleep(Duration::from_secs(pause));
            last = self.ask(program, agent, 101 + at);
        }
        let served_after = is_served(&last).then(|| began.elapsed());
        Tries { prompts: PAUSES.len() + 1, served_after, last }
    }

    /// The two tokens that the program holds.
    pub(crate) fn held(&self, program: Program, agent: &str) -> (Secret, Secret) {
        let text = std::fs::read_to_string(self.file(program, agent)).unwrap_or_default();
        let all: Value = serde_json::from_str(&text).unwrap_or_default();
        let of = |at: &str| Secret::from(all.pointer(at).and_then(Value::as_str).unwrap_or_default());
        match program {
            Program::Codex => (of("/tokens/access_token"), of("/tokens/refresh_token")),
            _ => (of(&format!("/profiles/{ME}/access")), of(&format!("/profiles/{ME}/refresh"))),
        }
    }

    /// Whether what the program holds can be refreshed.
    pub(crate) fn lives(&self, program: Program, agent: &str) -> bool {
        self.world.sandbox.is_live(&self.held(program, agent).1)
    }

    /// How often the server has seen this refresh token.
    pub(crate) fn sent(&self, grant: &Grant) -> u32 {
        self.world.sandbox.counts().refreshes_of(&TokenHash::of(&grant.refresh))
    }
}

pub(crate) fn is_served(done: &Done) -> bool {
    done.code == Some(0) && done.out.contains("acct-me-1") && done.out.contains("say ")
}

/// Kills every process that has this field's folder in its environment: the command, and what it has set free.
pub(crate) fn kill_all(field: &Field) {
    let folder = field.world.path().to_str().unwrap().to_owned();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&folder) {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

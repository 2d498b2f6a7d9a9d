//! The console in a real browser: Chromium, driven by e2e/console/console.mjs. Pictures of it are kept in
//! target/e2e/screens, for people.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coderclaw_sandbox::{Options, Sandbox, User};
use coderclaw_types::{Clock, Millis};
use serde_json::{Value, json};

const PROVIDER: &str = "openai-codex";
const ME: &str = "openai-codex:me@work.test";
const YOU: &str = "openai-codex:me@home.test";
const ADDED: &str = "ann@x.test";
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

struct World {
    sandbox: Sandbox,
    dir: tempfile::TempDir,
    gate: Option<Child>,
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Millis(i64::try_from(since.as_millis()).unwrap())
}

impl World {
    /// What somebody who has used it for a while has: logins in every state, sessions, and a trail.
    fn new() -> Self {
        let sandbox = Sandbox::start(Options::new(Clock::from_fn(now))).unwrap();
        sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
        let user = |name: &str, email: &str| User { email: email.into(), ..User::named(name) };
        for (name, email) in [("work", "me@work.test"), ("home", "me@home.test"), ("ann", ADDED)] {
            sandbox.add_user(user(name, email));
        }
        let world = Self { sandbox, dir: tempfile::tempdir().unwrap(), gate: None };
        let at = now().0;
        let oauth = |name: &str, left: i64| {
            let grant = world.sandbox.grant(name);
            json!({
                "type": "oauth", "provider": PROVIDER, "access": grant.access.expose(),
                "refresh": grant.refresh.expose(), "expires": at + left, "issuedAt": at + left - HOUR,
                "email": grant.user.email, "accountId": grant.user.account,
            })
        };
        let mut ended = oauth("home", -2 * DAY);
        ended.as_object_mut().unwrap().remove("refresh");
        ended["email"] = json!("old@work.test");
        let store = json!({"version": 1, "profiles": {
            ME: oauth("work", HOUR - 60_000),
            YOU: oauth("home", HOUR - 900_000),
            "openai-codex:old@work.test": ended,
            "anthropic:manual": {
                "type": "token", "provider": "anthropic", "token": "sk-ant-oat01-canarycanarycanary",
                "expires": at + 23 * DAY,
            },
            "groq:manual": {"type": "api_key", "provider": "groq", "key": "gsk_canarycanarycanary"},
        }});
        world.file("state/agents/main/agent/auth-profiles.json", &store.to_string());
        let review = json!({"version": 1, "profiles": {ME: store["profiles"][ME]}});
        world.file("state/agents/review/agent/auth-profiles.json", &review.to_string());
        world.file(&format!("state/providers/{PROVIDER}.toml"), &world.sandbox.manifest(PROVIDER));
        let session = |minutes: i64, profile: Option<(&str, &str)>| {
            let mut one = json!({"sessionId": "s", "updatedAt": at - minutes * 60_000});
            if let Some((profile, source)) = profile {
                one["authProfileOverride"] = json!(profile);
                one["authProfileOverrideSource"] = json!(source);
                one["providerOverride"] = json!(PROVIDER);
                one["modelOverride"] = json!("gpt-5.2-codex");
            }
            one
        };
        let sessions = json!({
            "agent:main:main": session(4, Some((ME, "auto"))),
            "agent:main:release-notes": session(130, Some((YOU, "user"))),
            "agent:main:slack:direct:u024be7lh": session(3_000, None),
        });
        world.file("state/agents/main/sessions/sessions.json", &sessions.to_string());
        world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, YOU, ME]);
        world.run(&["models", "auth", "order", "clear", "--provider", PROVIDER]);
        world.run(&["models", "auth", "refresh", "--provider", PROVIDER, "--profile", ME]);
        world
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn env(&self) -> [(&str, String); 5] {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        [
            ("HOME", path("home")),
            ("PATH", "/usr/bin:/bin".into()),
            ("TZ", "UTC".into()),
            ("CODERCLAW_STATE_DIR", path("state")),
            ("CODERCLAW_CLOCK", "0".into()),
        ]
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coderclaw"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.env())
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Starts a gateway; its port.
    fn serve(&mut self) -> u16 {
        let mut child = self
            .command(&["gateway", "run", "--port", "0", "--json", "--quiet"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.gate = Some(child);
        let said: Value = serde_json::from_str(&line).unwrap();
        said["port"].as_u64().unwrap().try_into().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(gate) = &mut self.gate {
            drop(gate.kill());
            drop(gate.wait());
        }
    }
}

fn chromium() -> String {
    let named = std::env::var("CHROMIUM").ok();
    named.unwrap_or_else(|| "/usr/bin/chromium".into())
}

fn screens() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../e2e/screens");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// B3: a person signs in with a link, sees how every login stands, orders them by keyboard, logs in by pasting an address,
/// lets a session go, and watches the trail; in a real browser, in light and dark, on a phone, and without script.
#[test]
fn b3_the_console_in_a_real_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/console");
    let browser = chromium();
    assert!(
        folder.join("node_modules").is_dir() && Path::new(&browser).is_file(),
        "run `cargo xtask e2e`, which runs `npm ci` in e2e/console and sees to {browser}"
    );
    let mut world = World::new();
    let port = world.serve();
    let link = world.json(&["gateway", "open", "--port", &port.to_string()])["url"].clone();
    let given = json!({
        "browser": browser,
        "link": link,
        "origin": format!("http://127.0.0.1:{port}"),
        "binary": env!("CARGO_BIN_EXE_coderclaw"),
        "env": world.env().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>(),
        "screens": screens(),
        "me": ME,
        "you": YOU,
        "added": ADDED,
    });
    let mut node = Command::new("node")
        .arg("console.mjs")
        .current_dir(&folder)
        .env("HOME", world.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node can be started");
    node.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.trim_end().ends_with("done"), "{said}");

    let order = world.json(&["models", "auth", "order", "get", "--provider", PROVIDER]);
    assert_eq!(order["order"], Value::Null, "{order}");
    let sessions = world.json(&["sessions", "list"]);
    let pins: Vec<_> =
        sessions["sessions"].as_array().unwrap().iter().map(|one| &one["pin"]["source"]).collect();
    // The one that was let go of was changed last; what was picked for the other stays.
    assert_eq!(pins, [&Value::Null, &json!("auto"), &Value::Null]);
    let events = world.json(&["models", "auth", "log"]);
    let mut lines = events["events"].as_array().unwrap().iter();
    let login = lines.find(|line| line["event"] == "login" && line["command"] == "console").unwrap();
    assert_eq!(login["profileId"], format!("{PROVIDER}:{ADDED}"));
}

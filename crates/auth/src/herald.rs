//! The herald: a process of its own that tells people, so that nobody who works has to wait for a hook or a webhook.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use coderclaw_http::{Body, Client, Limits, Network, Request, Url};
use coderclaw_store::{HookSettings, StateDir, read_settings};
use coderclaw_types::{Clock, Env, Fingerprint, Millis, ProfileId, ProviderId, Secret};
use serde_json::Value;

use crate::attention::Alert;
use crate::context::{Auth, Runner};
use crate::events::{Event, Note};
use crate::refresh::PASSED_ON;

/// The variable that makes this program a herald: what it has to tell is on its standard input.
pub const HERALD_VARIABLE: &str = "CODERCLAW_HERALD";

/// No hook is waited for longer than this, and no webhook.
const LIMIT: Duration = Duration::from_secs(10);
/// What a hook may know of our environment, besides where the state dir is.
const FOR_HOOKS: &[&str] = &["HOME", "PATH", "TMPDIR", "LANG"];
/// An alert has a few hundred bytes.
const LONGEST: u64 = 64 * 1024;

impl Auth {
    /// Has the alert told, if anybody wants to hear of it, and whether somebody is at it now. Returns at once.
    pub(crate) fn send_herald(&self, alert: &Alert) -> bool {
        let hooks = read_settings(self.state()).unwrap_or_default().hooks;
        if hooks == HookSettings::default() {
            return false;
        }
        let Ok(text) = serde_json::to_string(alert) else { return false };
        let told = match self.herald() {
            Some(program) => self.start_herald(program, &text),
            // A library that names no program: a thread does it, as long as the process lives.
            None => {
                let auth = self.clone();
                let thread = std::thread::Builder::new().name("herald".into());
                thread.spawn(move || auth.tell_all(&hooks, &text)).map(drop)
            }
        };
        if let Err(e) = &told {
            self.audit_alert(&serde_json::json!(alert), "failed", format!("no herald could be started: {e}"));
        }
        told.is_ok()
    }

    fn start_herald(&self, program: &Path, text: &str) -> std::io::Result<()> {
        let env = self.env();
        let mut command = Command::new(program);
        command.env_clear();
        for name in PASSED_ON.iter().chain(Network::variables()).filter(|name| **name != "CODERCLAW_FAULT") {
            if let Some(value) = env.get_os(name) {
                command.env(name, value);
            }
        }
        let mut child = command
            .env("CODERCLAW_STATE_DIR", self.state().root())
            .env("CODERCLAW_CONFIG_PATH", self.state().config_path())
            .env(HERALD_VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // A pipe takes this much at once.
        let sent = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
        // Whoever lives long enough must not collect zombies.
        drop(std::thread::Builder::new().name("herald".into()).spawn(move || child.wait()));
        sent
    }

    /// Calls the hook, then the webhook. How each went is in the audit trail.
    fn tell_all(&self, hooks: &HookSettings, text: &str) {
        let alert: Value = serde_json::from_str(text).unwrap_or_default();
        let mut ways = Vec::new();
        if !hooks.on_attention.is_empty() {
            ways.push(("on_attention", call(self.env(), self.state(), &hooks.on_attention, text)));
        }
        if let Some(url) = &hooks.webhook {
            ways.push(("webhook", post(&Network::from_env(self.env()), url, text)));
        }
        for (way, ended) in ways {
            match ended {
                Ok(()) => self.audit_alert(&alert, "delivered", way.to_owned()),
                Err(why) => self.audit_alert(&alert, "failed", format!("{way}: {why}")),
            }
        }
        let word = |key: &str| alert.get(key).and_then(Value::as_str);
        if let (Ok(agent), Some(profile), Some(at)) =
            (self.agent(word("agentId")), word("profileId"), alert.get("at").and_then(Value::as_i64))
        {
            self.end_telling(&agent, &ProfileId::stored(profile), Millis(at));
        }
    }

    fn audit_alert(&self, alert: &Value, outcome: &'static str, detail: String) {
        let word = |key: &str| alert.get(key).and_then(Value::as_str);
        let Ok(agent) = self.agent(word("agentId")) else { return };
        let mut note = Note::new(Event::Alert, &agent, outcome).detail(detail);
        note.provider = word("provider").map(ProviderId::new);
        note.profile = word("profileId").map(ProfileId::stored);
        note.fingerprint = word("fingerprint").and_then(Fingerprint::stored);
        self.audit(note);
    }
}

/// The `main` of a herald.
pub fn run_herald_process(env: Env, clock: Clock) -> ExitCode {
    // It fails only for a process that leads its group already, which is as good.
    rustix::process::setsid().ok();
    let mut text = String::new();
    if std::io::stdin().lock().take(LONGEST).read_to_string(&mut text).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(auth) = Auth::open(env, clock, Runner::Thread) else { return ExitCode::FAILURE };
    auth.called_by("herald");
    let Ok(settings) = read_settings(auth.state()) else { return ExitCode::FAILURE };
    auth.tell_all(&settings.hooks, &text);
    ExitCode::SUCCESS
}

/// Runs the hook with the alert on its standard input. It is a process group of its own, which ends with the limit.
fn call(env: &Env, state: &StateDir, hook: &[String], text: &str) -> Result<(), String> {
    let (program, arguments) = hook.split_first().ok_or("it names no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    for name in FOR_HOOKS {
        if let Some(value) = env.get_os(name) {
            command.env(name, value);
        }
    }
    let mut child = command
        .env("CODERCLAW_STATE_DIR", state.root())
        .current_dir(state.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook that does not want to know closes it.
        drop(stdin.write_all(format!("{text}\n").as_bytes()));
    }
    let until = Instant::now() + LIMIT;
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{program}: {status}")),
            None if Instant::now() >= until => break,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
    drop(child.wait());
    Err(format!("{program} did not end within {} s and was killed", LIMIT.as_secs()))
}

/// Posts the alert. Anything but a 2xx is a failure; nothing is sent twice.
fn post(network: &Network, url: &str, text: &str) -> Result<(), String> {
    let url: Url = url.parse().map_err(|_| "it is no address".to_owned())?;
    let is_loopback = url.host_str().is_some_and(|host| {
        host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    });
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err("it wants https, or http on a loopback address".into());
    }
    let limits = Limits { connect: Duration::from_secs(5), total: LIMIT };
    let client = Client::new(network, limits).map_err(|e| e.to_string())?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let body = Body { content_type: "application/json", bytes: Secret::from(text) };
    let answer = runtime.block_on(client.send(Request::post(url, body)));
    runtime.shutdown_background();
    match answer.map_err(|e| e.to_string())?.status {
        200..=299 => Ok(()),
        status => Err(format!("it answered {status}")),
    }
}

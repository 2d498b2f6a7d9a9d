//! A plugin's program under way: started in its folder with next to nothing in its environment, and ended in any case.

use std::io::Write;
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use coderclaw_http::Network;
use coderclaw_providers::Plugin;
use coderclaw_store::append_plugin_log;
use coderclaw_types::Secret;
use serde_json::{Value, json};

use super::wire::{CALLS, Heard, VERSION, read, read_hello};
use crate::child::{Group, Lines, last_line};
use crate::context::Auth;

/// No line is longer: a few tokens.
const LONGEST: usize = 128 * 1024;
/// Nobody says more.
const IN_ALL: usize = 1024 * 1024;
/// Nor that often, in one call.
const MOST: usize = 200;
/// To say hello.
const GREETING: Duration = Duration::from_secs(5);
/// What a program may know of our environment, besides proxies and CAs.
const PASSED_ON: &[&str] = &["PATH", "LANG", "TMPDIR"];

/// Why a program was of no use.
#[derive(Debug)]
pub(crate) struct Broken {
    /// One line for people, which names the plugin.
    pub(crate) why: String,
}

/// A program that has said hello.
pub(crate) struct Talk<'a> {
    auth: &'a Auth,
    provider: &'a str,
    group: Group,
    stdin: ChildStdin,
    lines: Lines,
    until: Instant,
    heard: usize,
    /// What it was told, which it may repeat.
    secrets: Vec<Secret>,
}

impl<'a> Talk<'a> {
    /// Starts the program. `limit` is for everything that it is asked.
    pub(crate) fn begin(
        auth: &'a Auth,
        provider: &'a str,
        plugin: &Plugin,
        limit: Duration,
    ) -> Result<Self, Broken> {
        let broken = |why: String| Broken { why: format!("the plugin {provider}: {why}") };
        let (program, arguments) =
            plugin.command.split_first().ok_or_else(|| broken("it has no program".into()))?;
        let mut command = match program.contains('/') {
            true => Command::new(plugin.folder.join(program)),
            false => Command::new(program),
        };
        command.args(arguments).env_clear().current_dir(&plugin.folder).env("HOME", &plugin.folder);
        for name in PASSED_ON.iter().chain(Network::variables()) {
            if let Some(value) = auth.env().get_os(name) {
                command.env(name, value);
            }
        }
        let (group, stdin, stdout) = Group::start(&mut command, true).map_err(broken)?;
        let stdin = stdin.ok_or_else(|| broken("it cannot be talked to".into()))?;
        let lines = Lines::of(stdout, LONGEST, IN_ALL).map_err(broken)?;
        let mut talk = Self {
            auth,
            provider,
            group,
            stdin,
            lines,
            until: Instant::now() + limit,
            heard: 0,
            secrets: Vec::new(),
        };
        let hello = talk.lines.next(GREETING.min(limit)).map_err(str::to_owned);
        match hello.and_then(|line| read_hello(&line)) {
            Ok(()) => Ok(talk),
            Err(why) => Err(talk.end(&why)),
        }
    }

    /// Asks for something; `secrets` are what goes along.
    pub(crate) fn call(&mut self, name: &str, mut with: Value, secrets: &[&Secret]) -> Result<(), Broken> {
        let keys = CALLS.iter().find(|(known, _)| *known == name).map(|(_, keys)| *keys).unwrap_or_default();
        debug_assert!(
            with.as_object().is_some_and(|with| with.keys().all(|key| keys.contains(&key.as_str())))
        );
        self.secrets.extend(secrets.iter().map(|secret| (*secret).clone()));
        with["v"] = json!(VERSION);
        with["call"] = json!(name);
        self.write(&with)
    }

    /// Answers a question; `None` where nobody does.
    pub(crate) fn answer(&mut self, answer: Option<&Secret>) -> Result<(), Broken> {
        self.secrets.extend(answer.cloned());
        self.write(&json!({"answer": answer.map(Secret::expose)}))
    }

    fn write(&mut self, value: &Value) -> Result<(), Broken> {
        match self.stdin.write_all(format!("{value}\n").as_bytes()).and_then(|()| self.stdin.flush()) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.end("it ended without an answer")),
        }
    }

    /// The next thing that it says.
    pub(crate) fn hear(&mut self) -> Result<Heard, Broken> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.heard += 1;
        if self.heard > MOST {
            return Err(self.end("it says more than it may"));
        }
        match self.lines.next(left).map_err(str::to_owned).and_then(|line| read(&line, self.provider)) {
            Ok(heard) => Ok(heard),
            Err(why) => Err(self.end(&why)),
        }
    }

    /// Ends it, for that reason.
    pub(crate) fn end(&mut self, why: &str) -> Broken {
        self.group.kill();
        let complaints = self.complaints();
        Broken { why: format!("the plugin {}: {why}{}", self.provider, last_line(&complaints)) }
    }

    fn complaints(&self) -> String {
        let secrets: Vec<&Secret> = self.secrets.iter().collect();
        self.group.complaints(&secrets)
    }

    /// Keeps what it has said on its standard error, for whoever looks for a fault in it.
    pub(crate) fn keep_log(mut self) {
        self.group.kill();
        let complaints = self.complaints();
        if !complaints.trim().is_empty() {
            append_plugin_log(self.auth.state(), self.provider, self.auth.clock().now(), &complaints).ok();
        }
    }
}

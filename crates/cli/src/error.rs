//! What a failed command says: a stable code, the cause, one next command.

use std::borrow::Cow;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use coderclaw_auth::{
    Auth, EditError, LeaseError, LinkError, LoginError, OpenError, ProfileStatus, ResolveError,
};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_store::ConfigEditError;
use coderclaw_types::{Code, Millis, ProviderId, redact};
use serde_json::json;

use crate::text::{self, clean};

/// No message of ours comes near this; only what it quotes may be longer.
const LONGEST: usize = 2_000;

/// A command that did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct CommandError(Box<Said>);

#[derive(Debug)]
struct Said {
    code: Code,
    message: String,
    hint: Option<String>,
    until: Option<Millis>,
    provider: Option<String>,
    profile: Option<String>,
    agent: Option<String>,
    other: Option<String>,
    help: Option<(String, u8)>,
    login: &'static str,
}

impl CommandError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Said {
            code,
            message: message.into(),
            hint: None,
            until: None,
            provider: None,
            profile: None,
            agent: None,
            other: None,
            help: None,
            login: "login",
        }))
    }

    /// Help that was asked for, or that is shown in place of a command.
    pub(crate) fn help(text: String, exit: u8) -> Self {
        let mut error = Self::new(Code::Usage, "a command is wanted");
        error.0.help = Some((text, exit));
        error
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    #[cfg(test)]
    pub(crate) fn is_help(&self) -> bool {
        self.0.help.is_some()
    }

    /// The command to type next, where the code's own would be too general.
    pub(crate) fn hint(mut self, hint: String) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// Until when it stands.
    pub(crate) fn until(mut self, until: Option<Millis>) -> Self {
        self.0.until = until;
        self
    }

    /// What the failure is about, for the next command.
    pub(crate) fn about(mut self, provider: &str, agent: Option<&str>) -> Self {
        self.0.provider = Some(provider.into());
        // A failure that knows whose it is knows better.
        self.0.agent = self.0.agent.or_else(|| agent.map(str::to_owned));
        self
    }

    /// The command that brings a new credential of this provider.
    pub(crate) fn login(mut self, command: &'static str) -> Self {
        self.0.login = command;
        self
    }

    pub(crate) fn profile(mut self, profile: impl Into<String>) -> Self {
        self.0.profile = Some(profile.into());
        self
    }

    /// The one command to type next.
    fn next(&self) -> Option<String> {
        if let Some(hint) = &self.0.hint {
            return Some(hint.clone());
        }
        let command = Next {
            code: self.0.code,
            login: self.0.login,
            provider: self.0.provider.as_deref(),
            profile: self.0.profile.as_deref(),
            agent: self.0.agent.as_deref(),
            other: self.0.other.as_deref(),
        }
        .command();
        (!command.is_empty()).then_some(command)
    }

    /// Says it on standard error.
    pub(crate) fn say(&self) {
        // A log or a pipe gets one line, a person unbroken words.
        let width = if std::io::stderr().is_terminal() { text::width() } else { usize::MAX };
        std::io::stderr().lock().write_all(self.words(width).as_bytes()).ok();
    }

    /// What happened, and what to type next.
    pub(crate) fn words(&self, width: usize) -> String {
        let line = format!("Error: {} [{}]", clean(&fit(&self.0.message)), self.0.code);
        let mut text = text::wrap(&line, width).join("\n") + "\n";
        if let Some(next) = self.next() {
            text.push_str(&format!("  next: {}\n", clean(&fit(&next))));
        }
        text
    }

    /// Prints and gives the exit code: words on standard error, JSON on standard output.
    pub(crate) fn print(self, is_json: bool) -> ExitCode {
        if let Some((text, exit)) = &self.0.help {
            if *exit == 0 {
                std::io::stdout().lock().write_all(text.as_bytes()).ok();
                return ExitCode::SUCCESS;
            }
            if !is_json {
                std::io::stderr().lock().write_all(text.as_bytes()).ok();
                return ExitCode::from(*exit);
            }
        }
        if is_json {
            let mut error =
                json!({"code": self.0.code, "message": fit(&self.0.message), "hint": self.next()});
            if let Some(until) = self.0.until {
                error["until"] = json!(until);
            }
            writeln!(std::io::stdout().lock(), "{:#}", json!({"error": error})).ok();
        } else {
            self.say();
        }
        ExitCode::FAILURE
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// A message without the middle of what it quotes, where that is no name but a file pasted by mistake.
fn fit(text: &str) -> Cow<'_, str> {
    // Whoever is quoted may have quoted a token.
    let text = redact(text);
    let chars = text.chars().count();
    if chars <= LONGEST {
        return text;
    }
    let head: String = text.chars().take(LONGEST / 2).collect();
    let tail: String = text.chars().skip(chars - LONGEST / 4).collect();
    format!("{head} ... {tail}").into()
}

/// A code, and what it is about: all that a next command needs.
pub(crate) struct Next<'a> {
    pub(crate) code: Code,
    /// The command that brings a new credential.
    pub(crate) login: &'static str,
    pub(crate) provider: Option<&'a str>,
    pub(crate) profile: Option<&'a str>,
    pub(crate) agent: Option<&'a str>,
    /// The other agent that it is about.
    pub(crate) other: Option<&'a str>,
}

impl<'a> Next<'a> {
    /// What to type next about a profile: the command that brings its kind of credential, where that is what it needs.
    pub(crate) fn of(auth: &Auth, profile: &'a ProfileStatus, agent: Option<&'a str>) -> Self {
        let manifest = profile.provider.as_ref().and_then(|provider| auth.registry().get(provider));
        Self {
            code: profile.state,
            login: match profile.kind.as_str() {
                "oauth" => manifest.map_or("login", |manifest| login_for(manifest, Code::NeedsLogin)),
                "api_key" => "paste-api-key",
                _ => manifest.map_or("login", login_command),
            },
            provider: profile.provider.as_ref().map(ProviderId::as_str),
            profile: Some(profile.id.as_str()),
            agent,
            other: None,
        }
    }

    /// The code's next command with its blanks filled in. What is not known becomes a word to replace.
    pub(crate) fn command(&self) -> String {
        let mut command = self
            .code
            .next_command()
            .replace("{login}", self.login)
            .replace("{provider}", self.provider.unwrap_or("PROVIDER"))
            .replace("{profile}", &text::shell_word(self.profile.unwrap_or("PROFILE")))
            .replace("{agent}", self.agent.unwrap_or("main"))
            .replace("{other}", self.other.unwrap_or("main"));
        if let Some(agent) = self.agent
            && command.starts_with("coderclaw models")
            && !command.contains("--agent")
        {
            command.push_str(&format!(" --agent {agent}"));
        }
        command
    }
}

/// The command that helps with `code`. Some codes speak of logins only, whatever else the provider takes.
pub(crate) fn login_for(manifest: &Manifest, code: Code) -> &'static str {
    let has = |kind| manifest.auth(kind).is_some();
    match code {
        Code::NeedsLogin | Code::NeedsConsent | Code::Interrupted
            if has(MethodKind::Siwc) && !has(MethodKind::OAuth) =>
        {
            REGISTERED
        }
        _ => login_command(manifest),
    }
}

/// The login for which this program is registered anew for each person.
pub(crate) const REGISTERED: &str = "login --method siwc";

/// The command that brings the first kind of credential that the provider takes.
pub(crate) fn login_command(manifest: &Manifest) -> &'static str {
    const COMMANDS: [(MethodKind, &str); 7] = [
        (MethodKind::OAuth, "login"),
        (MethodKind::Plugin, "login"),
        (MethodKind::DeviceCode, "login"),
        (MethodKind::SetupToken, "setup-token"),
        (MethodKind::Token, "paste-token"),
        (MethodKind::ApiKey, "paste-api-key"),
        (MethodKind::OAuthKey, "login"),
    ];
    // What nobody has tried is the last thing to recommend.
    let with = |untested| {
        let is_such = |kind| manifest.auth(kind).is_some_and(|method| method.untested == untested);
        COMMANDS.iter().find(|(kind, _)| is_such(*kind))
    };
    with(false).or_else(|| with(true)).map_or("login", |(_, command)| command)
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<ResolveError> for CommandError {
    fn from(error: ResolveError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<LeaseError> for CommandError {
    fn from(error: LeaseError) -> Self {
        let mut out = Self::new(error.code(), error.to_string());
        out.0.until = error.until();
        out.0.profile = error.profile().map(ToString::to_string);
        let owner = error.owner().map(ToString::to_string);
        match error.code() {
            Code::NotLinked | Code::LinkBroken => {
                out.0.agent = error.asking().map(ToString::to_string);
                out.0.other = owner;
            }
            // What is wrong with a profile is put right where it is.
            _ => out.0.agent = owner,
        }
        out
    }
}

impl From<LinkError> for CommandError {
    fn from(error: LinkError) -> Self {
        let mut out = Self::new(error.code(), error.to_string());
        match error {
            LinkError::HasLinkers { linkers, .. } => {
                out.0.hint = linkers.first().map(|first| format!("coderclaw agents unlink {first}"));
            }
            LinkError::TargetIsLinked { .. }
            | LinkError::Itself { .. }
            | LinkError::Read(_)
            | LinkError::Lock(_)
            | LinkError::Write(_) => {}
        }
        out
    }
}

impl From<LoginError> for CommandError {
    fn from(error: LoginError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<EditError> for CommandError {
    fn from(error: EditError) -> Self {
        let mut out = Self::new(error.code(), error.to_string());
        if let EditError::Linked { owner, .. } = &error {
            out.0.other = Some(owner.to_string());
        }
        out
    }
}

impl From<ConfigEditError> for CommandError {
    fn from(error: ConfigEditError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

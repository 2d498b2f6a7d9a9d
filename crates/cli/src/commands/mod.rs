//! One file a command.

mod agent;
mod agents;
mod chat;
mod config;
mod cooldown;
mod exec;
mod explain;
mod gateway;
mod list;
mod lock;
mod login;
mod logout;
mod models;
mod models_list;
mod order;
mod paste;
mod paths;
mod probe;
mod profiles;
mod refresh;
mod sessions;
mod setup_token;
mod status;
mod status_json;
mod token;

use coderclaw_agents::Sessions;
use coderclaw_auth::{Auth, EditError, PasteKind, Runner};
use coderclaw_providers::Manifest;
use coderclaw_store::AgentPaths;
use coderclaw_types::{Clock, Env};

use crate::args::{AuthCommand, Cli, Command, Global, ModelsCommand, StatusArgs, StoredCommand};
use crate::commands::models::Slot;
use crate::error::{CommandError, login_command};
use crate::report::Report;

/// What a command works with.
pub(crate) struct Context {
    pub(crate) auth: Auth,
    pub(crate) global: Global,
}

impl Context {
    fn open(global: Global, env: Env, clock: Clock) -> Result<Self, CommandError> {
        let auth = Auth::open(env, clock, Runner::Process(own_program()))?;
        Ok(Self { auth, global })
    }

    pub(crate) fn agent(&self) -> Result<AgentPaths, CommandError> {
        Ok(self.auth.agent(self.global.agent.as_deref())?)
    }

    /// The agent's name for a next command; none where it is the default agent anyway.
    pub(crate) fn agent_hint(&self) -> Option<&str> {
        self.global.agent.as_deref()
    }

    /// The key of the session that is meant by `name`.
    pub(crate) fn session(
        &self,
        agent: &AgentPaths,
        name: Option<&str>,
    ) -> Result<Option<String>, CommandError> {
        Ok(name.map(|name| Sessions::of(&self.auth, agent).key(name)).transpose()?)
    }

    pub(crate) fn provider(&self, name: &str) -> Result<&Manifest, CommandError> {
        Ok(self.auth.provider(name)?)
    }

    /// Failures of a command about this provider.
    pub(crate) fn about<E: Into<CommandError>>(&self, provider: &Manifest) -> impl Fn(E) -> CommandError {
        let agent = self.agent_hint().map(str::to_owned);
        let login = login_command(provider);
        let provider = provider.id.to_string();
        move |e| e.into().about(&provider, agent.as_deref()).login(login)
    }
}

/// A change of a profile that the agent only borrows is refused; the next command is the same one for its owner.
/// `command` is what was typed, without `coderclaw` and the agent.
fn at_its_owner(command: impl Fn() -> String) -> impl Fn(EditError) -> CommandError {
    move |error| {
        let hint = match &error {
            EditError::Linked { owner, .. } => Some(format!("coderclaw {} --agent {owner}", command())),
            _ => None,
        };
        let error = CommandError::from(error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// This very program, also when its file was replaced by an upgrade while it runs.
pub(crate) fn own_program() -> std::path::PathBuf {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    std::env::current_exe().unwrap_or_else(|_| "coderclaw".into())
}

pub(crate) fn run(cli: Cli, env: Env, clock: Clock) -> Result<Report, CommandError> {
    let global = cli.global;
    match cli.command {
        #[cfg(feature = "demo")]
        Some(Command::Demo(args)) => crate::demo::run(&args, &global, env, clock),
        None => status::run(&Context::open(global, env, clock)?, &StatusArgs::default()),
        Some(Command::Chat(args)) => chat::run(&Context::open(global, env, clock)?, &args.0),
        Some(Command::Agent(args)) => agent::run(&Context::open(global, env, clock)?, &args.0),
        Some(Command::Agents { command }) => agents::run(&Context::open(global, env, clock)?, command.0),
        Some(Command::Sessions(args)) => sessions::run(&Context::open(global, env, clock)?, args.0.command),
        Some(Command::Exec(args)) => exec::run(&Context::open(global, env, clock)?, &args.0),
        Some(Command::Gateway { command }) => gateway::run(global, env, clock, command.0),
        // Before anything looks at the config: these repair it.
        Some(Command::Config { command }) => config::run(&global, &env, command.0),
        Some(Command::Models { command: None, status_json, status_plain }) => {
            let global = Global { json: global.json || status_json, ..global };
            let args = StatusArgs { plain: status_plain, ..StatusArgs::default() };
            status::run(&Context::open(global, env, clock)?, &args)
        }
        Some(Command::Models { command: Some(command), .. }) => {
            models(&Context::open(global, env, clock)?, command)
        }
    }
}

fn models(context: &Context, command: ModelsCommand) -> Result<Report, CommandError> {
    match command {
        ModelsCommand::Status(args) => status::run(context, &args),
        ModelsCommand::Auth { command } => auth(context, command.0),
        ModelsCommand::List(args) => models_list::run(context, &args.0),
        ModelsCommand::Set(args) => models::set(context, Slot::Text, &args.0.model),
        ModelsCommand::SetImage(args) => models::set(context, Slot::Image, &args.0.model),
        ModelsCommand::Aliases { command } => models::aliases(context, command.0),
        ModelsCommand::Fallbacks { command } => models::fallbacks(context, Slot::Text, command.0),
        ModelsCommand::ImageFallbacks { command } => models::fallbacks(context, Slot::Image, command.0),
    }
}

fn auth(context: &Context, command: AuthCommand) -> Result<Report, CommandError> {
    match command {
        AuthCommand::Login(args) => login::run(context, *args),
        AuthCommand::List { provider } => list::run(context, provider.as_deref()),
        AuthCommand::Token(args) => token::run(context, args),
        AuthCommand::Explain(args) => explain::run(context, args),
        AuthCommand::Refresh(args) => refresh::run(context, args),
        AuthCommand::Order { command } => order::run(context, command),
        AuthCommand::Paths => paths::run(context),
        AuthCommand::Stored(command) => stored(context, command),
    }
}

fn stored(context: &Context, command: StoredCommand) -> Result<Report, CommandError> {
    match command {
        StoredCommand::PasteToken(args) => paste::paste(context, PasteKind::Token, args),
        StoredCommand::SetupToken(args) => paste::setup_token(context, &args),
        StoredCommand::PasteApiKey(args) => paste::paste(context, PasteKind::ApiKey, args),
        StoredCommand::Add => paste::add(context),
        StoredCommand::Use(args) => profiles::use_profile(context, args),
        StoredCommand::Rename { old, new } => profiles::rename(context, &old, &new),
        StoredCommand::Logout { profile, local_only } => logout::run(context, &profile, local_only),
        StoredCommand::Prune { dry_run } => profiles::prune(context, dry_run),
        StoredCommand::Restore { from, dry_run } => profiles::restore(context, from.as_deref(), dry_run),
        StoredCommand::Lock { command } => lock::run(context, &command),
        StoredCommand::Cooldown { command } => cooldown::run(context, command),
    }
}

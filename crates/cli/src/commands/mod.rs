//! One file a command.

mod agent;
mod agents;
mod alerts;
mod borrow;
mod channels;
mod chat;
mod complete;
mod completions;
mod config;
mod connect;
mod cooldown;
mod doctor;
mod exec;
mod explain;
mod export;
mod gateway;
mod import;
mod list;
mod lock;
mod log;
mod login;
mod logout;
mod models;
mod models_list;
mod onboard;
mod order;
mod paste;
mod paths;
mod persist;
mod plugins;
mod probe;
mod profiles;
mod refer;
mod refresh;
mod sessions;
mod setup_token;
mod status;
mod token;
mod usage;

use std::io::IsTerminal;

use coderclaw_agents::Sessions;
use coderclaw_auth::{Ask, Auth, EditError, Lease, PasteKind, Runner};
use coderclaw_providers::Manifest;
use coderclaw_store::AgentPaths;
use coderclaw_types::{Clock, Env, ProfileId};

use crate::args::{AuthCommand, Cli, Command, Global, LoanArgs, ModelsCommand, StatusArgs, StoredCommand};
use crate::commands::models::Slot;
use crate::error::{CommandError, login_for};
use crate::report::{Report, say};
use crate::text::{clean, shell_word, width, wrap};

/// What a command works with.
pub(crate) struct Context {
    pub(crate) auth: Auth,
    pub(crate) global: Global,
}

impl Context {
    fn open(global: Global, env: Env, clock: Clock) -> Result<Self, CommandError> {
        let auth = Auth::open(env, clock, Runner::Process(own_program()))?;
        auth.called_by(&global.command);
        Ok(Self { auth, global })
    }

    pub(crate) fn agent(&self) -> Result<AgentPaths, CommandError> {
        Ok(self.auth.agent(self.global.agent.as_deref())?)
    }

    /// Says what happened beside what was asked for.
    fn say_notes(&self) {
        for note in self.auth.take_notes() {
            if !self.global.quiet {
                let line = format!("Note: {}", clean(&note));
                let is_seen = std::io::stderr().is_terminal();
                say(&if is_seen { wrap(&line, width()).join("\n") } else { line });
            }
        }
    }

    /// The agent's name for a next command; none where it is the default agent anyway.
    pub(crate) fn agent_hint(&self) -> Option<&str> {
        self.global.agent.as_deref()
    }

    /// The same as it is typed behind a command.
    pub(crate) fn agent_flag(&self) -> String {
        self.agent_hint().map(|agent| format!(" --agent {}", shell_word(agent))).unwrap_or_default()
    }

    /// `command` of `models auth`, for this provider and the agent that is meant.
    pub(crate) fn auth_command(&self, command: &str, provider: &str) -> String {
        format!("coderclaw models auth {command} --provider {provider}{}", self.agent_flag())
    }

    /// The key of the session that is meant by `name`.
    pub(crate) fn session(
        &self,
        agent: &AgentPaths,
        name: Option<&str>,
    ) -> Result<Option<String>, CommandError> {
        Ok(name.map(|name| Sessions::of(&self.auth, agent).key(name)).transpose()?)
    }

    /// What a command lends, and of which provider.
    pub(crate) fn lease(&self, loan: &LoanArgs) -> Result<(&Manifest, Lease), CommandError> {
        let agent = self.agent()?;
        let (manifest, ask) = (self.provider(&loan.provider)?, self.ask(&agent, loan)?);
        let lease = self.auth.lease(&agent, manifest, &ask).map_err(self.about(manifest))?;
        Ok((manifest, lease))
    }

    fn ask(&self, agent: &AgentPaths, loan: &LoanArgs) -> Result<Ask, CommandError> {
        Ok(Ask {
            session: self.session(agent, loan.session.as_deref())?,
            profile: loan.profile.as_deref().map(ProfileId::stored),
            min_validity: loan.min_validity.unwrap_or_default(),
            ..Ask::default()
        })
    }

    pub(crate) fn provider(&self, name: &str) -> Result<&Manifest, CommandError> {
        Ok(self.auth.provider(name)?)
    }

    /// Failures of a command about this provider.
    pub(crate) fn about<E: Into<CommandError>>(&self, provider: &Manifest) -> impl Fn(E) -> CommandError {
        let agent = self.agent_hint().map(str::to_owned);
        move |e| {
            let error: CommandError = e.into();
            let login = login_for(provider, error.code());
            error.about(&provider.id, agent.as_deref()).login(login)
        }
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
    let (global, command) = (cli.global, cli.command.map(|command| command.0));
    if let Some(socket) = env.get("CODERCLAW_SOCKET") {
        let socket = env.resolve(socket);
        return borrow::run(global, env, clock, command, &socket);
    }
    here(global, env, clock, command)
}

/// With the logins of this machine.
fn here(global: Global, env: Env, clock: Clock, command: Option<Command>) -> Result<Report, CommandError> {
    match command {
        #[cfg(feature = "demo")]
        Some(Command::Demo(args)) => crate::demo::run(&args, &global, env, clock),
        // It opens the state dir again whenever the files change, so it needs the environment as it was captured.
        Some(Command::Gateway { command }) => gateway::run(global, env, clock, command.0),
        // They may move the config away before they read it.
        Some(Command::Onboard(args)) => onboard::run(global, &args.0, env, clock),
        // It opens what it can, since what cannot be opened is what it is asked about.
        Some(Command::Doctor(args)) => doctor::run(global, &args.0, env, clock),
        // A manifest that keeps everything else from opening is what they are there for.
        Some(Command::Plugins { command }) => plugins::run(global, env, clock, command.0),
        Some(Command::Completions(args)) => Ok(completions::run(&global, &args.0)),
        // It opens what it can: a config with a mistake in it must not leave a shell without words.
        Some(Command::Complete(args)) => Ok(complete::run(args.0, env, clock)),
        // Before anything looks at the config: these repair it.
        Some(Command::Config { command }) => config::run(&global, &env, command.0),
        Some(Command::Models { command: None, status_json, status_plain }) => {
            let global = Global { json: global.json || status_json, ..global };
            let args = StatusArgs { plain: status_plain, ..StatusArgs::default() };
            status::run(&Context::open(global, env, clock)?, &args)
        }
        // It ends in a context of its own, since it changes what the next one reads.
        Some(Command::Configure(args)) => onboard::configure(Context::open(global, env, clock)?, &args.0),
        command => {
            let context = Context::open(global, env, clock)?;
            let result = run_in(&context, command);
            context.say_notes();
            result
        }
    }
}

fn run_in(context: &Context, command: Option<Command>) -> Result<Report, CommandError> {
    match command {
        Some(Command::Chat(args)) => chat::run(context, &args.0),
        Some(Command::Agent(args)) => agent::run(context, &args.0),
        Some(Command::Agents { command }) => agents::run(context, command.0),
        Some(Command::Sessions(args)) => sessions::run(context, args.0.command),
        Some(Command::Channels(args)) => channels::run(context, args.0.command),
        Some(Command::Import { command }) => import::run(context, command.0),
        Some(Command::Exec(args)) => exec::run(context, &args.0),
        Some(Command::Export(args)) => export::run(context, &args.0),
        Some(Command::Connect(args)) => connect::connect(context, &args.0),
        Some(Command::Disconnect(args)) => connect::disconnect(context, &args.0),
        Some(Command::Models { command: Some(command), .. }) => models(context, command.0),
        _ => status::run(context, &StatusArgs::default()),
    }
}

fn models(context: &Context, command: ModelsCommand) -> Result<Report, CommandError> {
    match command {
        ModelsCommand::Status(args) => status::run(context, &args.0),
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
        AuthCommand::Login(args) => login::run(context, *args.0),
        AuthCommand::List(args) => list::run(context, args.0.provider.as_deref()),
        AuthCommand::Token(args) => token::run(context, args.0),
        AuthCommand::Explain(args) => explain::run(context, args.0),
        AuthCommand::Refresh(args) => refresh::run(context, args.0),
        AuthCommand::Order { command } => order::run(context, command.0),
        AuthCommand::Alerts(args) => alerts::run(context, args.0.send),
        AuthCommand::Log(args) => log::run(context, &args.0),
        AuthCommand::Paths => paths::run(context),
        AuthCommand::Stored(command) => stored(context, command),
    }
}

fn stored(context: &Context, command: StoredCommand) -> Result<Report, CommandError> {
    match command {
        StoredCommand::PasteToken(args) => paste::paste(context, PasteKind::Token, args.0),
        StoredCommand::SetupToken(args) => paste::setup_token(context, &args.0),
        StoredCommand::PasteApiKey(args) => paste::paste(context, PasteKind::ApiKey, args.0),
        StoredCommand::Add => paste::add(context),
        StoredCommand::Use(args) => profiles::use_profile(context, args.0),
        StoredCommand::Rename(args) => profiles::rename(context, &args.0.old, &args.0.new),
        StoredCommand::Logout(args) => logout::run(context, &args.0.profile, args.0.local_only),
        StoredCommand::Prune(args) => profiles::prune(context, args.0.dry_run),
        StoredCommand::Restore(args) => profiles::restore(context, args.0.from.as_deref(), args.0.dry_run),
        StoredCommand::Lock(args) => lock::run(context, &args.0.command),
        StoredCommand::Cooldown { command } => cooldown::run(context, command.0),
    }
}

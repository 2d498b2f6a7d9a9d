//! Every command, flag and help text. The reference is made from here.

mod agents;
mod alerts;
mod channels;
mod chat;
mod complete;
mod config;
mod connect;
mod doctor;
mod exec;
mod export;
mod gateway;
mod import;
mod lazy;
mod log;
mod models;
mod onboard;
mod plugins;
mod sessions;
mod stored;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use agents::{AddAgentArgs, AgentsCommand, FromArgs, IdentityArgs, RouteArgs};
pub(crate) use alerts::AlertsArgs;
pub(crate) use channels::{ChannelsArgs, ChannelsCommand};
pub(crate) use chat::{AgentArgs, ChatArgs, WithArgs};
pub(crate) use complete::{CompleteArgs, CompletionsArgs, Shell};
pub(crate) use config::{ConfigCommand, ConfigSetArgs};
pub(crate) use connect::{ConnectArgs, DisconnectArgs, Tool, Way};
pub(crate) use doctor::DoctorArgs;
pub(crate) use exec::ExecArgs;
pub(crate) use export::{ExportArgs, ExportFormat};
pub(crate) use gateway::{
    AddKeyArgs, GatewayCommand, GatewayOpenArgs, GatewayRunArgs, InstallArgs, KeysCommand,
};
pub(crate) use import::{ImportCommand, ProgramArgs};
pub(crate) use lazy::{Lazy, with_only};
pub(crate) use log::LogArgs;
pub(crate) use models::{AliasesCommand, FallbacksCommand, ModelArgs, ModelsListArgs};
#[cfg(test)]
pub(crate) use onboard::KeyArgs;
pub(crate) use onboard::{Compatibility, ConfigureArgs, Mode, OnboardArgs};
pub(crate) use plugins::PluginsCommand;
pub(crate) use sessions::{SessionsArgs, SessionsCommand};
pub(crate) use stored::{
    CooldownCommand, PasteArgs, SetupTokenArgs, SourceArgs, StoredCommand, TargetArgs, UseArgs,
};

/// Keeps the logins of your AI agents in one place, refreshes each exactly once, and lends access tokens.
#[derive(Debug, Parser)]
#[command(name = "coderclaw", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Lazy<Command>>,
}

// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// The agent whose logins are meant
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) agent: Option<String>,
    /// Pure JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Only what was asked for, no words around it
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// More words
    #[arg(long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// No colours; NO_COLOR does the same
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// The command's name, without arguments, for the audit trail.
    #[arg(skip)]
    pub(crate) command: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole story in a minute, on an embedded provider, in a throw-away state dir
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Set up a login, step by step; with --non-interactive by flags
    Onboard(Box<Lazy<OnboardArgs>>),
    /// The same choices on what is set up already
    Configure(Lazy<ConfigureArgs>),
    /// Logins, and which of them is used
    #[command(args_conflicts_with_subcommands = true)]
    Models {
        #[command(subcommand)]
        command: Option<Lazy<ModelsCommand>>,
        /// The same as `models status --json`
        #[arg(long)]
        status_json: bool,
        /// The same as `models status --plain`
        #[arg(long, conflicts_with = "status_json")]
        status_plain: bool,
    },
    /// Read and change coderclaw.json
    Config {
        #[command(subcommand)]
        command: Lazy<ConfigCommand>,
    },
    /// Talk to a model, with the account that the order or the session says
    Chat(Lazy<ChatArgs>),
    /// Send one message, for scripts
    Agent(Lazy<AgentArgs>),
    /// The agents, whom they answer, and whose logins they use
    Agents {
        #[command(subcommand)]
        command: Lazy<AgentsCommand>,
    },
    /// The chats of an agent, and which account each of them uses
    Sessions(Lazy<SessionsArgs>),
    /// Start a program with an access token in its environment
    Exec(Lazy<ExecArgs>),
    /// Connect a program: it borrows a login from here instead of holding one
    Connect(Lazy<ConnectArgs>),
    /// Take back what `connect` wrote
    Disconnect(Lazy<DisconnectArgs>),
    /// Lend logins to other programs over loopback HTTP
    Gateway {
        #[command(subcommand)]
        command: Lazy<GatewayCommand>,
    },
    /// Take over logins from another program; it is never written to
    Import {
        #[command(subcommand)]
        command: Lazy<ImportCommand>,
    },
    /// Take access tokens out, for CI and other machines
    Export(Lazy<ExportArgs>),
    /// Providers of your own, as data or as a program
    Plugins {
        #[command(subcommand)]
        command: Lazy<PluginsCommand>,
    },
    /// The chat channels, and the profiles beside them
    Channels(Lazy<ChannelsArgs>),
    /// What is wrong, what it means, and what to type
    Doctor(Lazy<DoctorArgs>),
    /// Print the completions of a shell, for its start-up file
    Completions(Lazy<CompletionsArgs>),
    /// What may come next in a command line
    #[command(hide = true)]
    Complete(Lazy<CompleteArgs>),
}

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave the state dir behind, to look around in
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// How every login stands, and what is used
    Status(Lazy<StatusArgs>),
    /// Log in, look, choose
    Auth {
        #[command(subcommand)]
        command: Lazy<AuthCommand>,
    },
    /// The models that are named here, and whether they can be used
    List(Lazy<ModelsListArgs>),
    /// Choose the model that is used where none is named
    Set(Lazy<ModelArgs>),
    /// Choose the model for pictures
    SetImage(Lazy<ModelArgs>),
    /// Short names for models
    Aliases {
        #[command(subcommand)]
        command: Lazy<AliasesCommand>,
    },
    /// What is tried when the model fails
    Fallbacks {
        #[command(subcommand)]
        command: Lazy<FallbacksCommand>,
    },
    /// The same for the model for pictures
    ImageFallbacks {
        #[command(subcommand)]
        command: Lazy<FallbacksCommand>,
    },
}

#[derive(Debug, Default, Args)]
pub(crate) struct StatusArgs {
    /// Exit 1 where something needs attention, 2 where something ends within a day
    #[arg(long)]
    pub(crate) check: bool,
    /// Only the model that is used where none is named
    #[arg(long, conflicts_with_all = ["json", "probe"])]
    pub(crate) plain: bool,
    /// Ask each provider whether its credentials work, by a request that costs nothing
    #[arg(long)]
    pub(crate) probe: bool,
    /// Ask the providers how much of each plan is used
    #[arg(long, conflicts_with = "plain")]
    pub(crate) usage: bool,
    /// Go on showing it, as it changes, until q or Ctrl-C
    #[arg(long, conflicts_with_all = ["check", "json", "plain", "probe", "usage"])]
    pub(crate) watch: bool,
    /// Probe only this provider
    #[arg(long, value_name = "ID", requires = "probe")]
    pub(crate) probe_provider: Option<String>,
    /// Probe only these profiles
    #[arg(long, value_name = "ID", value_delimiter = ',', requires = "probe")]
    pub(crate) probe_profile: Vec<String>,
    /// Milliseconds for all probes together; by default 8000
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..), requires = "probe")]
    pub(crate) probe_timeout: Option<u64>,
    /// How many probes at a time; by default 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64), requires = "probe")]
    pub(crate) probe_concurrency: Option<u64>,
    /// Where no free request tells, spend up to so many tokens on a call of the provider's configured model
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "probe")]
    pub(crate) probe_max_tokens: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Log in with a browser, on this machine or any other, or by a code
    Login(Lazy<Box<LoginArgs>>),
    /// The agent's profiles
    List(Lazy<ListArgs>),
    /// Lend an access token, refreshed first where it is due
    Token(Lazy<TokenArgs>),
    /// Which profile is used, and why not the others
    Explain(Lazy<ExplainArgs>),
    /// Refresh a login that is due, now
    Refresh(Lazy<RefreshArgs>),
    /// The order in which a provider's profiles are tried
    Order {
        #[command(subcommand)]
        command: Lazy<OrderCommand>,
    },
    /// Which logins need somebody, or will soon
    Alerts(Lazy<AlertsArgs>),
    /// What happened to the logins, and why one of them was lost
    Log(Lazy<LogArgs>),
    /// Every file that may hold a secret
    Paths,
    #[command(flatten)]
    Stored(StoredCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this provider
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Option<String>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LoginArgs {
    #[command(subcommand)]
    pub(crate) step: Option<LoginStep>,
    /// The provider to log in to; without it, a menu asks
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Option<String>,
    #[command(flatten)]
    pub(crate) wish: LoginWish,
    /// Open no browser, only show the address
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Show the address as a QR code too
    #[arg(long)]
    pub(crate) qr: bool,
    /// Write the address into this file too
    #[arg(long, value_name = "PATH")]
    pub(crate) url_file: Option<String>,
}

// A login in two processes.
#[derive(Debug, Subcommand)]
pub(crate) enum LoginStep {
    /// Print an address to open, and end; finish within 15 minutes
    Start {
        /// The provider to log in to
        #[arg(long, value_name = "ID")]
        provider: String,
        #[command(flatten)]
        wish: LoginWish,
    },
    /// Finish with the address where the browser ended, or the code, on standard input; for --device, wait until it is done
    Finish {
        /// What `start` printed
        #[arg(value_name = "ID")]
        id: String,
        /// Read standard input to its end, also from a terminal
        #[arg(long)]
        stdin: bool,
    },
}

// What a login is to bring. No doc comment: where it is flattened in, that would become the command's help.
#[derive(Debug, Default, Args)]
pub(crate) struct LoginWish {
    /// How to log in: oauth, device-code, siwc; by default by all that the provider has, and the first answer counts
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Only by a code that is typed in on another device
    #[arg(long, conflicts_with = "method")]
    pub(crate) device: bool,
    /// The profile's id; by default it is made from the identity
    #[arg(long, value_name = "ID")]
    pub(crate) profile_id: Option<String>,
    /// Also where that id holds somebody else's login
    #[arg(long)]
    pub(crate) replace: bool,
    /// Store nothing unless this person logs in
    #[arg(long, value_name = "EMAIL")]
    pub(crate) expect: Option<String>,
    /// Store nothing unless it is for this account or workspace
    #[arg(long, value_name = "ID")]
    pub(crate) workspace: Option<String>,
}

// What is lent. (As above.)
#[derive(Debug, Args)]
pub(crate) struct LoanArgs {
    /// The provider whose API is called
    #[arg(long, value_name = "ID")]
    pub(crate) provider: String,
    /// This profile and no other
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<String>,
    /// As for this session: its pin counts
    #[arg(long, value_name = "KEY")]
    pub(crate) session: Option<String>,
    /// The token must work for at least this long: 90s, 30m, 2h
    #[arg(long, value_name = "DURATION", value_parser = crate::text::duration)]
    pub(crate) min_validity: Option<std::time::Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) loan: LoanArgs,
    /// What is printed; by default the token
    #[arg(long, value_enum)]
    pub(crate) format: Option<TokenFormat>,
    /// Ask the provider first whether it takes the token; one that it rejects is refreshed
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenFormat {
    /// The token and a newline
    #[default]
    Token,
    /// An object with everything the API needs
    Json,
    /// NAME='value' lines for a shell
    Env,
    /// The header lines that the API needs
    Header,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The provider in question
    #[arg(long, value_name = "ID")]
    pub(crate) provider: String,
    /// As for this session: its pin counts
    #[arg(long, value_name = "KEY")]
    pub(crate) session: Option<String>,
    /// For this model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RefreshArgs {
    /// The provider in question
    #[arg(long, value_name = "ID")]
    pub(crate) provider: String,
    /// This profile instead of the one that would be used
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<String>,
    /// Standard input has the access token that the provider has just rejected; only then is a fresh one refreshed
    #[arg(long)]
    pub(crate) rejected_stdin: bool,
    /// Give a login that was refreshed to this shell command, as JSON on its standard input, refresh token included: for
    /// the secret store that the next run starts from. What is older than what that has is never given
    #[arg(long, value_name = "COMMAND")]
    pub(crate) persist_cmd: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrderCommand {
    /// Show the agent's own order
    Get {
        /// The provider in question
        #[arg(long, value_name = "ID")]
        provider: String,
    },
    /// Set it: these profiles, in this order, and no others
    Set {
        /// The provider in question
        #[arg(long, value_name = "ID")]
        provider: String,
        /// Profile ids, first choice first
        #[arg(required = true, value_name = "PROFILE")]
        profiles: Vec<String>,
    },
    /// Remove it
    Clear {
        /// The provider in question
        #[arg(long, value_name = "ID")]
        provider: String,
    },
}

impl Cli {
    pub(crate) fn wants_json(&self) -> bool {
        let (token_json, status_json) = match &self.command {
            Some(Lazy(Command::Models { command: Some(Lazy(ModelsCommand::Auth { command })), .. })) => (
                matches!(&command.0, AuthCommand::Token(args) if args.0.format == Some(TokenFormat::Json)),
                false,
            ),
            Some(Lazy(Command::Models { status_json, .. })) => (false, *status_json),
            _ => (false, false),
        };
        self.global.json || token_json || status_json
    }
}

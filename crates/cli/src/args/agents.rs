//! The commands around agents.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// The agents, where their files are, and whom they answer
    List {
        /// Each binding, not only how many
        #[arg(long)]
        bindings: bool,
    },
    /// Add an agent with files, sessions and a workspace of its own. It starts without logins
    Add(AddAgentArgs),
    /// Delete an agent: its files go to the trash folder of the state dir
    Delete {
        /// Which agent
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(long)]
        force: bool,
        /// Log its profiles out instead of keeping them in the trash
        #[arg(long)]
        purge: bool,
    },
    /// Let an agent use another's logins after its own, without a copy of them
    Link {
        /// Which agent
        #[arg(value_name = "ID")]
        id: String,
        /// Whose logins
        #[arg(long, value_name = "ID")]
        to: String,
    },
    /// Let an agent use only its own logins
    Unlink {
        /// Which agent
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Let an agent answer a channel, or an account of one
    Bind {
        /// Which agent
        #[arg(value_name = "ID")]
        id: String,
        /// What it answers; may be repeated
        #[arg(long, required = true, value_name = "CHANNEL[:ACCOUNT]")]
        bind: Vec<String>,
    },
    /// Undo that
    Unbind {
        /// Which agent
        #[arg(value_name = "ID")]
        id: String,
        /// What it no longer answers; may be repeated
        #[arg(long, value_name = "CHANNEL[:ACCOUNT]", required_unless_present = "all")]
        bind: Vec<String>,
        /// All its bindings
        #[arg(long, conflicts_with = "bind")]
        all: bool,
    },
    /// Say who an agent is: the one that --agent names
    SetIdentity(IdentityArgs),
    /// Which agent answers a message, and in which session
    Route(RouteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddAgentArgs {
    /// What people call it; its id is made from that
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where it works; by default a folder in the state dir
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<String>,
    /// The model that it uses
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Where its logins are; by default a folder in the state dir
    #[arg(long, value_name = "DIR")]
    pub(crate) agent_dir: Option<String>,
    /// What it answers; may be repeated
    #[arg(long, value_name = "CHANNEL[:ACCOUNT]")]
    pub(crate) bind: Vec<String>,
    /// Ask nothing
    #[arg(long)]
    pub(crate) non_interactive: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    /// The agent that works in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<String>,
    /// Take it from this IDENTITY.md
    #[arg(long, value_name = "FILE")]
    pub(crate) identity_file: Option<PathBuf>,
    /// Take it from IDENTITY.md of the agent's workspace
    #[arg(long, conflicts_with = "identity_file")]
    pub(crate) from_identity: bool,
    /// Its name
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// What it is like
    #[arg(long, value_name = "TEXT")]
    pub(crate) theme: Option<String>,
    /// The sign before its messages
    #[arg(long, value_name = "TEXT")]
    pub(crate) emoji: Option<String>,
    /// Its picture: a path or an address
    #[arg(long, value_name = "TEXT")]
    pub(crate) avatar: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RouteArgs {
    /// The service that the message comes through
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) channel: String,
    #[command(flatten)]
    pub(crate) from: FromArgs,
}

// Where in a channel a message comes from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FromArgs {
    /// The account there that got it
    #[arg(long, value_name = "ACCOUNT", requires = "channel")]
    pub(crate) account: Option<String>,
    /// Who is talked to: direct:ID, group:ID or channel:ID
    #[arg(long, value_name = "KIND:ID", requires = "channel")]
    pub(crate) peer: Option<String>,
    /// What the peer is a part of, such as the channel of a thread
    #[arg(long, value_name = "KIND:ID", requires = "channel")]
    pub(crate) parent: Option<String>,
    /// The guild, or server
    #[arg(long, value_name = "ID", requires = "channel")]
    pub(crate) guild: Option<String>,
    /// The team, or workspace
    #[arg(long, value_name = "ID", requires = "channel")]
    pub(crate) team: Option<String>,
    /// A role of the sender; may be repeated
    #[arg(long, value_name = "ID", requires = "channel")]
    pub(crate) role: Vec<String>,
}

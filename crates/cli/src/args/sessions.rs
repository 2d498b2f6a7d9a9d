//! The commands around sessions.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SessionsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// The agent's sessions, with the model and the profile that each uses
    List,
    /// One session, and what was said in it last
    Show {
        /// The session's key, or its name without agent:ID:
        #[arg(value_name = "KEY")]
        key: String,
        /// How many messages
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: usize,
    },
    /// Remove the pin of a session, so that its account is chosen by the order again
    Unpin {
        /// The session's key, or its name without agent:ID:
        #[arg(value_name = "KEY")]
        key: String,
    },
}

//! The commands around chat channels.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ChannelsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ChannelsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelsCommand {
    /// The chat channels of the config, and the ids of the agent's profiles
    List {
        /// Ask no provider how much of a plan is used; nobody is asked anyway
        #[arg(long)]
        no_usage: bool,
    },
}

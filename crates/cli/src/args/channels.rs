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
        /// Ask the providers how much of each plan is used
        #[arg(long, conflicts_with = "no_usage")]
        usage: bool,
        /// Leave out also the figures that are known already
        #[arg(long)]
        no_usage: bool,
    },
}

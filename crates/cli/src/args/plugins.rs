//! `plugins`: providers of one's own, by data and by code.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// Whether a manifest is good, and the requests it leads to; without FILE, everything that is in force
    Check {
        /// A manifest, or the folder of a plugin
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Only read it: no log-in to the built-in test server
        #[arg(long)]
        no_trial: bool,
    },
    /// Begin a new provider with a manifest that explains itself
    New {
        /// The new provider's id
        #[arg(value_name = "NAME")]
        name: String,
        /// Start from this provider
        #[arg(long, value_name = "ID")]
        from: Option<String>,
        /// Print it instead of writing it into providers/ of the state dir
        #[arg(long)]
        print: bool,
    },
}

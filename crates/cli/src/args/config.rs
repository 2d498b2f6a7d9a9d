//! The commands around the config file.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// What stands at a place, with included files and variables put in
    Get {
        /// Such as `agents.list[0].id` or `agents.defaults.models["openai/gpt-5.2"]`
        #[arg(value_name = "PATH")]
        path: String,
        /// Also what looks like a secret
        #[arg(long)]
        show_secrets: bool,
    },
    /// Write a value at a place; comments and everything around it stay
    Set(ConfigSetArgs),
    /// Take away what stands at a place
    Unset {
        /// Such as agents.defaults.workspace
        #[arg(value_name = "PATH")]
        path: String,
    },
    /// Check the whole file, and what it includes
    Validate,
    /// Where the file is
    Path,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigSetArgs {
    /// Such as agents.defaults.model.primary
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
    /// JSON5, or else text
    #[arg(value_name = "VALUE", conflicts_with = "stdin", allow_hyphen_values = true)]
    pub(crate) value: Option<String>,
    /// Refuse a value that is not JSON5
    #[arg(long)]
    pub(crate) json_value: bool,
    /// Read the value from standard input, as secrets have to be
    #[arg(long)]
    pub(crate) stdin: bool,
}

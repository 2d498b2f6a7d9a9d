//! The commands that choose models and name them.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ModelsListArgs {
    /// Also those that the config's list of models leaves out
    #[arg(long)]
    pub(crate) all: bool,
    /// Only those that are served on this machine or in its network
    #[arg(long)]
    pub(crate) local: bool,
    /// Only of this provider
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Option<String>,
    /// Only their names
    #[arg(long, conflicts_with = "json")]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// provider/model, or an alias
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AliasesCommand {
    /// All aliases, built-in ones too
    List {
        /// One line for each: alias, blank, model
        #[arg(long, conflicts_with = "json")]
        plain: bool,
    },
    /// Give a model a short name
    Add {
        /// Letters, digits and _ . : -
        #[arg(value_name = "ALIAS")]
        alias: String,
        /// provider/model, or another alias
        #[arg(value_name = "MODEL")]
        model: String,
    },
    /// Take a short name away
    Remove {
        /// The alias, in any case
        #[arg(value_name = "ALIAS")]
        alias: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FallbacksCommand {
    /// What is tried when the model fails, in this order
    List {
        /// Only their names
        #[arg(long, conflicts_with = "json")]
        plain: bool,
    },
    /// Put a model at the end
    Add(ModelArgs),
    /// Take one out
    Remove(ModelArgs),
    /// Take all out
    Clear,
}

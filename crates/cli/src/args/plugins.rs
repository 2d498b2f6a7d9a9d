//! `plugins`: providers of one's own, by data and by code.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// What is installed, and whether it is in force
    List {
        /// Only what is in force
        #[arg(long)]
        enabled: bool,
    },
    /// What a plugin is, and what it may do
    Info {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Whether a manifest is good, and what would be sent
    Check {
        /// A manifest, or the folder of a plugin; by default everything that is in force
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
    /// Install a plugin, after it was shown what it may do
    Install {
        /// Its folder, or a .tar.gz
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Ask nothing
        #[arg(long, short)]
        yes: bool,
    },
    /// Put a plugin in force, as it is now
    Enable {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Ask nothing
        #[arg(long, short)]
        yes: bool,
    },
    /// Put a plugin out of force; its files and its logins stay
    Disable {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Remove a plugin's files; its logins stay in the store
    Uninstall {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Only put it out of force
        #[arg(long)]
        keep_files: bool,
        /// Ask nothing
        #[arg(long, short, visible_alias = "yes")]
        force: bool,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

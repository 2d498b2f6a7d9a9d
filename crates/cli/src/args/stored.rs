//! The commands around credentials that are stored already, or are pasted.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Lazy;

#[derive(Debug, Subcommand)]
pub(crate) enum StoredCommand {
    /// Store a bearer token that was made elsewhere
    PasteToken(Lazy<PasteArgs>),
    /// Store what `claude setup-token` prints
    SetupToken(Lazy<SetupTokenArgs>),
    /// Store an API key, which is billed per use
    PasteApiKey(Lazy<PasteArgs>),
    /// Choose from a menu what to store
    Add,
    /// Make a profile the first choice of its provider
    Use(Lazy<UseArgs>),
    /// Give a profile another id
    Rename(Lazy<RenameArgs>),
    /// Remove a profile, and revoke its tokens where the provider has a way to
    Logout(Lazy<LogoutArgs>),
    /// Remove profiles that can never serve again: damaged, empty, ended
    Prune(Lazy<PruneArgs>),
    /// Add back profiles that the store has lost
    Restore(Lazy<RestoreArgs>),
    /// Run a command while nobody else can write the store
    Lock(Lazy<LockArgs>),
    /// Profiles that are set aside after failures
    Cooldown {
        #[command(subcommand)]
        command: Lazy<CooldownCommand>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// The profile's id
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// Its new id
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The profile's id
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: String,
    /// Only remove it here: no request is made
    #[arg(long)]
    pub(crate) local_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Only list them
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// From this copy of the store instead of its backup
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Only say what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

// Where a secret comes from. Never from an argument: those are seen by every user of the machine.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SourceArgs {
    /// Read it from standard input
    #[arg(long, conflicts_with = "file")]
    pub(crate) stdin: bool,
    /// Read it from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

// Where it goes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TargetArgs {
    /// The profile's id; by default PROVIDER:manual
    #[arg(long, value_name = "ID")]
    pub(crate) profile_id: Option<String>,
    /// Also store a credential of an unknown kind
    #[arg(long)]
    pub(crate) force: bool,
    /// Also where the id holds another credential
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PasteArgs {
    /// Whose it is
    #[arg(long, value_name = "ID")]
    pub(crate) provider: String,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// It ends so long after now: 365d, 12h; a number alone is days
    #[arg(long, value_name = "DURATION", value_parser = days)]
    pub(crate) expires_in: Option<Duration>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Store where it is kept instead: env:NAME, file:PATH, exec:COMMAND or op://VAULT/ITEM/FIELD
    #[arg(long = "ref", value_name = "REF", conflicts_with_all = ["stdin", "file", "expires_in", "force"])]
    pub(crate) reference: Option<String>,
    /// What a program gave is used for so long, by all processes: 1h
    #[arg(long, value_name = "DURATION", value_parser = crate::text::duration, requires = "reference")]
    pub(crate) ttl: Option<Duration>,
    /// So long a program may take: 10s
    #[arg(long, value_name = "DURATION", value_parser = crate::text::duration, requires = "reference")]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct SetupTokenArgs {
    /// Whose it is
    #[arg(long, value_name = "ID", default_value = "anthropic")]
    pub(crate) provider: String,
    /// At a terminal: run `claude setup-token` without asking, and take the token from it
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// It ends so long after now: 365d, 12h; a number alone is days. A year, where nothing is said
    #[arg(long, value_name = "DURATION", value_parser = days)]
    pub(crate) expires_in: Option<Duration>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UseArgs {
    /// The profile's id
    #[arg(value_name = "PROFILE", required_unless_present = "provider")]
    pub(crate) profile: Option<String>,
    /// Choose among this provider's profiles at the terminal
    #[arg(long, value_name = "ID", conflicts_with = "profile")]
    pub(crate) provider: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CooldownCommand {
    /// Show them
    List,
    /// Use them again at once
    Clear {
        /// Only this one
        #[arg(value_name = "PROFILE")]
        profile: Option<String>,
    },
}

/// A duration whose bare number means days.
pub(super) fn days(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let is_bare = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let duration = crate::text::duration(&if is_bare { format!("{text}d") } else { text.to_owned() })?;
    if duration.is_zero() {
        return Err("it would have ended already".into());
    }
    Ok(duration)
}

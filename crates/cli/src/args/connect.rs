//! Programs that are connected to CoderClaw, so that they borrow a login instead of holding one.

use clap::{Args, ValueEnum};

/// A program that can be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    /// Anthropic's Claude Code
    ClaudeCode,
    /// OpenAI's Codex CLI
    Codex,
}

/// How the program gets at a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// It runs a command that prints an access token, and talks to the provider itself
    Helper,
    /// It talks to `coderclaw gateway run`
    Gateway,
}

/// Connect a program: it borrows a login from here instead of holding one
///
/// Writes a few settings into the program's own file, after showing them; the old file is kept beside it. What stands
/// in the file already is never replaced without --replace, and `disconnect` takes back exactly what was written.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Which program
    #[arg(value_enum, value_name = "PROGRAM")]
    pub(crate) tool: Tool,
    /// How it gets at the login; by default the way that works with the credential that would be lent
    #[arg(long, value_enum, value_name = "WAY")]
    pub(crate) through: Option<Way>,
    /// The provider; by default the vendor's own
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Option<String>,
    /// This profile and no other
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<String>,
    /// The gateway's port; as for `gateway run`
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Replace settings that somebody else made; `disconnect` puts them back
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) print: bool,
    /// Do not ask
    #[arg(long, short, conflicts_with = "print")]
    pub(crate) yes: bool,
}

/// Take back what `connect` wrote; what was changed since stays
#[derive(Debug, Args)]
pub(crate) struct DisconnectArgs {
    /// Which program
    #[arg(value_enum, value_name = "PROGRAM")]
    pub(crate) tool: Tool,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) print: bool,
    /// Do not ask
    #[arg(long, short, conflicts_with = "print")]
    pub(crate) yes: bool,
}

//! What `doctor` takes.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Repair what is safe to repair, and say each; credentials are never touched
    #[arg(long, visible_alias = "repair")]
    pub(crate) fix: bool,
    /// Also ask each provider whether its credentials work
    #[arg(long)]
    pub(crate) deep: bool,
    /// Also look for copies of tokens and keys where none belong: logs, chats, backups, the history of git
    #[arg(long)]
    pub(crate) secrets: bool,
    /// Ask no questions; none are asked anyway
    #[arg(long)]
    pub(crate) yes: bool,
    /// The same
    #[arg(long)]
    pub(crate) non_interactive: bool,
    /// Accepted, and without effect
    #[arg(long, hide = true)]
    pub(crate) force: bool,
    /// Accepted, and without effect
    #[arg(long, hide = true)]
    pub(crate) no_workspace_suggestions: bool,
    /// Accepted, and without effect
    #[arg(long, hide = true)]
    pub(crate) generate_gateway_token: bool,
}

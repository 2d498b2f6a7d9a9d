//! `import`: logins of other programs and of older versions.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// From Codex CLI: its API key, and with --share its login
    Codex(ProgramArgs),
    /// From Claude Code: a token that it was given; its own login stays its own
    Claude(ProgramArgs),
    /// From the stores of OpenClaw's agents, files or databases
    Openclaw {
        /// Its state dir, one agent's folder, an auth-profiles.json or a database; by default ~/.openclaw
        #[arg(value_name = "PATH")]
        from: Option<String>,
        /// Only say what would come in
        #[arg(long)]
        dry_run: bool,
    },
    /// From the oauth.json of an older version
    #[command(name = "oauth.json")]
    OauthJson {
        /// By default the one of this state dir
        #[arg(value_name = "FILE")]
        from: Option<String>,
        /// Only say what would come in
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ProgramArgs {
    /// Its file or folder; by default where that program looks itself
    #[arg(value_name = "PATH")]
    pub(crate) from: Option<String>,
    /// Also a login that renews itself: whichever program refreshes it first logs the other out
    #[arg(long)]
    pub(crate) share: bool,
    /// Only say what would come in
    #[arg(long)]
    pub(crate) dry_run: bool,
}

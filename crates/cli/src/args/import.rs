//! `import`: logins of other programs and of older versions.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// From the stores of OpenClaw's agents
    Openclaw {
        /// Its state dir, one agent's folder, or an auth-profiles.json; by default ~/.openclaw
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

//! What `models auth alerts` takes.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    /// Tell it to those whom settings.toml names, each trouble once
    #[arg(long)]
    pub(crate) send: bool,
}

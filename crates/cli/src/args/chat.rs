//! The commands that talk to a model.

use clap::Args;

use super::FromArgs;

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// The session's name or key
    #[arg(long, value_name = "KEY", default_value = "main")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) with: WithArgs,
}

// What the turns of this run use, whatever the session says.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WithArgs {
    /// Use this profile and no other
    #[arg(long, value_name = "ID")]
    pub(crate) auth_profile: Option<String>,
    /// Use this model: an alias, or provider/model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// What to say; a command such as /model works too
    #[arg(long, short, value_name = "TEXT", required_unless_present = "stdin", conflicts_with = "stdin")]
    pub(crate) message: Option<String>,
    /// Read the message from standard input
    #[arg(long)]
    pub(crate) stdin: bool,
    /// The session's name or key
    #[arg(long, value_name = "KEY", conflicts_with = "channel")]
    pub(crate) session_key: Option<String>,
    /// As if it came through this service: the bindings say which agent answers, and in which session
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
    #[command(flatten)]
    pub(crate) from: FromArgs,
    #[command(flatten)]
    pub(crate) with: WithArgs,
}

//! The command that takes logins out, without what renews them.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// Print access tokens for a machine that must not renew them, such as a CI runner
///
/// A refresh token works once, so one machine alone may hold it: this one. What is printed ends by itself, and any number of
/// jobs can use it at once. A token that ends sooner than --min-validity is refreshed here first.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Access tokens only; nothing else is ever exported
    #[arg(long, required = true)]
    pub(crate) access_only: bool,
    /// Each token must work for at least this long: 90s, 30m, 2h
    #[arg(long, value_name = "DURATION", default_value = "60m", value_parser = crate::text::duration)]
    pub(crate) min_validity: Duration,
    /// Only of this provider; by default of each that has a login
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Vec<String>,
    /// This profile instead of the one that would be used
    #[arg(long, value_name = "ID", requires = "provider")]
    pub(crate) profile: Option<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: ExportFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// An object with everything the APIs need
    #[default]
    Json,
    /// NAME='value' lines for a shell
    Env,
    /// NAME=value lines to append to $GITHUB_ENV; inside a job each value is masked in its log first
    Github,
}

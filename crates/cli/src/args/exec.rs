//! The command that lends a token to a program.

use std::ffi::OsString;

use clap::Args;

use super::LoanArgs;

/// Start a program with an access token in its environment
///
/// The variables are those that the provider's manifest names; `models auth token --format env` shows them. Other
/// variables that may hold a credential of the provider are taken away, so that the program cannot mix two. It never
/// gets a refresh token: what it is lent ends when the token ends, which is said on standard error. A program that may
/// run for longer asks for time with --min-validity, or talks to `coderclaw gateway run`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) loan: LoanArgs,
    /// The program and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

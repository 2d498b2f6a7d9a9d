//! `coderclaw demo`: the whole story in a minute.

use coderclaw_types::{Clock, Code, Env};

use crate::args::{DemoArgs, Global};
use crate::error::CommandError;
use crate::report::Report;

pub(crate) fn run(
    _args: &DemoArgs,
    _global: &Global,
    _env: Env,
    _clock: Clock,
) -> Result<Report, CommandError> {
    Err(CommandError::new(Code::Internal, "not there yet"))
}

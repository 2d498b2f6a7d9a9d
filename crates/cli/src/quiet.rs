//! What a crash may say: where it was, and nothing of what the program had in its hands. The text of a panic may quote
//! any value, a token among them, and a core file holds them all.

use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo};

use coderclaw_types::Code;
use rustix::process::{Resource, Rlimit};

use crate::error::CommandError;
use crate::report::Report;

/// For the whole process, and for the workers that it starts.
pub(crate) fn arm() {
    // The hard limit stays: programs that are started from here may have reasons of their own.
    let maximum = rustix::process::getrlimit(Resource::Core).maximum;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum }).ok();
    std::panic::set_hook(Box::new(say));
}

fn say(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    writeln!(std::io::stderr().lock(), "coderclaw crashed{place}").ok();
}

/// A panic of a command is a failure like any other: a code, and exit 1.
pub(crate) fn guarded(
    command: impl FnOnce() -> Result<Report, CommandError>,
) -> Result<Report, CommandError> {
    std::panic::catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|_| {
        Err(CommandError::new(Code::Internal, "the program itself went wrong; what it wrote is whole"))
    })
}

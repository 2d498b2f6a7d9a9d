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
    // Tests look at what their processes were given, as whoever they run as.
    if cfg!(not(feature = "faults")) {
        seal();
    }
    std::panic::set_hook(Box::new(say));
}

/// A limit does not hold for a core that is piped to a collector (core(5)), and other programs of the same person may
/// attach to this one. Neither is possible then; a program that is started from here is as open as it ever was.
fn seal() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).ok();
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    /// G1: no core of this program is written or piped anywhere.
    #[test]
    fn g1_no_core_is_left() {
        super::seal();
        assert_eq!(dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
    }
}

//! `models auth lock -- COMMAND`: for scripts that edit the store themselves.

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use coderclaw_auth::EditError;
use coderclaw_store::StoreGuard;

use crate::commands::Context;
use crate::commands::profiles::no_such_program;
use crate::error::CommandError;
use crate::report::Report;

/// The original takes our mark for abandoned after 30 s.
const RENEWAL: Duration = Duration::from_secs(5);

pub(super) fn run(context: &Context, command: &[OsString]) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let Some((program, arguments)) = command.split_first() else {
        return Ok(Report::default());
    };
    let guard = StoreGuard::acquire(context.auth.state(), &agent.store()).map_err(EditError::from)?;
    // Ctrl-C reaches the command as well; the lock is held until that has ended.
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, ignored).ok();
    let status = while_held(&guard, || Command::new(program).args(arguments).status());
    let status = status.map_err(|e| no_such_program(&program.to_string_lossy(), &e))?;
    drop(guard);
    let code = match (status.code(), signal(status)) {
        (Some(code), _) => code,
        // As a shell says it.
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    Ok(Report::default().exit(u8::try_from(code).unwrap_or(1)))
}

/// Keeps the original out for as long as `run` takes.
fn while_held<T>(guard: &StoreGuard, run: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Where the original has come in meanwhile nothing more can be done for who edits.
            while is_done.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) && guard.renew().is_ok() {}
        });
        let result = run();
        drop(done);
        result
    })
}

fn signal(status: std::process::ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    status.signal()
}

//! Fail points: named places where a test can kill or stop the process, or make the system say no.
//!
//! They exist only with the feature `faults`; without it [`hit`] is an empty function. `CODERCLAW_FAULT` holds a
//! list such as `refresh.answered:kill,store.read:emfile`; `point@2:kill` means the second time it is passed. What can
//! be asked for: `kill`, `stop`, `panic`, `eio`, `emfile`, `enospc`, `erofs`, `eacces`. With `log:PATH` in the list,
//! each fault that strikes first adds a line to that file: process id, point, passage, action.

/// Every fail point of a refresh, in the order in which it passes them first: the asker's, then the worker's. A test
/// goes over all of them, and asserts that each is passed.
pub const POINTS: &[&str] = &[
    "store.read",
    "asker.locked",
    "worker.spawn",
    "asker.handed",
    "refresh.locked",
    "refresh.settled",
    "original.marked",
    "store.check",
    "journal.create",
    "journal.torn",
    "journal.before_rename",
    "journal.append",
    "refresh.prepared",
    "refresh.sending",
    "refresh.sent",
    "refresh.answered",
    "store.write",
    "store.torn",
    "store.before_rename",
    "store.after_rename",
    "refresh.applied_one",
    "refresh.applied",
    "ledger.write",
    "refresh.ledger",
    "refresh.done",
    "cache.write",
    "audit.write",
];

/// The fail points of a login, in the order in which it passes them first.
pub const LOGIN_POINTS: &[&str] = &[
    "store.read",
    "store.check",
    "login.checked",
    "login.exchanged",
    "login.admitted",
    "store.write",
    "store.torn",
    "store.before_rename",
    "store.after_rename",
    "login.stored",
    "audit.write",
    "cache.write",
    "login.done",
];

/// The fail point of a login for which a client is registered: before its code is exchanged.
pub const REGISTERED: &str = "login.registered";

/// The fail points of a logout, in the order in which it passes them first.
pub const LOGOUT_POINTS: &[&str] = &[
    "store.read",
    "logout.locked",
    "store.check",
    "journal.create",
    "journal.torn",
    "journal.before_rename",
    "journal.append",
    "logout.recorded",
    "logout.wiped",
    "cache.write",
    "store.write",
    "store.torn",
    "store.before_rename",
    "store.after_rename",
    "logout.removed",
    "logout.revoked",
    "audit.write",
];

/// The fail points of taking over an older version's logins, in the order in which it passes them.
pub const IMPORT_POINTS: &[&str] = &["import.begun", "import.stored", "import.recorded", "import.aside"];

/// The fail points of deleting an agent, in the order in which it passes them.
pub const DELETE_POINTS: &[&str] =
    &["trash.moved", "trash.done", "store.write", "store.before_rename", "store.after_rename"];

/// The fail points of an alert, in the order in which it passes them.
pub const ALERT_POINTS: &[&str] = &["alert.found", "alert.marked", "alert.recorded", "alert.sent"];

/// Passes the fail point `point`.
///
/// # Errors
/// The error that the armed plan asks for here.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn hit(_point: &'static str) -> std::io::Result<()> {
    Ok(())
}

/// Writes all of `bytes` into `file`. With fail points there is one after the first half.
///
/// # Errors
/// What the system says, or what the armed plan asks for in the middle.
pub(crate) fn write_all(file: &mut std::fs::File, bytes: &[u8], point: &'static str) -> std::io::Result<()> {
    use std::io::Write;
    if !cfg!(feature = "faults") {
        return file.write_all(bytes);
    }
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(half)?;
    hit(point)?;
    file.write_all(rest)
}

#[cfg(feature = "faults")]
pub use armed::{arm, hit};

#[cfg(feature = "faults")]
mod armed {
    use std::collections::HashMap;
    use std::fs::OpenOptions;
    use std::io::{self, Write};
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::{Mutex, OnceLock};

    use rustix::process::{Signal, getpid, kill_process};

    struct Plan {
        /// point → (fires at this passage, action)
        faults: Vec<(String, u32, String)>,
        log: Option<String>,
        passed: HashMap<&'static str, u32>,
    }

    static PLAN: OnceLock<Mutex<Plan>> = OnceLock::new();

    /// Arms the plan for the rest of the process. The first call wins.
    pub fn arm(plan: &str) {
        let mut log = None;
        let mut faults = Vec::new();
        for (point, action) in plan.split(',').filter_map(|fault| fault.trim().split_once(':')) {
            let (name, nth) = point.split_once('@').unwrap_or((point, "0"));
            match nth.parse() {
                _ if point == "log" => log = Some(action.to_owned()),
                Ok(nth) => faults.push((name.to_owned(), nth, action.to_owned())),
                Err(_) => {}
            }
        }
        PLAN.get_or_init(|| Mutex::new(Plan { faults, log, passed: HashMap::new() }));
    }

    /// Passes the fail point `point`.
    ///
    /// # Errors
    /// The error that the armed plan asks for here.
    pub fn hit(point: &'static str) -> io::Result<()> {
        let Some(plan) = PLAN.get() else { return Ok(()) };
        let Ok(mut plan) = plan.lock() else { return Ok(()) };
        let passed = plan.passed.entry(point).or_default();
        *passed += 1;
        let passed = *passed;
        let fault = plan.faults.iter().find(|(p, nth, _)| p == point && (*nth == 0 || *nth == passed));
        let Some((_, _, action)) = fault.cloned() else {
            return Ok(());
        };
        if let Some(log) = &plan.log {
            let line = format!("{} {point} {passed} {action}\n", getpid().as_raw_nonzero());
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(log);
            file.and_then(|mut file| file.write_all(line.as_bytes()))?;
        }
        drop(plan);
        let errno = match action.as_str() {
            "kill" => return Ok(kill_process(getpid(), Signal::KILL)?),
            // Whoever let it go on again did not want to hear of an error.
            "stop" => return Ok(kill_process(getpid(), Signal::STOP)?),
            #[expect(clippy::panic, reason = "this is what was asked for")]
            "panic" => panic!("asked for at {point}"),
            "enospc" => rustix::io::Errno::NOSPC,
            "erofs" => rustix::io::Errno::ROFS,
            "eacces" => rustix::io::Errno::ACCESS,
            "ebusy" => rustix::io::Errno::BUSY,
            "emfile" => rustix::io::Errno::MFILE,
            _ => rustix::io::Errno::IO,
        };
        Err(errno.into())
    }
}

//! Fail points: named places where a test can kill the process or make the system say no.
//!
//! They exist only with the feature `faults`; without it [`hit`] is an empty function. `CODERCLAW_FAULT` holds a
//! list such as `refresh.answered:kill,store.read:emfile`; `point@2:kill` means the second time it is passed.

/// Every fail point of a refresh, in the order in which it passes them. A test asserts that each can be hit.
pub const POINTS: &[&str] = &[
    "store.read",
    "refresh.locked",
    "refresh.settled",
    "original.marked",
    "journal.create",
    "journal.append",
    "refresh.prepared",
    "refresh.sending",
    "refresh.sent",
    "refresh.answered",
    "store.write",
    "store.before_rename",
    "store.after_rename",
    "refresh.applied_one",
    "refresh.applied",
    "refresh.ledger",
    "refresh.done",
    "cache.write",
    "import.begun",
    "import.stored",
    "import.recorded",
    "import.aside",
];

/// The fail points of deleting an agent, in the order in which it passes them.
pub const DELETE_POINTS: &[&str] =
    &["trash.moved", "trash.done", "store.write", "store.before_rename", "store.after_rename"];

/// Passes the fail point `point`.
///
/// # Errors
/// The error that the armed plan asks for here.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn hit(_point: &'static str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "faults")]
pub use armed::{arm, hit};

#[cfg(feature = "faults")]
mod armed {
    use std::collections::HashMap;
    use std::io;
    use std::sync::{Mutex, OnceLock};

    struct Plan {
        /// point → (fires at this passage, action)
        faults: Vec<(String, u32, String)>,
        passed: HashMap<&'static str, u32>,
    }

    static PLAN: OnceLock<Mutex<Plan>> = OnceLock::new();

    /// Arms the plan for the rest of the process. The first call wins.
    pub fn arm(plan: &str) {
        let faults = plan
            .split(',')
            .filter_map(|fault| {
                let (point, action) = fault.trim().split_once(':')?;
                let (point, nth) = point.split_once('@').unwrap_or((point, "0"));
                Some((point.to_owned(), nth.parse().ok()?, action.to_owned()))
            })
            .collect();
        PLAN.get_or_init(|| Mutex::new(Plan { faults, passed: HashMap::new() }));
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
        drop(plan);
        let errno = match action.as_str() {
            "kill" => {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
                return Ok(());
            }
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

//! The worker: a process of its own, or a thread, that holds the grant's lock and does the refresh.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coderclaw_http::Network;
use coderclaw_store::{AgentPaths, GrantGuard, JournalView, Ledger, OriginalGuard, WorkerLock};
use coderclaw_types::{AgentId, Clock, Code, Env, GrantId, ProfileId, TokenHash};
use serde::{Deserialize, Serialize};

use crate::context::{Auth, Runner};
use crate::grant::Refreshable;

use super::ask::Want;
use super::asker::ensure_fingerprint_key;
use super::settle::settle;
use super::{RefreshError, apply, exchange, prepare};

/// The variable that makes this program a worker: a job as JSON, without secrets.
pub const WORKER_VARIABLE: &str = "CODERCLAW_WORKER";

/// What a worker may know of its asker's environment, besides proxies and CAs.
pub(crate) const PASSED_ON: &[&str] = &[
    "HOME",
    "PATH",
    "TMPDIR",
    "LANG",
    "CODERCLAW_HOME",
    "CODERCLAW_PROFILE",
    "CODERCLAW_FAULT",
    "CODERCLAW_CLOCK",
];
/// Exit statuses from here on name a code of the table.
const FIRST_CODE: i32 = 64;

/// What a worker is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    grant: GrantId,
    agent: String,
    profile: ProfileId,
    min_validity_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejected: Option<TokenHash>,
    explicit: bool,
    /// In the course of which command, for the audit trail.
    #[serde(default)]
    command: String,
    /// The program that tells people, where somebody has to be told.
    #[serde(default)]
    herald: Option<PathBuf>,
}

impl Job {
    pub(super) fn new(auth: &Auth, agent: &AgentPaths, one: &Refreshable, want: &Want) -> Self {
        Self {
            grant: one.grant,
            agent: agent.agent.as_str().into(),
            profile: one.profile.clone(),
            min_validity_ms: u64::try_from(want.min_validity.as_millis()).unwrap_or(u64::MAX),
            rejected: want.rejected,
            explicit: want.explicit,
            command: auth.command().to_owned(),
            herald: auth.herald().map(Path::to_path_buf),
        }
    }

    fn want(&self) -> Want {
        Want {
            min_validity: Duration::from_millis(self.min_validity_ms),
            rejected: self.rejected,
            explicit: self.explicit,
        }
    }
}

/// A worker under way.
pub(super) enum Started {
    Process(Child),
    Thread(Option<JoinHandle<Result<(), Code>>>, Option<Code>),
}

impl Started {
    /// The code that the worker ended with, if it has ended and had no better way to say it.
    pub(super) fn failure(&mut self) -> Option<Code> {
        match self {
            Self::Process(child) => {
                let status = child.try_wait().ok()??.code()?;
                let index = usize::try_from(status.checked_sub(FIRST_CODE)?).ok()?;
                Code::ALL.get(index).copied()
            }
            Self::Thread(handle, ended) => {
                if handle.as_ref().is_some_and(JoinHandle::is_finished)
                    && let Some(handle) = handle.take()
                {
                    *ended = handle.join().unwrap_or(Err(Code::WorkerFailed)).err();
                }
                *ended
            }
        }
    }

    pub(super) fn describe(&mut self) -> String {
        match self {
            Self::Process(child) => match child.try_wait() {
                Ok(Some(status)) => status.to_string(),
                _ => "no status".into(),
            },
            Self::Thread(..) => "the thread ended".into(),
        }
    }

    /// Waits a little for the end of what goes on without us, so that no zombie is left behind. A thread is waited
    /// for to its end, since it ends with this process.
    pub(super) fn farewell(self, limit: Duration) {
        match self {
            Self::Process(mut child) => {
                let until = Instant::now() + limit;
                while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            Self::Thread(handle, _) => {
                if let Some(handle) = handle {
                    drop(handle.join());
                }
            }
        }
    }
}

/// Starts a worker and hands it the lock. Where no process can be had, the work is done in a thread.
pub(super) fn start(auth: &Auth, guard: GrantGuard, job: Job) -> Result<Started, RefreshError> {
    if let Runner::Process(program) = auth.runner()
        && let Ok(handle) = guard.handle_for_child()
        && let Ok(child) = spawn(auth, program, handle, &job)
    {
        guard.handed_over();
        return Ok(Started::Process(child));
    }
    let Some(lock) = guard.into_worker() else {
        return Err(RefreshError::WorkerFailed { detail: "the lock was lost".into() });
    };
    let auth = auth.clone();
    let thread = std::thread::Builder::new().name("refresh".into());
    let handle = thread
        .spawn(move || work_and_tell(&auth, lock, &job, &AtomicBool::new(false)))
        .map_err(|e| RefreshError::WorkerFailed { detail: e.to_string() })?;
    Ok(Started::Thread(Some(handle), None))
}

fn spawn(auth: &Auth, program: &Path, lock: File, job: &Job) -> io::Result<Child> {
    coderclaw_store::faults::hit("worker.spawn")?;
    let env = auth.env();
    let mut command = Command::new(program);
    command.env_clear();
    for name in PASSED_ON.iter().chain(Network::variables()) {
        if let Some(value) = env.get_os(name) {
            command.env(name, value);
        }
    }
    let main = auth.state().agent(auth.config(), &AgentId::main());
    if env.get("CODERCLAW_AGENT_DIR").or_else(|| env.get("PI_CODING_AGENT_DIR")).is_some() {
        command.env("CODERCLAW_AGENT_DIR", main.dir);
    }
    command
        .env("CODERCLAW_STATE_DIR", auth.state().root())
        .env("CODERCLAW_CONFIG_PATH", auth.state().config_path())
        .env(WORKER_VARIABLE, serde_json::to_string(job)?)
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// The `main` of a worker process: its standard input is the locked file.
pub fn run_worker_process(env: Env, clock: Clock) -> ExitCode {
    match worker_process(env, clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => {
            let index = Code::ALL.iter().position(|one| *one == code).unwrap_or(0);
            let first = u8::try_from(FIRST_CODE).unwrap_or(u8::MAX);
            ExitCode::from(first.saturating_add(u8::try_from(index).unwrap_or(0)))
        }
    }
}

fn worker_process(env: Env, clock: Clock) -> Result<(), Code> {
    // Out of the terminal's reach: Ctrl-C and a closing window are the asker's affair.
    // It fails only for a process that leads its group already, which is as good.
    rustix::process::setsid().ok();
    let job = env.get(WORKER_VARIABLE).and_then(|text| serde_json::from_str::<Job>(text).ok());
    let job = job.ok_or(Code::WorkerFailed)?;
    // The lock belongs to the open file; this handle and standard input share it.
    let file = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(|_| Code::WorkerFailed)?);
    let auth = Auth::open(env, clock, Runner::Thread).map_err(|e| e.code())?;
    let lock = WorkerLock::inherit(auth.state(), &job.grant, file).map_err(|e| e.code())?;
    let asked_to_end = hold_off_endings()?;
    auth.called_by(&job.command);
    if let Some(program) = &job.herald {
        auth.heralded_by(program.clone());
    }
    work_and_tell(&auth, lock, &job, &asked_to_end)
}

/// From here on INT, TERM and HUP only set the flag. It is looked at before anything is sent; after that, a half-done
/// refresh is what this program exists to prevent, and only a kill ends it.
fn hold_off_endings() -> Result<Arc<AtomicBool>, Code> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let asked_to_end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&asked_to_end)).map_err(|_| Code::WorkerFailed)?;
    }
    Ok(asked_to_end)
}

/// Does the work, frees the lock, and only then tells what came of it.
fn work_and_tell(auth: &Auth, lock: WorkerLock, job: &Job, asked_to_end: &AtomicBool) -> Result<(), Code> {
    let journal = auth.state().journal(&job.grant);
    let from = JournalView::read(&journal).map_or(0, |journal| journal.next_seq());
    let done = work(auth, &lock, job, asked_to_end);
    drop(lock);
    if let Ok(agent) = auth.agent(Some(&job.agent)) {
        auth.audit_refresh(&agent, &job.profile, &job.grant, from, done.err());
        auth.attend_grant(&job.grant);
    }
    done
}

/// All steps of a worker, in order. An error is what could not be written into the journal.
fn work(auth: &Auth, lock: &WorkerLock, job: &Job, asked_to_end: &AtomicBool) -> Result<(), Code> {
    let agent = auth.agent(Some(&job.agent)).map_err(|_| Code::UnknownAgent)?;
    let refresh = || -> Result<(), RefreshError> {
        fault("refresh.locked")?;
        ensure_fingerprint_key(auth);
        let Some(mut due) = settle(auth, lock, &agent, &job.profile, &job.want())? else {
            return Ok(());
        };
        fault("refresh.settled")?;
        // Held until the stores have the answer.
        let original = prepare::shut_out(auth, &mut due)?;
        drop(due);
        let Some(mut due) = settle(auth, lock, &agent, &job.profile, &job.want())? else {
            return Ok(());
        };
        prepare::prepare(auth, &mut due)?;
        fault("refresh.prepared")?;
        if let Some((spent, tokens)) =
            exchange::exchange(auth, &mut due, &original, &job.want(), asked_to_end)?
        {
            fault("refresh.answered")?;
            // A process that stood still may have lost its marks meanwhile; then each commit asks for itself.
            let _original = Some(original).filter(OriginalGuard::is_whole);
            let learned = apply::Learned { rejected: job.rejected, clock_ahead: due.clock_ahead };
            apply::apply_and_finish(auth, lock, &mut due.journal, &spent, &tokens, learned)?;
        }
        Ok(())
    };
    let done = refresh().map_err(|e| e.code());
    // Last, and whatever came of it: a login that was refused has nothing to lend either.
    let ledger = Ledger::load(lock).ok();
    auth.renew_caches_of(&lock.grant(), &agent, &|hash| {
        ledger.as_ref().is_some_and(|one| one.is_spent(hash))
    });
    done
}

/// A fail point of the worker.
pub(super) fn fault(point: &'static str) -> Result<(), RefreshError> {
    coderclaw_store::faults::hit(point).map_err(|e| RefreshError::WorkerFailed { detail: e.to_string() })
}

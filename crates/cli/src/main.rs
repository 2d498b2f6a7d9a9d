//! The `coderclaw` binary: captures the environment and the clock, parses, runs one command, prints.
//!
//! Nothing is set up before a command needs it: no async runtime, no TLS, no provider file is parsed on the way to
//! `token` or `status`.

mod args;
mod commands;
#[cfg(feature = "demo")]
mod demo;
mod error;
mod global;
#[cfg(test)]
mod man;
mod paint;
mod pty;
mod quiet;
#[cfg(test)]
mod reference;
mod report;
mod secret_input;
mod terminal;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use coderclaw_types::{Clock, Env, Millis};

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the environment is captured here, once")]
    let env = Env::new(
        std::env::vars_os(),
        std::env::home_dir(),
        std::env::current_dir().unwrap_or_else(|_| "/".into()),
    );
    quiet::arm();
    let clock = system_clock(&env);
    arm_faults(&env);
    // Before anything else: a worker's standard input is a lock, and it takes no arguments.
    if env.get(coderclaw_auth::WORKER_VARIABLE).is_some() {
        return coderclaw_auth::run_worker_process(env, clock);
    }
    if env.get(coderclaw_auth::HERALD_VARIABLE).is_some() {
        return coderclaw_auth::run_herald_process(env, clock);
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let wants_json = global::wants_json(&arguments);
    let (report, is_json) = match global::parse(arguments, env) {
        Ok((cli, env)) => {
            let is_json = cli.wants_json();
            (quiet::guarded(|| commands::run(cli, env, clock)), is_json)
        }
        Err(e) => (Err(e), wants_json),
    };
    match report {
        Ok(report) => report.print(),
        Err(error) => error.print(is_json),
    }
}

#[cfg(not(feature = "faults"))]
fn system_clock(_env: &Env) -> Clock {
    Clock::from_fn(now)
}

/// Tests move the clock by a number of milliseconds.
#[cfg(feature = "faults")]
fn system_clock(env: &Env) -> Clock {
    let shift: i64 = env.get("CODERCLAW_CLOCK").and_then(|text| text.parse().ok()).unwrap_or(0);
    Clock::from_fn(move || Millis(now().0 + shift))
}

fn now() -> Millis {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for the time")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(not(feature = "faults"))]
fn arm_faults(_env: &Env) {}

#[cfg(feature = "faults")]
fn arm_faults(env: &Env) {
    if let Some(plan) = env.get("CODERCLAW_FAULT") {
        coderclaw_store::faults::arm(plan);
    }
}

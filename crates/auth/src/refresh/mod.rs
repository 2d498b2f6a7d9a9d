//! One refresh per grant, adopted by everybody who asked, lost by nobody.
//!
//! The steps, by the names of their functions: [`ask::ask`], [`asker::obtain`] (`lock`, hand over, watch),
//! [`settle::settle`], [`prepare::prepare`], [`exchange::exchange`] (`sending`, `answer`), [`apply::apply`],
//! [`apply::finish`]. The model in `tests/refresh_model.rs` bears the same names.

mod apply;
pub(crate) mod ask;
mod asker;
mod exchange;
mod prepare;
mod settle;
mod spacing;
mod worker;

use coderclaw_store::{LockError, ReadError, WriteError};
use coderclaw_types::{Code, Millis};

pub(crate) use asker::{ask_here, obtain};
pub(crate) use worker::PASSED_ON;
pub use worker::{WORKER_VARIABLE, run_worker_process};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Something known stands in the way, such as the outcome of an earlier try.
    #[error("{detail}")]
    Denied {
        /// What it is.
        code: Code,
        /// The cause.
        detail: String,
        /// Until when, where known.
        until: Option<Millis>,
    },
    /// The best token there is ends too soon.
    #[error("the token ends before the wanted time")]
    CannotGuarantee {
        /// When it ends.
        until: Option<Millis>,
    },
    /// Somebody else has been refreshing for too long.
    #[error("{holder} has been refreshing this login for {secs} s")]
    InProgress {
        /// Who.
        holder: String,
        /// For how long it was waited for.
        secs: u64,
    },
    /// Two workers ended without an answer.
    #[error("two refresh workers ended without an answer: {detail}")]
    WorkerFailed {
        /// What the last one left behind.
        detail: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl RefreshError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Denied { code, .. } => *code,
            Self::CannotGuarantee { .. } => Code::CannotGuarantee,
            Self::InProgress { .. } => Code::RefreshInProgress,
            Self::WorkerFailed { .. } => Code::WorkerFailed,
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
        }
    }

    /// Until when it stands, where that is known.
    pub fn until(&self) -> Option<Millis> {
        match self {
            Self::Denied { until, .. } | Self::CannotGuarantee { until } => *until,
            _ => None,
        }
    }
}

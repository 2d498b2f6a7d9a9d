//! What was lent over the token socket, so that a client that reports a failure need not send the token back.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use coderclaw_auth::{Ask, Lease};
use coderclaw_types::ProfileId;

/// Of more loans than this the oldest are forgotten; a report about one is then judged by what is lent now.
const REMEMBERED: usize = 1_024;

/// A loan, and what it was asked for with.
#[derive(Debug, Clone)]
pub(super) struct Loan {
    pub(super) lease: Lease,
    pub(super) ask: Ask,
}

/// The loans of this gateway, by the key that got them.
#[derive(Debug, Default)]
pub(crate) struct Lent(Mutex<VecDeque<(String, u64, Loan)>>);

impl Lent {
    pub(super) fn add(&self, key: &str, generation: u64, lease: &Lease, ask: &Ask) {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lent.retain(|(own, number, loan)| {
            own != key
                || *number != generation
                || loan.lease.profile != lease.profile
                || loan.lease.provider != lease.provider
        });
        if lent.len() >= REMEMBERED {
            lent.pop_front();
        }
        lent.push_back((key.to_owned(), generation, Loan { lease: lease.clone(), ask: ask.clone() }));
    }

    /// Only what this very key was lent.
    pub(super) fn find(
        &self,
        key: &str,
        provider: &str,
        profile: Option<&str>,
        generation: u64,
    ) -> Option<Loan> {
        let lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = lent.iter().find(|(own, number, loan)| {
            own == key
                && *number == generation
                && loan.lease.provider.as_str() == provider
                && loan.lease.profile.as_ref().map(ProfileId::as_str) == profile
        });
        found.map(|(_, _, loan)| loan.clone())
    }
}

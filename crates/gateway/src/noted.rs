//! What has been written down already, so that a thousand requests do not write the same thing a thousand times.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coderclaw_auth::Lease;
use coderclaw_types::{ProfileId, TokenHash};

/// `lastUsed` is written at most so often.
const NOTED: Duration = Duration::from_secs(60);

/// Whose profile, and which.
type Place = (PathBuf, ProfileId);

/// What this process has noted.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    successes: Mutex<HashMap<Place, Instant>>,
    loans: Mutex<HashMap<(String, String), TokenHash>>,
}

impl Noted {
    /// Whether a success with this lease should be noted now.
    pub(crate) fn is_due(&self, lease: &Lease) -> bool {
        let Some(place) = place(lease) else { return false };
        let mut successes = self.successes.lock().unwrap_or_else(PoisonError::into_inner);
        if successes.get(&place).is_some_and(|last| last.elapsed() < NOTED) {
            return false;
        }
        successes.insert(place, Instant::now());
        true
    }

    /// After a failure the next success counts at once: it ends what the failure began.
    pub(crate) fn forget(&self, lease: &Lease) {
        if let Some(place) = place(lease) {
            self.successes.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        }
    }

    /// Whether this key has got this token before, as far as this process knows.
    pub(crate) fn knows_loan(&self, key: &str, lease: &Lease) -> bool {
        let loans = self.loans.lock().unwrap_or_else(PoisonError::into_inner);
        loans.get(&(key.to_owned(), of(lease))) == Some(&TokenHash::of(&lease.token))
    }

    /// Whether this key gets this token for the first time, as far as this process knows.
    pub(crate) fn is_first_loan(&self, key: &str, lease: &Lease) -> bool {
        let token = TokenHash::of(&lease.token);
        let mut loans = self.loans.lock().unwrap_or_else(PoisonError::into_inner);
        loans.insert((key.to_owned(), of(lease)), token) != Some(token)
    }
}

fn of(lease: &Lease) -> String {
    format!("{} {}", lease.owner.dir.display(), lease.whose())
}

fn place(lease: &Lease) -> Option<Place> {
    Some((lease.owner.dir.clone(), lease.profile.clone()?))
}

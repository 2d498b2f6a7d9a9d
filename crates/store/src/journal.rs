//! The redo log of one grant: what the refresh under way has done so far, and how the last one ended.
//!
//! The file is filled with zeros before anything is sent, so that the answer of the server has a place on the disk.
//! Records are appended and synced; each carries a checksum that covers the one before it, so that a torn tail, or
//! what an older, longer tail left behind, ends the log and harms nothing. Once a refresh is done, its tokens are
//! wiped by replacing the file with one that holds only what is to be remembered.
//!
//! Reading needs no lock. Writing needs the grant's [`WorkerLock`](crate::WorkerLock).

mod view;
mod write;

use std::io;
use std::path::Path;

use coderclaw_types::{Millis, TokenHash, sha256_parts};
use serde::{Deserialize, Serialize};

pub use self::view::{JournalView, Pending};
pub use self::write::Journal;
use crate::commit::WriteError;
use crate::outcome::Outcome;
use crate::profiles::TokenUpdate;

/// The file's length. A token answer is at most 128 KiB.
const LENGTH: u64 = 256 * 1024;
const MAGIC: &[u8; 4] = b"CCJ1";
/// A record that may not be on the disk yet. Whoever holds the lock takes it for what it says; nobody lends from it.
const UNSYNCED: &[u8; 4] = b"CCJ0";
const HEAD: usize = 4 + 4 + 8;

/// One line of the log. The names are those of the steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Record {
    /// All that can be checked beforehand was; nothing is sent yet.
    Prepared {
        /// When.
        at: Millis,
    },
    /// The request is about to leave.
    Sending {
        /// The refresh token that goes with it.
        token: TokenHash,
        /// When.
        at: Millis,
        /// How many times it may have been spent before this, and how many times it was tried.
        ambiguous: u32,
        /// Tries in a row before this one.
        failures: u32,
    },
    /// The server's answer. From here the new tokens may be lent.
    Answer {
        /// The refresh token that was spent.
        spent: TokenHash,
        /// What came for it.
        tokens: Box<TokenUpdate>,
    },
    /// The stores have the new tokens.
    Applied,
    /// The refresh is over.
    Done(Box<Outcome>),
    /// An answer that no entry may take: the entry vanished, or the tokens are another person's. Kept for rescue.
    Orphan {
        /// The tokens.
        tokens: Box<TokenUpdate>,
    },
    /// The user logged this grant out; a worker that finds this revokes what it holds.
    Logout {
        /// When.
        at: Millis,
    },
    /// A login has brought this very token again: the logout, and what was said against the token, have ended.
    Login {
        /// The refresh token.
        token: TokenHash,
        /// When.
        at: Millis,
    },
}

fn checksum(chain: &[u8; 8], payload: &[u8]) -> [u8; 8] {
    let sum = sha256_parts("journal record v1", &[chain, payload]);
    let mut short = [0; 8];
    short.copy_from_slice(&sum[..8]);
    short
}

/// The records, one behind the other, and what they say.
fn lay_out(records: &[Record], path: &Path) -> Result<(Vec<u8>, JournalView), WriteError> {
    let mut view = JournalView::default();
    let mut bytes = Vec::new();
    for record in records {
        let (encoded, sum) = encode(&view.chain, record, path)?;
        bytes.extend_from_slice(&encoded);
        view.chain = sum;
        view.take(record.clone());
    }
    view.synced = true;
    view.end = bytes.len() as u64;
    Ok((bytes, view))
}

impl Record {
    /// A journal that holds these records and nothing else.
    ///
    /// # Errors
    /// Where one of them is too long.
    pub fn lay_out(records: &[Self]) -> Result<Vec<u8>, WriteError> {
        lay_out(records, Path::new("a journal")).map(|(bytes, _)| bytes)
    }
}

fn encode(chain: &[u8; 8], record: &Record, path: &Path) -> Result<(Vec<u8>, [u8; 8]), WriteError> {
    let payload = serde_json::to_vec(record).map_err(|e| WriteError::io(path)(e.into()))?;
    let length = u32::try_from(payload.len()).map_err(|e| WriteError::io(path)(io::Error::other(e)))?;
    let sum = checksum(chain, &payload);
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&sum);
    bytes.extend_from_slice(&payload);
    Ok((bytes, sum))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use coderclaw_types::{Code, GrantId, Secret};
    use proptest::prelude::*;

    use super::view::OUTCOMES;
    use super::*;
    use crate::{GrantGuard, OutcomeKind, StateDir, WorkerLock};

    fn world() -> (tempfile::TempDir, StateDir, GrantId) {
        let (tmp, state) = StateDir::temporary();
        (tmp, state, GrantId::mint("https://x", "c", &Secret::from("rt")))
    }

    fn lock(state: &StateDir, grant: &GrantId) -> WorkerLock {
        GrantGuard::try_acquire(state, grant).unwrap().unwrap().into_worker().unwrap()
    }

    fn token(n: u32) -> TokenHash {
        TokenHash::of(&Secret::from(format!("rt-{n}")))
    }

    fn tokens(n: u32) -> Box<TokenUpdate> {
        Box::new(TokenUpdate::new(
            Secret::from(format!("canary-at-{n}")),
            Secret::from(format!("canary-rt-{n}")),
            Millis(9_000),
            Millis(1_000),
        ))
    }

    fn outcome(seq: u64, n: u32) -> Outcome {
        Outcome::new(seq, OutcomeKind::Refreshed, token(n), Millis(5), Code::Ok)
    }

    fn sending(n: u32) -> Record {
        Record::Sending { token: token(n), at: Millis(2), ambiguous: 0, failures: 0 }
    }

    /// A8: what was answered is there for whoever comes next, and gone once it is done.
    #[test]
    fn a8_an_answer_survives_and_is_wiped_after_done() {
        let (_tmp, state, grant) = world();
        let path = state.journal(&grant);
        let held = lock(&state, &grant);
        let mut journal = Journal::open(&state, &held).unwrap();
        assert!(!path.exists());
        journal.reserve(&state).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.len(), meta.mode() & 0o777), (LENGTH, 0o600));
        journal.append(Record::Prepared { at: Millis(1) }).unwrap();
        assert!(matches!(JournalView::read(&path).unwrap().pending, Some(Pending::Prepared)));
        journal.append(sending(1)).unwrap();
        assert!(matches!(JournalView::read(&path).unwrap().pending, Some(Pending::Sending { .. })));
        journal.append(Record::Answer { spent: token(1), tokens: tokens(2) }).unwrap();
        let view = JournalView::read(&path).unwrap();
        assert_eq!(view.answered(&token(1)).unwrap().access.expose(), "canary-at-2");
        assert!(view.answered(&token(2)).is_none());
        journal.append(Record::Applied).unwrap();
        journal.finish(&state, outcome(1, 1)).unwrap();
        let view = JournalView::read(&path).unwrap();
        assert!(view.pending.is_none());
        assert_eq!(view.outcome_of(&token(1)).unwrap().seq, 1);
        assert!(view.outcome_of(&token(2)).is_none());
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"canary"), "tokens are wiped");
        assert_eq!(bytes.len() as u64, LENGTH);
    }

    #[test]
    fn many_outcomes_and_broken_off_refreshes_never_fill_it() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        for n in 0..2_000 {
            let mut journal = Journal::open(&state, &held).unwrap();
            journal.reserve(&state).unwrap();
            journal.append(Record::Prepared { at: Millis(1) }).unwrap();
            journal.append(sending(n)).unwrap();
            if n % 5 == 0 {
                journal.finish(&state, outcome(journal.view().next_seq(), n)).unwrap();
            }
        }
        let view = JournalView::read(&state.journal(&grant)).unwrap();
        assert_eq!(view.last_outcome().unwrap().seq, 400);
        assert!(matches!(view.pending, Some(Pending::Sending { token: t, .. }) if t == token(1999)));
    }

    /// A8: tokens that are written and perhaps not on the disk are not lent, and not lost either.
    #[test]
    fn a8_an_answer_is_lent_only_once_it_is_synced() {
        let (_tmp, state, grant) = world();
        let path = state.journal(&grant);
        let held = lock(&state, &grant);
        let mut journal = Journal::open(&state, &held).unwrap();
        journal.reserve(&state).unwrap();
        journal.append(sending(1)).unwrap();
        let at = journal.view().end as usize;
        journal.append(Record::Answer { spent: token(1), tokens: tokens(2) }).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[at..at + 4], MAGIC);
        bytes[at..at + 4].copy_from_slice(UNSYNCED);
        fs::write(&path, &bytes).unwrap();
        let view = JournalView::read(&path).unwrap();
        assert!(view.answered(&token(1)).is_none());
        assert!(matches!(view.pending, Some(Pending::Answer { .. })), "who holds the lock applies it");
    }

    /// A4: what is known about one token is not pushed out by what happens to another.
    #[test]
    fn a4_outcomes_are_kept_by_token() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        let mut journal = Journal::open(&state, &held).unwrap();
        for (seq, n) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
            journal.finish(&state, outcome(seq, n)).unwrap();
        }
        let view = JournalView::read(&state.journal(&grant)).unwrap();
        let seqs: Vec<_> = [1, 2, 3].map(|n| view.outcome_of(&token(n)).unwrap().seq).into();
        assert_eq!((seqs, view.next_seq()), (vec![3, 2, 4], 5));
        for n in 10..30 {
            journal.finish(&state, outcome(u64::from(n), n)).unwrap();
        }
        let view = JournalView::read(&state.journal(&grant)).unwrap();
        assert_eq!((view.outcomes.len(), view.next_seq()), (OUTCOMES, 30));
    }

    #[test]
    fn an_orphan_or_a_logout_outlives_the_next_outcome() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        let mut journal = Journal::open(&state, &held).unwrap();
        journal.reserve(&state).unwrap();
        journal.append(sending(1)).unwrap();
        journal.append(Record::Orphan { tokens: tokens(2) }).unwrap();
        journal.finish(&state, outcome(1, 1)).unwrap();
        let view = JournalView::read(&state.journal(&grant)).unwrap();
        assert!(!view.logged_out && view.orphan.is_some() && view.pending.is_none());
    }

    /// G7: after a logout no token of the grant is kept, whatever was under way, and none comes back.
    #[test]
    fn g7_a_logout_wipes_what_the_journal_held() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        let mut journal = Journal::open(&state, &held).unwrap();
        journal.reserve(&state).unwrap();
        journal.append(Record::Orphan { tokens: tokens(2) }).unwrap();
        journal.append(sending(3)).unwrap();
        journal.append(Record::Answer { spent: token(3), tokens: tokens(4) }).unwrap();
        journal.append(Record::Logout { at: Millis(3) }).unwrap();
        assert!(journal.view().orphan.is_none() && journal.view().pending.is_some());
        journal.forget_tokens().unwrap();
        journal.append(Record::Orphan { tokens: tokens(5) }).unwrap();
        journal.finish(&state, outcome(3, 1)).unwrap();
        let view = JournalView::read(&state.journal(&grant)).unwrap();
        assert!(view.logged_out && view.orphan.is_none() && view.pending.is_none());
        journal.forget_tokens().unwrap();
        let text = String::from_utf8_lossy(&fs::read(state.journal(&grant)).unwrap()).into_owned();
        for n in [2, 4, 5] {
            assert!(!text.contains(tokens(n).refresh.expose()), "{n}");
        }
    }

    /// A login that brings back the token of a grant that was logged out, or refused, starts afresh; what is known of
    /// other tokens stays, and so does all of it in the file that comes next.
    #[test]
    fn a_login_ends_a_logout() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        let mut journal = Journal::open(&state, &held).unwrap();
        journal.finish(&state, outcome(1, 1)).unwrap();
        let mut refused = outcome(2, 2);
        refused.kind = OutcomeKind::Refused;
        journal.finish(&state, refused).unwrap();
        journal.reserve(&state).unwrap();
        journal.append(Record::Logout { at: Millis(3) }).unwrap();
        assert!(journal.view().is_against(&token(2)) && journal.view().is_against(&token(9)));
        journal.append(Record::Login { token: token(2), at: Millis(4) }).unwrap();
        for rewritten in [false, true] {
            if rewritten {
                journal.forget_tokens().unwrap();
            }
            let view = JournalView::read(&state.journal(&grant)).unwrap();
            assert!(!view.is_against(&token(2)) && !view.logged_out);
            assert!(view.outcome_of(&token(1)).is_some());
            assert_eq!(view.next_seq(), 3);
        }
        journal.append(Record::Logout { at: Millis(5) }).unwrap();
        assert!(journal.view().logged_out, "the next logout counts again");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// A8: a log cut or damaged anywhere ends before the damage; what came before it is still there, and the
        /// next record is readable.
        #[test]
        fn a8_a_bad_tail_is_ignored(cut in 0usize..1200, flip in any::<u8>()) {
            let (_tmp, state, grant) = world();
            let path = state.journal(&grant);
            let held = lock(&state, &grant);
            let mut journal = Journal::open(&state, &held).unwrap();
            journal.reserve(&state).unwrap();
            journal.append(sending(1)).unwrap();
            let first = journal.view().end as usize;
            journal.append(Record::Answer { spent: token(1), tokens: tokens(2) }).unwrap();
            let second = journal.view().end as usize;
            let mut bytes = fs::read(&path).unwrap();
            bytes[cut] ^= flip;
            fs::write(&path, &bytes).unwrap();
            let view = JournalView::read(&path).unwrap();
            match view.pending {
                _ if flip == 0 || cut >= second => prop_assert!(view.answered(&token(1)).is_some()),
                Some(Pending::Sending { .. }) => prop_assert!(cut >= first),
                None => prop_assert!(cut < first),
                other => prop_assert!(false, "{other:?}"),
            }
            let mut journal = Journal::open(&state, &held).unwrap();
            journal.append(sending(7)).unwrap();
            let pending = JournalView::read(&path).unwrap().pending;
            let is_last = matches!(pending, Some(Pending::Sending { token: t, .. }) if t == token(7));
            prop_assert!(is_last);
        }
    }
}

//! The redo log of one grant: what the refresh under way has done so far, and how the last one ended.
//!
//! The file is filled with zeros before anything is sent, so that the answer of the server has a place on the disk.
//! Records are appended and synced; each carries a checksum that covers the one before it, so that a torn tail, or
//! what an older, longer tail left behind, ends the log and harms nothing. Once a refresh is done, its tokens are
//! wiped by replacing the file with one that holds only what is to be remembered.
//!
//! Reading needs no lock. Writing needs the grant's [`WorkerLock`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use coderclaw_types::{Code, Millis, TokenHash, sha256_parts};
use serde::{Deserialize, Serialize};

use crate::commit::{WriteError, create_private, sync_folder};
use crate::faults;
use crate::locks::WorkerLock;
use crate::outcome::{Outcome, OutcomeKind};
use crate::paths::StateDir;
use crate::profiles::TokenUpdate;
use crate::read::ReadError;

/// The file's length. A token answer is at most 128 KiB.
const LENGTH: u64 = 256 * 1024;
/// What must be free before a request: one answer and the records around it.
const ROOM: u64 = 136 * 1024;
/// Of how many tokens of one grant the outcome is remembered.
const OUTCOMES: usize = 8;
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

/// Where the refresh under way stands, if one does.
#[derive(Debug, Clone)]
pub enum Pending {
    /// Nothing was sent.
    Prepared,
    /// Sent, and no answer is known.
    Sending {
        /// The token that went.
        token: TokenHash,
        /// When.
        at: Millis,
        /// As in [`Record::Sending`].
        ambiguous: u32,
        /// As in [`Record::Sending`].
        failures: u32,
    },
    /// Answered, not yet in all stores.
    Answer {
        /// The token that was spent.
        spent: TokenHash,
        /// What came for it.
        tokens: Box<TokenUpdate>,
    },
    /// In all stores; only the end is missing.
    Applied {
        /// The token that was spent.
        spent: TokenHash,
        /// What came for it.
        tokens: Box<TokenUpdate>,
    },
}

/// What a journal says.
#[derive(Debug, Clone, Default)]
pub struct JournalView {
    /// The refresh under way or broken off.
    pub pending: Option<Pending>,
    /// How the last finished ones ended, one for each token, oldest first. Two copies of a login may hold different
    /// tokens for a while, and what is known about one must not push out what is known about the other.
    pub outcomes: Vec<Outcome>,
    /// Tokens that belong to no entry.
    pub orphan: Option<Box<TokenUpdate>>,
    /// The user logged this grant out.
    pub logged_out: bool,
    /// The last record is known to be on the disk.
    synced: bool,
    end: u64,
    chain: [u8; 8],
}

impl JournalView {
    /// Reads the journal at `path`. A missing one says nothing.
    ///
    /// # Errors
    /// Where it exists and cannot be read. A damaged tail is no error: the log ends before it.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        match File::open(path) {
            Ok(file) => Self::scan(file).map_err(|e| ReadError::unreadable(path, e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(ReadError::unreadable(path, e)),
        }
    }

    /// What a journal with these bytes says.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // Memory does not fail.
        Self::scan(bytes).unwrap_or_default()
    }

    /// Where the records end that hold together, in bytes from the beginning. What comes after is no part of the log.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Most journals hold one short record, so little is read unless there is more.
    fn scan(file: impl Read) -> io::Result<Self> {
        let mut view = Self::default();
        let mut bytes = Vec::new();
        let mut file = file.take(LENGTH * 2);
        let mut at = 0;
        let mut more = |bytes: &mut Vec<u8>, upto: usize| -> io::Result<bool> {
            while bytes.len() < upto {
                let before = bytes.len();
                bytes.resize(upto.max(before + 2048), 0);
                let read = file.read(&mut bytes[before..])?;
                bytes.truncate(before + read);
                if read == 0 {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        while more(&mut bytes, at + HEAD)?
            && [MAGIC, UNSYNCED].iter().any(|magic| bytes[at..at + 4] == **magic)
        {
            let length = u32::from_le_bytes([bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]]);
            let Ok(length) = usize::try_from(length) else {
                break;
            };
            if length as u64 > LENGTH || !more(&mut bytes, at + HEAD + length)? {
                break;
            }
            let payload = &bytes[at + HEAD..at + HEAD + length];
            let sum = checksum(&view.chain, payload);
            if bytes[at + 8..at + HEAD] != sum {
                break;
            }
            let Ok(record) = serde_json::from_slice::<Record>(payload) else {
                break;
            };
            view.take(record);
            view.synced = bytes[at..at + 4] == *MAGIC;
            view.chain = sum;
            at += HEAD + length;
        }
        view.end = at as u64;
        Ok(view)
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Prepared { .. } => self.pending = Some(Pending::Prepared),
            Record::Sending { token, at, ambiguous, failures } => {
                self.pending = Some(Pending::Sending { token, at, ambiguous, failures });
            }
            Record::Answer { spent, tokens } => self.pending = Some(Pending::Answer { spent, tokens }),
            Record::Applied => {
                if let Some(Pending::Answer { spent, tokens }) = self.pending.take() {
                    self.pending = Some(Pending::Applied { spent, tokens });
                }
            }
            Record::Done(outcome) => {
                self.pending = None;
                self.outcomes.retain(|known| known.token != outcome.token);
                self.outcomes.push(*outcome);
                if self.outcomes.len() > OUTCOMES {
                    self.outcomes.remove(0);
                }
            }
            Record::Orphan { tokens } => self.orphan = (!self.logged_out).then_some(tokens),
            Record::Logout { .. } => {
                self.logged_out = true;
                self.orphan = None;
            }
            Record::Login { token, .. } => {
                self.logged_out = false;
                // It keeps its number, by which waiters tell outcomes apart.
                for outcome in self.outcomes.iter_mut().filter(|outcome| outcome.token == token) {
                    let kind = OutcomeKind::Adopted;
                    *outcome = Outcome::new(outcome.seq, kind, token, outcome.at, Code::Ok);
                }
            }
        }
    }

    /// The tokens that an entry which still holds `refresh` may be lent from, since they are durable here: on the
    /// disk, not merely written.
    pub fn answered(&self, refresh: &TokenHash) -> Option<&TokenUpdate> {
        match &self.pending {
            Some(Pending::Answer { spent, tokens } | Pending::Applied { spent, tokens })
                if spent == refresh && self.synced =>
            {
                Some(tokens)
            }
            _ => None,
        }
    }

    /// The outcome that speaks of `refresh`.
    pub fn outcome_of(&self, refresh: &TokenHash) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.token == *refresh)
    }

    /// Whether something stands against a login that brings `refresh` now.
    pub fn is_against(&self, refresh: &TokenHash) -> bool {
        self.logged_out || self.outcome_of(refresh).is_some_and(Outcome::speaks_against)
    }

    /// The last outcome, whatever it speaks of.
    pub(crate) fn last_outcome(&self) -> Option<&Outcome> {
        self.outcomes.last()
    }

    /// The number that the next outcome bears.
    pub fn next_seq(&self) -> u64 {
        self.last_outcome().map_or(1, |outcome| outcome.seq + 1)
    }
}

fn checksum(chain: &[u8; 8], payload: &[u8]) -> [u8; 8] {
    let sum = sha256_parts("journal record v1", &[chain, payload]);
    let mut short = [0; 8];
    short.copy_from_slice(&sum[..8]);
    short
}

/// A journal that may be written, since the grant's lock is held.
#[derive(Debug)]
pub struct Journal<'lock> {
    path: PathBuf,
    view: JournalView,
    file: Option<File>,
    _lock: &'lock WorkerLock,
}

impl<'lock> Journal<'lock> {
    /// Reads the journal of the grant that `lock` holds. Creates nothing yet.
    ///
    /// # Errors
    /// Where it exists and cannot be read.
    pub fn open(state: &StateDir, lock: &'lock WorkerLock) -> Result<Self, ReadError> {
        let path = state.journal(&lock.grant());
        let view = JournalView::read(&path)?;
        Ok(Self { path, view, file: None, _lock: lock })
    }

    /// What it says.
    pub fn view(&self) -> &JournalView {
        &self.view
    }

    /// Makes sure that an answer will find room, creating the file at its full length where it is missing.
    ///
    /// # Errors
    /// Where the disk does not take it: then nothing may be sent.
    pub fn reserve(&mut self, state: &StateDir) -> Result<(), WriteError> {
        state.ensure_dir(&state.journals())?;
        let long_enough = fs::metadata(&self.path).is_ok_and(|meta| meta.len() >= LENGTH);
        if long_enough && self.view.end + ROOM <= LENGTH {
            return Ok(());
        }
        // Too short or nearly full: carried over into a new one, whatever state it is in.
        self.rewrite(&self.carried())
    }

    /// Appends one record and syncs it.
    ///
    /// # Errors
    /// Where the disk does not take it. The log then ends where it ended before.
    pub fn append(&mut self, record: Record) -> Result<(), WriteError> {
        faults::hit("journal.append").map_err(WriteError::io(&self.path))?;
        let (mut bytes, sum) = encode(&self.view.chain, &record, &self.path)?;
        // Others read this file while it is written. New tokens show themselves only once they are on the disk: a
        // token that was lent and then lost with the power would be the end of the login.
        let is_answer = matches!(record, Record::Answer { .. });
        if is_answer {
            bytes[..4].copy_from_slice(UNSYNCED);
        }
        let end = self.view.end;
        let file = self.file()?;
        let mut written = file
            .seek(SeekFrom::Start(end))
            .and_then(|_| faults::write_all(file, &bytes, "journal.torn"))
            .and_then(|()| file.sync_data());
        if is_answer {
            written =
                written.and_then(|()| file.seek(SeekFrom::Start(end))).and_then(|_| file.write_all(MAGIC));
        }
        written.map_err(WriteError::io(&self.path))?;
        self.view.take(record);
        self.view.synced = true;
        self.view.chain = sum;
        self.view.end = end + bytes.len() as u64;
        Ok(())
    }

    /// Ends the refresh: `outcome` is recorded, and all tokens but an orphan's are wiped.
    ///
    /// # Errors
    /// Where the disk does not take the record. A wipe that fails is made up for by the next one.
    pub fn finish(&mut self, state: &StateDir, outcome: Outcome) -> Result<(), WriteError> {
        state.ensure_dir(&state.journals())?;
        let held_tokens = self.view.pending.is_some();
        if held_tokens {
            self.append(Record::Done(Box::new(outcome)))?;
            // The outcome is durable; an unfinished wipe loses nothing.
            drop(self.rewrite(&self.carried()));
            return Ok(());
        }
        // Nothing was under way: one record in a small file is enough.
        let long_enough = fs::metadata(&self.path).is_ok_and(|meta| meta.len() >= LENGTH);
        if long_enough && self.view.end + ROOM <= LENGTH {
            return self.append(Record::Done(Box::new(outcome)));
        }
        let mut records = self.carried();
        records.push(Record::Done(Box::new(outcome)));
        self.rewrite(&records)
    }

    /// Wipes the tokens of a grant that was logged out, by replacing the file; that it was logged out stays.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn forget_tokens(&mut self) -> Result<(), WriteError> {
        self.view.pending = None;
        self.view.orphan = None;
        self.rewrite(&self.carried())
    }

    /// What a new file has to hold so that nothing is forgotten.
    fn carried(&self) -> Vec<Record> {
        let mut records = Vec::new();
        if self.view.logged_out {
            records.push(Record::Logout { at: Millis::default() });
        }
        if let Some(tokens) = &self.view.orphan {
            records.push(Record::Orphan { tokens: tokens.clone() });
        }
        records.extend(self.view.outcomes.iter().map(|outcome| Record::Done(Box::new(outcome.clone()))));
        match self.view.pending.clone() {
            Some(Pending::Sending { token, at, ambiguous, failures }) => {
                records.push(Record::Sending { token, at, ambiguous, failures });
            }
            Some(Pending::Answer { spent, tokens }) => records.push(Record::Answer { spent, tokens }),
            Some(Pending::Applied { spent, tokens }) => {
                records.push(Record::Answer { spent, tokens });
                records.push(Record::Applied);
            }
            Some(Pending::Prepared) | None => {}
        }
        records
    }

    /// Replaces the file by one of full length that holds `records`.
    fn rewrite(&mut self, records: &[Record]) -> Result<(), WriteError> {
        faults::hit("journal.create").map_err(WriteError::io(&self.path))?;
        let (mut bytes, view) = lay_out(records, &self.path)?;
        bytes.resize(usize::try_from(LENGTH.max(view.end)).unwrap_or(bytes.len()), 0);
        let next = self.path.with_extension("next");
        let written = create_private(&next).and_then(|mut file| {
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(WriteError::io(&next))?;
            faults::hit("journal.before_rename").map_err(WriteError::io(&self.path))?;
            fs::rename(&next, &self.path).map_err(WriteError::io(&self.path))
        });
        if written.is_err() {
            drop(fs::remove_file(&next));
            return written;
        }
        self.file = None;
        self.view = view;
        sync_folder(&self.path)
    }

    fn file(&mut self) -> Result<&mut File, WriteError> {
        let path = &self.path;
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let opened = OpenOptions::new().write(true).open(path).map_err(WriteError::io(path))?;
                Ok(none.insert(opened))
            }
        }
    }
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
    use std::os::unix::fs::MetadataExt;

    use coderclaw_types::{Code, GrantId, Secret};
    use proptest::prelude::*;

    use super::*;
    use crate::{GrantGuard, OutcomeKind};

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

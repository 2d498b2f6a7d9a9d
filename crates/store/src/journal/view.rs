//! What a journal says, to whoever reads it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use coderclaw_types::{Code, Millis, TokenHash};

use super::{HEAD, LENGTH, MAGIC, Record, UNSYNCED, checksum};
use crate::outcome::{Outcome, OutcomeKind};
use crate::profiles::TokenUpdate;
use crate::read::ReadError;

/// Of how many tokens of one grant the outcome is remembered.
pub(super) const OUTCOMES: usize = 8;

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
        /// As in [`Record::Sending`](super::Record::Sending).
        ambiguous: u32,
        /// As in [`Record::Sending`](super::Record::Sending).
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
    pub(super) synced: bool,
    pub(super) end: u64,
    pub(super) chain: [u8; 8],
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

    pub(super) fn take(&mut self, record: Record) {
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

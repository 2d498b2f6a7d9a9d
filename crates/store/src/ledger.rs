//! The ledger of spent refresh tokens, in the body of the grant's lock file.
//!
//! 1,024 slots of fixed size, written by position, each with a checksum: a torn or foreign slot counts as empty, and
//! the oldest is overwritten first. It answers one question: was this token spent, and what came after it?

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use coderclaw_types::{TokenHash, sha256_parts};

use crate::commit::WriteError;
use crate::faults;
use crate::locks::WorkerLock;
use crate::read::ReadError;

const HEAD: u64 = 4096;
const SLOTS: u64 = 1024;
const SLOT_BYTES: usize = 8 + 32 + 32 + 8;

/// What is known to be spent in one grant.
#[derive(Debug, Default)]
pub struct Ledger {
    successors: HashMap<TokenHash, TokenHash>,
    last: u64,
}

impl Ledger {
    /// Reads the ledger of the grant whose lock is held.
    ///
    /// # Errors
    /// Where the lock file cannot be read. What does not check out is passed over.
    pub fn load(lock: &WorkerLock) -> Result<Self, ReadError> {
        let path = || PathBuf::from("locks").join(lock.grant().to_string());
        let mut bytes = Vec::new();
        let mut file = lock.file();
        file.seek(SeekFrom::Start(HEAD))
            .and_then(|_| file.take(SLOTS * SLOT_BYTES as u64).read_to_end(&mut bytes))
            .map_err(|source| ReadError::Unreadable { path: path(), source })?;
        let mut ledger = Self::default();
        let mut slots: Vec<_> = bytes.chunks_exact(SLOT_BYTES).filter_map(decode).collect();
        slots.sort_by_key(|slot| slot.0);
        for (seq, spent, successor) in slots {
            ledger.last = seq;
            ledger.successors.insert(spent, successor);
        }
        Ok(ledger)
    }

    /// Whether `token` was spent: it must never be sent again.
    pub fn is_spent(&self, token: &TokenHash) -> bool {
        self.successors.contains_key(token)
    }

    /// The tokens that came after `token`, nearest first.
    pub fn chain(&self, token: &TokenHash) -> Vec<TokenHash> {
        let mut chain = Vec::new();
        let mut at = token;
        while let Some(next) = self.successors.get(at) {
            if chain.contains(next) || next == token {
                break;
            }
            chain.push(*next);
            at = next;
        }
        chain
    }

    /// Records, durably, that `spent` was exchanged for `successor`. Twice is once.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn record(
        &mut self,
        lock: &WorkerLock,
        spent: TokenHash,
        successor: TokenHash,
    ) -> Result<(), WriteError> {
        if spent == successor || self.successors.get(&spent) == Some(&successor) {
            return Ok(());
        }
        let seq = self.last + 1;
        let position = HEAD + (seq - 1) % SLOTS * SLOT_BYTES as u64;
        let mut file = lock.file();
        faults::hit("ledger.write")
            .and_then(|()| file.seek(SeekFrom::Start(position)))
            .and_then(|_| file.write_all(&encode(seq, &spent, &successor)))
            .and_then(|()| file.sync_data())
            .map_err(|source: io::Error| WriteError::Io {
                path: Path::new("locks").join(lock.grant().to_string()),
                source,
            })?;
        self.last = seq;
        self.successors.insert(spent, successor);
        Ok(())
    }
}

fn checksum(seq: u64, spent: &[u8], successor: &[u8]) -> [u8; 8] {
    let sum = sha256_parts("ledger slot v1", &[&seq.to_le_bytes(), spent, successor]);
    let mut short = [0; 8];
    short.copy_from_slice(&sum[..8]);
    short
}

fn encode(seq: u64, spent: &TokenHash, successor: &TokenHash) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(&seq.to_le_bytes());
    slot.extend_from_slice(spent.bytes());
    slot.extend_from_slice(successor.bytes());
    slot.extend_from_slice(&checksum(seq, spent.bytes(), successor.bytes()));
    slot
}

fn decode(slot: &[u8]) -> Option<(u64, TokenHash, TokenHash)> {
    let (seq, rest) = slot.split_first_chunk::<8>()?;
    let (spent, rest) = rest.split_first_chunk::<32>()?;
    let (successor, sum) = rest.split_first_chunk::<32>()?;
    let seq = u64::from_le_bytes(*seq);
    let good = seq > 0 && sum == checksum(seq, spent, successor);
    good.then(|| (seq, TokenHash::from_bytes(*spent), TokenHash::from_bytes(*successor)))
}

#[cfg(test)]
mod tests {
    use coderclaw_types::{GrantId, Secret};

    use super::*;
    use crate::{GrantGuard, StateDir};

    fn token(n: u32) -> TokenHash {
        TokenHash::of(&Secret::from(format!("rt-{n}")))
    }

    fn world() -> (tempfile::TempDir, StateDir, GrantId) {
        let (tmp, state) = StateDir::temporary();
        (tmp, state, GrantId::mint("https://x", "c", &Secret::from("rt")))
    }

    fn lock(state: &StateDir, grant: &GrantId) -> WorkerLock {
        GrantGuard::try_acquire(state, grant).unwrap().unwrap().into_worker().unwrap()
    }

    #[test]
    fn what_was_spent_is_remembered_with_its_successors() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        let mut ledger = Ledger::load(&held).unwrap();
        for n in 0..5 {
            ledger.record(&held, token(n), token(n + 1)).unwrap();
            ledger.record(&held, token(n), token(n + 1)).unwrap();
        }
        drop(held);
        let again = Ledger::load(&lock(&state, &grant)).unwrap();
        assert_eq!(again.last, 5);
        assert!(again.is_spent(&token(0)) && !again.is_spent(&token(5)));
        assert_eq!(again.chain(&token(3)), [token(4), token(5)]);
        assert!(again.chain(&token(9)).is_empty());
    }

    #[test]
    fn the_oldest_slot_is_overwritten_first_and_rings_end() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        let mut ledger = Ledger::load(&held).unwrap();
        for n in 0..1030 {
            ledger.record(&held, token(n), token(n + 1)).unwrap();
        }
        let again = Ledger::load(&held).unwrap();
        assert!(!again.is_spent(&token(5)) && again.is_spent(&token(6)) && again.is_spent(&token(1029)));
        let mut ring = Ledger::default();
        ring.record(&held, token(1), token(2)).unwrap();
        ring.record(&held, token(2), token(1)).unwrap();
        assert_eq!(ring.chain(&token(1)), [token(2)]);
    }

    /// F8: damage in the file costs at most the damaged slots.
    #[test]
    fn f8_damaged_slots_are_passed_over() {
        let (_tmp, state, grant) = world();
        let held = lock(&state, &grant);
        let mut ledger = Ledger::load(&held).unwrap();
        for n in 0..3 {
            ledger.record(&held, token(n), token(n + 1)).unwrap();
        }
        let path = GrantGuard::path(&state, &grant);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD as usize + SLOT_BYTES + 20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let again = Ledger::load(&held).unwrap();
        assert!(again.is_spent(&token(0)) && !again.is_spent(&token(1)) && again.is_spent(&token(2)));
        assert_eq!(again.last, 3);
        std::fs::write(&path, "garbage").unwrap();
        assert!(!Ledger::load(&held).unwrap().is_spent(&token(0)));
    }
}

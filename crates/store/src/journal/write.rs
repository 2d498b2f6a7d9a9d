//! A journal in the hands of the worker that writes it.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use coderclaw_types::Millis;

use super::{JournalView, LENGTH, MAGIC, Pending, Record, UNSYNCED, encode, lay_out};
use crate::commit::{WriteError, create_private, sync_folder};
use crate::faults;
use crate::locks::WorkerLock;
use crate::outcome::Outcome;
use crate::paths::StateDir;
use crate::read::ReadError;

/// What must be free before a request: one answer and the records around it.
const ROOM: u64 = 136 * 1024;

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

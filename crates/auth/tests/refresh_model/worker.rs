//! A worker after `settle`: `prepare`, `sending`, `answer`, `apply`, `finish`. It holds the lock all the while.

use super::rules::{Config, Rule};
use super::server::Fate;
use super::state::{
    Class, Entry, Holder, Legacy, Outcome, Owner, Record, Reply, Stage, State, Step, Token, Worker,
};

impl State {
    pub(crate) fn worker(&self, slot: usize) -> Option<Worker> {
        self.workers[slot]
    }

    pub(crate) fn set_step(&mut self, slot: usize, step: Step) {
        if let Some(worker) = &mut self.workers[slot] {
            worker.step = step;
        }
    }

    /// The process is gone: the kernel frees its locks, its memory is lost.
    pub(crate) fn end_worker(&mut self, slot: usize) {
        let id = u8::try_from(slot).unwrap_or(u8::MAX);
        for lock in &mut self.locks {
            if *lock == Some(Holder::Worker(id)) {
                *lock = None;
            }
        }
        for mark in &mut self.legacy {
            if *mark == Some(Legacy::Worker(id)) {
                *mark = None;
            }
        }
        if let Some(worker) = self.workers[slot].take()
            && matches!(worker.step, Step::InFlight | Step::Got(_))
        {
            self.witness.ambiguous.add(worker.token);
        }
    }

    pub(crate) fn worker_dies(&mut self, slot: usize) {
        self.left.worker_deaths -= 1;
        let step = self.workers[slot].map(|worker| worker.step);
        self.end_worker(slot);
        // The one loss that nothing prevents: received, and dead before it was written down.
        if let Some(Step::Got(Reply::Tokens(token))) = step {
            self.excuse(token);
        }
    }

    /// Writes one entry of a store, under the store's lock.
    pub(crate) fn write(&mut self, slot: usize, store: u8, grant: u8, token: Token) {
        let holder = Some(Holder::Worker(u8::try_from(slot).unwrap_or(u8::MAX)));
        if !self.locks.contains(&holder) {
            self.witness.wrong.wrote_unlocked = true;
        }
        if self.witness.spent.has(token) {
            self.witness.wrong.went_back = true;
        }
        self.stores[usize::from(store)] = Some(Entry { grant, token });
    }

    pub(crate) fn record_outcome(&mut self, config: &Config, worker: &Worker, class: Class, ambiguous: bool) {
        let ambiguous = ambiguous && (config.keeps(Rule::AmbiguityRemembered) || class == Class::Ambiguous);
        let at = if matches!(class, Class::Ambiguous | Class::NotSpent) { self.clock } else { 0 };
        let journal = self.journal_mut(worker.grant);
        if !config.keeps(Rule::OutcomePerToken) {
            journal.outcomes = Default::default();
        }
        journal.outcomes[usize::from(worker.token)] = Some(Outcome { class, at, ambiguous });
        if let Record::Prepared { spent, .. } | Record::Sending { spent, .. } = journal.record
            && spent == worker.token
        {
            journal.record = Record::None;
        }
    }

    pub(crate) fn give_up(&mut self, config: &Config, slot: usize, class: Class, ambiguous: bool) {
        if let Some(worker) = self.workers[slot] {
            self.record_outcome(config, &worker, class, ambiguous);
        }
        self.end_worker(slot);
    }

    /// Leaves a mark beside every store of the grant, claims the one outside, then everything is read again.
    pub(crate) fn legacy_lock(&mut self, config: &Config, slot: usize) -> bool {
        let Some(worker) = self.worker(slot) else { return false };
        let holds = |entry: Option<Entry>| entry.is_some_and(|entry| entry.grant == worker.grant);
        let concerned = self.stores.map(holds);
        if concerned.into_iter().zip(self.legacy).any(|(one, mark)| one && mark.is_some()) {
            return false;
        }
        for (one, mark) in concerned.into_iter().zip(&mut self.legacy) {
            if one {
                *mark = Some(Legacy::Worker(u8::try_from(slot).unwrap_or(u8::MAX)));
            }
        }
        if config.outside && concerned[1] {
            self.owner.get_or_insert(Owner::Us);
        }
        let again = config.keeps(Rule::RereadAfterLegacyLock);
        self.set_step(slot, if again { Step::Settle } else { Step::Prepare });
        true
    }

    pub(crate) fn prepare(&mut self, config: &Config, slot: usize) {
        let Some(worker) = self.worker(slot) else { return };
        // A record about another token would be overwritten: what it says about that token is kept.
        if let Record::Sending { spent, .. } = self.journal(worker.grant).record
            && spent != worker.token
        {
            let other = Worker { token: spent, ..worker };
            self.record_outcome(config, &other, Class::Ambiguous, true);
        }
        self.journal_mut(worker.grant).record =
            Record::Prepared { spent: worker.token, ambiguous: worker.ambiguous };
        self.set_step(slot, Step::Sending);
    }

    pub(crate) fn sending(&mut self, config: &Config, slot: usize) {
        let Some(worker) = self.worker(slot) else { return };
        let token = worker.token;
        let also =
            |other: &Worker| other.token == token && matches!(other.step, Step::InFlight | Step::Got(_));
        let witness = &mut self.witness;
        if witness.definite.has(token) || self.workers.iter().flatten().any(also) {
            witness.wrong.sent_twice = true;
        }
        let still_works = self.clock - self.born[usize::from(token)] < 2;
        if witness.cooling.has(token) || (witness.ambiguous.has(token) && still_works) {
            witness.wrong.too_soon = true;
        }
        // Counted from its beginning, which is all that a dead worker leaves on disk.
        witness.cooling.add(token);
        if config.keeps(Rule::SendingRecorded) {
            self.journal_mut(worker.grant).record =
                Record::Sending { spent: token, ambiguous: worker.ambiguous, at: self.clock };
        }
        self.set_step(slot, Step::InFlight);
    }

    pub(crate) fn server_answers(&mut self, config: &Config, slot: usize, fate: Fate) {
        let Some(worker) = self.worker(slot) else { return };
        let reply = match fate {
            Fate::Answered => self.serve(config, worker.token, true),
            Fate::AnswerLost => {
                self.left.lost_answers -= 1;
                self.serve(config, worker.token, true);
                Reply::Ambiguous
            }
            Fate::RequestLost => {
                self.left.lost_requests -= 1;
                Reply::Ambiguous
            }
            Fate::Unavailable => {
                self.left.unavailable -= 1;
                Reply::NotSpent
            }
            Fate::RefusedAnyway => {
                self.left.refusals -= 1;
                Reply::Refused
            }
        };
        match reply {
            Reply::Tokens(new) => self.witness.received.add(new),
            Reply::Ambiguous => self.witness.ambiguous.add(worker.token),
            Reply::NotSpent | Reply::Refused => {}
        }
        self.set_step(slot, Step::Got(reply));
    }

    /// The answer is made durable: new tokens as `answer`, anything else as the outcome.
    pub(crate) fn answer(&mut self, config: &Config, slot: usize) {
        let Some(worker) = self.worker(slot) else { return };
        let Step::Got(reply) = worker.step else { return };
        // From here on the process knows how its sending ended.
        self.set_step(slot, Step::Settle);
        self.witness.cooling.add(worker.token);
        match reply {
            Reply::Tokens(new) => {
                self.witness.definite.add(worker.token);
                self.witness.spent.add(worker.token);
                self.witness.received.remove(worker.token);
                self.witness.durable.remove(worker.token);
                self.witness.durable.add(new);
                self.journal_mut(worker.grant).record = Record::Answer { spent: worker.token, new };
                if !config.keeps(Rule::AnswerUntilApplied) {
                    self.journal_mut(worker.grant).record = Record::None;
                }
                self.set_step(slot, Step::Apply { new, store: 0, resumed: false });
            }
            Reply::Refused => {
                self.witness.definite.add(worker.token);
                self.witness.received.remove(worker.token);
                self.witness.durable.remove(worker.token);
                let class = if worker.ambiguous { Class::Interrupted } else { Class::Refused };
                self.give_up(config, slot, class, worker.ambiguous);
            }
            Reply::NotSpent => self.give_up(config, slot, Class::NotSpent, worker.ambiguous),
            Reply::Ambiguous if !config.keeps(Rule::SpacedRetry) => self.set_step(slot, Step::Sending),
            Reply::Ambiguous => self.give_up(config, slot, Class::Ambiguous, true),
        }
    }

    /// One store: reads again, replaces the spent token, commits.
    pub(crate) fn apply(&mut self, config: &Config, slot: usize) -> bool {
        let Some(worker) = self.worker(slot) else {
            return false;
        };
        let Step::Apply { new, store, resumed } = worker.step else {
            return false;
        };
        if self.is_shut_by_others(store) {
            return false;
        }
        let compare = config.keeps(Rule::CompareBeforeApply);
        let spent = Entry { grant: worker.grant, token: worker.token };
        if self.entry(store).is_some_and(|entry| entry == spent || !compare) {
            self.write(slot, store, worker.grant, new);
        }
        let step = match (store, config.keeps(Rule::LedgerBeforeDone)) {
            (0, _) => Step::Apply { new, store: 1, resumed },
            (_, true) => Step::Finish { new, stage: Stage::Ledger },
            (_, false) => Step::Finish { new, stage: Stage::Applied },
        };
        self.set_step(slot, step);
        true
    }

    /// Ledger, `applied`, `done`; one durable write each.
    pub(crate) fn finish(&mut self, config: &Config, slot: usize) {
        let Some(worker) = self.worker(slot) else { return };
        let Step::Finish { new, stage } = worker.step else {
            return;
        };
        let grant = worker.grant;
        match stage {
            Stage::Ledger | Stage::LateLedger => {
                self.ledger[usize::from(worker.token)] = new;
                self.set_step(slot, Step::Finish { new, stage: Stage::Applied });
            }
            Stage::Applied => {
                self.journal_mut(grant).record = Record::Applied { spent: worker.token, new };
                self.set_step(slot, Step::Finish { new, stage: Stage::Done });
            }
            Stage::Done => {
                let homeless = !self.held_by_entry(grant, new) && config.keeps(Rule::OrphanKept);
                let journal = self.journal_mut(grant);
                journal.record = Record::None;
                journal.outcomes[usize::from(worker.token)] = None;
                if homeless {
                    journal.orphan = Some(new);
                }
                if config.keeps(Rule::LedgerBeforeDone) {
                    self.end_worker(slot);
                } else {
                    self.set_step(slot, Step::Finish { new, stage: Stage::LateLedger });
                }
            }
        }
        if stage == Stage::LateLedger {
            self.end_worker(slot);
        }
    }
}

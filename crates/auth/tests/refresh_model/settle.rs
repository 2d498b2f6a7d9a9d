//! A worker's first step: `settle` reads everything again and decides whether a request is needed, and allowed.

use super::rules::{Config, Rule};
use super::state::{Class, Legacy, NOBODY, Record, Stage, State, Step, Token, Worker};

impl State {
    /// Whether a sending of this token ended, or may have ended, ambiguous, as the journal tells it; and when
    /// one that has no end began.
    fn ambiguity(&self, config: &Config, grant: u8, token: Token) -> (bool, Option<u8>) {
        let journal = self.journal(grant);
        let noted = journal.outcomes[usize::from(token)].is_some_and(|outcome| outcome.ambiguous);
        match journal.record {
            Record::Sending { spent, ambiguous, at } if spent == token => {
                let dangling = config.keeps(Rule::DanglingIsAmbiguous);
                (noted || ambiguous || dangling, dangling.then_some(at))
            }
            Record::Prepared { spent, ambiguous } if spent == token => (noted || ambiguous, None),
            _ => (noted, None),
        }
    }

    /// Reads everything again and decides.
    pub(crate) fn settle(&mut self, config: &Config, slot: usize) -> bool {
        let Some(worker) = self.worker(slot) else {
            return false;
        };
        if self.finish_logout(&worker) {
            return true;
        }
        if config.keeps(Rule::PendingAnswerFirst) && self.resume(slot, &worker) {
            return true;
        }
        if !config.keeps(Rule::RereadAfterLock) {
            self.set_step(slot, Step::Prepare);
            return true;
        }
        let Some(token) = self.target(&worker) else {
            self.end_worker(slot);
            return true;
        };
        if let Some(worker) = &mut self.workers[slot] {
            worker.token = token;
        }
        if config.keeps(Rule::LedgerConsulted) && self.ledger[usize::from(token)] != NOBODY {
            return self.heal(config, slot, &worker, token);
        }
        let forbidden = config.keeps(Rule::OutcomeAdopted) && self.forbids(worker.grant, token).is_some();
        if self.fresh(token) || forbidden {
            self.end_worker(slot);
            return true;
        }
        if config.keeps(Rule::ForeignLeftAlone) && self.is_foreign(worker.grant) {
            let ambiguous = self.ambiguity(config, worker.grant, token).0;
            self.give_up(config, slot, Class::Foreign, ambiguous);
            return true;
        }
        if config.keeps(Rule::DoubtfulNotSent) && self.doubtful(worker.grant, token) {
            let ambiguous = self.ambiguity(config, worker.grant, token).0;
            self.give_up(config, slot, Class::Doubtful, ambiguous);
            return true;
        }
        let (ambiguous, dangling) = self.ambiguity(config, worker.grant, token);
        if let Some(at) = dangling
            && (at == self.clock || self.works(token))
        {
            self.give_up(config, slot, Class::Ambiguous, true);
            return true;
        }
        if let Some(worker) = &mut self.workers[slot] {
            worker.ambiguous = ambiguous;
        }
        let id = u8::try_from(slot).unwrap_or(u8::MAX);
        let has_legacy = self.legacy.contains(&Some(Legacy::Worker(id)));
        let legacy_first = config.has_marks() && config.keeps(Rule::LegacyLock) && !has_legacy;
        self.set_step(slot, if legacy_first { Step::Legacy } else { Step::Prepare });
        true
    }

    fn target(&self, worker: &Worker) -> Option<Token> {
        self.entry(worker.store).filter(|entry| entry.grant == worker.grant).map(|entry| entry.token)
    }

    /// A logout that died between its record and the removal is carried through.
    fn finish_logout(&mut self, worker: &Worker) -> bool {
        if self.journal(worker.grant).logout.is_none() || self.is_shut_by_others(0) {
            return false;
        }
        self.remove_logged_out(worker.grant);
        true
    }

    /// `answer` is applied again without a request; `applied` is finished.
    fn resume(&mut self, slot: usize, worker: &Worker) -> bool {
        let (spent, step) = match self.journal(worker.grant).record {
            Record::Answer { spent, new } => (spent, Step::Apply { new, store: 0, resumed: true }),
            Record::Applied { spent, new } => (spent, Step::Finish { new, stage: Stage::Done }),
            _ => return false,
        };
        if let Some(worker) = &mut self.workers[slot] {
            worker.token = spent;
            worker.step = step;
        }
        true
    }

    /// The entry holds a spent token, an older copy: the successor that somebody of the grant holds is adopted.
    fn heal(&mut self, config: &Config, slot: usize, worker: &Worker, token: Token) -> bool {
        let Some(successor) = self.successor_somewhere(worker.grant, token) else {
            self.give_up(config, slot, Class::Restored, false);
            return true;
        };
        if self.is_shut_by_others(worker.store) {
            return false;
        }
        self.write(slot, worker.store, worker.grant, successor);
        if self.journal(worker.grant).orphan == Some(successor) {
            self.journal_mut(worker.grant).orphan = None;
        }
        true
    }
}

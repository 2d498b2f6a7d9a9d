//! An asker: `ask`, `lock`, hand over, watch.

use super::rules::{Config, Rule};
use super::state::{
    Answered, Asker, Class, Comeback, Holder, NOBODY, Phase, Record, Reply, State, Step, Token, Worker,
};

impl State {
    /// What store and outcome say to somebody who asks now; `None`: a refresh is wanted.
    fn judge(&self, config: &Config, store: u8) -> Option<Answered> {
        let Some(entry) = self.entry(store) else {
            return Some(Answered::NoEntry);
        };
        if self.journal(entry.grant).ended {
            return Some(Answered::Told(Class::LoggedOut));
        }
        if self.fresh(entry.token) {
            return Some(Answered::Lent(entry.token));
        }
        if !config.keeps(Rule::OutcomeAdopted) {
            return None;
        }
        let class = self.forbids(entry.grant, entry.token)?;
        Some(self.instead(entry.token, Answered::Told(class)))
    }

    /// No refresh to be had: a token that still works is lent all the same, unless it is known to be rejected.
    fn instead(&self, token: Token, otherwise: Answered) -> Answered {
        let rejected = matches!(otherwise, Answered::Told(Class::Refused | Class::Interrupted));
        if self.works(token) && !rejected { Answered::Lent(token) } else { otherwise }
    }

    fn answer_asker(&mut self, asker: usize, answer: Answered) {
        if let Answered::Lent(token) = answer
            && !self.on_disk(token)
        {
            self.witness.wrong.lent_undurable = true;
        }
        if answer == Answered::Told(Class::LoggedOut) && self.comeback == Comeback::Done {
            self.witness.wrong.old_logout = true;
        }
        self.askers[asker].phase = Phase::Done(answer);
        self.askers[asker].started = self.askers[asker].started.min(1);
        self.askers[asker].saw = 0;
    }

    pub(crate) fn ask(&mut self, config: &Config, asker: usize) {
        let store = self.askers[asker].store;
        match self.judge(config, store) {
            Some(answer) => self.answer_asker(asker, answer),
            None => {
                self.askers[asker].phase = Phase::Wants;
                if !config.keeps(Rule::RereadAfterLock) {
                    self.askers[asker].saw = self.entry(store).map_or(0, |entry| entry.token);
                }
            }
        }
    }

    fn lock_key(&self, config: &Config, store: u8) -> Option<u8> {
        let grant = self.entry(store)?.grant;
        Some(if config.keeps(Rule::LockPerGrant) { grant } else { store })
    }

    /// Tries the lock. Who fails keeps watching.
    pub(crate) fn lock(&mut self, config: &Config, asker: usize) -> bool {
        let Asker { store, started, .. } = self.askers[asker];
        let Some(key) = self.lock_key(config, store) else {
            return false;
        };
        if started >= 2 || !self.lock_is_free(config, key) {
            return false;
        }
        self.locks[usize::from(key)] = Some(Holder::Asker(u8::try_from(asker).unwrap_or(u8::MAX)));
        self.askers[asker].phase = Phase::Holds;
        true
    }

    fn lock_is_free(&self, config: &Config, key: u8) -> bool {
        match self.locks[usize::from(key)] {
            None => true,
            // A lock file with a process id in it looks abandoned when the process that wrote it is gone.
            Some(Holder::Worker(slot)) if !config.keeps(Rule::KernelLock) => self.workers[usize::from(slot)]
                .is_none_or(|worker| self.askers[usize::from(worker.asker)].phase == Phase::Dead),
            Some(_) => false,
        }
    }

    fn held_key(&self, holder: Holder) -> Option<usize> {
        self.locks.iter().position(|lock| *lock == Some(holder))
    }

    /// With the lock: reads again, then either lets go or hands the lock over to a worker.
    pub(crate) fn hand_over(&mut self, config: &Config, asker: usize) -> bool {
        let id = u8::try_from(asker).unwrap_or(u8::MAX);
        let Asker { store, saw, .. } = self.askers[asker];
        let Some(key) = self.held_key(Holder::Asker(id)) else {
            return false;
        };
        if config.keeps(Rule::RereadAfterLock)
            && let Some(answer) = self.judge(config, store)
        {
            self.locks[key] = None;
            self.answer_asker(asker, answer);
            return true;
        }
        let (Some(entry), Some(slot)) = (self.entry(store), self.workers.iter().position(Option::is_none))
        else {
            self.locks[key] = None;
            self.askers[asker].phase = Phase::Wants;
            return true;
        };
        let key_now = u8::try_from(key).unwrap_or(u8::MAX);
        if config.keeps(Rule::LockFitsEntry) && self.lock_key(config, store) != Some(key_now) {
            // The entry changed its grant while we took the lock: this lock is about something else.
            self.locks[key] = None;
            self.askers[asker].phase = Phase::Wants;
            return true;
        }
        let token = if config.keeps(Rule::RereadAfterLock) { NOBODY } else { saw };
        self.workers[slot] = Some(Worker {
            asker: id,
            store,
            grant: entry.grant,
            key: key_now,
            step: Step::Settle,
            token,
            ambiguous: false,
        });
        let keeps = config.keeps(Rule::LockStaysWithWorker);
        self.locks[key] = keeps.then(|| Holder::Worker(u8::try_from(slot).unwrap_or(u8::MAX)));
        self.askers[asker].phase = Phase::Wants;
        self.askers[asker].started += 1;
        true
    }

    /// Without the lock: takes what has appeared, or gives up.
    pub(crate) fn watch(&mut self, config: &Config, asker: usize) -> bool {
        let Asker { store, started, .. } = self.askers[asker];
        if let Some(answer) = self.judge(config, store) {
            if !config.keeps(Rule::LosersOnlyRead) && matches!(answer, Answered::Told(_)) {
                // The classic mistake: who did not get a token notes "logged out" over whatever is there.
                self.witness.wrong.wrote_unlocked = true;
                self.stores[usize::from(store)] = None;
            }
            self.answer_asker(asker, answer);
            return true;
        }
        let Some(entry) = self.entry(store) else {
            return false;
        };
        let worker = self.workers.iter().flatten().find(|worker| worker.grant == entry.grant).copied();
        if let Some(worker) = worker {
            if let Record::Answer { spent, new } = self.journal(entry.grant).record
                && spent == entry.token
                && self.fresh(new)
            {
                self.answer_asker(asker, Answered::Lent(new));
                return true;
            }
            if let Step::Got(Reply::Tokens(new)) = worker.step
                && !config.keeps(Rule::DurableBeforeLent)
            {
                self.answer_asker(asker, Answered::Lent(new));
                return true;
            }
        }
        let Some(key) = self.lock_key(config, store) else {
            return false;
        };
        if started >= 2 && self.locks[usize::from(key)].is_none() && config.keeps(Rule::WatchNoticesDeath) {
            let answer = self.instead(entry.token, Answered::WorkerFailed);
            self.answer_asker(asker, answer);
            return true;
        }
        false
    }

    pub(crate) fn asker_dies(&mut self, config: &Config, asker: usize) {
        let id = u8::try_from(asker).unwrap_or(u8::MAX);
        self.left.asker_deaths -= 1;
        self.askers[asker].phase = Phase::Dead;
        if let Some(key) = self.held_key(Holder::Asker(id)) {
            self.locks[key] = None;
        }
        if !config.keeps(Rule::DetachedWorker) {
            for slot in 0..self.workers.len() {
                if self.workers[slot].is_some_and(|worker| worker.asker == id) {
                    self.end_worker(slot);
                }
            }
        }
    }
}

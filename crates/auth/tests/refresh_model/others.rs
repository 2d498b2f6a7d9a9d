//! Everybody else: a login, a logout, a restored copy, the original program, time.

use super::rules::{Config, Rule};
use super::state::{
    Entry, Holder, LOGIN, Legacy, LogoutStep, OriginalStep, Record, Reply, State, StrangerStep, Token,
};

impl State {
    /// A login commits under the store's lock alone: a new grant.
    pub(crate) fn login(&mut self) -> bool {
        if self.is_shut_by_others(0) {
            return false;
        }
        let before = self.stores[0].replace(Entry { grant: 1, token: LOGIN });
        self.logged_in = true;
        self.born[usize::from(LOGIN)] = self.clock;
        self.witness.durable.add(LOGIN);
        self.witness.received.add(LOGIN);
        if let Some(entry) = before {
            self.excuse(entry.token);
        }
        true
    }

    /// The logout's steps: lock, record, remove.
    pub(crate) fn logout_step(&mut self, config: &Config) -> bool {
        match self.logout {
            LogoutStep::Idle => {
                let Some(entry) = self.entry(0) else { return false };
                if !config.keeps(Rule::LogoutTakesGrantLock) {
                    self.stores[0] = None;
                    self.logout = LogoutStep::Done;
                    self.excuse(entry.token);
                    return true;
                }
                let lock = &mut self.locks[usize::from(entry.grant)];
                if lock.is_some() {
                    return false;
                }
                *lock = Some(Holder::Logout);
                self.logout = LogoutStep::Locked;
            }
            LogoutStep::Locked => {
                let Some(entry) = self.entry(0) else { return false };
                let is_last = self.entry(1).is_none_or(|other| other.grant != entry.grant);
                let journal = self.journal_mut(entry.grant);
                journal.logout = Some(entry.token);
                journal.ended = is_last;
                self.logout = LogoutStep::Recorded;
            }
            LogoutStep::Recorded => {
                if self.is_shut_by_others(0) {
                    return false;
                }
                self.remove_logged_out(0);
                self.free_logout_lock();
                self.logout = LogoutStep::Done;
            }
            LogoutStep::Done | LogoutStep::Dead => return false,
        }
        true
    }

    pub(crate) fn logout_dies(&mut self) -> bool {
        if !matches!(self.logout, LogoutStep::Locked | LogoutStep::Recorded) {
            return false;
        }
        self.free_logout_lock();
        self.logout = LogoutStep::Dead;
        true
    }

    fn free_logout_lock(&mut self) {
        for lock in &mut self.locks {
            if *lock == Some(Holder::Logout) {
                *lock = None;
            }
        }
    }

    /// Removes the logged-out entry from store A; with the grant's last entry its unfinished tokens go too.
    pub(crate) fn remove_logged_out(&mut self, grant: u8) {
        self.journal_mut(grant).logout = None;
        let Some(entry) = self.entry(0).filter(|entry| entry.grant == grant) else {
            return;
        };
        self.stores[0] = None;
        let mut gone = vec![entry.token];
        if !self.grant_has_entry(grant) {
            let journal = self.journal_mut(grant);
            gone.extend(journal.orphan.take());
            if let Record::Answer { new, .. } | Record::Applied { new, .. } =
                std::mem::take(&mut journal.record)
            {
                gone.push(new);
            }
        }
        for token in gone {
            self.excuse(token);
        }
    }

    /// A backup brings store B's entry back as it was.
    pub(crate) fn restore(&mut self, token: Token) -> bool {
        let before = self.entry(1);
        if before.is_none_or(|entry| entry.token <= token) {
            return false;
        }
        self.left.restores -= 1;
        self.stores[1] = Some(Entry { grant: 0, token });
        if let Some(entry) = before {
            self.excuse(entry.token);
        }
        true
    }

    /// The original refreshes store A: its own lock, one request, one write that compares nothing.
    pub(crate) fn original_step(&mut self, config: &Config) -> bool {
        match self.original {
            OriginalStep::Idle => {
                let Some(entry) = self.entry(0) else { return false };
                if self.legacy[0].is_some() || self.fresh(entry.token) {
                    return false;
                }
                self.legacy[0] = Some(Legacy::Original);
                self.original = OriginalStep::Locked(entry.token);
            }
            OriginalStep::Locked(token) => {
                let reply = self.serve(config, token, false);
                let new = if let Reply::Tokens(new) = reply { Some(new) } else { None };
                self.original = OriginalStep::Holds(new);
            }
            OriginalStep::Holds(new) => {
                if let (Some(token), Some(before)) = (new, self.entry(0)) {
                    self.stores[0] = Some(Entry { grant: before.grant, token });
                    self.excuse(before.token);
                }
                self.legacy[0] = None;
                self.original = OriginalStep::Done;
            }
            OriginalStep::Done => return false,
        }
        true
    }

    pub(crate) fn tick(&mut self) {
        self.left.ticks -= 1;
        self.clock += 1;
        self.witness.cooling = Default::default();
    }

    /// Whether a store, the original's memory or a worker's hand holds the token.
    pub(crate) fn somebody_lives_on(&self, token: Token) -> bool {
        self.on_disk(token)
            || self.original == OriginalStep::Holds(Some(token))
            || matches!(self.stranger, StrangerStep::Holds { new, .. } if new == Some(token))
            || self.in_hand(token)
    }
}

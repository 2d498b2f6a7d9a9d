//! Who comes by: another state dir, an import, a login that was logged out, and who tells people how it stands.

use super::rules::{Config, Rule};
use super::state::{
    Class, Comeback, Entry, Herald, Legacy, LogoutStep, Owner, Reply, START, Sight, State, StrangerStep,
    Tokens,
};

impl State {
    /// A worker of another state dir refreshes store B: it leaves the same mark, and asks whose the store is. Of our locks
    /// and journals it knows nothing.
    pub(crate) fn stranger_step(&mut self, config: &Config) -> bool {
        match self.stranger {
            StrangerStep::Idle => {
                let Some(entry) = self.entry(1) else { return false };
                let ours = self.owner == Some(Owner::Us) && config.keeps(Rule::ForeignLeftAlone);
                if self.legacy[1].is_some() || self.fresh(entry.token) || ours {
                    return false;
                }
                self.legacy[1] = Some(Legacy::Stranger);
                self.owner.get_or_insert(Owner::Stranger);
                self.stranger = StrangerStep::Sending(entry.token);
            }
            StrangerStep::Sending(spent) => {
                if self.witness.definite.has(spent) {
                    self.witness.wrong.sent_twice = true;
                }
                let reply = self.serve(config, spent, true);
                let new = if let Reply::Tokens(new) = reply { Some(new) } else { None };
                self.witness.definite.add(spent);
                self.stranger = StrangerStep::Holds { spent, new };
            }
            StrangerStep::Holds { spent, new } => {
                let before = self.entry(1);
                if let (Some(token), Some(before)) = (new, before)
                    && before.token == spent
                {
                    self.stores[1] = Some(Entry { token, ..before });
                    self.excuse(spent);
                }
                self.legacy[1] = None;
                self.stranger = StrangerStep::Done;
            }
            StrangerStep::Done => return false,
        }
        true
    }

    /// An import brings the token that store A began with, from a file that some other program left.
    pub(crate) fn import(&mut self, config: &Config) -> bool {
        if self.entry(1).is_some() || self.is_shut_by_others(1) || self.journal(0).ended {
            return false;
        }
        // Without its key the copy is a grant of its own, with a lock and a journal of its own.
        let grant = u8::from(!config.keeps(Rule::CopyJoinsGrant));
        self.stores[1] = Some(Entry { grant, token: START });
        self.imported = true;
        true
    }

    /// The login that was logged out comes back with what the server takes for its token: first what stands against it
    /// ends, under the grant's lock, then the store has it.
    pub(crate) fn comeback_step(&mut self, config: &Config) -> bool {
        match self.comeback {
            Comeback::Idle => {
                let family = self.families[0];
                let is_out = self.logout == LogoutStep::Done && self.entry(0).is_none();
                if !is_out || family.dead || self.locks[0].is_some() {
                    return false;
                }
                if config.keeps(Rule::ComebackReadmitted) {
                    let journal = self.journal_mut(0);
                    journal.ended = false;
                    journal.outcomes[usize::from(family.current)] = None;
                }
                self.comeback = Comeback::Readmitted(family.current);
            }
            Comeback::Readmitted(token) => {
                if self.is_shut_by_others(0) {
                    return false;
                }
                self.stores[0] = Some(Entry { grant: 0, token });
                self.born[usize::from(token)] = self.clock;
                // The server has handed it out anew: whatever was known of it is over.
                let witness = &mut self.witness;
                for known in [&mut witness.definite, &mut witness.ambiguous, &mut witness.cooling] {
                    known.remove(token);
                }
                witness.durable.add(token);
                self.comeback = Comeback::Done;
            }
            Comeback::Done => return false,
        }
        true
    }

    fn sight(&self) -> Sight {
        let Some(entry) = self.entry(0) else { return Sight::Neither };
        let class = self.forbids(entry.grant, entry.token);
        match class {
            Some(Class::Refused | Class::Interrupted | Class::Restored | Class::Doubtful) => {
                Sight::Trouble(entry.token)
            }
            None if self.fresh(entry.token) => Sight::Works,
            _ => Sight::Neither,
        }
    }

    pub(crate) fn herald_looks(&mut self, herald: usize) {
        self.heralds[herald] = Herald::Saw { sight: self.sight(), told: self.told };
    }

    /// Under the lock of what was told: looks again, tells what is new, notes it.
    pub(crate) fn herald_tells(&mut self, config: &Config, herald: usize) {
        let Herald::Saw { sight, told } = self.heralds[herald] else { return };
        self.heralds[herald] = Herald::Done;
        let again = config.keeps(Rule::AlertUnderLock);
        let (sight, told) = if again { (self.sight(), self.told) } else { (sight, told) };
        match sight {
            Sight::Trouble(token) => {
                let is_told = told.is_some_and(|told| told == token || !config.keeps(Rule::AlertPerToken));
                let wrong = &mut self.witness.wrong;
                if is_told {
                    wrong.passed_over |= !self.witness.alerted.has(token);
                    return;
                }
                wrong.told_twice |= self.witness.alerted.has(token);
                self.witness.alerted.add(token);
                self.told = Some(token);
            }
            Sight::Works if told.is_some() => {
                self.witness.wrong.told_twice |= self.told.is_none();
                self.witness.alerted = Tokens::default();
                self.witness.recovery_told = true;
                self.told = None;
            }
            Sight::Works | Sight::Neither => {}
        }
    }
}

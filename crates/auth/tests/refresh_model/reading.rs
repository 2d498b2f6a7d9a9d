//! What can be read off a state: entries, outcomes, the ledger's chains, and where a token is.

use super::state::{
    Class, Entry, Journal, LOGIN, Legacy, NOBODY, OLD, Owner, Record, Reply, State, Step, Token,
};

impl State {
    pub(crate) fn entry(&self, store: u8) -> Option<Entry> {
        self.stores[usize::from(store)]
    }
    pub(crate) fn journal(&self, grant: u8) -> &Journal {
        &self.journals[usize::from(grant)]
    }
    pub(crate) fn journal_mut(&mut self, grant: u8) -> &mut Journal {
        &mut self.journals[usize::from(grant)]
    }
    pub(crate) fn fresh(&self, token: Token) -> bool {
        self.born[usize::from(token)] == self.clock
    }
    /// Whether the access token still works.
    pub(crate) fn works(&self, token: Token) -> bool {
        self.clock - self.born[usize::from(token)] < 2
    }
    pub(crate) fn held_by_entry(&self, grant: u8, token: Token) -> bool {
        self.stores.contains(&Some(Entry { grant, token }))
    }
    pub(crate) fn grant_has_entry(&self, grant: u8) -> bool {
        self.stores.iter().flatten().any(|entry| entry.grant == grant)
    }

    /// The outcome about this very token, if it still forbids a request.
    pub(crate) fn forbids(&self, grant: u8, token: Token) -> Option<Class> {
        let outcome = self.journal(grant).outcomes[usize::from(token)]?;
        let over = match outcome.class {
            Class::Refused | Class::Interrupted | Class::LoggedOut => false,
            Class::Foreign => !self.is_foreign(grant),
            Class::Doubtful => !self.doubtful(grant, token),
            Class::Restored => self.successor_somewhere(grant, token).is_some(),
            // With an access token that works there is no reason to risk a second try.
            Class::Ambiguous => outcome.at != self.clock && !self.works(token),
            Class::NotSpent => outcome.at != self.clock,
        };
        (!over).then_some(outcome.class)
    }

    /// Whether another state dir refreshes a store that holds a copy of the grant.
    pub(crate) fn is_foreign(&self, grant: u8) -> bool {
        self.owner == Some(Owner::Stranger) && self.entry(1).is_some_and(|entry| entry.grant == grant)
    }

    /// Whether the mark of somebody who is not ours stands beside the store.
    pub(crate) fn is_shut_by_others(&self, store: u8) -> bool {
        matches!(self.legacy[usize::from(store)], Some(Legacy::Original | Legacy::Stranger))
    }

    /// Whether a clone holds a token of unknown descent while this one is of known descent: the original has
    /// refreshed the clone, or logged in there, and nobody of ours can tell which.
    pub(crate) fn doubtful(&self, grant: u8, token: Token) -> bool {
        let stranger = |entry: &Entry| entry.grant == grant && !self.known(grant, entry.token);
        self.known(grant, token) && self.stores.iter().flatten().any(stranger)
    }

    /// The newest token that the ledger's chain leads to and that an entry of the grant, or the orphan, holds.
    pub(crate) fn successor_somewhere(&self, grant: u8, token: Token) -> Option<Token> {
        let mut at = self.ledger[usize::from(token)];
        let mut found = None;
        while at != NOBODY {
            if self.held_by_entry(grant, at) || self.journal(grant).orphan == Some(at) {
                found = Some(at);
            }
            at = self.ledger[usize::from(at)];
        }
        found
    }

    /// Whether the ledger's chain leads from one token to the other.
    pub(crate) fn leads(&self, from: Token, to: Token) -> bool {
        let mut at = from;
        while at != NOBODY {
            if at == to {
                return true;
            }
            at = self.ledger[usize::from(at)];
        }
        false
    }

    /// Whether the ledger traces the token back to the one the grant was named after.
    pub(crate) fn known(&self, grant: u8, token: Token) -> bool {
        self.leads(if grant == 0 { OLD } else { LOGIN }, token)
    }

    pub(crate) fn on_disk(&self, token: Token) -> bool {
        let journaled = |journal: &Journal| {
            journal.orphan == Some(token)
                || matches!(journal.record, Record::Answer { new, .. } | Record::Applied { new, .. } if new == token)
        };
        self.stores.iter().flatten().any(|entry| entry.token == token) || self.journals.iter().any(journaled)
    }

    pub(crate) fn in_hand(&self, token: Token) -> bool {
        self.workers.iter().flatten().any(|worker| worker.step == Step::Got(Reply::Tokens(token)))
    }

    /// Somebody with the right to do so takes a token away; if it was nowhere else, nobody owes it any more.
    pub(crate) fn excuse(&mut self, token: Token) {
        if !self.on_disk(token) {
            self.witness.received.remove(token);
            self.witness.durable.remove(token);
        }
    }
}

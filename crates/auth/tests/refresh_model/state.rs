//! The state: what is on disk, who is alive, what the server thinks, and what a witness who sees everything noted.

use super::rules::{Budget, Config};

/// A token is a number; who holds it holds the refresh token and its access token.
pub(crate) type Token = u8;
pub(crate) const TOKENS: usize = 8;
/// Spent before the run begins; the ledger knows.
pub(crate) const OLD: Token = 0;
/// In the stores at the beginning, successor of `OLD`.
pub(crate) const START: Token = 1;
/// What a login brings: another grant. The server hands out the numbers between.
pub(crate) const LOGIN: Token = 7;
/// "None" in the ledger's array.
pub(crate) const NOBODY: Token = u8::MAX;

/// A set of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tokens(pub(crate) u8);

impl Tokens {
    pub(crate) fn has(self, token: Token) -> bool {
        self.0 >> token & 1 == 1
    }
    pub(crate) fn add(&mut self, token: Token) {
        self.0 |= 1 << token;
    }
    pub(crate) fn remove(&mut self, token: Token) {
        self.0 &= !(1 << token);
    }
    pub(crate) fn iter(self) -> impl Iterator<Item = Token> {
        (0..8).filter(move |&token| self.has(token))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) grant: u8,
    pub(crate) token: Token,
}

/// The last record of a grant's journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    #[default]
    None,
    Prepared {
        spent: Token,
        ambiguous: bool,
    },
    Sending {
        spent: Token,
        ambiguous: bool,
        at: u8,
    },
    Answer {
        spent: Token,
        new: Token,
    },
    Applied {
        spent: Token,
        new: Token,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Refused,
    /// Refused after an ambiguous try: nobody knows what became of the token.
    Interrupted,
    NotSpent,
    Ambiguous,
    /// The token is spent, and nobody holds its successor.
    Restored,
    /// A clone holds something unknown; this token may be spent.
    Doubtful,
    /// The person logged the grant out.
    LoggedOut,
    /// Another state dir refreshes a store that holds this token.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outcome {
    pub(crate) class: Class,
    pub(crate) at: u8,
    /// Whether any sending of this token ever ended ambiguous.
    pub(crate) ambiguous: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Journal {
    pub(crate) record: Record,
    /// Outcomes by the token they speak of.
    pub(crate) outcomes: [Option<Outcome>; TOKENS],
    /// Tokens that arrived and found no entry.
    pub(crate) orphan: Option<Token>,
    /// A logout that began: the token whose entry in store A is to go.
    pub(crate) logout: Option<Token>,
    /// The grant was logged out with its last entry, and has not come back.
    pub(crate) ended: bool,
}

/// Who holds a grant's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Asker(u8),
    Worker(u8),
    Logout,
}

/// Whose mark, the original's kind of lock, stands beside a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Legacy {
    Worker(u8),
    Original,
    /// A worker of another state dir.
    Stranger,
}

/// Which state dir refreshes the store that lies outside of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Us,
    Stranger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answered {
    Lent(Token),
    /// A recorded outcome was adopted.
    Told(Class),
    /// The entry is gone.
    NoEntry,
    WorkerFailed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    Wants,
    Holds,
    Done(Answered),
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asker {
    pub(crate) store: u8,
    pub(crate) phase: Phase,
    pub(crate) started: u8,
    /// The token it asked about; only used where the second read is broken.
    pub(crate) saw: Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Tokens(Token),
    Refused,
    NotSpent,
    Ambiguous,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Ledger,
    Applied,
    Done,
    /// Only where the order is broken.
    LateLedger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Settle,
    /// The original's lock, then settle again.
    Legacy,
    Prepare,
    Sending,
    /// The request is on its way.
    InFlight,
    /// The answer is in memory, and only there.
    Got(Reply),
    Apply {
        new: Token,
        store: u8,
        resumed: bool,
    },
    Finish {
        new: Token,
        stage: Stage,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) asker: u8,
    pub(crate) store: u8,
    pub(crate) grant: u8,
    /// Which lock it holds: the grant's, unless that rule is broken.
    pub(crate) key: u8,
    pub(crate) step: Step,
    pub(crate) token: Token,
    pub(crate) ambiguous: bool,
}

/// A family of tokens at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Family {
    pub(crate) current: Token,
    pub(crate) previous: Token,
    pub(crate) dead: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum LogoutStep {
    #[default]
    Idle,
    Locked,
    Recorded,
    Done,
    Dead,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum OriginalStep {
    #[default]
    Idle,
    Locked(Token),
    Holds(Option<Token>),
    Done,
}

/// The worker of another state dir, which knows none of our locks and journals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum StrangerStep {
    #[default]
    Idle,
    Sending(Token),
    Holds {
        spent: Token,
        new: Option<Token>,
    },
    Done,
}

/// A login that comes back after a logout, with the same token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Comeback {
    #[default]
    Idle,
    Readmitted(Token),
    Done,
}

/// How store A's login looks to who would tell people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sight {
    /// Nothing helps but a login.
    Trouble(Token),
    Works,
    /// Neither: nothing is told.
    Neither,
}

/// Somebody who looks whether people have to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Herald {
    #[default]
    Idle,
    Saw {
        sight: Sight,
        told: Option<Token>,
    },
    Done,
}

/// What must never happen and shows in a step, not in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wrong {
    pub(crate) sent_twice: bool,
    pub(crate) too_soon: bool,
    pub(crate) lent_undurable: bool,
    pub(crate) wrote_unlocked: bool,
    pub(crate) went_back: bool,
    pub(crate) killed_living: bool,
    /// A login that is back is called logged out.
    pub(crate) old_logout: bool,
    /// A trouble, or its end, was told twice, or was none any more.
    pub(crate) told_twice: bool,
    /// A trouble that nobody was told of was passed over.
    pub(crate) passed_over: bool,
}

/// The witness: not part of the system, no rule may look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Witness {
    /// Tokens with a sending of ours that had a definite end: an `answer` or a refusal.
    pub(crate) definite: Tokens,
    /// Of those, the ones whose successor reached `answer`.
    pub(crate) spent: Tokens,
    /// Tokens with a sending of ours whose end nobody can know.
    pub(crate) ambiguous: Tokens,
    /// Tokens that may not be sent before time passes.
    pub(crate) cooling: Tokens,
    /// Tokens that a live worker received: they must be somewhere.
    pub(crate) received: Tokens,
    /// Tokens that reached `answer` (or came with a login): they must be on disk.
    pub(crate) durable: Tokens,
    /// Tokens whose trouble people were told of.
    pub(crate) alerted: Tokens,
    /// People were told that it works again.
    pub(crate) recovery_told: bool,
    pub(crate) wrong: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) stores: [Option<Entry>; 2],
    pub(crate) journals: [Journal; 2],
    pub(crate) ledger: [Token; TOKENS],
    pub(crate) locks: [Option<Holder>; 2],
    /// The marks beside the stores.
    pub(crate) legacy: [Option<Legacy>; 2],
    /// Whose store B is, where it lies outside.
    pub(crate) owner: Option<Owner>,
    pub(crate) askers: Vec<Asker>,
    pub(crate) workers: [Option<Worker>; 2],
    pub(crate) families: [Family; 2],
    pub(crate) next: Token,
    pub(crate) born: [u8; TOKENS],
    pub(crate) clock: u8,
    pub(crate) logged_in: bool,
    pub(crate) logout: LogoutStep,
    pub(crate) original: OriginalStep,
    pub(crate) stranger: StrangerStep,
    pub(crate) comeback: Comeback,
    pub(crate) imported: bool,
    pub(crate) heralds: [Herald; 2],
    /// The note of what people were told: about which token.
    pub(crate) told: Option<Token>,
    pub(crate) left: Budget,
    pub(crate) witness: Witness,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        let entry = Some(Entry { grant: 0, token: START });
        let mut ledger = [NOBODY; TOKENS];
        ledger[usize::from(OLD)] = START;
        let mut born = [0; TOKENS];
        born[usize::from(START)] = u8::from(config.due);
        let asker = |&store| Asker { store, phase: Phase::Idle, started: 0, saw: 0 };
        let family = |current, previous| Family { current, previous, dead: false };
        let mut witness = Witness::default();
        witness.definite.add(OLD);
        witness.spent.add(OLD);
        Self {
            stores: [entry, config.clone.then_some(entry).flatten()],
            journals: [Journal::default(), Journal::default()],
            ledger,
            locks: [None; 2],
            legacy: [None; 2],
            owner: None,
            askers: config.askers.iter().map(asker).collect(),
            workers: [None; 2],
            families: [family(START, OLD), family(LOGIN, LOGIN)],
            next: START + 1,
            born,
            clock: 2,
            logged_in: false,
            logout: LogoutStep::Idle,
            original: OriginalStep::Idle,
            stranger: StrangerStep::Idle,
            comeback: Comeback::Idle,
            imported: false,
            heralds: [Herald::Idle; 2],
            told: None,
            left: config.budget,
            witness,
        }
    }
}

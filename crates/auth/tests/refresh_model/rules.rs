//! What a run is made of: how many askers, which mishaps, which server, and which rule is broken on purpose.

/// A rule of the protocol. Each can be broken alone; a test then shows which property notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Who gets the lock reads store and outcome again before anything else.
    RereadAfterLock,
    /// The entry read under the lock must still be of the lock's grant; a login may have come between.
    LockFitsEntry,
    /// The worker is nobody's child in what counts: it outlives its asker.
    DetachedWorker,
    /// The lock goes over to the worker; the asker's drop of its handle frees nothing.
    LockStaysWithWorker,
    /// The kernel frees a lock when its last holder is gone; nobody may judge a lock by a process id in a file.
    KernelLock,
    /// The lock's name comes from the grant, not from the store or the agent.
    LockPerGrant,
    /// A token that the ledger calls spent is never sent.
    LedgerConsulted,
    /// The ledger is written before the journal says that all is over.
    LedgerBeforeDone,
    /// `sending` is durable before the request leaves.
    SendingRecorded,
    /// A `sending` without an end is an ambiguous answer, not a first try.
    DanglingIsAmbiguous,
    /// Once a sending of a token was ambiguous, no milder answer makes that forgotten.
    AmbiguityRemembered,
    /// An answer that allows another try allows it later, never at once.
    SpacedRetry,
    /// A recorded outcome about this very token is taken over without a request.
    OutcomeAdopted,
    /// An outcome is kept for each token of the grant; one about another token does not push it out.
    OutcomePerToken,
    /// New tokens are lent only when they are durable.
    DurableBeforeLent,
    /// A pending `answer` is dealt with before anything else.
    PendingAnswerFirst,
    /// The journal gives up its tokens only after they were applied.
    AnswerUntilApplied,
    /// `apply` reads again and replaces nothing but the spent token.
    CompareBeforeApply,
    /// Tokens that found no entry stay in the journal, and an older copy of the entry finds them there.
    OrphanKept,
    /// Who only waits, or has failed, writes to no store.
    LosersOnlyRead,
    /// A waiting asker notices a lock that came free without an outcome.
    WatchNoticesDeath,
    /// A logout takes the grant's lock and leaves a record.
    LogoutTakesGrantLock,
    /// The original's own lock is held from before the request to the commit.
    LegacyLock,
    /// The entries are read once more after the original's lock was taken.
    RereadAfterLegacyLock,
    /// While a clone holds a token that nobody of ours has seen, the older one may be spent: it is not sent.
    DoubtfulNotSent,
    /// A copy that comes in bears the key of the login that it is a copy of.
    CopyJoinsGrant,
    /// A login that brings back the token of a grant that was logged out ends what stands against it first.
    ComebackReadmitted,
    /// A store that another state dir refreshes is left to that one, and so is every copy of its token.
    ForeignLeftAlone,
    /// Who tells people looks again under the lock of what was told.
    AlertUnderLock,
    /// What was told is tied to the token that it was about.
    AlertPerToken,
}

/// What the server does with the token that was used just before the current one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Grace {
    /// Any second use ends the whole family.
    #[default]
    Strict,
    /// One second use returns the successor that it already gave.
    SameSuccessor,
    /// One second use returns another successor; only the newest pair counts.
    NewSuccessor,
}

/// How often each mishap may happen in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) asker_deaths: u8,
    pub(crate) worker_deaths: u8,
    /// The server rotates, and the answer does not arrive.
    pub(crate) lost_answers: u8,
    /// The request does not arrive, but nobody can tell.
    pub(crate) lost_requests: u8,
    /// A complete answer that spends nothing (503).
    pub(crate) unavailable: u8,
    /// A definite refusal, for reasons of the server's own.
    pub(crate) refusals: u8,
    /// Second uses that a server with grace forgives.
    pub(crate) graces: u8,
    /// Store B is set back to an older copy of its entry.
    pub(crate) restores: u8,
    /// Time passes: waits end, fresh becomes due, due becomes expired.
    pub(crate) ticks: u8,
}

/// One run of the model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// The store that each asker looks at: 0 is A, 1 is B.
    pub(crate) askers: Vec<u8>,
    /// Whether store B holds a clone of store A's entry.
    pub(crate) clone: bool,
    /// Whether the first token is only due: its access token still works until time passes.
    pub(crate) due: bool,
    pub(crate) grace: Grace,
    pub(crate) budget: Budget,
    /// A login replaces the entry in store A at some time.
    pub(crate) login: bool,
    /// A logout removes the entry in store A at some time.
    pub(crate) logout: bool,
    /// The logout may die between its steps.
    pub(crate) logout_dies: bool,
    /// The original program refreshes store A by itself once.
    pub(crate) original: bool,
    /// The login that was logged out comes back with the very token that it had.
    pub(crate) comeback: bool,
    /// An import puts a copy of store A's first token into store B, which has nothing.
    pub(crate) import: bool,
    /// Store B lies outside of the state dir, and another state dir refreshes it once.
    pub(crate) outside: bool,
    /// How many times somebody looks whether people have to be told about store A; 2 at most.
    pub(crate) heralds: usize,
    /// The rule that this run breaks.
    pub(crate) broken: Option<Rule>,
}

impl Config {
    /// Whether anybody else's lock stands beside a store in this run.
    pub(crate) fn has_marks(&self) -> bool {
        self.original || self.outside
    }

    pub(crate) fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

//! What must always hold, and what must be reachable for the checking to mean anything.

use stateright::Property;

use super::model::Refresh;
use super::rules::Grace;
use super::state::{Answered, Class, Comeback, LogoutStep, Phase, Record, Reply, START, State, Step};

pub(crate) const SENT_ONCE: &str = "a token is sent again only after ambiguous or unspent sendings";
pub(crate) const PATIENT: &str = "no second try at once, nor while the access token of a doubtful one works";
pub(crate) const HONEST: &str = "a refusal after an ambiguous sending is called interrupted";
pub(crate) const RECEIVED: &str = "what a worker received is lost only by its own death";
pub(crate) const DURABLE: &str = "what reached `answer` stays on disk";
pub(crate) const NO_WAY_BACK: &str = "no store goes back to a spent token by our hand";
pub(crate) const WRITERS: &str = "only the holder of the lock changes a store";
pub(crate) const NEWEST_LOGIN: &str = "the newest login wins";
pub(crate) const ONE_WORKER: &str = "one live worker for a grant";
pub(crate) const DURABLE_LENT: &str = "lent tokens are durable";
pub(crate) const ANSWERED: &str = "every living asker gets an answer";
pub(crate) const FAILED: &str = "worker_failed only after two workers died";
pub(crate) const NO_KILL: &str = "no request of ours ends a login that somebody holds";
pub(crate) const GONE: &str = "a finished logout leaves no token of the grant behind";

pub(crate) const BACK: &str = "a login that is back is not called logged out";
pub(crate) const TOLD_ONCE: &str = "people are told of a trouble once, and of its end once";
pub(crate) const TOLD: &str = "no trouble that people do not know of is passed over";

pub(crate) const ADOPTED: &str = "somebody without a worker of its own lends the new token";
pub(crate) const FROM_JOURNAL: &str = "a token is lent before any store has it";
pub(crate) const RECOVERED: &str = "an `answer` is applied after a crash";
pub(crate) const RETRIED: &str = "an ambiguous sending is tried again and succeeds";
pub(crate) const INTERRUPTED: &str = "a second try ends as interrupted";
pub(crate) const CLONE_UPDATED: &str = "both stores hold the new token";
pub(crate) const GAVE_UP: &str = "an asker says worker_failed";
pub(crate) const ORPHANED: &str = "new tokens find no entry and stay in the journal";
pub(crate) const RESTORED: &str = "an older copy has no successor left";
pub(crate) const DOUBTFUL: &str = "a clone that the original changed keeps a token from being sent";
pub(crate) const OLD_LENT: &str = "a due token is lent because no refresh can be had";
pub(crate) const LOGIN_KEPT: &str = "a login arrives while a request is on its way";
pub(crate) const CAME_BACK: &str = "a login that came back is refreshed";
pub(crate) const COPY_HEALED: &str = "an imported copy of a spent token gets its successor";
pub(crate) const FOREIGN: &str = "somebody is told that another state dir refreshes the store";
pub(crate) const RECOVERY_TOLD: &str = "people are told of a trouble and of its end";
pub(crate) const FORGIVEN: &str = "the server forgives a second use";

/// Every property; a test names the "sometimes" ones that its run must reach.
pub(crate) fn all() -> Vec<Property<Refresh>> {
    let mut all = always();
    all.extend(sometimes());
    all
}

fn always() -> Vec<Property<Refresh>> {
    vec![
        Property::always(SENT_ONCE, |_, state: &State| !state.witness.wrong.sent_twice),
        Property::always(PATIENT, |_, state: &State| !state.witness.wrong.too_soon),
        Property::always(HONEST, |_, state: &State| honest(state)),
        Property::always(RECEIVED, |_, state: &State| {
            state.witness.received.iter().all(|token| state.on_disk(token) || state.in_hand(token))
        }),
        Property::always(DURABLE, |_, state: &State| {
            state.witness.durable.iter().all(|token| state.on_disk(token))
        }),
        Property::always(NO_WAY_BACK, |_, state: &State| !state.witness.wrong.went_back),
        Property::always(WRITERS, |_, state: &State| !state.witness.wrong.wrote_unlocked),
        Property::always(NEWEST_LOGIN, |_, state: &State| {
            !state.logged_in || state.entry(0).is_some_and(|entry| entry.grant == 1)
        }),
        Property::always(ONE_WORKER, |_, state: &State| {
            state.workers[0].zip(state.workers[1]).is_none_or(|(one, other)| one.grant != other.grant)
        }),
        Property::always(DURABLE_LENT, |_, state: &State| !state.witness.wrong.lent_undurable),
        Property::always(ANSWERED, |model: &Refresh, state: &State| {
            let open = |phase| !matches!(phase, Phase::Done(_) | Phase::Dead);
            state.witness.wrong != Default::default()
                || !state.askers.iter().any(|asker| open(asker.phase))
                || !model.at_rest(state)
        }),
        Property::always(FAILED, |model: &Refresh, state: &State| {
            let before = model.config.budget;
            // Time that passes or a backup can undo what a worker did before its asker looks.
            before.worker_deaths - state.left.worker_deaths >= 2
                || before.ticks + before.restores > 0
                || !some_asker(state, |answer| answer == Answered::WorkerFailed)
        }),
        Property::always(NO_KILL, |_, state: &State| !state.witness.wrong.killed_living),
        Property::always(BACK, |_, state: &State| !state.witness.wrong.old_logout),
        Property::always(TOLD_ONCE, |_, state: &State| !state.witness.wrong.told_twice),
        Property::always(TOLD, |_, state: &State| !state.witness.wrong.passed_over),
        Property::always(GONE, |model: &Refresh, state: &State| {
            state.logout != LogoutStep::Done
                || state.grant_has_entry(0)
                || state.workers.iter().any(Option::is_some)
                || (state.journals[0].orphan.is_none()
                    && !matches!(state.journals[0].record, Record::Answer { .. } | Record::Applied { .. }))
                || !model.at_rest(state)
        }),
    ]
}

fn sometimes() -> Vec<Property<Refresh>> {
    vec![
        Property::sometimes(ADOPTED, |_, state: &State| {
            let adopted = |answer| matches!(answer, Answered::Lent(token) if token > START);
            state.askers.iter().any(
                |asker| matches!(asker.phase, Phase::Done(answer) if asker.started == 0 && adopted(answer)),
            )
        }),
        Property::sometimes(FROM_JOURNAL, |_, state: &State| {
            some_asker(state, |answer| {
                matches!(answer, Answered::Lent(token)
                    if !state.stores.iter().flatten().any(|entry| entry.token == token)
                        && matches!(state.journals[0].record, Record::Answer { new, .. } if new == token))
            })
        }),
        Property::sometimes(RECOVERED, |_, state: &State| {
            some_worker(state, |_, step| matches!(step, Step::Apply { resumed: true, .. }))
        }),
        Property::sometimes(RETRIED, |_, state: &State| {
            some_worker(state, |ambiguous, step| ambiguous && matches!(step, Step::Got(Reply::Tokens(_))))
        }),
        Property::sometimes(INTERRUPTED, |_, state: &State| told(state, Class::Interrupted)),
        Property::sometimes(CLONE_UPDATED, |_, state: &State| {
            state.stores[0] == state.stores[1] && state.entry(0).is_some_and(|entry| entry.token > START)
        }),
        Property::sometimes(GAVE_UP, |_, state: &State| {
            some_asker(state, |answer| answer == Answered::WorkerFailed)
        }),
        Property::sometimes(ORPHANED, |_, state: &State| state.journals[0].orphan.is_some()),
        Property::sometimes(RESTORED, |_, state: &State| told(state, Class::Restored)),
        Property::sometimes(DOUBTFUL, |_, state: &State| told(state, Class::Doubtful)),
        Property::sometimes(OLD_LENT, |model: &Refresh, state: &State| {
            model.config.due && some_asker(state, |answer| answer == Answered::Lent(START))
        }),
        Property::sometimes(LOGIN_KEPT, |_, state: &State| {
            state.logged_in && some_worker(state, |_, step| step == Step::InFlight)
        }),
        Property::sometimes(CAME_BACK, |_, state: &State| {
            state.comeback == Comeback::Done
                && some_worker(state, |_, step| matches!(step, Step::Finish { .. }))
        }),
        Property::sometimes(COPY_HEALED, |_, state: &State| {
            state.imported && state.entry(1).is_some_and(|entry| entry.token > START)
        }),
        Property::sometimes(FOREIGN, |_, state: &State| told(state, Class::Foreign)),
        Property::sometimes(RECOVERY_TOLD, |_, state: &State| state.witness.recovery_told),
        Property::sometimes(FORGIVEN, |model: &Refresh, state: &State| {
            model.config.grace != Grace::Strict && state.left.graces < model.config.budget.graces
        }),
    ]
}

fn honest(state: &State) -> bool {
    state.journals.iter().all(|journal| {
        journal.outcomes.iter().zip(0..).all(|(outcome, token)| match outcome.map(|outcome| outcome.class) {
            Some(Class::Refused) => !state.witness.ambiguous.has(token),
            Some(Class::Interrupted) => state.witness.ambiguous.has(token),
            _ => true,
        })
    })
}

fn some_asker(state: &State, wanted: impl Fn(Answered) -> bool) -> bool {
    state.askers.iter().any(|asker| matches!(asker.phase, Phase::Done(answer) if wanted(answer)))
}

fn told(state: &State, class: Class) -> bool {
    some_asker(state, |answer| answer == Answered::Told(class))
}

fn some_worker(state: &State, wanted: impl Fn(bool, Step) -> bool) -> bool {
    state.workers.iter().flatten().any(|worker| wanted(worker.ambiguous, worker.step))
}

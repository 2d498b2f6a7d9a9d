//! The refresh protocol as a model that is checked state by state, before and beside the code.
//!
//! **What is modelled.** Two stores, A and B, where B may hold a clone of A's entry; two or three askers, each of
//! which looks at one store; the workers they start; a token endpoint with families of rotating tokens. On disk
//! there are the entries, and for each grant the lock, the journal and the ledger of spent tokens. A token is a
//! small number: 0 was spent before the run, 1 is in the stores, 7 comes with a login. Who dies loses his memory
//! and his locks and nothing else. Any living process may take the next step, so every interleaving is walked.
//!
//! **The steps** bear the names of the functions in the code. An asker does `ask` (store and outcome), `lock`
//! (without waiting), hands the lock over to a worker, or watches. A worker does `settle` (reads all again and
//! decides), `prepare`, `sending` (durable before the request), `answer` (durable before anybody lends), `apply`
//! (store by store) and `finish` (ledger, `applied`, `done`). It may die between any two of them.
//!
//! **Meanwhile** the server may rotate and its answer be lost, the request be lost, 503 or a refusal come; a login
//! may replace A's entry, a logout remove it, a backup set B's back, the original program refresh A under its own
//! lock; time may pass, which ends waits and ages tokens. `Budget` says how often.
//!
//! **What is not.** Bytes, checksums and fsync (a durable write is one step); a store that cannot be read or
//! written; the minting of the grant's key (entries carry it from the start); a request that reaches the server
//! after its sender gave up; a second worker failing to start; providers that do not rotate; revoking.
//!
//! **Answers.** "Every asker gets an answer" is checked where nothing goes on by itself any more. A loop without end
//! would not show there; it is excluded by hand: an asker goes back to the lock only after the lock's holder is
//! gone, and each asker starts at most two workers.
//!
//! **How to read a failure.** `properties.rs` has the laws. A run that breaks one prints the steps that lead
//! there, numbered by asker or worker. Each rule of `rules.rs` is broken once below, and the law that notices is
//! named: a rule that could go unnoticed would be either useless or not modelled. A `Witness` notes what nobody in
//! the system can know; rules never look at it, and a run stops where it saw a wrong.
#![allow(clippy::print_stdout, clippy::panic, reason = "a test prints its size and fails loudly")]

mod refresh_model {
    pub(crate) mod asker;
    pub(crate) mod model;
    pub(crate) mod others;
    pub(crate) mod properties;
    pub(crate) mod reading;
    pub(crate) mod rules;
    pub(crate) mod runs;
    pub(crate) mod server;
    pub(crate) mod settle;
    pub(crate) mod state;
    pub(crate) mod visitors;
    pub(crate) mod worker;
}

use refresh_model::model::Refresh;
use refresh_model::properties as p;
use refresh_model::rules::{Config, Grace, Rule};
use refresh_model::runs::*;
use stateright::{Checker, HasDiscoveries, Model};

/// Walks the whole space: no law is broken, and every state named in `reached` is met.
fn holds(config: Config, reached: &[&'static str]) {
    let checker = Refresh { config }.checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    println!("{} states, depth {}", checker.unique_state_count(), checker.max_depth());
    let found = checker.discoveries();
    for (law, path) in &found {
        if checker.model().property(law).expectation.discovery_is_failure() {
            panic!("{law}:\n{:?}\n{:?}", path.clone().into_actions(), path.last_state());
        }
    }
    for wanted in reached {
        assert!(found.contains_key(wanted), "never reached: {wanted}");
    }
}

/// Breaks one rule of a run that holds otherwise: the checker must find a way to break the law.
fn notices(rule: Rule, config: Config, law: &'static str) {
    let model = Refresh { config: Config { broken: Some(rule), ..config } };
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyOf([law].into()));
    let checker = checker.spawn_bfs().join();
    let mut found = checker.discoveries();
    match found.remove(law) {
        Some(path) => println!("{} states: {:?}", checker.unique_state_count(), path.into_actions()),
        None => panic!("without {rule:?} this is not noticed: {law}; found {:?}", found.keys()),
    }
}

/// A1, A9: one request, everybody has its result, and an asker that aborts costs nothing.
#[test]
fn a_storm_sends_once() {
    holds(storm(), &[p::ADOPTED, p::FROM_JOURNAL, p::CLONE_UPDATED]);
}

/// A8, A9: whatever dies, what was written down is found again, and a try of unknown end is called that.
#[test]
fn crashes_lose_nothing() {
    holds(crashes(), &[p::RECOVERED, p::RETRIED, p::INTERRUPTED, p::GAVE_UP]);
}

/// A4, A9: no answer but a definite one ends anything; second tries wait their time.
#[test]
fn a_bad_network_is_no_logout() {
    holds(bad_network(), &[p::RETRIED, p::INTERRUPTED, p::OLD_LENT]);
}

/// A9: with a grace period the second try after a lost answer succeeds.
#[test]
fn a_forgiving_server_forgives() {
    holds(forgiving(Grace::SameSuccessor), &[p::FORGIVEN, p::RETRIED]);
    holds(forgiving(Grace::NewSuccessor), &[p::FORGIVEN, p::RETRIED]);
}

/// A4: a login that comes between keeps its place, whatever the refresh under way brings.
#[test]
fn a_login_wins() {
    holds(login(), &[p::LOGIN_KEPT]);
    holds(login_over_the_only_entry(), &[p::LOGIN_KEPT, p::ORPHANED]);
}

/// A1, A8: a logout waits for the worker, survives its own death, and takes unfinished tokens along.
#[test]
fn a_logout_is_carried_through() {
    holds(logout(), &[p::RECOVERED, p::CLONE_UPDATED]);
    holds(logout_of_the_only_entry(), &[p::RECOVERED]);
}

/// A5, A8: an older copy is never sent; it takes over what the grant still holds, even out of the journal.
#[test]
fn an_older_copy_finds_its_successor() {
    holds(restored(), &[p::RECOVERED, p::CLONE_UPDATED]);
    holds(restored_alone(), &[p::ORPHANED, p::RESTORED]);
}

/// A1, A5: the original's refresh and ours take turns, and none spends what the other has spent.
#[test]
fn the_original_is_kept_out_and_let_in() {
    holds(original(), &[p::RECOVERED, p::ADOPTED]);
    holds(original_and_clone(), &[p::DOUBTFUL]);
}

/// A2: a store that two state dirs share is refreshed by one of them, and its copies with it.
#[test]
fn a_store_outside_has_one_refresher() {
    holds(outside(), &[p::FOREIGN, p::CLONE_UPDATED, p::RECOVERED]);
}

/// A2, A5: a copy that an import brings is the login that it is a copy of, whenever it comes.
#[test]
fn an_imported_copy_joins_its_login() {
    holds(import(), &[p::COPY_HEALED, p::DOUBTFUL]);
}

/// A5: the same token may come back with a login, and is refreshed as if it had never been gone.
#[test]
fn a_login_that_was_logged_out_comes_back() {
    holds(comeback(), &[p::CAME_BACK]);
}

/// A15: one alert for each trouble, and one when it has ended, whoever finds it.
#[test]
fn people_are_told_once() {
    holds(alerts(), &[p::RECOVERY_TOLD]);
}

// Below, one rule at a time is broken.

/// A3: decides on what was read before the lock.
#[test]
fn who_decides_before_the_lock_is_noticed() {
    notices(Rule::RereadAfterLock, storm(), p::SENT_ONCE);
}

/// A3: goes on with the lock of a grant that a login has replaced.
#[test]
fn who_keeps_the_wrong_lock_is_noticed() {
    notices(Rule::LockFitsEntry, login(), p::ONE_WORKER);
}

/// A9: the worker dies when its asker does.
#[test]
fn a_worker_that_dies_with_its_asker_is_noticed() {
    notices(Rule::DetachedWorker, storm(), p::RECEIVED);
}

/// A1: the asker's drop of its handle frees the lock.
#[test]
fn an_asker_that_unlocks_is_noticed() {
    notices(Rule::LockStaysWithWorker, storm(), p::ONE_WORKER);
}

/// A1: the lock counts as abandoned when the process that wrote it is gone.
#[test]
fn a_lock_judged_by_a_process_id_is_noticed() {
    notices(Rule::KernelLock, storm(), p::SENT_ONCE);
}

/// A1 (and A2): two stores with one grant lock apart.
#[test]
fn a_lock_for_each_store_is_noticed() {
    notices(Rule::LockPerGrant, storm(), p::SENT_ONCE);
}

/// A5: nobody asks the ledger.
#[test]
fn an_older_copy_is_sent_is_noticed() {
    notices(Rule::LedgerConsulted, restored(), p::SENT_ONCE);
}

/// A5: a crash after `done` leaves the ledger without the token.
#[test]
fn a_ledger_written_too_late_is_noticed() {
    notices(Rule::LedgerBeforeDone, restored_alone(), p::SENT_ONCE);
}

/// A9: nothing on disk says that a request left.
#[test]
fn a_request_without_a_record_is_noticed() {
    notices(Rule::SendingRecorded, crashes(), p::PATIENT);
}

/// A9: the record is there and nobody minds it.
#[test]
fn a_sending_taken_for_a_free_try_is_noticed() {
    notices(Rule::DanglingIsAmbiguous, crashes(), p::HONEST);
}

/// A9: a milder answer makes the ambiguous one forgotten.
#[test]
fn a_503_that_wipes_out_doubt_is_noticed() {
    notices(Rule::AmbiguityRemembered, bad_network(), p::HONEST);
}

/// A9: the worker sends again right after an ambiguous answer.
#[test]
fn a_second_try_at_once_is_noticed() {
    notices(Rule::SpacedRetry, bad_network(), p::PATIENT);
}

/// A1: each asker finds out by itself.
#[test]
fn a_refused_token_asked_again_is_noticed() {
    notices(Rule::OutcomeAdopted, bad_network(), p::SENT_ONCE);
}

/// A1: an outcome about the clone's token pushes out the refusal.
#[test]
fn one_outcome_for_the_whole_grant_is_noticed() {
    notices(Rule::OutcomePerToken, original_and_clone(), p::SENT_ONCE);
}

/// A8: the worker passes tokens on before `answer` is on disk.
#[test]
fn tokens_lent_from_memory_is_noticed() {
    notices(Rule::DurableBeforeLent, storm(), p::DURABLE_LENT);
}

/// A8: the next holder starts afresh.
#[test]
fn a_pending_answer_passed_over_is_noticed() {
    notices(Rule::PendingAnswerFirst, crashes(), p::SENT_ONCE);
}

/// A8: the journal lets go of the tokens before a store has them.
#[test]
fn a_journal_wiped_too_soon_is_noticed() {
    notices(Rule::AnswerUntilApplied, crashes(), p::DURABLE);
}

/// A4: `apply` writes over whatever the entry holds.
#[test]
fn an_apply_that_overwrites_is_noticed() {
    notices(Rule::CompareBeforeApply, login(), p::NEWEST_LOGIN);
}

/// A8: tokens that found no entry are dropped.
#[test]
fn an_orphan_thrown_away_is_noticed() {
    notices(Rule::OrphanKept, restored_alone(), p::DURABLE);
}

/// A4: who got no token blanks the entry.
#[test]
fn a_loser_that_writes_is_noticed() {
    notices(Rule::LosersOnlyRead, crashes(), p::WRITERS);
}

/// A9: nobody notices the free lock.
#[test]
fn a_watcher_that_waits_for_ever_is_noticed() {
    notices(Rule::WatchNoticesDeath, crashes(), p::ANSWERED);
}

/// A8: the logout removes the entry while a refresh is under way.
#[test]
fn a_logout_beside_the_worker_is_noticed() {
    notices(Rule::LogoutTakesGrantLock, logout_of_the_only_entry(), p::GONE);
}

/// A1: the original's lock is not taken.
#[test]
fn the_original_ignored_is_noticed() {
    notices(Rule::LegacyLock, original(), p::NO_KILL);
}

/// A3: the original refreshed while we waited for its lock.
#[test]
fn no_reading_after_the_original_s_lock_is_noticed() {
    notices(Rule::RereadAfterLegacyLock, original(), p::NO_KILL);
}

/// A5: B's token is sent although A shows one of unknown descent.
#[test]
fn a_clone_of_what_the_original_spent_is_noticed() {
    notices(Rule::DoubtfulNotSent, original_and_clone(), p::NO_KILL);
}

/// A2: the copy is a grant of its own.
#[test]
fn a_copy_without_its_key_is_noticed() {
    notices(Rule::CopyJoinsGrant, import(), p::NO_KILL);
}

/// A5: the login is stored, and nobody ends what the journal has against it.
#[test]
fn a_comeback_beside_the_journal_is_noticed() {
    notices(Rule::ComebackReadmitted, comeback(), p::BACK);
}

/// A2: two state dirs refresh one store; a journal of the one means nothing to the other.
#[test]
fn a_foreign_store_refreshed_all_the_same_is_noticed() {
    notices(Rule::ForeignLeftAlone, outside(), p::SENT_ONCE);
}

/// A15: two of them saw the same trouble, and nobody looks again.
#[test]
fn an_alert_decided_before_the_lock_is_noticed() {
    notices(Rule::AlertUnderLock, alerts(), p::TOLD_ONCE);
}

/// A15: "somebody was told something" keeps the next trouble quiet.
#[test]
fn an_alert_that_knows_no_token_is_noticed() {
    notices(Rule::AlertPerToken, alerts(), p::TOLD);
}

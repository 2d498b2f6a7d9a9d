//! The runs: small worlds, each with the mishaps that belong together.

use super::rules::{Budget, Config, Grace};

/// Three askers and a clone; two of the askers abort.
pub(crate) fn storm() -> Config {
    with(Budget { asker_deaths: 2, ..Budget::default() })
}

fn with(budget: Budget) -> Config {
    Config { askers: vec![0, 0, 1], clone: true, budget, ..Config::default() }
}

/// Workers die anywhere, an answer gets lost.
pub(crate) fn crashes() -> Config {
    with(Budget { asker_deaths: 1, worker_deaths: 2, lost_answers: 1, ticks: 1, ..Budget::default() })
}

/// The first token still works for a while, and the network and the server do what they can.
pub(crate) fn bad_network() -> Config {
    let budget = Budget {
        worker_deaths: 1,
        lost_answers: 1,
        lost_requests: 1,
        unavailable: 1,
        refusals: 1,
        ticks: 2,
        ..Budget::default()
    };
    Config { due: true, askers: vec![0, 1], ..with(budget) }
}

pub(crate) fn forgiving(grace: Grace) -> Config {
    let budget = Budget { worker_deaths: 2, lost_answers: 1, graces: 1, ticks: 1, ..Budget::default() };
    Config { grace, ..with(budget) }
}

pub(crate) fn login() -> Config {
    let budget = Budget { worker_deaths: 1, lost_answers: 1, ticks: 1, ..Budget::default() };
    Config { login: true, askers: vec![0, 1], ..with(budget) }
}

pub(crate) fn login_over_the_only_entry() -> Config {
    Config { clone: false, askers: vec![0, 0], ..login() }
}

pub(crate) fn logout() -> Config {
    let budget = Budget { worker_deaths: 2, lost_answers: 1, ticks: 1, ..Budget::default() };
    Config { logout: true, logout_dies: true, askers: vec![0, 1], ..with(budget) }
}

pub(crate) fn logout_of_the_only_entry() -> Config {
    Config { clone: false, askers: vec![0, 0], ..logout() }
}

/// A backup brings B's entry back, twice if it likes.
pub(crate) fn restored() -> Config {
    let budget = Budget { worker_deaths: 1, restores: 2, lost_answers: 1, ticks: 1, ..Budget::default() };
    Config { askers: vec![0, 1], ..with(budget) }
}

/// The same where a login took A's entry away: nobody else holds what B's older copy lacks.
pub(crate) fn restored_alone() -> Config {
    let budget = Budget { worker_deaths: 1, restores: 1, ..Budget::default() };
    Config { askers: vec![0, 1, 1], login: true, ..with(budget) }
}

pub(crate) fn original() -> Config {
    let budget = Budget { asker_deaths: 1, worker_deaths: 2, ticks: 1, ..Budget::default() };
    Config { clone: false, original: true, askers: vec![0, 0], ..with(budget) }
}

/// The original refreshes A while B holds a clone, which it knows nothing of.
pub(crate) fn original_and_clone() -> Config {
    let budget = Budget { worker_deaths: 1, refusals: 1, ticks: 1, ..Budget::default() };
    Config { original: true, ..with(budget) }
}

/// Another state dir refreshes the store that lies outside of both, where A holds a copy of the same login.
pub(crate) fn outside() -> Config {
    let budget = Budget { worker_deaths: 1, ticks: 1, ..Budget::default() };
    Config { outside: true, askers: vec![0, 1], ..with(budget) }
}

/// An import puts a copy into an empty store B, before, while and after A is refreshed, by us or by the original.
pub(crate) fn import() -> Config {
    let budget = Budget { worker_deaths: 1, lost_answers: 1, ticks: 1, ..Budget::default() };
    Config { import: true, original: true, clone: false, askers: vec![0, 1], ..with(budget) }
}

/// The only entry is logged out and comes back.
pub(crate) fn comeback() -> Config {
    let budget = Budget { worker_deaths: 1, lost_answers: 1, ticks: 1, ..Budget::default() };
    Config { logout: true, comeback: true, clone: false, askers: vec![0, 0], ..with(budget) }
}

/// Two of those who tell people look at what refusals and a login make of store A.
pub(crate) fn alerts() -> Config {
    let budget = Budget { refusals: 2, ticks: 1, ..Budget::default() };
    Config { heralds: 2, login: true, clone: false, askers: vec![0, 0], ..with(budget) }
}

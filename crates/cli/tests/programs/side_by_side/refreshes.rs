//! Faults of a refresh.

use std::time::Duration;

use coderclaw_sandbox::{Fault, Reuse};

use super::{ends, outcome, seconds, times};
use crate::field::{ALL, Field, LIMIT, Program, is_served, kill_all};
use crate::record::Row;

/// Far more than any of them takes to get to its refresh.
const SOON: Duration = Duration::from_secs(90);
/// Nobody waits longer for a program to say that there is no network.
const ENOUGH: Duration = Duration::from_secs(60);
/// Thirty-two of them share the cores.
const STORM: Duration = Duration::from_secs(300);

/// A1: thirty-two processes find one login expired.
#[test]
fn a1_thirty_two_processes() {
    let mut row = Row::new(1, "32 processes find one login expired");
    for program in ALL {
        let field = Field::new();
        // What a first start takes, nobody has to wait for in the storm.
        field.give(program, "main", &field.grant(false));
        assert!(is_served(&field.ask(program, "main", 0)), "{program:?} is set up");
        let grant = field.grant(true);
        field.give(program, "main", &grant);
        let all: Vec<_> = (1..=32).map(|number| field.prompt(program, "main", number)).collect();
        let served = all.into_iter().map(|one| one.end(STORM)).filter(is_served).count();
        let (sent, lives) = (field.sent(&grant), field.lives(program, "main"));
        row.cell(
            program,
            format!(
                "{} of one refresh token; {served} of 32 are served; {}",
                times(sent, "request"),
                ends(lives)
            ),
        );
        if program == Program::Coderclaw {
            assert_eq!((sent, served, lives), (1, 32, true));
        }
    }
    row.write();
}

/// A9: the answer is lost after the provider has spent the token, and a person tries again. With a provider that takes a spent
/// token once more for a while, nothing is lost; with one that does not, nobody can save the login.
#[test]
fn a9_the_answer_is_lost() {
    let rows = [
        (2, "The answer is lost; the provider takes a spent token for 60 s more", true),
        (3, "The answer is lost; the provider forgives nothing", false),
    ];
    for (number, what, is_kind) in rows {
        let mut row = Row::new(number, what);
        for program in ALL {
            let field = Field::new();
            if is_kind {
                field.world.sandbox.policy(|policy| policy.reuse = Reuse::Grace(Duration::from_secs(60)));
            }
            let grant = field.grant(true);
            field.give(program, "main", &grant);
            field.world.sandbox.script(Fault::RotateThenDrop, 1);
            let first = field.ask(program, "main", 1);
            let tries = field.until_served(program, "main");
            let (sent, lives) = (field.sent(&grant), field.lives(program, "main"));
            let began =
                if is_served(&first) { "the prompt itself is served".to_owned() } else { outcome(&tries) };
            row.cell(program, format!("the token is sent {}; {began}; {}", times(sent, "time"), ends(lives)));
            if program == Program::Coderclaw {
                assert_eq!((sent, tries.served_after.is_some(), lives), (2, is_kind, is_kind), "{tries:?}");
            }
        }
        row.write();
    }
}

/// A8, A9: the program is killed while the provider's answer is on its way. Killed is its process group, as at the end of a job
/// or of a terminal; and then everything that it has ever started.
#[test]
fn a8_killed_before_the_answer() {
    let rows = [
        (4, "Killed while the answer is on its way", false),
        (5, "Killed with all that it has started, while the answer is on its way", true),
    ];
    for (number, what, is_all) in rows {
        let mut row = Row::new(number, what);
        for program in ALL {
            let field = Field::new();
            let grant = field.grant(true);
            field.give(program, "main", &grant);
            let gate = field.world.sandbox.gate();
            let mut prompt = field.prompt(program, "main", 1);
            assert!(gate.wait_arrived(SOON), "{program:?} refreshes");
            prompt.kill();
            if is_all {
                kill_all(&field);
            }
            prompt.end(LIMIT);
            gate.open();
            let tries = field.until_served(program, "main");
            let (sent, lives) = (field.sent(&grant), field.lives(program, "main"));
            row.cell(
                program,
                format!("the token is sent {}; {}; {}", times(sent, "time"), outcome(&tries), ends(lives)),
            );
            if program == Program::Coderclaw && is_all {
                // What was in nobody's hand but the dead process's is lost; it is tried once, and then said.
                assert_eq!((sent, tries.served_after.is_some()), (2, false), "{tries:?}");
                assert!(tries.last.err.contains("models auth login"), "{tries:?}");
            } else if program == Program::Coderclaw {
                assert_eq!((sent, tries.prompts, lives), (1, 1, true), "{tries:?}");
            }
        }
        row.write();
    }
}

/// A9: the provider says 500: once, and then for as long as one prompt goes on.
#[test]
fn a9_the_provider_says_500() {
    for (number, what, count) in
        [(6, "The provider says 500 once", 1), (7, "The provider says 500 throughout one prompt", 100_000)]
    {
        let mut row = Row::new(number, what);
        for program in ALL {
            let field = Field::new();
            let grant = field.grant(true);
            field.give(program, "main", &grant);
            field.world.sandbox.script(Fault::status(500), count);
            let first = field.ask(program, "main", 1);
            let (sent, took) = (field.sent(&grant), first.took);
            field.world.sandbox.clear_script();
            let tries = field.until_served(program, "main");
            let then = if is_served(&first) { "it is served".to_owned() } else { outcome(&tries) };
            row.cell(
                program,
                format!(
                    "{} in {}; {then}; {}",
                    times(sent, "request"),
                    seconds(took),
                    ends(field.lives(program, "main"))
                ),
            );
            if program == Program::Coderclaw {
                assert!(sent == 1 && tries.served_after.is_some() && field.sent(&grant) == 2, "{tries:?}");
            }
        }
        row.write();
    }
}

/// A2: two agents hold a copy of one login, as copying a folder leaves it. The second refreshes, then the first.
#[test]
fn a2_two_copies_of_one_login() {
    let mut row = Row::new(8, "Two agents hold copies of one login; the second refreshes, then the first");
    for program in ALL {
        let field = Field::new();
        let grant = field.grant(true);
        for agent in ["main", "work"] {
            field.give(program, agent, &grant);
        }
        let served = ["work", "main"].map(|agent| is_served(&field.ask(program, agent, 1)));
        let count = served.iter().filter(|one| **one).count();
        let (sent, lives) = (field.sent(&grant), field.lives(program, "work"));
        row.cell(
            program,
            format!(
                "{} with the copied token; {count} of 2 are served; {}",
                times(sent, "request"),
                ends(lives)
            ),
        );
        if program == Program::Coderclaw {
            assert_eq!((sent, count, lives), (1, 2, true));
            assert_eq!(field.held(program, "main"), field.held(program, "work"));
        }
    }
    row.write();
}

/// A11: expired, and no network.
#[test]
fn a11_no_network() {
    let mut row = Row::new(9, "Expired, and no network; then it is back");
    for program in ALL {
        let mut field = Field::new();
        let grant = field.grant(true);
        field.give(program, "main", &grant);
        field.network(false);
        let first = field.prompt(program, "main", 1).end(ENOUGH);
        assert!(!is_served(&first));
        let is_kept = field.held(program, "main") == (grant.access.clone(), grant.refresh.clone());
        field.network(true);
        let tries = field.until_served(program, "main");
        let kept = if is_kept { "nothing is deleted" } else { "the tokens are gone from its file" };
        let said = match first.code {
            Some(_) => format!("it says so after {}", seconds(first.took)),
            None => format!("it is still trying after {}, and is ended", seconds(ENOUGH)),
        };
        row.cell(program, format!("{kept}; {said}; {}", outcome(&tries)));
        if program == Program::Coderclaw {
            assert!(is_kept && tries.served_after.is_some(), "{tries:?}");
            assert!(first.err.contains("offline"), "{first:?}");
        }
    }
    row.write();
}

//! `cargo xtask torture`: the tests of storms and faults with no mercy, then faults at random under one seed.

use crate::program::Program;
use crate::repository::Repository;

/// How often a storm is repeated where nothing else is said.
const TIMES: u32 = 20;

#[derive(Debug, PartialEq, Eq)]
struct Plan {
    minutes: u32,
    seed: u32,
    /// One round of the seed, again.
    round: Option<u32>,
    /// Only the tests, each so many times.
    times: Option<u32>,
}

impl Plan {
    fn of(words: &[&str]) -> Result<Self, String> {
        let mut plan = Self { minutes: 5, seed: 1, round: None, times: None };
        for pair in words.chunks(2) {
            let [name, text] = pair else {
                return Err(format!("wrong arguments: {} wants a number", pair.concat()));
            };
            let number = text.parse::<u32>().map_err(|_| format!("{name} wants a number, not `{text}`"))?;
            if number == 0 && !["--seed", "--round"].contains(name) {
                return Err(format!("{name} wants a number above 0, not `{text}`"));
            }
            match *name {
                "--minutes" => plan.minutes = number,
                "--seed" => plan.seed = number,
                "--round" => plan.round = Some(number),
                "--times" => plan.times = Some(number),
                _ => {
                    return Err(format!(
                        "wrong arguments: {name} is none of --minutes M, --seed N, --round N, --times N"
                    ));
                }
            }
        }
        Ok(plan)
    }
}

/// Runs it. The last line is what was done, or which law was broken and how to see it again.
pub(crate) fn torture(repository: &Repository, words: &[&str]) -> Result<(), String> {
    let plan = Plan::of(words)?;
    if plan.round.is_none() {
        let filter = "test(storm::) | test(kill::) | test(points::) | test(matrix::)";
        Program::cargo(&["nextest", "run", "--package", "coderclaw", "--features", "faults"])
            .args(&["--profile", "torture", "--filterset", filter])
            .inside(repository.root())
            .env("CODERCLAW_TORTURE", plan.times.unwrap_or(TIMES).to_string())
            .installed_by("cargo install --locked cargo-nextest")
            .run()?;
    }
    if plan.times.is_some() {
        return Ok(());
    }
    let mut program = Program::cargo(&["test", "--quiet", "--package", "coderclaw", "--features", "faults"])
        .args(&["--test", "torture", "--", "--minutes", &plan.minutes.to_string()])
        .args(&["--seed", &plan.seed.to_string()])
        .inside(repository.root());
    if let Some(round) = plan.round {
        program = program.args(&["--round", &round.to_string()]);
    }
    program.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood_or_refused() {
        let usual = Plan { minutes: 5, seed: 1, round: None, times: None };
        assert_eq!(Plan::of(&[]), Ok(usual));
        let plan = Plan::of(&["--seed", "0", "--minutes", "7", "--round", "0"]).unwrap();
        assert_eq!((plan.seed, plan.minutes, plan.round), (0, 7, Some(0)));
        for wrong in [&["--seed"][..], &["--hours", "1"], &["--minutes", "x"], &["--minutes", "0"]] {
            assert!(Plan::of(wrong).is_err(), "{wrong:?}");
        }
    }
}

//! `cargo xtask e2e`: the commands against programs that nobody here wrote.

use crate::program::Program;
use crate::repository::Repository;
use crate::suite;
use crate::tally::{Runner, Tally};

/// Where the other programs are named, each with its version.
const OIDC: &str = "e2e/oidc";
const NODE: &str = "apt-get install nodejs npm, or https://nodejs.org (version 20 or later)";

/// Fetches the authorization servers and runs the tests that need them.
pub(crate) fn e2e(repository: &Repository) -> Result<(), String> {
    let node = Program::new("node", &["--version"]).installed_by(NODE).text()?;
    println!("node {}", node.trim());
    Program::new("npm", &["ci", "--omit=dev", "--no-audit", "--no-fund"])
        .inside(&repository.path(OIDC))
        .installed_by(NODE)
        .run()?;

    let (runner, program) = if suite::nextest_version(repository.root()).is_some() {
        (Runner::Nextest, Program::cargo(&["nextest", "run", "--profile", "ci"]))
    } else {
        (Runner::CargoTest, Program::cargo(&["test", "--no-fail-fast"]))
    };
    let program = program.args(&["--package", "coderclaw", "--features", "e2e", "--test", "e2e"]);
    let mut tally = Tally::default();
    let ended = program.inside(repository.root()).run_and_read(|line| tally.read(runner, line));
    println!("\n{tally}");
    ended?;
    if tally.passed == 0 { Err("no test ran".to_owned()) } else { Ok(()) }
}

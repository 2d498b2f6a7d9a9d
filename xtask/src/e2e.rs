//! `cargo xtask e2e`: the commands against programs that nobody here wrote.

use std::path::PathBuf;

use crate::program::Program;
use crate::repository::Repository;
use crate::suite;
use crate::tally::{Runner, Tally};

/// Where the programs from npm are named, each with its version: authorization servers, and the driver of a browser.
const FOLDERS: [&str; 2] = ["e2e/oidc", "e2e/console"];
const CHROMIUM: &str = "apt-get install chromium, or name a browser of its kind in CHROMIUM";
const NODE: &str = "apt-get install nodejs npm, or https://nodejs.org (version 20 or later)";

/// Fetches the programs and runs the tests that need them.
pub(crate) fn e2e(repository: &Repository) -> Result<(), String> {
    let node = Program::new("node", &["--version"]).installed_by(NODE).text()?;
    println!("node {}", node.trim());
    for folder in FOLDERS {
        Program::new("npm", &["ci", "--omit=dev", "--no-audit", "--no-fund"])
            .inside(&repository.path(folder))
            .installed_by(NODE)
            .run()?;
    }
    let browser = browser()?;

    let (runner, program) = if suite::nextest_version(repository.root()).is_some() {
        (Runner::Nextest, Program::cargo(&["nextest", "run", "--profile", "ci"]))
    } else {
        (Runner::CargoTest, Program::cargo(&["test", "--no-fail-fast"]))
    };
    let program = program.args(&["--package", "coderclaw", "--features", "e2e", "--test", "e2e"]);
    let mut tally = Tally::default();
    let ended = program
        .env("CHROMIUM", browser)
        .inside(repository.root())
        .run_and_read(|line| tally.read(runner, line));
    println!("\n{tally}");
    ended?;
    if tally.passed == 0 { Err("no test ran".to_owned()) } else { Ok(()) }
}

/// The browser: the one that `CHROMIUM` names, else Debian's, which whoever may install packages gets.
fn browser() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    let path = PathBuf::from("/usr/bin/chromium");
    if path.is_file() {
        return Ok(path);
    }
    let is_root = Program::new("id", &["-u"]).text().is_ok_and(|user| user.trim() == "0");
    if !is_root {
        return Err(format!("chromium is not installed; get it with: {CHROMIUM}"));
    }
    println!("chromium is not installed; installing Debian's");
    Program::new("apt-get", &["update", "-qq"]).installed_by(CHROMIUM).run()?;
    Program::new(
        "apt-get",
        &["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-liberation"],
    )
    .env("DEBIAN_FRONTEND", "noninteractive")
    .installed_by(CHROMIUM)
    .run()?;
    Ok(path)
}

//! `cargo xtask test`: every step runs, whatever the ones before it said; what failed is listed at the end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::program::Program;
use crate::repository::Repository;
use crate::tally::{Runner, Tally};
use crate::{conformance, documents, leaks, licences, promises};

/// The features that the tests need: fail points.
const FEATURES: [&str; 2] = ["--features", "coderclaw/faults"];
/// Brings the tests of `cargo xtask e2e` under the lints; running them takes programs by others.
const LINTED_FEATURES: [&str; 2] = ["--features", "coderclaw/e2e"];

/// Steps that ran, with their times.
#[derive(Debug, Default)]
struct Steps {
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    name: &'static str,
    seconds: f64,
    result: Result<String, String>,
}

impl Steps {
    /// Runs one step. What it returns stands beside its name in the table.
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<String, String>) {
        println!("\n== {name}");
        let began = Instant::now();
        let result = work();
        match &result {
            Ok(note) if !note.is_empty() => println!("{note}"),
            Ok(_) => {}
            Err(why) => println!("{name}: {why}"),
        }
        self.done.push(Done { name, seconds: began.elapsed().as_secs_f64(), result });
    }

    fn table(&self) -> String {
        let mut text = "\nstep                  seconds  result\n".to_owned();
        for Done { name, seconds, result } in &self.done {
            let result = match result {
                Ok(note) if note.is_empty() => "ok".to_owned(),
                Ok(note) => format!("ok: {}", last_line(note)),
                Err(why) => format!("FAILED: {}", why.lines().next().unwrap_or_default()),
            };
            text.push_str(&format!("{name:<20} {seconds:>8.1}  {result}\n"));
        }
        let seconds: f64 = self.done.iter().map(|done| done.seconds).sum();
        text.push_str(&format!("{:<20} {seconds:>8.1}\n", "all"));
        text
    }

    fn verdict(&self) -> Result<(), String> {
        let failed: Vec<&str> =
            self.done.iter().filter(|done| done.result.is_err()).map(|done| done.name).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}

fn last_line(text: &str) -> &str {
    text.lines().next_back().unwrap_or_default()
}

/// All steps of a full run.
pub(crate) fn test(repository: &Repository) -> Result<(), String> {
    let mut steps = Steps::default();
    let mut tally = Tally::default();
    let root = repository.root();
    let cargo = |args: &[&str]| Program::cargo(args).inside(root);
    let silent = |program: Program| program.run().map(|()| String::new());

    steps.step("toolchain", || toolchain(root));
    steps.step("format", || {
        let hint = "rustup component add rustfmt";
        silent(cargo(&["fmt", "--all", "--check"]).installed_by(hint))
    });
    steps.step("lints", || {
        let hint = "rustup component add clippy";
        let clippy = cargo(&["clippy", "--workspace", "--all-targets"]).args(&LINTED_FEATURES);
        silent(clippy.args(&["--", "-D", "warnings"]).installed_by(hint))
    });
    steps.step("tests", || tests(repository, &mut tally));
    steps.step("examples in docs", || {
        let before = tally;
        cargo(&["test", "--workspace", "--doc"]).run_and_read(|line| tally.read(Runner::CargoTest, line))?;
        Ok(format!("{} examples run", tally.passed - before.passed))
    });
    steps.step("documentation", || {
        let doc = cargo(&["doc", "--workspace", "--no-deps"]);
        silent(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    own_checks(&mut steps, repository);

    println!("{}", steps.table());
    println!("{tally}");
    steps.verdict()
}

/// Only the checks of the repository itself; they need no build.
pub(crate) fn check(repository: &Repository) -> Result<(), String> {
    let mut steps = Steps::default();
    own_checks(&mut steps, repository);
    println!("{}", steps.table());
    steps.verdict()
}

fn own_checks(steps: &mut Steps, repository: &Repository) {
    steps.step("names in documents", || documents::check(repository, &crate::command_names()));
    steps.step("conformance", || conformance::check(repository));
    steps.step("promises", || promises::check(repository));
    steps.step("leaks", || leaks::check(repository));
    steps.step("licences", || licences::check(repository));
}

fn toolchain(root: &Path) -> Result<String, String> {
    let version = |program: &str, args: &[&str]| Program::new(program, args).inside(root).text();
    let mut lines = Vec::new();
    for program in ["rustc", "cargo", "git"] {
        lines.push(version(program, &["--version"])?.trim().to_owned());
    }
    let runner = match nextest_version(root) {
        Some(version) => version,
        None => "cargo-nextest is not installed, so `cargo test` runs the tests \
                 (get it with: cargo install --locked cargo-nextest)"
            .to_owned(),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    lines.push(format!("{runner}; {cores} cores"));
    Ok(lines.join("\n"))
}

pub(crate) fn nextest_version(root: &Path) -> Option<String> {
    let text = Program::cargo(&["nextest", "--version"]).inside(root).text().ok()?;
    text.lines().next().map(str::to_owned)
}

/// Runs the tests with an empty home folder, and looks afterwards whether it still is empty.
fn tests(repository: &Repository, tally: &mut Tally) -> Result<String, String> {
    let home = empty_home(repository)?;
    let (runner, program) = if nextest_version(repository.root()).is_some() {
        (Runner::Nextest, Program::cargo(&["nextest", "run", "--workspace", "--profile", "ci"]))
    } else {
        println!("cargo-nextest is not installed; `cargo test` runs the same tests.");
        (Runner::CargoTest, Program::cargo(&["test", "--workspace", "--tests", "--no-fail-fast"]))
    };
    let mut program = program.args(&FEATURES).inside(repository.root()).env("HOME", &home);
    for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
        program = program.without_env(name);
    }
    // The tools themselves stay where they are.
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if std::env::var_os(name).is_none()
            && let Some(own) = std::env::home_dir()
        {
            program = program.env(name, own.join(folder));
        }
    }
    let ended = program.run_and_read(|line| tally.read(runner, line));
    let left: Vec<String> = files_below(&home);
    ended?;
    if tally.passed == 0 {
        return Err("no test ran".to_owned());
    }
    if !left.is_empty() {
        return Err(format!("the tests wrote into the home folder: {}", left.join(", ")));
    }
    Ok(format!("{tally}, {} not asked for (ignored)", tally.skipped))
}

fn empty_home(repository: &Repository) -> Result<PathBuf, String> {
    let home = repository.target()?.join("xtask-home");
    let said = |e: std::io::Error| format!("{}: {e}", home.display());
    if home.exists() {
        std::fs::remove_dir_all(&home).map_err(said)?;
    }
    std::fs::create_dir_all(&home).map_err(said)?;
    Ok(home)
}

fn files_below(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let inside = if path.is_dir() { files_below(&path) } else { Vec::new() };
        if inside.is_empty() { all.push(path.display().to_string()) } else { all.extend(inside) }
    }
    all
}

#[cfg(test)]
mod tests_of_steps {
    use super::*;

    #[test]
    fn every_step_runs_and_all_that_failed_are_named() {
        let mut steps = Steps::default();
        steps.step("one", || Err("it broke\nmore words".to_owned()));
        steps.step("two", || Ok("note\n3 passed, 0 failed".to_owned()));
        steps.step("three", || Err("it broke as well".to_owned()));
        let table = steps.table();
        assert!(table.contains("FAILED: it broke\n") && table.contains("ok: 3 passed, 0 failed"), "{table}");
        assert_eq!(steps.verdict(), Err("failed: one, three".to_owned()));
    }
}

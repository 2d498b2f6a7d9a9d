//! `cargo xtask bench`: what one cold process of the release binary costs, beside `/bin/true` and the budgets.
//!
//! Budgets are told, not enforced: a busy machine must not fail a build.

mod measure;
mod state;

use std::path::Path;

use measure::{Figures, Reached};

use crate::program::Program;
use crate::repository::Repository;

/// The budgets of a command that only looks.
const INSTRUCTIONS: u64 = 1_500_000;
const MILLISECONDS: f64 = 5.0;
const RESIDENT_MB: f64 = 10.0;
const BINARY_MB: f64 = 15.0;

/// What is measured. All of them look and change nothing.
const COMMANDS: [&[&str]; 4] = [
    &["--version"],
    &["models", "status", "--json"],
    &["models", "auth", "token", "--provider", "openai-codex"],
    &["models", "auth", "explain", "--provider", "openai-codex", "--json"],
];

pub(crate) fn bench(repository: &Repository) -> Result<(), String> {
    Program::cargo(&["build", "--release", "--package", "coderclaw"]).inside(repository.root()).run()?;
    let binary = repository.target()?.join("release/coderclaw");
    let state = state::StateDir::make()?;

    let mut commands = vec![measure::Command::new(Path::new("/bin/true"), &[], &state)];
    commands.extend(COMMANDS.iter().map(|args| measure::Command::new(&binary, args, &state)));
    let figures = measure::measure(&commands)?;

    let base = figures[0].instructions;
    println!("\n{}", headline()?);
    println!(
        "{:<62} {:>22} {:>8} {:>16} {:>16}  threads/sockets/CA files",
        "command", "instructions", "x true", "median ms", "peak MB"
    );
    for (command, figures) in commands.iter().zip(&figures) {
        println!("{}", line(&command.name, figures, base, command.name != "/bin/true"));
    }
    let bytes = std::fs::metadata(&binary).map_err(|e| format!("{}: {e}", binary.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a file's size in MB, to one digit")]
    let size = bytes as f64 / 1e6;
    println!("\nrelease binary: {size:.1} MB, {}", judged(size <= BINARY_MB, &format!("{BINARY_MB} MB")));
    for note in figures.iter().flat_map(|figures| &figures.notes).collect::<std::collections::BTreeSet<_>>() {
        println!("note: {note}");
    }
    Ok(())
}

fn headline() -> Result<String, String> {
    let rustc = Program::new("rustc", &["--version"]).text()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(format!(
        "{}, {cores} cores, {} runs of each by turns, five profiles; budgets: {:.1} M instructions, {MILLISECONDS} ms, \
         {RESIDENT_MB} MB",
        rustc.trim(),
        measure::RUNS,
        millions(INSTRUCTIONS)
    ))
}

fn line(name: &str, figures: &Figures, base: Option<u64>, has_budget: bool) -> String {
    let judge = |within: bool| if has_budget { judged(within, "") } else { String::new() };
    let none = || "not measured".to_owned();
    let instructions = figures
        .instructions
        .map_or_else(none, |n| format!("{:.2} M {}", millions(n), judge(n <= INSTRUCTIONS)));
    #[expect(clippy::cast_precision_loss, reason = "a ratio, to one digit")]
    let ratio = match (figures.instructions, base) {
        (Some(n), Some(base)) if base > 0 => format!("{:.1}", n as f64 / base as f64),
        _ => "-".to_owned(),
    };
    let time = format!("{:.2} {}", figures.median_ms, judge(figures.median_ms <= MILLISECONDS));
    let resident = figures.peak_mb.map_or_else(none, |mb| format!("{mb:.1} {}", judge(mb <= RESIDENT_MB)));
    let reached = figures.reached.as_ref().map_or_else(none, |Reached { threads, sockets, ca_files }| {
        format!("{threads}/{sockets}/{ca_files}")
    });
    let cells = [instructions, time, resident].map(|cell| cell.trim_end().to_owned());
    format!("{name:<62} {:>22} {ratio:>8} {:>16} {:>16}  {reached}", cells[0], cells[1], cells[2])
}

fn judged(within: bool, budget: &str) -> String {
    let word = if within { "within" } else { "over" };
    if budget.is_empty() { word.to_owned() } else { format!("{word} {budget}") }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn millions(n: u64) -> f64 {
    n as f64 / 1e6
}

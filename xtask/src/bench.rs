//! `cargo xtask bench`: what things cost, beside their budgets, beside other programs, and beside the last run.
//!
//! Budgets are told, not enforced: a busy machine must not fail a build.

mod beside;
mod gateway;
mod inside;
mod process;
mod state;
mod table;

use std::path::Path;

pub(crate) use gateway::bench as bench_gateway;
use process::{Figures, Reached};
use table::{Table, judged};

use crate::marked;
use crate::program::Program;
use crate::repository::Repository;

/// The page that shows the figures of one run of each, between its marks.
const PAGE: &str = "docs/speed.md";

/// The budgets of a command that only looks.
const INSTRUCTIONS: f64 = 1_500_000.0;
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

/// Measures everything but the gateway, and prints it; with `write`, onto the page as well.
pub(crate) fn bench(repository: &Repository, write: bool) -> Result<(), String> {
    Program::cargo(&["build", "--release", "--package", "coderclaw"]).inside(repository.root()).run()?;
    let target = repository.target()?;
    let tables = [
        processes(repository, &target.join("release/coderclaw"))?,
        inside::resolver(repository)?,
        inside::storms(repository)?,
    ];
    let mut text = headline(&format!(
        "cold processes timed {} times each, by turns; those of other programs {} times",
        process::RUNS,
        process::OTHER_RUNS
    ))?;
    for table in &tables {
        text.push_str(&format!("\n{table}"));
    }
    print!("\n{text}");
    let changes = table::changes(&target.join("bench/last.tsv"), &tables)?;
    if !changes.is_empty() {
        println!("\nSince the last run here:\n  {}", changes.join("\n  "));
    }
    if write { marked::put(repository, PAGE, "bench --write", &text) } else { Ok(()) }
}

/// One cold process of each command, beside `/bin/true` and what others have.
fn processes(repository: &Repository, binary: &Path) -> Result<Table, String> {
    let state = state::StateDir::make()?;
    let mut commands = vec![process::Command::new(Path::new("/bin/true"), &[], &state)];
    commands.extend(COMMANDS.iter().map(|args| process::Command::new(binary, args, &state)));
    let ours = commands.len();
    let (others, missing) = beside::others(repository);
    commands.extend(others.iter().map(|other| process::Command::of_others(other, &state)));
    let figures = process::measure(&commands)?;

    let columns = ["command", "instructions", "x true", "median ms", "peak MB", "threads, sockets, CA files"];
    let mut table = Table::new("One cold process, five profiles in the store", &columns);
    let base = figures[0].instructions;
    for (at, (command, figures)) in commands.iter().zip(&figures).enumerate() {
        table.row(cells(&command.name, figures, base, (1..ours).contains(&at)));
        if let Some(instructions) = figures.instructions {
            table.figure(format!("{}, M instructions", command.name), instructions / 1e6);
        }
        figures.notes.iter().for_each(|note| table.note(note));
    }
    missing.into_iter().for_each(|note| table.note(note));
    let bytes = std::fs::metadata(binary).map_err(|e| format!("{}: {e}", binary.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a file's size in MB, to one digit")]
    let size = bytes as f64 / 1e6;
    table.figure("release binary, MB", size);
    table.note(format!(
        "Budgets: {:.1} M instructions, {MILLISECONDS} ms, {RESIDENT_MB} MB. The release binary has {size:.1} MB, {} its {BINARY_MB}.",
        INSTRUCTIONS / 1e6,
        judged(size, Some(BINARY_MB))
    ));
    Ok(table)
}

/// When, with what and on what this was measured, and `how`.
fn headline(how: &str) -> Result<String, String> {
    let rustc = Program::new("rustc", &["--version"]).text()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let date = Program::new("date", &["+%Y-%m-%d"]).text()?;
    Ok(format!("{}, {}, {cores} cores; {how}.\n", date.trim(), rustc.trim()))
}

fn cells(name: &str, figures: &Figures, base: Option<f64>, has_budget: bool) -> [String; 6] {
    let none = || "not measured".to_owned();
    let within = |value: f64, budget: f64| judged(value, has_budget.then_some(budget));
    let instructions = figures.instructions.map(|n| format!("{:.2} M {}", n / 1e6, within(n, INSTRUCTIONS)));
    let ratio = match (figures.instructions, base) {
        (Some(n), Some(base)) if base > 0.0 => format!("{:.1}", n / base),
        _ => "-".to_owned(),
    };
    let time = format!("{:.2} {}", figures.median_ms, within(figures.median_ms, MILLISECONDS));
    let resident = figures.peak_mb.map(|mb| format!("{mb:.1} {}", within(mb, RESIDENT_MB)));
    let reached = figures
        .reached
        .as_ref()
        .map(|Reached { threads, sockets, ca_files }| format!("{threads}, {sockets}, {ca_files}"));
    let trimmed = |cell: String| cell.trim_end().to_owned();
    [
        format!("`{name}`"),
        instructions.map_or_else(none, trimmed),
        ratio,
        trimmed(time),
        resident.map_or_else(none, trimmed),
        reached.unwrap_or_else(none),
    ]
}

//! What programs print that measure from inside: the resolver's and the storms' own benches.
//!
//! Each line of theirs that counts has the form `NAME: VALUE UNIT`; the rest is for people.

use crate::bench::table::{Table, judged};
use crate::program::Program;
use crate::repository::Repository;

/// One figure of a bench.
struct Wanted {
    name: &'static str,
    unit: &'static str,
    budget: Option<f64>,
}

const fn wanted(name: &'static str, unit: &'static str, budget: Option<f64>) -> Wanted {
    Wanted { name, unit, budget }
}

const RESOLVER: [Wanted; 2] =
    [wanted("warm resolve, median", "us", None), wanted("warm resolve, p99", "us", Some(20.0))];

const STORMS: [Wanted; 8] = [
    wanted("2 processes, requests", "", Some(1.0)),
    wanted("2 processes, last served after the last start", "ms", Some(1_000.0)),
    wanted("32 processes, requests", "", Some(1.0)),
    wanted("32 processes, last served after the last start", "ms", Some(1_000.0)),
    wanted("256 processes, requests", "", Some(1.0)),
    wanted("256 processes, last served after the last start", "ms", Some(1_000.0)),
    wanted("256 processes, server down, requests", "", Some(3.0)),
    wanted("256 processes, server down, last answered after the last start", "ms", Some(5_000.0)),
];

/// A process that runs on, with 100 agents of 50 profiles each.
pub(crate) fn resolver(repository: &Repository) -> Result<Table, String> {
    let said = run(repository, "coderclaw-auth", "resolve")?;
    let mut table = table("In a process that runs on: 100 agents of 50 profiles each", &RESOLVER, &said)?;
    // Divan's own rows: `├─ parse  27.41 µs │ 34.4 µs │ 28.03 µs │ ...`; the third figure is the median.
    for line in said.lines().filter(|line| line.starts_with("├─ ") || line.starts_with("╰─ ")) {
        let mut cells = line.split('│');
        let name = cells.next().and_then(|cell| cell.split_whitespace().nth(1)).unwrap_or_default();
        if let Some(median) = cells.nth(1) {
            table.row([format!("{}, median", name.replace('_', " ")), median.trim().to_owned()]);
        }
    }
    Ok(table)
}

/// Many processes and one expired login.
pub(crate) fn storms(repository: &Repository) -> Result<Table, String> {
    let said = run(repository, "coderclaw", "storms")?;
    table("Many processes, one expired login", &STORMS, &said)
}

fn run(repository: &Repository, package: &str, bench: &str) -> Result<String, String> {
    let bench = ["bench", "--quiet", "--package", package, "--bench", bench];
    Program::cargo(&bench).inside(repository.root()).text()
}

fn table(title: &'static str, all: &[Wanted], said: &str) -> Result<Table, String> {
    let mut table = Table::new(title, &["what", "measured", "budget", ""]);
    for Wanted { name, unit, budget } in all {
        let value = value(said, name).ok_or_else(|| format!("the bench did not say `{name}`:\n{said}"))?;
        let digits = usize::from(value < 100.0 && !unit.is_empty());
        table.row([
            (*name).to_owned(),
            format!("{value:.digits$} {unit}").trim().to_owned(),
            budget.map(|budget| format!("{budget} {unit}").trim().to_owned()).unwrap_or_default(),
            judged(value, *budget).to_owned(),
        ]);
        table.figure(*name, value);
    }
    Ok(table)
}

fn value(said: &str, name: &str) -> Option<f64> {
    let rest = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_name() {
        let said = "warm resolve, median: 10.9 us\nwarm resolve, p99: 25.0 us\nother words\n";
        let table = table("t", &RESOLVER, said).unwrap();
        assert_eq!(table.rows[1], ["warm resolve, median", "10.9 us", "", ""]);
        assert_eq!(table.rows[2], ["warm resolve, p99", "25.0 us", "20 us", "over"]);
        assert!(super::table("t", &STORMS, said).unwrap_err().contains("2 processes, requests"));
    }
}

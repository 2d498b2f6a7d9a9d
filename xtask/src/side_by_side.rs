//! `docs/side-by-side.md`: what the tests of that name have measured, as a table.

use std::path::{Path, PathBuf};

use crate::marked;
use crate::program::Program;
use crate::repository::Repository;

/// The variable that names the folder of the figures, one file for each row.
pub(crate) const FOLDER: &str = "SIDE_BY_SIDE";
const PAGE: &str = "docs/side-by-side.md";
const COMMAND: &str = "e2e --with codex,openclaw";
/// The columns: what stands first in a row's file, and in which order the programs follow there.
const COLUMNS: [&str; 4] = ["what happens", "CoderClaw", "Codex CLI", "openclaw"];

/// A folder without figures of an older run.
pub(crate) fn empty_folder(repository: &Repository) -> Result<PathBuf, String> {
    let folder = repository.target()?.join("e2e/side-by-side");
    let said = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(said)?;
    }
    std::fs::create_dir_all(&folder).map_err(said)?;
    Ok(folder)
}

/// Puts the figures in this folder onto the page.
pub(crate) fn write(repository: &Repository, folder: &Path) -> Result<(), String> {
    let said = |e: std::io::Error| format!("{}: {e}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(said)?.collect::<Result<Vec<_>, _>>().map_err(said)?;
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    files.sort();
    let rows = files.iter().map(|file| std::fs::read_to_string(file).map_err(said));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let text = format!("{}{}", headline(repository)?, table(&rows)?);
    print!("\n{text}");
    marked::put(repository, PAGE, COMMAND, &text)
}

fn headline(repository: &Repository) -> Result<String, String> {
    let date = Program::new("date", &["+%Y-%m-%d"]).text()?;
    let machine = Program::new("uname", &["-srm"]).text()?;
    let commit = Program::new("git", &["rev-parse", "--short", "HEAD"]).inside(repository.root()).text()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let version = |folder: &str, package: &str| version(&repository.read(folder)?, package);
    Ok(format!(
        "Measured on {}, {}, {cores} cores: CoderClaw at {} (a debug build), Codex CLI {}, openclaw {}.\n\n",
        date.trim(),
        machine.trim(),
        commit.trim(),
        version("e2e/codex/package.json", "@openai/codex")?,
        version("e2e/openclaw/package.json", "openclaw")?,
    ))
}

/// The version that a package.json pins.
fn version(text: &str, package: &str) -> Result<String, String> {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(&format!("\"{package}\": ")));
    let version = found.map(|rest| rest.trim_end_matches(',').trim_matches('"'));
    version.map(str::to_owned).ok_or_else(|| format!("no package.json pins {package}"))
}

/// The rows, each a line of cells with tabs between them.
fn table(rows: &[String]) -> Result<String, String> {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&COLUMNS) + &line(&["---"; COLUMNS.len()]);
    for row in rows {
        let cells: Vec<&str> = row.trim_end().split('\t').collect();
        if cells.len() != COLUMNS.len() || row.contains('|') {
            return Err(format!("a row of the table is damaged: {row}"));
        }
        text.push_str(&line(&cells));
    }
    if rows.is_empty() { Err("no row has been measured".to_owned()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marked::{between, marks};

    #[test]
    fn figures_become_a_table_between_the_marks() {
        let rows = ["32 processes\t1 request\t30 requests\t2 requests\n".to_owned()];
        let text = table(&rows).unwrap();
        assert!(text.ends_with("| 32 processes | 1 request | 30 requests | 2 requests |\n"), "{text}");
        let [begin, end] = marks(COMMAND);
        let page = format!("head\n{begin}old\n{end}tail\n");
        let once = between(&page, COMMAND, &text).unwrap();
        assert!(once.starts_with("head\n") && once.ends_with("tail\n") && !once.contains("old"), "{once}");
        assert_eq!(between(&once, COMMAND, &text).unwrap(), once);
        assert!(between("no marks", COMMAND, &text).is_err());
        assert!(table(&["one\ttwo".to_owned()]).is_err() && table(&[]).is_err());
    }

    #[test]
    fn versions_are_those_that_are_pinned() {
        let text = "{\n  \"dependencies\": {\n    \"@openai/codex\": \"0.169.0\",\n    \"x\": \"1\"\n  }\n}";
        assert_eq!(version(text, "@openai/codex"), Ok("0.169.0".to_owned()));
        assert!(version(text, "codex").is_err());
    }
}

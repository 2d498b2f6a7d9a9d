//! Tables in Markdown, which read well on a terminal too, and what has changed since the last run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A change of less than this share is noise on most machines.
const NOISE: f64 = 0.03;

/// A heading, a line of columns, and rows.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Vec<String>>,
    /// What the figures mean, or why some are missing.
    pub(crate) notes: Vec<String>,
    /// The same figures by name, to be compared with those of another run.
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&str]) -> Self {
        let header = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { title, rows: vec![header], ..Self::default() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.insert(name.into(), value);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (at, row) in self.rows.iter().enumerate() {
            let cells = widths.iter().enumerate().map(|(column, width)| {
                let cell = row.get(column).map_or("", String::as_str);
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            writeln!(f, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
            if at == 0 {
                let rules = widths.iter().enumerate().map(|(column, width)| match column {
                    0 => "-".repeat(width + 2),
                    _ => format!("{}:", "-".repeat(width + 1)),
                });
                writeln!(f, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
            }
        }
        for note in &self.notes {
            write!(f, "\n{note}\n")?;
        }
        Ok(())
    }
}

/// `within`, `over`, or nothing where there is no budget.
pub(crate) fn judged(value: f64, budget: Option<f64>) -> &'static str {
    match budget {
        None => "",
        Some(budget) if value <= budget => "within",
        Some(_) => "over",
    }
}

/// What differs from the run whose figures are kept at `path`, which are then replaced by these.
pub(crate) fn changes(path: &Path, tables: &[Table]) -> Result<Vec<String>, String> {
    let now: BTreeMap<&String, f64> =
        tables.iter().flat_map(|table| table.figures.iter().map(|(name, value)| (name, *value))).collect();
    let before = std::fs::read_to_string(path).unwrap_or_default();
    let before: BTreeMap<&str, f64> = before
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let mut changes = Vec::new();
    for (name, value) in &now {
        let Some(was) = before.get(name.as_str()).filter(|was| **was > 0.0) else { continue };
        let change = (value - was) / was;
        if change.abs() >= NOISE {
            changes.push(format!("{name}: {was:.3} -> {value:.3} ({:+.0} %)", change * 100.0));
        }
    }
    let kept: String = now.iter().map(|(name, value)| format!("{name}\t{value}\n")).collect();
    let written =
        std::fs::create_dir_all(path.parent().unwrap_or(path)).and_then(|()| std::fs::write(path, kept));
    written.map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("Speed", &["what", "ms"]);
        table.row(["one".to_owned(), "12".to_owned()]);
        table.note("By a clock.");
        table.note("By a clock.");
        assert_eq!(
            table.to_string(),
            "### Speed\n\n| what | ms |\n|------|---:|\n| one  | 12 |\n\nBy a clock.\n"
        );
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let folder = std::env::temp_dir().join(format!("coderclaw-changes-{}", std::process::id()));
        let path = folder.join("last.tsv");
        let run = |value: f64| {
            let mut table = Table::default();
            table.figure("a", 1.0);
            table.figure("b", value);
            changes(&path, &[table]).unwrap()
        };
        assert_eq!(run(2.0), [""; 0]);
        assert_eq!(run(2.02), [""; 0]);
        assert_eq!(run(3.03), ["b: 2.020 -> 3.030 (+50 %)"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn budgets() {
        assert_eq!(
            (judged(1.0, Some(1.0)), judged(1.1, Some(1.0)), judged(9.0, None)),
            ("within", "over", "")
        );
    }
}

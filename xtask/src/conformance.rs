//! `docs/conformance.md` has a row for each rule of the standards, and each row a test, or a reason why there is none. That
//! what it names exists is checked as in every document; here it is checked that it is a test.

use crate::repository::Repository;

const PAGE: &str = "docs/conformance.md";
/// How a last cell without a test begins; a reason follows.
const WITHOUT: [&str; 2] = ["not applicable: ", "missing: "];

/// Checks every row.
pub(crate) fn check(repository: &Repository) -> Result<String, String> {
    let page = repository.read(PAGE)?;
    let mut wrong = Vec::new();
    let (mut shown, mut left) = (0, [0, 0]);
    for (line, shows) in rows(&page) {
        if let Some(at) = WITHOUT.iter().position(|word| shows.starts_with(word)) {
            left[at] += 1;
            if shows.len() < WITHOUT[at].len() + 10 {
                wrong.push(format!("{PAGE}:{line}: no reason is given"));
            }
            continue;
        }
        let names: Vec<&str> = shows.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push(format!("{PAGE}:{line}: names no test, and begins with none of {WITHOUT:?}"));
        }
        shown += 1;
        for name in names {
            let Some((path, test)) = name.split_once("::") else {
                wrong.push(format!("{PAGE}:{line}: `{name}` is no path::test"));
                continue;
            };
            if !repository.read(path).is_ok_and(|text| is_test(&text, test)) {
                wrong.push(format!("{PAGE}:{line}: `{name}` is no test"));
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    Ok(format!("{shown} rules are shown by tests, {} do not apply, {} are missing", left[0], left[1]))
}

/// The last cells of the tables, with their lines; heads and rules of tables are none.
fn rows(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = page.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    let cells =
        lines.filter_map(|(at, line)| Some((at + 1, line.trim_matches('|').rsplit('|').next()?.trim())));
    cells.filter(|(_, cell)| *cell != "shown by" && !cell.starts_with("--"))
}

/// Whether `text` has a function of this name with `#[test]` among the attributes before it.
fn is_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut has_mark = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            has_mark |= line.starts_with("#[test]");
        } else if line.contains(&head) {
            return has_mark;
        } else if !line.starts_with("//") {
            has_mark = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cells_are_what_is_checked() {
        let page = "| § | rule | shown by |\n|---|---|---|\n| 1 | a | `x::y` |\ntext\n| 2 | b | missing: later, by us |\n";
        assert_eq!(rows(page).collect::<Vec<_>>(), [(3, "`x::y`"), (5, "missing: later, by us")]);
    }

    #[test]
    fn tests_are_told_from_functions() {
        let text = "#[test]\n#[cfg(unix)]\nfn one() {}\nfn two() {}\n    /// Words.\n    #[test]\n    // More.\n    fn three() {";
        assert!(is_test(text, "one") && is_test(text, "three"));
        assert!(!is_test(text, "two") && !is_test(text, "four"));
    }
}

//! Parts of a page that a command writes, each between marks that name the command.

use crate::repository::Repository;

/// The two marks of a part that `cargo xtask {command}` writes.
pub(crate) fn marks(command: &str) -> [String; 2] {
    ["begin", "end"].map(|which| format!("<!-- cargo xtask {command}: {which} -->\n"))
}

/// The text of a page with `part` between the marks of `command`.
///
/// # Errors
/// Which mark is not there.
pub(crate) fn between(text: &str, command: &str, part: &str) -> Result<String, String> {
    let [begin, end] = marks(command);
    let missing = |mark: &str| format!("it has no mark {}", mark.trim());
    let (before, rest) = text.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
    Ok(format!("{before}{begin}\n{part}\n{end}{after}"))
}

/// Puts `part` onto the page.
///
/// # Errors
/// Where a mark is not there, or the page cannot be read or written.
pub(crate) fn put(repository: &Repository, page: &str, command: &str, part: &str) -> Result<(), String> {
    let text = between(&repository.read(page)?, command, part).map_err(|why| format!("{page}: {why}"))?;
    std::fs::write(repository.path(page), text).map_err(|e| format!("{page}: {e}"))
}

//! What is said about a provider file that cannot be used.

use std::path::{Path, PathBuf};

use crate::near::nearest;
use crate::parse::Fault;

/// A provider file that cannot be used, and the place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{}{message}", .path.display(), ColumnText(*.column))]
pub struct ManifestError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1; `None` where the whole file is meant.
    pub column: Option<usize>,
    /// What is wrong, on one line.
    pub message: String,
}

struct ColumnText(Option<usize>);

impl std::fmt::Display for ColumnText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(column) => write!(f, "{column}: "),
            None => f.write_str(" "),
        }
    }
}

impl ManifestError {
    pub(crate) fn new(path: &Path, text: &str, fault: &Fault) -> Self {
        let (line, column) = fault.position(text);
        // A key may hold what moves a terminal's cursor, and the message quotes it.
        let plain = |c: char| {
            if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
        };
        Self {
            path: path.to_owned(),
            line,
            column,
            message: suggested(fault.message.trim()).chars().map(plain).collect(),
        }
    }
}

/// Where the parser names a word it does not know and all that could stand there: the one that was meant, if that can be
/// told.
fn suggested(message: &str) -> String {
    let known = || {
        let (said, expected) = message.split_once(", expected ")?;
        let typed = said.strip_prefix("unknown ")?.split('`').nth(1)?;
        let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let near = nearest(typed, names.iter().map(|name| (*name, vec![(*name).to_owned()])));
        Some(format!("{said}, did you mean `{}`?", near.first()?))
    };
    known().unwrap_or_else(|| message.to_owned())
}

//! What the programs of plugins have said: one log for each, of bounded size.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use coderclaw_types::Millis;

use crate::commit::WriteError;
use crate::paths::StateDir;

/// What one plugin's log may hold, before the older half goes.
const LOG: u64 = 256 * 1024;

/// Appends what a plugin has said to its log. The text has passed [`coderclaw_types::redact`].
///
/// # Errors
/// Where the disk does not take it.
pub fn append_plugin_log(state: &StateDir, id: &str, at: Millis, text: &str) -> Result<(), WriteError> {
    let path = state.plugin_log(id);
    state.ensure_dir(path.parent().unwrap_or(state.root()))?;
    if fs::metadata(&path).is_ok_and(|meta| meta.len() >= LOG) {
        fs::rename(&path, path.with_extension("log.1")).map_err(WriteError::io(&path))?;
    }
    let mut lines = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        lines.push_str(&format!("{} {line}\n", at.0));
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(WriteError::io(&path))?;
    file.write_all(lines.as_bytes()).map_err(WriteError::io(&path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_log_does_not_grow_without_end() {
        let (_tmp, state) = StateDir::temporary();
        for _ in 0..9 {
            append_plugin_log(&state, "acme", Millis(1), &"x\u{1b}y\n".repeat(10_000)).unwrap();
        }
        let path = state.plugin_log("acme");
        assert!(fs::metadata(&path).unwrap().len() < 2 * LOG);
        assert!(!fs::read_to_string(&path).unwrap().contains('\u{1b}'));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

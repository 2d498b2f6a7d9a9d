//! Commands of other programs that do the same as ours, where they are installed: nothing is fetched for a measurement.

use std::path::PathBuf;

use crate::repository::Repository;

/// Where `cargo xtask e2e --with NAME` installs a program, its command, and what it is called with. All of them look.
const OTHERS: [(&str, &str, &[&str]); 2] = [
    ("codex", "e2e/codex/node_modules/.bin/codex", &["login", "status"]),
    ("openclaw", "e2e/openclaw/node_modules/.bin/openclaw", &["models", "status", "--json"]),
];

/// Those that are installed, and how one gets the rest.
pub(crate) fn others(repository: &Repository) -> (Vec<(PathBuf, &'static [&'static str])>, Vec<String>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for (name, path, args) in OTHERS {
        let program = repository.path(path);
        if program.exists() {
            found.push((program, args));
        } else {
            missing.push(format!(
                "`{name} {}` is not measured: `cargo xtask e2e --with {name}` installs it.",
                args.join(" ")
            ));
        }
    }
    (found, missing)
}

//! Commands of other programs that do the same as ours, where they are installed: nothing is fetched for a measurement.

use std::path::{Path, PathBuf};

use crate::repository::Repository;

/// Where `cargo xtask e2e --with NAME` installs a program, what it is called with, and the folder of the runtime it needs.
const OTHERS: [(&str, &str, &[&str], &str); 2] = [
    ("codex", "e2e/codex/node_modules/@openai/codex-*/vendor/*/bin/codex", &["login", "status"], ""),
    (
        "openclaw",
        "e2e/openclaw/node_modules/.bin/openclaw",
        &["models", "status", "--json"],
        "e2e/openclaw/node_modules/node-linux-*/bin",
    ),
];

/// One that is installed.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) program: PathBuf,
    pub(crate) args: &'static [&'static str],
    /// Where its runtime is, if it needs one of its own.
    pub(crate) runtime: Option<PathBuf>,
}

/// Those that are installed, and how one gets the rest.
pub(crate) fn others(repository: &Repository) -> (Vec<Other>, Vec<String>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for (name, path, args, runtime) in OTHERS {
        match find(repository.root(), path) {
            Some(program) => {
                found.push(Other { program, args, runtime: find(repository.root(), runtime) });
            }
            None => missing.push(format!(
                "`{name} {}` is not measured: `cargo xtask e2e --with {name}` installs it.",
                args.join(" ")
            )),
        }
    }
    (found, missing)
}

/// What this path means, where a part that ends in `*` or is one stands for the first name that fits.
fn find(root: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return None;
    }
    let mut at = root.to_path_buf();
    for part in path.split('/') {
        at = match part.strip_suffix('*') {
            None => at.join(part),
            Some(begins) => {
                let mut names: Vec<_> =
                    std::fs::read_dir(&at).ok()?.flatten().map(|entry| entry.file_name()).collect();
                names.sort();
                at.join(names.into_iter().find(|name| name.to_string_lossy().starts_with(begins))?)
            }
        };
    }
    at.exists().then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_platform() {
        let root = std::env::temp_dir().join(format!("coderclaw-beside-{}", std::process::id()));
        let bin = root.join("codex-linux-x64/vendor/x86_64/bin");
        std::fs::create_dir_all(&bin).unwrap();
        assert_eq!(find(&root, "codex-*/vendor/*/bin"), Some(bin));
        assert_eq!(find(&root, "codex-*/vendor/*/lib"), None);
        assert_eq!(find(&root, ""), None);
        std::fs::remove_dir_all(&root).unwrap();
    }
}

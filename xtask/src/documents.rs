//! Documents name files, functions and tests. Each of these must exist, or the document has rotted.

use std::collections::BTreeSet;

use crate::repository::Repository;

/// A name in backticks that begins with one of these is a path in this repository.
const ROOMS: [&str; 8] = ["crates/", "xtask/", "docs/", "e2e/", "fuzz/", ".ci/", ".config/", ".cargo/"];
/// What may stand before a name that follows `path::`.
const KEYWORDS: [&str; 8] = ["fn", "const", "static", "struct", "enum", "trait", "type", "mod"];

/// Checks all documents that git tracks.
pub(crate) fn check(repository: &Repository, commands: &[&str]) -> Result<String, String> {
    let files = repository.files()?;
    let mut wrong = Vec::new();
    let (mut documents, mut names) = (0, 0);
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        let text = repository.read(file)?;
        documents += 1;
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        for name in spans(&text) {
            if ROOMS.iter().any(|room| name.starts_with(room)) {
                names += 1;
                if let Some(why) = missing(repository, name) {
                    wrong.push(format!("{file} names `{name}`: {why}"));
                }
            }
        }
        wrong.extend(
            unanswered(&text).iter().map(|question| format!("{file}: `{question}?` has not one path")),
        );
        for target in links(&text) {
            names += 1;
            let path = if folder.is_empty() { target.to_owned() } else { format!("{folder}/{target}") };
            if !repository.path(&path).exists() {
                wrong.push(format!("{file} links to {target}, which does not exist"));
            }
        }
        for command in xtask_commands(&text) {
            names += 1;
            if !commands.contains(&command) {
                wrong.push(format!("{file} names `cargo xtask {command}`, which does not exist"));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(format!("{names} names in {documents} documents exist"));
    }
    Err(format!("{} names do not exist\n{}", wrong.len(), wrong.join("\n")))
}

/// Why `path` or `path::name` is not there.
fn missing(repository: &Repository, name: &str) -> Option<String> {
    let (path, item) = match name.split_once("::") {
        Some((path, item)) => (path, Some(item)),
        None => (name, None),
    };
    if !repository.path(path.trim_end_matches('/')).exists() {
        return Some("there is no such file".to_owned());
    }
    let item = item?;
    match repository.read(path) {
        Ok(text) if declares(&text, item) => None,
        Ok(_) => Some(format!("the file declares no `{item}`")),
        Err(e) => Some(e),
    }
}

/// Whether the Rust source `text` declares `item`; of `Type::function` the function.
fn declares(text: &str, item: &str) -> bool {
    let item = item.rsplit("::").next().unwrap_or(item);
    let words: Vec<&str> =
        text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    words.windows(2).any(|pair| KEYWORDS.contains(&pair[0]) && pair[1] == item)
}

/// Questions of a table, "| Where is this? | `path` |", that are not answered with one path.
fn unanswered(text: &str) -> Vec<&str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once("? | "));
    rows.filter(|(_, answer)| {
        let paths =
            spans(answer).iter().filter(|name| ROOMS.iter().any(|room| name.starts_with(room))).count();
        paths != 1
    })
    .map(|(question, _)| question)
    .collect()
}

/// What stands in backticks, outside of code blocks.
fn spans(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Targets of links into this repository, without their anchors.
fn links(text: &str) -> BTreeSet<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<']));
    local
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.starts_with("mailto:"))
        .collect()
}

fn xtask_commands(text: &str) -> BTreeSet<&str> {
    let after = text.split("cargo xtask ").skip(1);
    let words = after.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next());
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_told_from_mentions() {
        let text = "impl X { pub(crate) fn lease(&self) {} }\nconst POINTS: u8 = 1; // fn-like ask()";
        assert!(declares(text, "lease") && declares(text, "X::lease") && declares(text, "POINTS"));
        assert!(!declares(text, "ask") && !declares(text, "leas"));
    }

    #[test]
    fn what_a_document_names_is_found() {
        let text = "See `a/b` and `c`.\n```\n`not this`\n```\n[x](docs/y.md#part) [z](https://z) [w](#w)\n";
        assert_eq!(spans(text).into_iter().collect::<Vec<_>>(), ["a/b", "c"]);
        assert_eq!(links(text).into_iter().collect::<Vec<_>>(), ["docs/y.md"]);
        let commands = xtask_commands("run `cargo xtask test`, `cargo xtask e2e --x`, `cargo xtask --help`");
        assert_eq!(commands.into_iter().collect::<Vec<_>>(), ["e2e", "test"]);
    }

    /// ARCHITECTURE.md answers what somebody new asks first, each with one path.
    #[test]
    fn questions_are_answered_with_one_path() {
        let text = "| Where is a? | `crates/a.rs::b` |\n| Where is c? | `crates/c.rs`, `docs/d.md` |\n| Where is e? | there |\n";
        assert_eq!(unanswered(text), ["Where is c", "Where is e"]);
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let page = Repository::at(&root).read("ARCHITECTURE.md").unwrap();
        let subjects = [
            "a paste parsed",
            "cooldowns computed",
            "the one-refresh law enforced",
            "a provider's header put in",
        ];
        for subject in subjects
            .map(|subject| format!("{subject}? |"))
            .iter()
            .chain([&"does a new command go? |".to_owned()])
        {
            assert!(page.contains(subject.as_str()), "{subject}");
        }
        assert!(unanswered(&page).is_empty());
    }

    #[test]
    fn a_name_that_is_gone_is_told() {
        let here = Repository::at(std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
        assert_eq!(missing(&here, "src/documents.rs::missing"), None);
        assert_eq!(missing(&here, "src/"), None);
        assert!(missing(&here, "src/documents.rs::no_such_thing").is_some());
        assert!(missing(&here, "src/no_such_file.rs").is_some());
    }
}

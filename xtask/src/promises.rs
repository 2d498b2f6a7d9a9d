//! `docs/promises.md` says of each promise whether a test names it. This keeps that true.
//!
//! A test names a promise at the head of its doc comment (`/// Z1, Z2: ...`) or, in small letters, of its own name.

use std::collections::{BTreeMap, BTreeSet};

use crate::marked::between;
use crate::repository::Repository;

const PAGE: &str = "docs/promises.md";
const TESTED: &str = "tested";
const PLANNED: &str = "planned";
/// Where the laws are numbered.
const LAWS: &str = "ARCHITECTURE.md";
/// The two tables that are written anew, each between marks of its own.
const UNCOVERED_TABLE: &str = "promises --write, what no test covers";
const TESTS_TABLE: &str = "promises --write, which tests hold what";

/// What no test covers: of which laws (`law 3`) and promises, and what. Each promise that is only planned is among them.
const UNCOVERED: [(&[&str], &str); 11] = [
    (
        &["law 1", "A1", "A2", "F8"],
        "File systems whose locks do nothing, such as some network mounts. Two machines on one store then refresh twice.",
    ),
    (
        &["law 1", "A2", "A5"],
        "Two copies of a login that the original has parted before CoderClaw has refreshed either. Nothing in the files says that \
         they were one login, so the spent copy is sent once; a provider that ends a login for that ends it. That `doctor` names \
         such a pair is tested.",
    ),
    (
        &["law 2", "A8", "A9"],
        "A worker that dies, or a machine that does, between the provider's rotation and the record of the answer: see the end \
         of this page. That it is then said is tested.",
    ),
    (
        &["law 3", "F1"],
        "A power cut. Every step is synced and every order of steps is broken off by fail points, but no test takes the power \
         from a disk that lies about having written.",
    ),
    (
        &["law 8", "D4", "D7", "B11"],
        "Answers of the real providers. No test logs in anywhere: the sandbox answers as documents, public reports and released \
         clients say that they do.",
    ),
    (
        &["law 9", "G1"],
        "The memory of a running process, and swap. Outputs, files, arguments and environments are searched.",
    ),
    (
        &["E4", "E20", "F7"],
        "Anything but Linux. It is written for macOS and Windows too; nothing has been run there.",
    ),
    (&["E20", "E21"], "Keychains and keyrings: the store is a private file, and there is no other yet."),
    (&["G6"], "Encryption of the store, which does not exist yet."),
    (
        &["H3", "H4"],
        "A second machine. Sockets, gateway and containers are tested on one, in namespaces of its own at most.",
    ),
    (
        &["H7", "A14"],
        "A machine that sleeps for days. Its clock is moved, and its processes are stopped for a minute.",
    ),
];

/// Which files name which promise.
type Named = BTreeMap<String, BTreeSet<String>>;

/// Which tests are about which promise, as `file::name`; a file alone where it names the promise as a whole.
type Tests = BTreeMap<String, BTreeSet<String>>;

/// One row of the page.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    id: &'a str,
    promise: &'a str,
    state: &'a str,
}

/// Prints every promise with the files whose tests name it.
pub(crate) fn show(repository: &Repository) -> Result<(), String> {
    let page = repository.read(PAGE)?;
    let named = named(repository)?;
    let mut tested = 0;
    let all = rows(&page);
    for Row { id, .. } in &all {
        let files = named.get(*id).map(|files| files.iter().map(String::as_str).collect::<Vec<_>>());
        tested += u32::from(files.is_some());
        println!("{id:<4} {}", files.map_or_else(|| "-".to_owned(), |files| files.join(" ")));
    }
    println!("{tested} of {} promises are named by a test", all.len());
    Ok(())
}

/// Rewrites the page's last column.
pub(crate) fn write(repository: &Repository) -> Result<(), String> {
    let page = repository.read(PAGE)?;
    let new = with_states(&page, &named(repository)?);
    let part = |text: &str, command, table: &str| {
        between(text, command, table).map_err(|why| format!("{PAGE}: {why}"))
    };
    let new = part(&new, TESTS_TABLE, &tests_table(&new, &tests(repository)?))?;
    let new = part(&new, UNCOVERED_TABLE, &uncovered_table())?;
    if new != page {
        std::fs::write(repository.path(PAGE), &new).map_err(|e| format!("{PAGE}: {e}"))?;
    }
    println!("{}", summary(&new));
    Ok(())
}

/// Whether the page says what the tests say.
pub(crate) fn check(repository: &Repository) -> Result<String, String> {
    let page = repository.read(PAGE)?;
    let named = named(repository)?;
    let mut wrong = faults(&page, &named);
    wrong.extend(outdated(&page, TESTS_TABLE, &tests_table(&page, &tests(repository)?)));
    wrong.extend(faults_of_uncovered(&page, &repository.read(LAWS)?));
    let known: BTreeSet<&str> = rows(&page).iter().map(|row| row.id).collect();
    for file in test_files(repository)? {
        let text = repository.read(&file)?;
        for id in claimed(&text).into_iter().filter(|id| !known.contains(id.as_str())) {
            wrong.push(format!("{file}: a test names {id}, and {PAGE} has no such promise"));
        }
    }
    if wrong.is_empty() {
        return Ok(summary(&page));
    }
    Err(format!("{} faults in {PAGE} (cargo xtask promises --write)\n{}", wrong.len(), wrong.join("\n")))
}

fn summary(page: &str) -> String {
    let all = rows(page);
    let tested = all.iter().filter(|row| row.state == TESTED).count();
    format!("{tested} of {} promises are named by a test", all.len())
}

fn faults(page: &str, named: &Named) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for Row { id, promise, state } in rows(page) {
        if !seen.insert(id) {
            wrong.push(format!("{id} stands there twice"));
        }
        if promise.is_empty() {
            wrong.push(format!("{id} promises nothing"));
        }
        let should = state_of(id, named);
        if state != should {
            wrong.push(format!("{id} is called `{state}` and is {should}"));
        }
    }
    wrong
}

/// What is wrong where `table` is not what stands between its marks.
fn outdated(page: &str, command: &str, table: &str) -> Option<String> {
    match between(page, command, table) {
        Ok(new) if new == page => None,
        Ok(_) => Some(format!("what `cargo xtask {command}` wrote is not up to date")),
        Err(why) => Some(why),
    }
}

fn uncovered_table() -> String {
    let rows = UNCOVERED.iter().map(|(ids, what)| format!("| {} | {what} |\n", ids.join(", ")));
    format!("| of | no test covers |\n|---|---|\n{}", rows.collect::<String>())
}

fn tests_table(page: &str, tests: &Tests) -> String {
    let mut table = "| id | tests |\n|---|---|\n".to_owned();
    for (id, tests) in rows(page).iter().filter_map(|row| Some((row.id, tests.get(row.id)?))) {
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        table.push_str(&format!("| {id} | {} |\n", tests.join(", ")));
    }
    table
}

fn faults_of_uncovered(page: &str, laws: &str) -> Vec<String> {
    let mut wrong: Vec<String> = outdated(page, UNCOVERED_TABLE, &uncovered_table()).into_iter().collect();
    let rows = rows(page);
    let listed: BTreeSet<&str> = UNCOVERED.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
    for id in &listed {
        let exists = match id.strip_prefix("law ") {
            Some(number) => laws.lines().any(|line| line.starts_with(&format!("| {number} | "))),
            None => rows.iter().any(|row| row.id == *id),
        };
        if !exists {
            wrong.push(format!("what no test covers names {id}, which does not exist"));
        }
    }
    for row in rows.iter().filter(|row| row.state == PLANNED && !listed.contains(row.id)) {
        wrong.push(format!("{} is planned, and not among what no test covers", row.id));
    }
    wrong
}

fn state_of(id: &str, named: &Named) -> &'static str {
    if named.contains_key(id) { TESTED } else { PLANNED }
}

fn rows(page: &str) -> Vec<Row<'_>> {
    page.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> =
        line.strip_prefix('|')?.trim_end().strip_suffix('|')?.split('|').map(str::trim).collect();
    match cells[..] {
        [id, promise, state] if is_id(id) => Some(Row { id, promise, state }),
        _ => None,
    }
}

fn with_states(page: &str, named: &Named) -> String {
    let mut text = String::new();
    for line in page.lines() {
        match row(line) {
            Some(Row { id, promise, .. }) => {
                text.push_str(&format!("| {id} | {promise} | {} |\n", state_of(id, named)));
            }
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

fn named(repository: &Repository) -> Result<Named, String> {
    let mut all = Named::new();
    for file in test_files(repository)? {
        for id in mentioned(&repository.read(&file)?) {
            all.entry(id).or_default().insert(file.clone());
        }
    }
    Ok(all)
}

fn tests(repository: &Repository) -> Result<Tests, String> {
    let mut all = Tests::new();
    for file in test_files(repository)? {
        let text = repository.read(&file)?;
        let mut left = mentioned(&text);
        for (id, name) in tests_in(&text) {
            left.remove(&id);
            all.entry(id).or_default().insert(format!("{file}::{name}"));
        }
        for id in left {
            all.entry(id).or_default().insert(file.clone());
        }
    }
    Ok(all)
}

/// Each promise with a function that says it is about it, by the head of its doc comment or of its name.
fn tests_in(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut head = BTreeSet::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("///") {
            head.extend(claimed(line));
        } else if let Some(name) = function(line) {
            let ids = name.split('_').map(str::to_ascii_uppercase).take_while(|id| is_id(id));
            head.extend(ids);
            found.extend(std::mem::take(&mut head).into_iter().map(|id| (id, name.to_owned())));
        } else if !line.starts_with("#[") {
            head.clear();
        }
    }
    found
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let is_head = before.split_whitespace().all(|word| word == "async" || word.starts_with("pub"));
    let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
    (is_head && !name.is_empty()).then_some(name)
}

/// Files that hold tests: by their path, or by what stands in them.
fn test_files(repository: &Repository) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for file in repository.files()? {
        let is_e2e = file.starts_with("e2e/");
        if !is_e2e && !file.ends_with(".rs") {
            continue;
        }
        // Pictures and recordings name nothing.
        let Ok(text) = repository.read(&file) else { continue };
        let marks = ["#[test]", "::test]", "proptest!"];
        if is_e2e || file.contains("test") || marks.iter().any(|mark| text.contains(mark)) {
            files.push(file);
        }
    }
    Ok(files)
}

/// Every id in a comment or at the start of a function's name.
fn mentioned(text: &str) -> BTreeSet<String> {
    let mut found = in_names(text);
    for line in text.lines() {
        let comment = [line.find("//"), line.find('#'), line.find('*')].into_iter().flatten().min();
        if let Some(at) = comment {
            found.extend(words(&line[at..]).filter(|word| is_id(word)).map(str::to_owned));
        }
    }
    found
}

/// Ids that a test says it covers: at the head of its doc comment, or of its name.
fn claimed(text: &str) -> BTreeSet<String> {
    let mut found = in_names(text);
    for line in text.lines() {
        let Some(comment) = line.trim_start().strip_prefix("///") else { continue };
        let Some((head, _)) = comment.split_once(':') else { continue };
        let ids: Vec<&str> = head.split(',').map(str::trim).collect();
        if ids.iter().all(|id| is_id(id)) {
            found.extend(ids.into_iter().map(str::to_owned));
        }
    }
    found
}

fn in_names(text: &str) -> BTreeSet<String> {
    let after = text.split("fn ").skip(1);
    let heads = after.filter_map(|rest| rest.split_once('_')).map(|(head, _)| head);
    let lower = heads.filter(|head| head.starts_with(|c: char| c.is_ascii_lowercase()));
    lower.map(str::to_ascii_uppercase).filter(|id| is_id(id)).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// One capital letter and a number up to two digits.
fn is_id(word: &str) -> bool {
    let mut chars = word.chars();
    let letter = chars.next().is_some_and(|c| c.is_ascii_uppercase());
    letter && (2..=3).contains(&word.len()) && chars.all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marked::marks;

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn ids_are_found_where_tests_name_them() {
        // The name in two parts, or this file would be read as if it had such a test.
        let named = ["fn", "z3_this() {}"].join(" ");
        let text = format!("/// Z1, Z22: why.\n{named}\nlet x = \"Z4\"; // Z5\nlet y = \"Z6\";");
        assert_eq!(mentioned(&text), set(&["Z1", "Z22", "Z3", "Z5"]));
        assert_eq!(claimed(&text), set(&["Z1", "Z22", "Z3"]));
        assert_eq!(claimed("/// Y2K, or so: z.\n/// Bits Z1 and Z2: both."), set(&[]));
        assert!(!is_id("Z") && !is_id("Z123") && !is_id("z1") && !is_id("ZZ"));
    }

    #[test]
    fn tests_are_named_with_their_promises() {
        let f = "fn";
        let text = format!(
            "/// Z1, Z2: why.\n/// More: of it.\n#[test]\n{f} one() {{\n    /// Z5: no.\n    let x = 1;\n}}\n\
             \x20   async {f} z3_z4_two_z9() {{}}\n// a {f} z6_no(\n{f} other() {{}}\n"
        );
        let pair = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        let two = "z3_z4_two_z9";
        assert_eq!(tests_in(&text), [pair("Z1", "one"), pair("Z2", "one"), pair("Z3", two), pair("Z4", two)]);
        let tests: Tests = [("Z1".to_owned(), set(&["b.rs::one", "a.rs"]))].into();
        let table = tests_table("| Z1 | One. | tested |\n| Z2 | Two. | planned |\n", &tests);
        assert_eq!(table, "| id | tests |\n|---|---|\n| Z1 | `a.rs`, `b.rs::one` |\n");
    }

    #[test]
    fn a_page_that_says_too_much_or_too_little_is_noticed() {
        let page =
            "# P\n| id | promise | state |\n|---|---|---|\n| Z1 | One. | tested |\n| Z2 | Two. | planned |\n";
        let named = |ids: &[&str]| -> Named { set(ids).into_iter().map(|id| (id, set(&["f"]))).collect() };
        assert!(faults(page, &named(&["Z1"])).is_empty());
        assert_eq!(faults(page, &named(&[])), ["Z1 is called `tested` and is planned"]);
        assert_eq!(faults(page, &named(&["Z1", "Z2"])), ["Z2 is called `planned` and is tested"]);
        let twice = page.replace("Z2", "Z1");
        assert!(faults(&twice, &named(&["Z1"])).contains(&"Z1 stands there twice".to_owned()));
        let mended = with_states(page, &named(&["Z2"]));
        assert!(faults(&mended, &named(&["Z2"])).is_empty(), "{mended}");
        assert_eq!(mended.lines().count(), page.lines().count());
    }

    #[test]
    fn what_no_test_covers_is_listed_and_exists() {
        let ids: BTreeSet<&str> = UNCOVERED.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
        let rows: String =
            ids.iter().filter(|id| is_id(id)).map(|id| format!("| {id} | x | tested |\n")).collect();
        let laws: String = (1..=10).map(|number| format!("| {number} | x |\n")).collect();
        let [begin, end] = marks(UNCOVERED_TABLE);
        let page =
            between(&format!("{rows}{begin}{end}tail\n"), UNCOVERED_TABLE, &uncovered_table()).unwrap();
        assert_eq!(faults_of_uncovered(&page, &laws), Vec::<String>::new());
        let planned = page.clone() + "| Z9 | x | planned |\n";
        assert!(faults_of_uncovered(&planned, &laws)[0].starts_with("Z9 is planned"));
        assert_eq!(faults_of_uncovered(&page.replace("| G6 | x |", "| G5 | x |"), &laws).len(), 1);
        assert!(faults_of_uncovered(&page, "")[0].contains("law 1"));
        assert!(
            faults_of_uncovered(&page.replace("A power cut", "Nothing"), &laws)[0].contains("not up to date")
        );
        assert_eq!(outdated(&page, UNCOVERED_TABLE, &uncovered_table()), None);
    }
}

//! `cargo xtask e2e`: the commands against programs that nobody here wrote.

use std::path::{Path, PathBuf};

use crate::program::Program;
use crate::repository::Repository;
use crate::side_by_side;
use crate::suite;
use crate::tally::{Runner, Tally};

/// Where the programs from npm are named, each with its version: authorization servers, and the driver of a browser.
const FOLDERS: [&str; 2] = ["e2e/oidc", "e2e/console"];
const CHROMIUM: &str = "apt-get install chromium, or name a browser of its kind in CHROMIUM";
/// Where the programs from PyPI are named: an authorization server, and the SDKs.
const VENVS: [&str; 2] = ["e2e/authlib", "e2e/sdks"];
/// The shells whose completions are tried, with their packages in Debian.
const SHELLS: [(&str, &str); 3] = [("/bin/bash", "bash"), ("/usr/bin/zsh", "zsh"), ("/usr/bin/fish", "fish")];
const NODE: &str = "apt-get install nodejs npm, or https://nodejs.org (version 20 or later)";
const PYTHON: &str =
    "apt-get install python3 python3-venv, or https://www.python.org (version 3.10 or later)";

/// A program that is only fetched where somebody asks for it: it is large, and not everybody may accept its terms.
struct Guest {
    /// The folder below e2e/, and the word after --with.
    name: &'static str,
    /// Whose tests these are.
    tests: &'static str,
    /// What is fetched, and what that means.
    what: &'static str,
}

const GUESTS: [Guest; 3] = [
    Guest {
        name: "codex",
        tests: "codex::",
        what: "Codex CLI 0.169.0 (@openai/codex from npm, Apache-2.0, a native program of about 400 MB unpacked)",
    },
    Guest {
        name: "claude-code",
        tests: "claude_code::",
        what: "Claude Code 2.1.330 (@anthropic-ai/claude-code from npm, a native program of about 365 MB unpacked; it is not \
               free software, and fetching it means that you accept Anthropic's terms)",
    },
    Guest {
        name: "openclaw",
        tests: "openclaw::",
        what: "openclaw 2026.2.26 (openclaw from npm, MIT, with 480 packages and the Node.js that it needs, 730 MB unpacked; one \
               dependency of a channel that is not used here is an empty stand-in, since npm has it from git only)",
    },
];
/// The tests that need several of them.
const TOGETHER: [(&[&str], &str); 1] = [(&["codex", "claude-code"], "both::")];
/// Those whose figures make a table, one after the other.
const SIDE_BY_SIDE: (&[&str], &str) = (&["codex", "openclaw"], "side_by_side::");
const ALWAYS: &str = "sdks::";

/// Fetches the programs and runs the tests that need them.
pub(crate) fn e2e(repository: &Repository, with: &str) -> Result<(), String> {
    let guests = chosen(with)?;
    let node = Program::new("node", &["--version"]).installed_by(NODE).text()?;
    println!("node {}", node.trim());
    for folder in FOLDERS {
        npm(&repository.path(folder), &[])?;
    }
    let browser = browser()?;
    shells()?;
    for folder in VENVS {
        python(&repository.path(folder))?;
    }
    for guest in &guests {
        println!("\nFetching {},\ninto e2e/{}/node_modules.", guest.what, guest.name);
        println!(
            "It runs in an empty home, and what it wants from the network beyond this machine ends at a dead proxy."
        );
        // Their native programs come as packages; what they would run after that is of no use here.
        npm(&repository.path(&format!("e2e/{}", guest.name)), &["--ignore-scripts"])?;
    }
    let mut tally = Tally::default();
    let servers = run(repository, &mut tally, &browser, "e2e", &[], None);
    let shells = run(repository, &mut tally, &browser, "it", &["shells::"], None);
    let is_there = |names: &[&str]| names.iter().all(|name| guests.iter().any(|guest| guest.name == *name));
    let mut filters: Vec<&str> = guests.iter().map(|guest| guest.tests).collect();
    filters.push(ALWAYS);
    filters.extend(TOGETHER.iter().filter(|(names, _)| is_there(names)).map(|(_, tests)| *tests));
    let programs = run(repository, &mut tally, &browser, "programs", &filters, None);
    let table = if is_there(SIDE_BY_SIDE.0) {
        let folder = side_by_side::empty_folder(repository)?;
        run(repository, &mut tally, &browser, "programs", &[SIDE_BY_SIDE.1], Some(&folder))
            .and_then(|()| side_by_side::write(repository, &folder))
    } else {
        Ok(())
    };
    println!("\n{tally}");
    servers.and(shells).and(programs).and(table)?;
    for guest in GUESTS.iter().filter(|guest| !guests.iter().any(|one| one.name == guest.name)) {
        println!(
            "Not run: the tests with {}. `cargo xtask e2e --with {}` fetches it.",
            guest.name, guest.name
        );
    }
    if tally.passed == 0 { Err("no test ran".to_owned()) } else { Ok(()) }
}

fn chosen(with: &str) -> Result<Vec<&'static Guest>, String> {
    let names = with.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &str| {
        GUESTS.iter().find(|guest| guest.name == name).ok_or_else(|| {
            let all: Vec<&str> = GUESTS.iter().map(|guest| guest.name).collect();
            format!("--with knows {}, not `{name}`", all.join(" and "))
        })
    };
    names.map(known).collect()
}

fn npm(folder: &Path, more: &[&str]) -> Result<(), String> {
    Program::new("npm", &["ci", "--omit=dev", "--no-audit", "--no-fund"])
        .args(more)
        .inside(folder)
        .installed_by(NODE)
        .run()
}

/// A virtual environment with what requirements.txt pins. Made once for each version of that file.
fn python(folder: &Path) -> Result<(), String> {
    let venv = folder.join(".venv");
    let (pins, mark) = (folder.join("requirements.txt"), venv.join("pins.txt"));
    let wanted = std::fs::read(&pins).map_err(|e| format!("{}: {e}", pins.display()))?;
    if std::fs::read(&mark).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    Program::new("python3", &["-m", "venv", "--clear", ".venv"]).inside(folder).installed_by(PYTHON).run()?;
    Program::new(venv.join("bin/python"), &["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(&["--disable-pip-version-check", "--requirement", "requirements.txt"])
        .inside(folder)
        .run()?;
    std::fs::write(&mark, wanted).map_err(|e| format!("{}: {e}", mark.display()))
}

fn run(
    repository: &Repository,
    tally: &mut Tally,
    browser: &Path,
    test: &str,
    filters: &[&str],
    figures: Option<&Path>,
) -> Result<(), String> {
    let (runner, program) = if suite::nextest_version(repository.root()).is_some() {
        (Runner::Nextest, Program::cargo(&["nextest", "run", "--profile", "ci"]))
    } else {
        (Runner::CargoTest, Program::cargo(&["test", "--no-fail-fast"]))
    };
    let program = program.args(&["--package", "coderclaw", "--features", "e2e", "--test", test]);
    // What is measured is measured alone.
    let alone = figures.map_or(&[][..], |_| &["--test-threads", "1"]);
    let program = match runner {
        Runner::Nextest => program.args(alone).args(&["--"]).args(filters),
        Runner::CargoTest => program.args(&["--"]).args(alone).args(filters),
    };
    let program = match figures {
        Some(folder) => program.env(side_by_side::FOLDER, folder),
        None => program,
    };
    program.env("CHROMIUM", browser).inside(repository.root()).run_and_read(|line| tally.read(runner, line))
}

/// The browser: the one that `CHROMIUM` names, else Debian's, which whoever may install packages gets.
fn browser() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    let path = PathBuf::from("/usr/bin/chromium");
    if !path.is_file() {
        debian(&["chromium", "fonts-liberation"], CHROMIUM)?;
    }
    Ok(path)
}

fn shells() -> Result<(), String> {
    let missing = SHELLS.iter().filter(|(path, _)| !Path::new(path).is_file());
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { debian(&missing, "apt-get install bash zsh fish") }
}

/// Installs packages of Debian, where this user may.
fn debian(packages: &[&str], by_hand: &'static str) -> Result<(), String> {
    let names = packages.join(" ");
    let is_root = Program::new("id", &["-u"]).text().is_ok_and(|user| user.trim() == "0");
    if !is_root {
        return Err(format!("not installed: {names}; get it with: {by_hand}"));
    }
    println!("Installing from Debian: {names}");
    Program::new("apt-get", &["update", "-qq"]).installed_by(by_hand).run()?;
    Program::new("apt-get", &["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .installed_by(by_hand)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_guests_are_asked_in() {
        let names = |with| chosen(with).map(|all| all.iter().map(|one| one.name).collect::<Vec<_>>());
        assert_eq!(names(""), Ok(vec![]));
        assert_eq!(names("codex, claude-code"), Ok(vec!["codex", "claude-code"]));
        assert_eq!(
            names("emacs"),
            Err("--with knows codex and claude-code and openclaw, not `emacs`".into())
        );
        let known = |names: &[&str]| names.iter().all(|name| GUESTS.iter().any(|guest| guest.name == *name));
        assert!(known(SIDE_BY_SIDE.0) && TOGETHER.iter().all(|(names, _)| known(names)));
    }
}

//! The project's own commands. `cargo xtask --help` is their index.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "these commands are run by people and by CI")]
#![expect(clippy::disallowed_methods, reason = "not part of the product: it owns its process and its files")]

mod bench;
mod conformance;
mod dist;
mod documents;
mod e2e;
mod fuzz;
mod leaks;
mod licences;
mod marked;
mod packages;
mod program;
mod promises;
mod repository;
mod side_by_side;
mod suite;
mod tally;
mod torture;

use std::process::ExitCode;

use repository::Repository;

/// Name, arguments, what it does.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("test", "", "everything that must hold before a merge: format, lints, tests, docs, checks"),
    ("check", "", "the checks of the repository itself: documents, conformance, promises, leaks, licences"),
    ("promises", "[--write]", "which promises a test names; --write updates docs/promises.md"),
    (
        "e2e",
        "[--with NAMES]",
        "the commands against programs that nobody here wrote; NAMES: codex,claude-code,openclaw",
    ),
    ("bench", "[--write]", "what things cost, beside their budgets; --write puts it into docs/speed.md"),
    ("bench gateway", "[--write]", "the gateway beside nginx under the load of wrk (Debian packages)"),
    ("dist", "", "what is handed out: a tarball and a Debian package, in target/dist"),
    (
        "fuzz",
        "[TARGET] [--seconds N]",
        "a search for bytes that break a promise (default 60 s a target; needs g++)",
    ),
    (
        "torture",
        "[--minutes M] [--seed N]",
        "storms, faults and moves at random, and the laws after each round",
    ),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[&str]) -> Result<(), String> {
    match args {
        [] | ["help" | "--help" | "-h"] => {
            print!("{}", index());
            Ok(())
        }
        ["test"] => suite::test(&Repository::find()?),
        ["check"] => suite::check(&Repository::find()?),
        ["promises"] => promises::show(&Repository::find()?),
        ["promises", "--write"] => promises::write(&Repository::find()?),
        ["e2e"] => e2e::e2e(&Repository::find()?, ""),
        ["e2e", "--with", names] => e2e::e2e(&Repository::find()?, names),
        ["bench"] => bench::bench(&Repository::find()?, false),
        ["bench", "--write"] => bench::bench(&Repository::find()?, true),
        ["bench", "gateway"] => bench::bench_gateway(&Repository::find()?, false),
        ["bench", "gateway", "--write"] => bench::bench_gateway(&Repository::find()?, true),
        ["dist"] => dist::dist(&Repository::find()?),
        ["fuzz"] => fuzz::fuzz(&Repository::find()?, None, fuzz::SECONDS),
        ["fuzz", "--seconds", seconds] => fuzz::fuzz(&Repository::find()?, None, seconds),
        ["fuzz", target] => fuzz::fuzz(&Repository::find()?, Some(target), fuzz::SECONDS),
        ["fuzz", target, "--seconds", seconds] => fuzz::fuzz(&Repository::find()?, Some(target), seconds),
        ["torture", rest @ ..] => torture::torture(&Repository::find()?, rest),
        [command, ..] if COMMANDS.iter().any(|(name, ..)| name == command) => {
            Err(format!("wrong arguments for `{command}`\n\n{}", index()))
        }
        [other, ..] => Err(format!("there is no `cargo xtask {other}`\n\n{}", index())),
    }
}

fn index() -> String {
    let mut text = "Usage: cargo xtask COMMAND\n\n".to_owned();
    for (name, arguments, what) in COMMANDS {
        let call = format!("{name} {arguments}");
        text.push_str(&format!("  {call:<32} {what}\n"));
    }
    text
}

/// The names that a document may use after `cargo xtask`.
fn command_names() -> Vec<&'static str> {
    COMMANDS.iter().map(|(name, ..)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_names_every_command_and_nothing_else_is_taken() {
        for (name, ..) in COMMANDS {
            assert!(index().contains(name));
        }
        let said = dispatch(&["tests"]).unwrap_err();
        assert!(said.contains("no `cargo xtask tests`") && said.contains("bench"), "{said}");
        assert!(dispatch(&["bench", "--fast"]).unwrap_err().contains("wrong arguments"));
        assert!(dispatch(&["torture", "--times", "0"]).unwrap_err().contains("above 0"));
        assert!(dispatch(&["fuzz", "--seconds", "0"]).unwrap_err().contains("above 0"));
        assert!(dispatch(&["fuzz", "nothing"]).unwrap_err().contains("no such target"));
        assert!(dispatch(&["torture", "--hours", "1"]).unwrap_err().contains("wrong arguments"));
        assert!(dispatch(&["torture", "--seed"]).unwrap_err().contains("wrong arguments"));
        assert!(dispatch(&["e2e", "--with", "emacs"]).unwrap_err().contains("--with knows"));
    }
}

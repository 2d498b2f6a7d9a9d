//! Running other programs, and saying what to install where one is missing.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// Where cargo comes from.
const RUSTUP: &str = "https://rustup.rs";

/// A program, its arguments, and how one gets it.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    install: &'static str,
}

impl Program {
    pub(crate) fn new(name: impl AsRef<OsStr>, args: &[&str]) -> Self {
        let mut command = Command::new(name);
        command.args(args);
        Self { command, install: "" }
    }

    /// Cargo, as a person at a shell would start it: without what `cargo run` has told us about this package.
    pub(crate) fn cargo(args: &[&str]) -> Self {
        let mut cargo = Self::new("cargo", args).installed_by(RUSTUP);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
                cargo.command.env_remove(&name);
            }
        }
        cargo
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn only_env(mut self, vars: &[(&str, &OsStr)]) -> Self {
        self.command.env_clear().envs(vars.iter().copied());
        self
    }

    pub(crate) fn inside(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What to type where it is missing.
    pub(crate) fn installed_by(mut self, command: &'static str) -> Self {
        self.install = command;
        self
    }

    /// Runs it on this terminal.
    pub(crate) fn run(mut self) -> Result<(), String> {
        let started = self.command.status();
        let status = self.started(started)?;
        self.succeeded(status)
    }

    /// Runs it silently and returns what it printed on standard output.
    pub(crate) fn text(mut self) -> Result<String, String> {
        let started = self.command.stdin(Stdio::null()).output();
        let output = self.started(started)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}\n{}", self.ended(output.status), said.trim_end()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it silently and returns everything, whatever its status.
    pub(crate) fn output(mut self) -> Result<Output, String> {
        let started = self.command.stdin(Stdio::null()).output();
        self.started(started)
    }

    /// Runs it on this terminal and hands every line of its output to `line` as well.
    pub(crate) fn run_and_read(mut self, mut line: impl FnMut(&str)) -> Result<(), String> {
        let started = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = self.started(started)?;
        let (to_us, lines) = std::sync::mpsc::channel();
        pass_on(child.stdout.take(), io::stdout(), to_us.clone());
        pass_on(child.stderr.take(), io::stderr(), to_us);
        for text in lines {
            line(&text);
        }
        let status = Child::wait(&mut child).map_err(|e| e.to_string())?;
        self.succeeded(status)
    }

    fn name(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    fn started<T>(&self, result: io::Result<T>) -> Result<T, String> {
        result.map_err(|e| {
            let name = self.command.get_program().to_string_lossy().into_owned();
            match e.kind() {
                io::ErrorKind::NotFound if self.install.is_empty() => format!("{name} is not installed"),
                io::ErrorKind::NotFound => format!("{name} is not installed; get it with: {}", self.install),
                _ => format!("{name} cannot be started: {e}"),
            }
        })
    }

    fn succeeded(&self, status: ExitStatus) -> Result<(), String> {
        if status.success() {
            return Ok(());
        }
        // Of cargo, a missing subcommand looks like any other bad end.
        let hint = match self.install {
            "" | RUSTUP => String::new(),
            install => format!(" (if it is not installed: {install})"),
        };
        Err(self.ended(status) + &hint)
    }

    fn ended(&self, status: ExitStatus) -> String {
        format!("`{}` ended with {status}", self.name())
    }
}

fn pass_on(
    from: Option<impl Read + Send + 'static>,
    mut to: impl Write + Send + 'static,
    lines: std::sync::mpsc::Sender<String>,
) {
    let Some(from) = from else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(mut line) = line else { return };
            let text = String::from_utf8_lossy(&line).into_owned();
            line.push(b'\n');
            // A closed terminal must not end the run.
            drop(to.write_all(&line));
            drop(lines.send(text));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_way_to_get_it() {
        let missing = Program::new("no-such-program-here", &[]).installed_by("apt-get install it");
        let said = missing.run().unwrap_err();
        assert_eq!(said, "no-such-program-here is not installed; get it with: apt-get install it");
    }

    #[test]
    fn both_streams_are_read_and_a_bad_end_is_told() {
        let mut seen = Vec::new();
        let noisy = Program::new("sh", &["-c", "echo one; echo two >&2; exit 3"]);
        let ended = noisy.run_and_read(|line| seen.push(line.to_owned()));
        seen.sort();
        assert_eq!(seen, ["one", "two"]);
        assert!(ended.unwrap_err().contains("exit status: 3"));
    }
}

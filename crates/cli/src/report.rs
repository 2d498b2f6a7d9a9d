//! What a command prints when it has done its work.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

/// Standard output as one piece, and the exit code.
#[derive(Debug, Default)]
pub(crate) struct Report {
    stdout: String,
    exit: u8,
}

impl Report {
    pub(crate) fn text(stdout: impl Into<String>) -> Self {
        Self { stdout: stdout.into(), exit: 0 }
    }

    pub(crate) fn json<T: Serialize>(value: &T) -> Self {
        let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".into());
        text.push('\n');
        Self::text(text)
    }

    /// What would be printed.
    pub(crate) fn into_text(self) -> String {
        self.stdout
    }

    #[must_use]
    pub(crate) fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// A reader that has gone away (`| head`) is no failure.
    pub(crate) fn print(self) -> ExitCode {
        let mut out = std::io::stdout().lock();
        match out.write_all(self.stdout.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::from(self.exit),
        }
    }
}

/// Says something to the person at the terminal while the command runs.
pub(crate) fn say(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

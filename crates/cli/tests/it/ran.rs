//! What a finished process left: its exit code, and what it said.

use std::process::Output;

use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Its standard output, after it went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// The code that a failed command names on standard error: at the end of the first line that has one.
    pub(crate) fn code(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:?}");
        let named = |line: &'_ str| line.strip_suffix(']').is_some_and(|line| line.contains('['));
        let line = self.stderr.lines().find(|line| named(line)).unwrap_or_default();
        line.rsplit_once('[').map_or("", |(_, code)| code.trim_end_matches(']'))
    }
}

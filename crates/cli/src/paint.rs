//! Colours, where they are wanted. The words say everything by themselves.

use std::io::IsTerminal;

use crate::commands::Context;

/// Whether what is printed may be coloured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For standard output: a terminal that understands colours, and nobody has said no.
    pub(crate) fn of_stdout(context: &Context) -> Self {
        let env = context.auth.env();
        let wanted = !context.global.no_color && env.get("NO_COLOR").is_none();
        Self(wanted && std::io::stdout().is_terminal() && env.get("TERM") != Some("dumb"))
    }

    /// What to look at first.
    pub(crate) fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// It works.
    pub(crate) fn green(self, text: &str) -> String {
        self.sgr("32", text)
    }

    /// It will need something, or waits.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.sgr("33", text)
    }

    /// It needs a person.
    pub(crate) fn red(self, text: &str) -> String {
        self.sgr("31", text)
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

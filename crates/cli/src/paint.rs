//! Colours, where they are wanted. The words say everything by themselves.

use std::io::IsTerminal;

use coderclaw_auth::{Auth, Tone};

use crate::args::Global;

/// Whether what is printed is seen on a terminal that can draw. What is read out, or read by a program, is words only.
pub(crate) fn draws(auth: &Auth) -> bool {
    std::io::stdout().is_terminal() && auth.env().get("TERM") != Some("dumb")
}

/// Whether what is printed may be coloured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For standard output: a terminal that understands colours, and nobody has said no.
    pub(crate) fn of_stdout(auth: &Auth, global: &Global) -> Self {
        Self(!global.no_color && auth.env().get("NO_COLOR").is_none() && draws(auth))
    }

    /// No colours.
    pub(crate) const PLAIN: Self = Self(false);

    /// In the colour of how something stands.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Good => self.green(text),
            Tone::Middling => self.yellow(text),
            Tone::Bad => self.red(text),
        }
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

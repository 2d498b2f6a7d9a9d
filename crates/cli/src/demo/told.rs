//! How the story is told: live, on standard error, at most 80 columns wide, and not at all for scripts.

use std::io::IsTerminal;

use coderclaw_types::Env;

use super::Claim;
use crate::args::Global;
use crate::report::say;
use crate::text::wrap;

const WIDEST: usize = 80;

/// The teller. It keeps what it was given to tell, so that the story can look for secrets in it.
pub(super) struct Told {
    aloud: bool,
    colours: bool,
    width: usize,
    all: String,
}

impl Told {
    pub(super) fn new(global: &Global, env: &Env) -> Self {
        Self {
            aloud: !global.json && !global.quiet,
            colours: !global.no_color && env.get("NO_COLOR").is_none() && std::io::stderr().is_terminal(),
            width: crate::text::width().min(WIDEST),
            all: String::new(),
        }
    }

    /// Everything so far, told aloud or not.
    pub(super) fn all(&self) -> &str {
        &self.all
    }

    pub(super) fn gap(&mut self) {
        self.line("");
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.gap();
        for line in wrap(text, self.width) {
            self.painted("1", &line);
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        for line in wrap(text, self.width - 2) {
            self.line(&format!("  {line}"));
        }
    }

    /// One line that is copied, not read: never broken.
    pub(super) fn command(&mut self, text: &str) {
        self.line(&format!("    {text}"));
    }

    /// What a command printed, below the command.
    pub(super) fn output(&mut self, command: &str, printed: &str) {
        self.painted("2", &format!("    $ {command}"));
        for line in printed.lines() {
            let words = line.trim_start();
            let indent = " ".repeat(4 + line.chars().count() - words.chars().count());
            if words.is_empty() {
                continue;
            }
            for part in wrap(words, self.width.saturating_sub(indent.len())) {
                self.painted("2", &format!("{indent}{part}"));
            }
        }
    }

    pub(super) fn claim(&mut self, claim: &Claim) {
        let (mark, colour) = if claim.holds { ("✓", "32") } else { ("✗", "1;31") };
        let mark = if self.colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.into() };
        for (i, line) in wrap(&claim.detail, self.width - 4).iter().enumerate() {
            self.line(&if i == 0 { format!("  {mark} {line}") } else { format!("    {line}") });
        }
    }

    fn painted(&mut self, colour: &str, text: &str) {
        if self.colours {
            self.line(&format!("\x1b[{colour}m{text}\x1b[0m"));
        } else {
            self.line(text);
        }
    }

    fn line(&mut self, line: &str) {
        self.all.push_str(line);
        self.all.push('\n');
        if self.aloud {
            say(line);
        }
    }
}

/// `1 request`, `2 requests`.
pub(super) fn count(n: u32, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}

//! What a person sees of a turn.

use std::io::{IsTerminal, Write};

use coderclaw_agents::{Answered, TurnEvent};

use crate::commands::Context;
use crate::report::say;
use crate::text::{self, clean};

/// Shows a turn as it goes. Where nobody watches, the answer comes as one piece, so that what was begun anew is not in
/// a script's input twice.
pub(crate) struct Screen {
    is_seen: bool,
    is_quiet: bool,
    is_verbose: bool,
    /// The answer's last line is not ended yet.
    is_open: bool,
}

impl Screen {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            is_seen: std::io::stdout().is_terminal() && !context.global.json,
            is_quiet: context.global.quiet,
            is_verbose: context.global.verbose,
            is_open: false,
        }
    }

    /// Whether the answer is shown as it comes.
    pub(crate) fn is_seen(&self) -> bool {
        self.is_seen
    }

    pub(super) fn tell(&mut self, event: &TurnEvent<'_>) {
        match event {
            TurnEvent::Text(text) if self.is_seen => {
                let mut out = std::io::stdout().lock();
                let text = printable(text);
                out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
                self.is_open = !text.ends_with('\n');
            }
            TurnEvent::Text(_) => {}
            TurnEvent::Asking { model, profile } => {
                if self.is_verbose {
                    let with = profile.map_or("a key from the environment", |profile| profile.as_str());
                    self.note(&format!("asking {model} with {with}"));
                }
            }
            TurnEvent::Again { why } => self.note(&format!("the answer broke off ({why}); it begins again")),
            TurnEvent::Moved(moved) => {
                let to = moved.to.as_ref().map_or("a key from the environment", |to| to.as_str());
                let why = moved.why.trim_end_matches('.');
                let until = moved.until.map(|until| format!(" (until {})", text::local(until)));
                self.note(&format!("{}: {why}{}. {to} goes on", moved.from, until.unwrap_or_default()));
            }
            TurnEvent::Fallback { from, to, why } => {
                self.note(&format!("{from}: {}. {to} goes on", why.trim_end_matches('.')));
            }
            TurnEvent::Waiting { until, why } => {
                self.note(&format!("{}; waiting until {}", why.trim_end_matches('.'), text::local(*until)));
            }
        }
    }

    /// The answer is complete.
    pub(super) fn answered(&mut self, answered: &Answered) {
        self.end_line();
        if answered.is_cut {
            self.note("the longest answer that the model gives was reached");
        }
    }

    /// It is not, and never will be.
    pub(super) fn broke_off(&mut self) {
        self.end_line();
    }

    fn note(&mut self, text: &str) {
        self.end_line();
        if !self.is_quiet {
            say(&text::wrap(&format!("— {}", clean(text)), text::width()).join("\n"));
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_open) {
            writeln!(std::io::stdout().lock()).ok();
        }
    }
}

/// A model's text, without what could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_text_steers_no_terminal() {
        assert_eq!(printable("a\x1b[2J\tb\n\u{9b}c\r"), "a\u{fffd}[2J\tb\n\u{fffd}c\u{fffd}");
    }
}

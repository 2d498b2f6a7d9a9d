//! Questions with a menu. Esc goes back; Ctrl-C leaves, with the terminal as it was.

use std::io::{ErrorKind, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coderclaw_types::Code;
use dialoguer::console::Term;
use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};
use dialoguer::{Error, Select};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::commands::Context;
use crate::error::CommandError;
use crate::report::say;
use crate::text::{clean, wrap};

/// What a person did with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Chosen(usize),
    Back,
    Cancelled,
}

/// Asks.
pub(super) struct Prompts {
    /// Ctrl-C does what it always does: no question is being asked.
    is_idle: Arc<AtomicBool>,
    has_colours: bool,
}

/// Whether there is somebody who sees a question and can answer it.
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// While a question is asked, every key comes as a key, Ctrl-C too: also in the moments between two of them. Afterwards the
/// terminal is as it was.
struct Keys(Option<Termios>);

impl Keys {
    fn start() -> Self {
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
            tcsetattr(std::io::stdin(), OptionalActions::Now, &modes).ok();
        }
        Self(before)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            tcsetattr(std::io::stdin(), OptionalActions::Now, before).ok();
        }
    }
}

impl Prompts {
    pub(super) fn start(context: &Context) -> Result<Self, CommandError> {
        let is_idle = Arc::new(AtomicBool::new(true));
        let failed =
            |e: std::io::Error| CommandError::new(Code::Internal, format!("Ctrl-C cannot be caught: {e}"));
        flag::register_conditional_default(SIGINT, Arc::clone(&is_idle)).map_err(failed)?;
        let env = context.auth.env();
        let has_colours =
            !context.global.no_color && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb");
        Ok(Self { is_idle, has_colours })
    }

    /// One of `items`; that at `at` is marked first.
    pub(super) fn choose(&self, question: &str, items: &[String], at: usize) -> Result<Answer, CommandError> {
        let term = Term::stderr();
        let (rows, columns) = term.size();
        // A line that wraps would not be taken away whole.
        let widest = usize::from(columns).saturating_sub(6).max(20);
        let short = |item: &String| clean(item).chars().take(widest).collect::<String>();
        let theme: &dyn Theme = if self.has_colours { &ColorfulTheme::default() } else { &SimpleTheme };
        let select = Select::with_theme(theme)
            .with_prompt(question.chars().take(widest).collect::<String>())
            .items(items.iter().map(short))
            .default(at)
            .report(false)
            .max_length(usize::from(rows).saturating_sub(6).clamp(3, 20));
        let keys = Keys::start();
        self.is_idle.store(false, Ordering::SeqCst);
        let answer = select.interact_on_opt(&term);
        self.is_idle.store(true, Ordering::SeqCst);
        drop(keys);
        match answer {
            Ok(Some(at)) => {
                let chosen = items.get(at).map(|item| clean(item)).unwrap_or_default();
                say(&wrap(&format!("✔ {question} {chosen}"), usize::from(columns)).join("\n"));
                Ok(Answer::Chosen(at))
            }
            Ok(None) => Ok(Answer::Back),
            Err(Error::IO(e)) => {
                // It is hidden while a question is asked.
                term.show_cursor().ok();
                match e.kind() {
                    ErrorKind::Interrupted | ErrorKind::UnexpectedEof => Ok(Answer::Cancelled),
                    _ => Err(CommandError::new(
                        Code::InputRequired,
                        format!("the terminal cannot be read: {e}"),
                    )),
                }
            }
        }
    }
}

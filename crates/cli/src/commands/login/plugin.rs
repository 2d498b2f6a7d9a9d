//! A login by the program of a plugin: it asks, a person answers.

use std::io::IsTerminal;

use coderclaw_auth::PluginUi;
use coderclaw_types::Secret;

use super::screen::Screen;
use crate::args::SourceArgs;
use crate::report::say;
use crate::secret_input;
use crate::text::{width, wrap};

/// What the program shows and asks goes through here.
pub(super) struct PluginScreen(pub(super) Screen);

impl PluginScreen {
    fn words(text: &str) {
        say(&wrap(text, width()).join("\n"));
    }
}

impl PluginUi for PluginScreen {
    fn open(&mut self, url: &str) {
        self.0.page(url);
    }

    fn code(&mut self, code: &str, page: &str) {
        self.0.page(page);
        say(&format!("Type in this code there: {code}\n"));
    }

    fn say(&mut self, text: &str) {
        if !text.is_empty() {
            Self::words(text);
        }
    }

    fn ask(&mut self, text: &str, is_secret: bool) -> Option<Secret> {
        let is_person = std::io::stdin().is_terminal();
        if is_secret && is_person {
            return secret_input::read(&SourceArgs::default(), &format!("{text} (it is not shown)")).ok();
        }
        // A script answers line by line on standard input.
        secret_input::ask(text).ok().flatten().map(Secret::from).filter(|answer| !answer.is_blank())
    }
}

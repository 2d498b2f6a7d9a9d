//! The line that a person types: history, several lines, completion.

use coderclaw_agents::model::Role;
use coderclaw_agents::{Chat, Conversation};
use coderclaw_types::Code;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Helper};

use crate::error::CommandError;

/// What was typed.
pub(super) enum Typed {
    Line(String),
    Interrupted,
    End,
}

/// The editor of one chat. Its history is what was said in the session, and is kept nowhere else.
pub(super) struct Editor(rustyline::Editor<Completions, MemHistory>);

impl Editor {
    pub(super) fn new(conversation: &Conversation) -> Result<Self, CommandError> {
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(false).build();
        let mut editor = rustyline::Editor::with_history(config, MemHistory::new()).map_err(failed)?;
        for said in conversation.said.iter().filter(|said| said.role == Role::User) {
            editor.add_history_entry(said.text.as_str()).map_err(failed)?;
        }
        editor.set_helper(Some(Completions::default()));
        Ok(Self(editor))
    }

    pub(super) fn read(&mut self, prompt: &str, chat: &Chat) -> Result<Typed, CommandError> {
        if let Some(completions) = self.0.helper_mut() {
            completions.look(chat);
        }
        match self.0.readline(prompt) {
            Ok(line) => {
                let line = line.replace("\\\n", "\n");
                self.0.add_history_entry(line.as_str()).map_err(failed)?;
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(e) => Err(failed(e)),
        }
    }
}

fn failed(error: ReadlineError) -> CommandError {
    CommandError::new(Code::InputRequired, format!("the terminal cannot be read: {error}"))
}

const COMMANDS: [&str; 8] = ["/model ", "/models ", "/new", "/reset", "/unpin", "/status", "/help", "/quit"];

/// What may stand where the cursor is.
#[derive(Default)]
struct Completions {
    /// Profile ids, behind the provider whose models they go with.
    profiles: Vec<(String, String)>,
    /// Aliases and models, with the provider behind each.
    providers: Vec<(String, String)>,
}

impl Completions {
    /// What there is by now: a login in another terminal counts at once.
    fn look(&mut self, chat: &Chat) {
        let names = chat.names();
        let aliases =
            names.aliases().iter().map(|alias| (alias.name.clone(), alias.model.provider.to_string()));
        let models = names.known().into_iter().map(|model| (model.to_string(), model.provider.to_string()));
        self.providers = aliases.chain(models).collect();
        self.profiles = chat.profile_names();
    }

    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let starting = |all: &[String], typed: &str| -> Vec<String> {
            let typed = typed.to_lowercase();
            all.iter().filter(|one| one.to_lowercase().starts_with(&typed)).cloned().collect()
        };
        let Some(rest) = line.strip_prefix("/model ") else {
            let commands: Vec<String> = COMMANDS.iter().map(|one| (*one).to_owned()).collect();
            let is_command = line.starts_with('/') && !line.contains(char::is_whitespace);
            return (0, if is_command { starting(&commands, line) } else { Vec::new() });
        };
        let at = line.len() - rest.len();
        match rest.split_once('@') {
            None => {
                let models: Vec<String> = self.providers.iter().map(|(name, _)| name.clone()).collect();
                (at, starting(&models, rest))
            }
            Some((model, typed)) => {
                let found = self.providers.iter().find(|(name, _)| name.eq_ignore_ascii_case(model));
                let provider = found.map(|(_, provider)| provider.as_str());
                let fits = |(of, _): &&(String, String)| provider.is_none_or(|provider| of == provider);
                let ids: Vec<String> = self.profiles.iter().filter(fits).map(|(_, id)| id.clone()).collect();
                (at + model.len() + 1, starting(&ids, typed))
            }
        }
    }
}

impl Completer for Completions {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line.get(..pos).unwrap_or_default()))
    }
}

impl Hinter for Completions {
    type Hint = String;
}

impl Highlighter for Completions {}

impl Validator for Completions {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let goes_on = context.input().ends_with('\\');
        Ok(if goes_on { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Helper for Completions {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_where_the_cursor_is() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let completions = Completions {
            profiles: vec![pair("anthropic", "anthropic:work"), pair("openai", "openai:default")],
            providers: vec![pair("opus", "anthropic"), pair("openai/gpt-5.2", "openai")],
        };
        let table: [(&str, usize, &[&str]); 7] = [
            ("/mo", 0, &["/model ", "/models "]),
            ("/model O", 7, &["opus", "openai/gpt-5.2"]),
            ("/model Opus@", 12, &["anthropic:work"]),
            ("/model openai/gpt-5.2@openai:d", 22, &["openai:default"]),
            ("/model nosuch@a", 14, &["anthropic:work"]),
            ("hello", 0, &[]),
            ("/new hello", 0, &[]),
        ];
        for (line, at, wanted) in table {
            let (start, found) = completions.candidates(line);
            assert_eq!(
                (start, found.iter().map(String::as_str).collect::<Vec<_>>()),
                (at, wanted.to_vec()),
                "{line}"
            );
        }
    }
}

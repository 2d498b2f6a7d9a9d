//! The wizard: all questions first, then what was chosen is done. Until then nothing is changed.

use coderclaw_auth::{ImportError, find_stores};
use coderclaw_store::AgentPaths;
use coderclaw_types::Code;

use super::apply::{ConfigWish, Given, Kept, config, credential, model_of};
use super::choices::{CHOICES, Choice, How, groups};
use super::prompt::{Answer, Prompts};
use super::{Done, cancelled, report};
use crate::args::OnboardArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text::{shell_word, width, wrap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Lender,
    Group,
    Method,
    Model,
}

/// What was chosen so far.
#[derive(Default)]
struct Picked {
    borrows: bool,
    /// `None`: no login now.
    group: Option<&'static str>,
    choice: Option<&'static Choice>,
    model: Option<String>,
}

struct Wizard<'a> {
    context: &'a Context,
    prompts: Prompts,
    agent: AgentPaths,
    /// An agent whose logins could be used too.
    lender: Option<AgentPaths>,
    picked: Picked,
}

pub(super) fn run(
    context: Context,
    args: &OnboardArgs,
    mut notes: Vec<String>,
) -> Result<Report, CommandError> {
    let prompts = Prompts::start(&context)?;
    let agent = context.agent()?;
    let lender = lender(&context, &agent);
    greet(&context, &agent);
    let mut wizard = Wizard { context: &context, prompts, agent, lender, picked: Picked::default() };
    let (kept, linked_to) = wizard.work(&mut notes)?;
    notes.extend(to_import(&context, &wizard.agent));
    let done = Done {
        choice: wizard.picked.choice.map_or("skip", |choice| choice.name).to_owned(),
        kept,
        linked_to,
        notes,
    };
    context.say_notes();
    // The config says something else now.
    let (global, env, clock) =
        (context.global.clone(), context.auth.env().clone(), context.auth.clock().clone());
    report(&Context::open(global, env, clock)?, args, &done)
}

fn words(text: &str) {
    say(&wrap(text, width()).join("\n"));
}

fn greet(context: &Context, agent: &AgentPaths) {
    if context.global.quiet {
        return;
    }
    words(
        "CoderClaw keeps the logins of your AI agents in one place, and lends their tokens to whoever needs one.",
    );
    words(&format!("This sets up a login for agent {}, in {}.", agent.agent, agent.store().display()));
    words("Arrow keys and Enter choose, Esc goes one step back, Ctrl-C leaves and changes nothing.\n");
}

/// The default agent, where it has logins and the other one has none.
fn lender(context: &Context, agent: &AgentPaths) -> Option<AgentPaths> {
    let auth = &context.auth;
    let other = auth.agent(None).ok().filter(|other| other.agent != agent.agent)?;
    let own = auth.status(agent).ok()?;
    let theirs = auth.status(&other).ok()?;
    let can = own.profiles.is_empty() && own.linked_to.is_none() && theirs.linked_to.is_none();
    (can && !theirs.profiles.is_empty()).then_some(other)
}

/// What other programs and older versions have, which is the person's to decide about.
fn to_import(context: &Context, agent: &AgentPaths) -> Vec<String> {
    let mut notes = Vec::new();
    if let Ok(status) = context.auth.status(agent) {
        let mut files: Vec<_> = status.imports.iter().map(|one| one.source.display().to_string()).collect();
        files.dedup();
        notes
            .extend(files.iter().map(|file| format!("The logins of {file} come in when one is first used.")));
    }
    let openclaw = context.auth.env().home().join(".openclaw");
    // A database that is in use at the moment has some too.
    if matches!(find_stores(&openclaw), Ok(_) | Err(ImportError::Database(_))) {
        notes.push(
            "OpenClaw has logins of its own. To see what would come in: coderclaw import openclaw --dry-run"
                .into(),
        );
    }
    notes
}

impl Wizard<'_> {
    fn work(
        &mut self,
        notes: &mut Vec<String>,
    ) -> Result<(Option<Kept>, Option<coderclaw_types::AgentId>), CommandError> {
        let steps: &[Step] = match self.lender {
            Some(_) => &[Step::Lender, Step::Group, Step::Method, Step::Model],
            None => &[Step::Group, Step::Method, Step::Model],
        };
        let mut from = 0;
        loop {
            self.ask_all(steps, from)?;
            if let Some(lender) = self.lender.clone().filter(|_| self.picked.borrows) {
                self.context.auth.link(&self.agent, &lender)?;
                return Ok((None, Some(lender.agent)));
            }
            let Some(choice) = self.picked.choice else { return Ok((None, None)) };
            match self.log_in(choice, notes) {
                Ok(kept) => return Ok((Some(kept), None)),
                // Ctrl-C while a token was to be pasted.
                Err(e) if e.code() == Code::InputRequired => return Err(e),
                Err(e) => {
                    // The login is as it was before, and another one may work.
                    e.say();
                    say("");
                    from = steps.iter().position(|step| *step == Step::Group).unwrap_or(0);
                }
            }
        }
    }

    /// Asks each step, back and forth, until all are answered.
    fn ask_all(&mut self, steps: &[Step], from: usize) -> Result<(), CommandError> {
        let (mut at, mut is_forward) = (from, true);
        while let Some(step) = steps.get(at) {
            match self.ask(*step)? {
                Some(Answer::Chosen(_)) => (at, is_forward) = (at + 1, true),
                Some(Answer::Cancelled) => return Err(cancelled()),
                // A step without a question is passed in either direction.
                None if is_forward => at += 1,
                Some(Answer::Back) | None if at == 0 => return Err(cancelled()),
                Some(Answer::Back) | None => (at, is_forward) = (at - 1, false),
            }
        }
        Ok(())
    }

    /// `None` where there is nothing to ask.
    fn ask(&mut self, step: Step) -> Result<Option<Answer>, CommandError> {
        match step {
            Step::Lender => self.ask_lender(),
            _ if self.picked.borrows => Ok(None),
            Step::Group => self.ask_group(),
            Step::Method => self.ask_method(),
            Step::Model => self.ask_model(),
        }
    }

    fn ask_lender(&mut self) -> Result<Option<Answer>, CommandError> {
        let Some(lender) = &self.lender else { return Ok(None) };
        let items = [
            format!("Log in for {} alone", self.agent.agent),
            format!("Use those of {} too; nothing is copied", lender.agent),
        ];
        let answer =
            self.prompts.choose(&format!("Whose logins does {} use?", self.agent.agent), &items, 0)?;
        if let Answer::Chosen(at) = answer {
            self.picked.borrows = at == 1;
        }
        Ok(Some(answer))
    }

    fn ask_group(&mut self) -> Result<Option<Answer>, CommandError> {
        let groups = groups();
        let mut items: Vec<String> = groups.iter().map(ToString::to_string).collect();
        items.push("None of them now".into());
        let marked = groups.iter().position(|group| Some(*group) == self.picked.group).unwrap_or(0);
        let answer = self.prompts.choose("Which provider?", &items, marked)?;
        if let Answer::Chosen(at) = answer {
            self.picked.group = groups.get(at).copied();
            self.picked.choice = None;
        }
        Ok(Some(answer))
    }

    fn ask_method(&mut self) -> Result<Option<Answer>, CommandError> {
        let Some(group) = self.picked.group else { return Ok(None) };
        let ways: Vec<&'static Choice> = CHOICES.iter().filter(|choice| choice.group == group).collect();
        if let [only] = ways.as_slice() {
            self.picked.choice = Some(only);
            return Ok(None);
        }
        let items: Vec<String> = ways.iter().map(|choice| choice.label.to_owned()).collect();
        let answer = self.prompts.choose(&format!("{group}: how?"), &items, 0)?;
        if let Answer::Chosen(at) = answer {
            self.picked.choice = ways.get(at).copied();
        }
        Ok(Some(answer))
    }

    fn ask_model(&mut self) -> Result<Option<Answer>, CommandError> {
        self.picked.model = None;
        let Some(choice) = self.picked.choice else { return Ok(None) };
        let Some(model) = model_of(choice, self.context.provider(choice.provider)?) else { return Ok(None) };
        let config = self.context.auth.config();
        let own = config.agent_entry(&self.agent.agent).and_then(|entry| entry.model.primary);
        let items = match own.or(config.default_model().0) {
            Some(now) if now == model => return Ok(None),
            Some(now) => [format!("Keep {now}"), format!("Use {model}")],
            None => ["Choose none".to_owned(), format!("Use {model}")],
        };
        let marked = usize::from(items[0] == "Choose none");
        let answer = self.prompts.choose("The model that is used where none is named?", &items, marked)?;
        if answer == Answer::Chosen(1) {
            self.picked.model = Some(model);
        }
        Ok(Some(answer))
    }

    fn log_in(&self, choice: &Choice, notes: &mut Vec<String>) -> Result<Kept, CommandError> {
        say("");
        if choice.how == How::SetupToken {
            words(
                "Anthropic's terms say where the token of a Claude subscription may be used; whether your use fits them is \
                 yours to check.\n",
            );
        }
        let mut kept = credential(self.context, choice, Given::default())?;
        if kept.hidden {
            self.bring_forward(&mut kept, notes)?;
        }
        config(
            self.context,
            &ConfigWish { model: self.picked.model.as_deref(), kept: Some(&kept), ..ConfigWish::default() },
        )?;
        Ok(kept)
    }

    /// An order hides the new profile. What is not wanted, or left with Ctrl-C, stays as it is.
    fn bring_forward(&self, kept: &mut Kept, notes: &mut Vec<String>) -> Result<(), CommandError> {
        let items = ["Put it first".to_owned(), "Leave the order as it is".to_owned()];
        let question = format!("The order of {} hides the new profile.", kept.provider);
        if self.prompts.choose(&question, &items, 0)? == Answer::Chosen(0) {
            self.context.auth.use_profile(&self.agent, &kept.profile)?;
            kept.hidden = false;
        } else {
            let id = shell_word(kept.profile.as_str());
            notes.push(format!("An order hides it. To use it: coderclaw models auth use {id}"));
        }
        Ok(())
    }
}

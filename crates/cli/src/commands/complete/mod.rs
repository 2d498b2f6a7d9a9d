//! What a shell's completion asks: which words may come next. It only looks, and whatever is wrong means fewer words.
//!
//! The first line of the answer says what kind of words they are: `values`, which follow, one a line, each with what it
//! is after a tab; or `files` or `commands`, which the shell knows better.

mod kind;
mod spot;
mod values;

use std::ffi::OsString;

use clap::{Arg, Command, CommandFactory};
use coderclaw_types::{Clock, Env};

use crate::args::{Cli, CompleteArgs};
use crate::global::state_profile;
use crate::report::Report;
use kind::{Kind, kind};
use spot::{Next, Spot};
use values::Store;

/// One word that may come next.
#[derive(Debug)]
struct Candidate {
    value: String,
    about: String,
}

impl Candidate {
    fn new(value: impl Into<String>, about: impl Into<String>) -> Self {
        Self { value: value.into(), about: about.into() }
    }
}

/// What is offered.
#[derive(Debug)]
enum Offer {
    Values(Vec<Candidate>),
    Files,
    Commands,
}

pub(super) fn run(args: CompleteArgs, env: Env, clock: Clock) -> Report {
    let word = args.word.to_string_lossy().into_owned();
    Report::text(match offer(args.before, &word, env, clock) {
        Offer::Files => "files\n".into(),
        Offer::Commands => "commands\n".into(),
        Offer::Values(all) => {
            let mut text = "values\n".to_owned();
            // What could break out of its line, or of the shell's screen, is not offered at all.
            let is_safe = |one: &&Candidate| !one.value.contains(char::is_control);
            for one in all.iter().filter(|one| one.value.starts_with(&word)).filter(is_safe) {
                text.push_str(&one.value);
                if !one.about.is_empty() {
                    text.push('\t');
                    text.push_str(&crate::text::clean(&one.about).replace(['\n', '\t'], " "));
                }
                text.push('\n');
            }
            text
        }
    })
}

fn offer(before: Vec<OsString>, word: &str, env: Env, clock: Clock) -> Offer {
    let nothing = Offer::Values(Vec::new());
    let line = [vec!["coderclaw".into()], before].concat();
    // An unfinished `--profile` is a name that only its owner knows.
    let Ok((line, env)) = state_profile(line, env) else { return nothing };
    let before: Vec<String> = line.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let mut root = Cli::command();
    root.build();
    let spot = Spot::after(&root, &before);
    match spot.next(word) {
        Next::Options => Offer::Values(options(&spot)),
        Next::Value { arg, start } => values_of(&spot, arg, &word[..start], env, clock),
        Next::Word { positional, has_subcommands } => {
            let mut all = if has_subcommands { subcommands(spot.command()) } else { Vec::new() };
            match positional.map(|arg| values_of(&spot, arg, "", env, clock)) {
                Some(Offer::Values(values)) => all.extend(values),
                Some(other) if all.is_empty() => return other,
                _ => {}
            }
            Offer::Values(all)
        }
    }
}

fn subcommands(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    shown.map(|one| Candidate::new(one.get_name(), about(one.get_about()))).collect()
}

fn options(spot: &Spot<'_>) -> Vec<Candidate> {
    let all = spot.options().filter(|arg| !arg.is_hide_set());
    all.filter_map(|arg| Some(Candidate::new(format!("--{}", arg.get_long()?), about(arg.get_help()))))
        .collect()
}

/// The values of `arg`, each after what stands before it in the same word.
fn values_of(spot: &Spot<'_>, arg: &Arg, front: &str, env: Env, clock: Clock) -> Offer {
    let possible = arg.get_possible_values();
    let mut all: Vec<Candidate> = if !possible.is_empty() {
        let shown = possible.iter().filter(|one| !one.is_hide_set());
        shown.map(|one| Candidate::new(one.get_name(), about(one.get_help()))).collect()
    } else {
        match kind(spot.path(), arg) {
            Kind::Files => return Offer::Files,
            Kind::Commands => return if spot.is_given(arg) { Offer::Files } else { Offer::Commands },
            Kind::Free => Vec::new(),
            kind => Store::open(env, clock).map(|store| store.values(kind, spot)).unwrap_or_default(),
        }
    };
    // Naming a profile twice in an order means nothing.
    all.retain(|one| !spot.values(arg.get_id().as_str()).any(|given| given == one.value));
    for one in &mut all {
        one.value.insert_str(0, front);
    }
    Offer::Values(all)
}

fn about(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default()
}

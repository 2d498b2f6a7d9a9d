//! A branch of the command tree that is built only where it is walked: `models status` need not know what `logout`
//! takes, nor that there is one.
//!
//! Clap copies each global flag into each subcommand of a level, a fifth of all that a cold command does. So while a
//! command line is parsed, only those subcommands are there whose name is among its words.

use std::cell::RefCell;
use std::ffi::OsString;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

thread_local! {
    /// The words of the command line that is being parsed; `None` where the whole tree is wanted.
    static WORDS: RefCell<Option<Vec<OsString>>> = const { RefCell::new(None) };
}

/// Does `parse` with no more of the tree than `words` could mean.
///
/// What it finds, it would find in the whole tree too. What it says where it finds nothing does not count: it knows of no
/// other subcommands, so it cannot suggest one.
pub(crate) fn with_only<T>(words: &[OsString], parse: impl FnOnce() -> T) -> T {
    WORDS.set(Some(words.to_vec()));
    let parsed = parse();
    WORDS.set(None);
    parsed
}

/// The subcommands of `T`, less those that are not meant. Where none is, all are there, as for help.
fn subcommands<T: Subcommand>(command: Command) -> Command {
    WORDS.with_borrow(|words| {
        let Some(words) = words else { return T::augment_subcommands(command) };
        let all = T::augment_subcommands(Command::new(""));
        let is_meant = |one: &&Command| {
            words.iter().any(|word| word == one.get_name() || one.get_all_aliases().any(|name| word == name))
        };
        let meant: Vec<Command> = all.get_subcommands().filter(is_meant).cloned().collect();
        if meant.is_empty() { T::augment_subcommands(command) } else { command.subcommands(meant) }
    })
}

/// The subcommands or arguments of `T`, described when they are asked for.
#[derive(Debug)]
pub(crate) struct Lazy<T>(pub(crate) T);

impl<T: FromArgMatches> FromArgMatches for Lazy<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Lazy<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(T::augment_args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(T::augment_args_for_update)
    }
}

impl<T: Subcommand> Subcommand for Lazy<T> {
    fn augment_subcommands(command: Command) -> Command {
        command.defer(subcommands::<T>)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        command.defer(T::augment_subcommands_for_update)
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

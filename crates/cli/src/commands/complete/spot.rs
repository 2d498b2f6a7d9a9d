//! Where in a command line one is: the command, what it has been given, and what may come next.

use clap::{Arg, Command};

/// A place in a command line.
#[derive(Debug)]
pub(super) struct Spot<'a> {
    command: &'a Command,
    /// The commands' names, without the program's.
    path: String,
    /// What was given, with its value where it takes one.
    given: Vec<(&'a Arg, String)>,
    /// An option whose value comes next.
    pending: Option<&'a Arg>,
    /// How many words that are no options the command has.
    words: usize,
    /// Everything is a word from here on.
    is_after_dashes: bool,
}

/// What may come next.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// The value of this argument. It starts at this byte of the word.
    Value { arg: &'a Arg, start: usize },
    /// An option.
    Options,
    /// A word: of this argument, or a subcommand.
    Word { positional: Option<&'a Arg>, has_subcommands: bool },
}

impl<'a> Spot<'a> {
    /// The place after `before`, in a tree that has been built. What it does not know there is passed over.
    pub(super) fn after(root: &'a Command, before: &[String]) -> Self {
        let mut spot = Self {
            command: root,
            path: String::new(),
            given: Vec::new(),
            pending: None,
            words: 0,
            is_after_dashes: false,
        };
        before.iter().for_each(|word| spot.step(word));
        spot
    }

    pub(super) fn command(&self) -> &'a Command {
        self.command
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn is_given(&self, arg: &Arg) -> bool {
        self.values(arg.get_id().as_str()).next().is_some()
    }

    /// What the argument of this name has been given.
    pub(super) fn values(&self, id: &str) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(arg, _)| arg.get_id() == id).map(|(_, value)| value.as_str())
    }

    /// The options that may still be given.
    pub(super) fn options(&self) -> impl Iterator<Item = &'a Arg> {
        self.command.get_opts().chain(self.flags()).filter(|arg| {
            let is_spent = self.is_given(arg) && !arg.get_action().is_repeated();
            let against = |one: &Arg, other: &Arg| self.command.get_arg_conflicts_with(one).contains(&other);
            let given = self.given.iter().filter(|(given, _)| self.is_here(given));
            let mut pairs = given.flat_map(|(given, _)| [(*given, *arg), (*arg, *given)]);
            !is_spent && !pairs.any(|(one, other)| against(one, other))
        })
    }

    /// It belongs to this command, not to one above.
    fn is_here(&self, arg: &Arg) -> bool {
        self.command.get_arguments().any(|one| one.get_id() == arg.get_id())
    }

    fn flags(&self) -> impl Iterator<Item = &'a Arg> {
        self.command.get_arguments().filter(|arg| !arg.get_action().takes_values() && !arg.is_positional())
    }

    pub(super) fn next(&self, word: &str) -> Next<'a> {
        if let Some(arg) = self.pending {
            return Next::Value { arg, start: start_of_value(arg, word, 0) };
        }
        if !self.is_after_dashes && word.starts_with('-') {
            let named = word.strip_prefix("--").and_then(|rest| rest.split_once('='));
            return match named.map(|(name, _)| (self.long(name), name.len() + 3)) {
                Some((Some(arg), start)) => Next::Value { arg, start: start_of_value(arg, word, start) },
                _ => Next::Options,
            };
        }
        let is_alone = self.command.is_args_conflicts_with_subcommands_set();
        let has_own = self.given.iter().any(|(arg, _)| !arg.is_global_set());
        let is_open = self.words == 0 && !self.is_after_dashes && !(is_alone && has_own);
        let has_subcommands = is_open && self.command.has_subcommands();
        Next::Word { positional: self.positional(), has_subcommands }
    }

    fn step(&mut self, word: &str) {
        if let Some(arg) = self.pending.take() {
            self.give(arg, word);
        } else if self.is_after_dashes {
            self.word(word);
        } else if word == "--" {
            self.is_after_dashes = true;
        } else if let Some(rest) = word.strip_prefix("--") {
            let (name, value) =
                rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value)));
            match self.long(name) {
                Some(arg) if arg.get_action().takes_values() && value.is_none() => self.pending = Some(arg),
                Some(arg) => self.give(arg, value.unwrap_or_default()),
                None => {}
            }
        } else if word.len() > 1 && word.starts_with('-') {
            self.shorts(&word[1..]);
        } else if self.words == 0
            && let Some(below) = self.command.find_subcommand(word)
        {
            self.command = below;
            if !self.path.is_empty() {
                self.path.push(' ');
            }
            self.path.push_str(below.get_name());
        } else {
            self.word(word);
        }
    }

    /// `-q`, `-qy`, `-mTEXT` and `-m TEXT`.
    fn shorts(&mut self, letters: &str) {
        for (at, letter) in letters.char_indices() {
            let Some(arg) = self.command.get_arguments().find(|arg| arg.get_short() == Some(letter)) else {
                return;
            };
            let rest = &letters[at + letter.len_utf8()..];
            if arg.get_action().takes_values() {
                match rest.is_empty() {
                    true => self.pending = Some(arg),
                    false => self.give(arg, rest.trim_start_matches('=')),
                }
                return;
            }
            self.give(arg, "");
        }
    }

    fn word(&mut self, word: &str) {
        if let Some(arg) = self.positional() {
            self.give(arg, word);
        }
        self.words += 1;
    }

    fn give(&mut self, arg: &'a Arg, value: &str) {
        match arg.get_value_delimiter() {
            Some(between) => self.given.extend(value.split(between).map(|one| (arg, one.to_owned()))),
            None => self.given.push((arg, value.to_owned())),
        }
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| {
            arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
        })
    }

    /// The argument that the next word goes to.
    fn positional(&self) -> Option<&'a Arg> {
        let mut all = self.command.get_positionals().filter(|arg| arg.is_last_set() == self.has_last());
        let takes_more = |arg: &&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        let mut last = None;
        for _ in 0..=self.words {
            match all.next() {
                Some(arg) => last = Some(arg),
                None => return last.filter(takes_more),
            }
        }
        last
    }

    /// What follows `--` has an argument of its own.
    fn has_last(&self) -> bool {
        self.is_after_dashes && self.command.get_positionals().any(Arg::is_last_set)
    }
}

/// Where the value begins that is typed at the end of `word`: after the last `,` where there may be several.
fn start_of_value(arg: &Arg, word: &str, start: usize) -> usize {
    let between = arg.get_value_delimiter();
    between.and_then(|between| Some(start + word[start..].rfind(between)? + 1)).unwrap_or(start)
}

trait Repeated {
    fn is_repeated(&self) -> bool;
}

impl Repeated for clap::ArgAction {
    /// It may be given more than once.
    fn is_repeated(&self) -> bool {
        matches!(self, Self::Append | Self::Count)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn root() -> Command {
        let mut root = Cli::command();
        root.build();
        root
    }

    /// `line` ends in the word that is completed; what is said: the command, and what may come.
    fn at(line: &str) -> String {
        let root = root();
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let word = words.pop().unwrap();
        let spot = Spot::after(&root, &words);
        let next = match spot.next(&word) {
            Next::Options => "options".to_owned(),
            Next::Value { arg, start } => format!("{} from {start}", arg.get_id()),
            Next::Word { positional, has_subcommands } => {
                let arg = positional.map_or("nothing", |arg| arg.get_id().as_str());
                format!("{arg}{}", if has_subcommands { " or below" } else { "" })
            }
        };
        format!("{}: {next}", spot.path())
    }

    #[test]
    fn a_place_is_found() {
        let table = [
            ("", ": nothing or below"),
            ("mod", ": nothing or below"),
            ("--agent ", ": agent from 0"),
            ("--agent a models -q auth ", "models auth: nothing or below"),
            ("models auth use ", "models auth use: profile"),
            ("models auth use p:x ", "models auth use: nothing"),
            ("models auth order set --provider=x a b ", "models auth order set: profiles"),
            ("models auth order set --provider x -", "models auth order set: options"),
            ("models status --probe-profile a,b:", "models status: probe_profile from 2"),
            ("models status --probe-profile=a,b", "models status: probe_profile from 18"),
            ("models status --no-such=a", "models status: options"),
            ("models auth login --provider x ", "models auth login: nothing"),
            ("models auth login ", "models auth login: nothing or below"),
            ("exec --provider x -- ", "exec: command"),
            ("exec --provider x -- git --", "exec: command"),
            ("agent -m", "agent: options"),
            ("agent -mhello ", "agent: nothing"),
            ("agent -m hello --session-key ", "agent: session_key from 0"),
            ("models auth pwsh nonsense --what ever ", "models auth: nothing"),
            ("gateway run --host ", "gateway run: bind from 0"),
        ];
        for (line, expected) in table {
            assert_eq!(at(line), expected, "{line}");
        }
    }

    /// Each command's options are listed without a panic, and what would be refused is not offered.
    #[test]
    fn options_that_cannot_be_given_are_left_out() {
        fn walk(command: &Command, words: &mut Vec<String>, root: &Command) {
            let spot = Spot::after(root, words);
            assert_eq!(spot.path(), words.join(" "));
            let options = spot.options().filter(|arg| arg.get_long().is_some()).count();
            assert!(options >= 5, "{words:?}");
            for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let more = [words.clone(), vec![format!("--{}=x", arg.get_long().unwrap())]].concat();
                let left = Spot::after(root, &more).options().any(|one| one.get_id() == arg.get_id());
                assert_eq!(left, arg.get_action().is_repeated(), "{more:?}");
            }
            for below in command.get_subcommands() {
                words.push(below.get_name().to_owned());
                walk(below, words, root);
                words.pop();
            }
        }
        let root = root();
        walk(&root, &mut Vec::new(), &root);
        let words: Vec<String> =
            "models auth login --provider x --device -q".split(' ').map(str::to_owned).collect();
        let spot = Spot::after(&root, &words);
        let longs: Vec<&str> = spot.options().filter_map(Arg::get_long).collect();
        assert!(longs.contains(&"expect") && longs.contains(&"agent"), "{longs:?}");
        for spent in ["provider", "device", "quiet", "method", "verbose"] {
            assert!(!longs.contains(&spent), "{spent}: {longs:?}");
        }
    }
}

//! From arguments to a command. A wrong call exits 1, and its words are short.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use coderclaw_types::{Code, Env};

use crate::args::{Cli, with_only};
use crate::error::CommandError;

/// Parses the arguments. `--profile NAME` or `--dev` before the first command choose another state dir.
pub(crate) fn parse(arguments: Vec<OsString>, env: Env) -> Result<(Cli, Env), CommandError> {
    let (arguments, env) = state_profile(arguments, env)?;
    let cli = read(&arguments).map_err(|e| usage(&e, &arguments))?;
    Ok((cli, env))
}

fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let quickly = with_only(arguments, || read_from_tree(arguments.to_vec()));
    // What is wrong, or what there is, only the whole tree can say.
    quickly.or_else(|_| read_from_tree(arguments.to_vec()))
}

fn read_from_tree(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    let name = command_name(&matches);
    let mut cli = Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))?;
    cli.global.command = name;
    // Taking the tree of commands apart again costs a third of what a whole `token` does, and the process is
    // about to end.
    std::mem::forget((command, matches));
    Ok(cli)
}

/// The names of the commands, one below the other. No argument is among them.
fn command_name(matches: &clap::ArgMatches) -> String {
    let mut name = String::new();
    let mut next = matches.subcommand();
    while let Some((word, matches)) = next {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(word);
        next = matches.subcommand();
    }
    name
}

/// Whether a call that could not be parsed asked for JSON.
pub(crate) fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--json")
}

fn usage(error: &clap::Error, arguments: &[OsString]) -> CommandError {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return CommandError::help(error.to_string(), 0);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return CommandError::help(error.to_string(), 1);
    }
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default().trim();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let command = usage.trim().strip_prefix("Usage: ").unwrap_or(&usage).trim();
    let path: Vec<&str> =
        command.split_whitespace().take_while(|word| word.starts_with(char::is_alphabetic)).collect();
    // For a value that is none, clap does not say of which command.
    let path = if path.is_empty() { walked(arguments) } else { path.join(" ") };
    CommandError::new(Code::Usage, said).hint(format!("{path} --help"))
}

/// The command that the words lead to, as far as they do.
fn walked(arguments: &[OsString]) -> String {
    let mut tree = Cli::command();
    tree.build();
    let (mut at, mut path) = (&tree, "coderclaw".to_owned());
    for word in arguments.iter().skip(1).take_while(|word| *word != "--") {
        if let Some(next) = at.find_subcommand(word) {
            (at, path) = (next, format!("{path} {}", next.get_name()));
        }
    }
    path
}

/// `--profile NAME`, `--profile=NAME` and `--dev` count only before the first command, where they are taken out.
pub(crate) fn state_profile(
    arguments: Vec<OsString>,
    env: Env,
) -> Result<(Vec<OsString>, Env), CommandError> {
    let mut rest = Vec::new();
    let mut name: Option<String> = None;
    let mut arguments = arguments.into_iter();
    rest.extend(arguments.next());
    let set = |found: String, name: &mut Option<String>| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let starts_well = found.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || found.len() > 64 || !found.chars().all(known) {
            return Err(CommandError::new(Code::Usage, format!("\"{found}\" is no name for --profile")));
        }
        match name.replace(found) {
            None => Ok(()),
            Some(_) => {
                Err(CommandError::new(Code::Usage, "--profile and --dev go only once, and not together"))
            }
        }
    };
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--dev") => set("dev".into(), &mut name)?,
            Some("--profile") => {
                let found = arguments.next().and_then(|value| value.into_string().ok());
                set(
                    found.ok_or_else(|| CommandError::new(Code::Usage, "--profile takes a name"))?,
                    &mut name,
                )?;
            }
            Some(text) if text.starts_with("--profile=") => {
                set(text["--profile=".len()..].into(), &mut name)?;
            }
            Some(text) if text.starts_with('-') => rest.push(argument),
            _ => {
                rest.push(argument);
                break;
            }
        }
    }
    rest.extend(arguments);
    let env = match name {
        None => env,
        Some(name) => env.with("CODERCLAW_PROFILE", name),
    };
    Ok((rest, env))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Next;

    fn parsed(line: &str) -> Result<(Cli, Env), CommandError> {
        let words = line.split_whitespace().map(OsString::from).collect();
        parse(words, Env::new([("HOME".into(), "/h".into())], None, "/".into()))
    }

    /// B9: every next command of the table of codes is one that parses.
    #[test]
    fn b9_every_hint_parses() {
        for code in Code::ALL {
            for login in ["login", crate::error::REGISTERED, "setup-token", "paste-token", "paste-api-key"] {
                let hint = Next {
                    code: *code,
                    login,
                    provider: Some("p"),
                    profile: Some("p:x"),
                    agent: Some("a"),
                    other: Some("b"),
                };
                let hint = hint.command();
                match parsed(&hint) {
                    Ok(_) => {}
                    Err(e) => assert!(e.is_help(), "{code}: {hint}"),
                }
            }
        }
    }

    #[test]
    fn a_state_profile_counts_before_the_command_only() {
        let (_, env) = parsed("coderclaw --profile work models status").unwrap();
        assert_eq!(env.get("CODERCLAW_PROFILE"), Some("work"));
        let (_, env) = parsed("coderclaw --dev --json models status").unwrap();
        assert_eq!(env.get("CODERCLAW_PROFILE"), Some("dev"));
        let (_, env) = parsed("coderclaw models auth token --provider p --profile p:x").unwrap();
        assert_eq!(env.get("CODERCLAW_PROFILE"), None);
        for bad in
            ["--profile", "--profile ../x models status", "--dev --profile x models status", "--profile="]
        {
            assert!(parsed(&format!("coderclaw {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_call_is_told_in_a_line() {
        let error = parsed("coderclaw models auth token").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("--provider") && !text.contains('\n'), "{text}");
        let error = parsed("coderclaw models statsu").unwrap_err();
        assert!(error.to_string().contains("statsu"), "{error}");
        for (call, next) in [
            ("gateway run --port 99999", "gateway run --help"),
            ("--json gateway run --bind foo", "gateway run --help"),
            ("completions foo", "completions --help"),
            ("exec --provider x --min-validity y -- models status", "exec --help"),
        ] {
            let error = parsed(&format!("coderclaw {call}")).unwrap_err();
            let said = error.words(200);
            assert!(said.ends_with(&format!("  next: coderclaw {next}\n")), "{said}");
        }
    }

    /// What is parsed with little of the tree is what the whole tree says, also where a word could be a command and is none.
    #[test]
    fn a_part_of_the_tree_says_what_the_whole_does() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let lines = [
            "coderclaw",
            "coderclaw --json",
            "coderclaw models",
            "coderclaw models --status-json",
            "coderclaw models auth token --provider agent --agent models",
            "coderclaw --agent auth models status --check",
            "coderclaw agent --message models --session-key auth",
            "coderclaw models auth order set --provider set get clear order",
            "coderclaw exec --provider models -- coderclaw models status",
            "coderclaw config get models",
            "coderclaw models auth login start --provider finish",
        ];
        for line in lines {
            let part = with_only(&words(line), || read_from_tree(words(line)));
            let whole = read_from_tree(words(line)).unwrap();
            assert_eq!(format!("{:?}", part.unwrap()), format!("{whole:?}"), "{line}");
        }
        let said = |line: &str| read(&words(line)).unwrap_err().to_string();
        let (help, asked) = (said("coderclaw --help"), said("coderclaw models --help"));
        assert!(
            help.contains("models") && help.contains("doctor") && asked.contains("aliases"),
            "{help}{asked}"
        );
        let meant = said("coderclaw modles agent");
        assert!(meant.contains("modles") && meant.contains("models"), "{meant}");
    }
}

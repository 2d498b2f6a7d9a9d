//! The reference, written from the descriptions that the parser has: `docs/commands.md`.

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;

const HEAD: &str = "# Commands\n\n\
    Written from the program's own help; `UPDATE=1 cargo test -p coderclaw reference` brings it up to date.\n\
    Every command takes the options at the end of this page. Without a terminal nothing waits for an answer.\n";

/// The whole page.
fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = HEAD.to_owned();
    for command in root.get_subcommands() {
        section(&mut page, "coderclaw", command);
    }
    page.push_str("\n## Options of every command\n\n");
    options(&mut page, root.get_arguments().filter(|arg| arg.is_global_set()));
    page
}

fn section(page: &mut String, above: &str, command: &Command) {
    if command.is_hide_set() {
        return;
    }
    let name = format!("{above} {}", command.get_name());
    let level = if above == "coderclaw" { "##" } else { "###" };
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help";
    page.push_str(&format!("\n{level} `{}`\n\n{about}.\n", usage(&name, command)));
    if command.get_arguments().any(|arg| own(&arg)) {
        page.push('\n');
        options(page, command.get_arguments().filter(own));
    }
    for below in command.get_subcommands() {
        section(page, &name, below);
    }
}

fn usage(name: &str, command: &Command) -> String {
    let mut usage = name.to_owned();
    for arg in command.get_positionals() {
        let value = value(arg);
        let many = if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "..." } else { "" };
        usage.push_str(&match arg.is_required_set() {
            true => format!(" {value}{many}"),
            false => format!(" [{value}{many}]"),
        });
    }
    usage
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn options<'a>(page: &mut String, args: impl Iterator<Item = &'a Arg>) {
    for arg in args {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
        let takes = arg.get_action().takes_values();
        let value = if takes { value(arg) } else { String::new() };
        let name = match arg.get_long() {
            Some(long) if value.is_empty() => format!("{short}`--{long}`"),
            Some(long) => format!("{short}`--{long} {value}`"),
            None => format!("`{value}`"),
        };
        let choices: Vec<String> =
            arg.get_possible_values().iter().map(|choice| format!("`{}`", choice.get_name())).collect();
        let choices =
            if takes && !choices.is_empty() { format!(" ({})", choices.join(", ")) } else { String::new() };
        page.push_str(&format!("- {name}: {help}{choices}\n"));
    }
}

/// B9: the reference is what the program says of itself.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads and writes the page")]
fn b9_the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == written,
        "docs/commands.md is not what the help says; UPDATE=1 cargo test -p coderclaw reference"
    );
}

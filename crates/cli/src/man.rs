//! The man pages, written from the descriptions that the parser has: one for the program, one for each group of commands.
//!
//! They are made by a test, so that what makes them is no part of the program: `MAN=folder cargo test -p coderclaw --bin coderclaw man_pages`.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Cli;

/// Groups of a group that have a page of their own.
const OWN_PAGES: [&str; 1] = ["coderclaw-models-auth"];
/// An apostrophe that stays one.
const QUOTE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
/// What every page says once instead of at each command.
const EVERYWHERE: &str = "Every command also takes \\fB\\-\\-agent\\fR, \\fB\\-\\-json\\fR, \\fB\\-\\-quiet\\fR, \\fB\\-\\-verbose\\fR \
                          and \\fB\\-\\-no\\-color\\fR; see \\fBcoderclaw\\fR(1).";
const REST_OF_MAIN: &str = r#".SH "EXIT STATUS"
0: done. 1: it failed, or was called wrongly; the words name a code and one next command. \fBmodels status \-\-check\fR
also ends with 2: something ends within a day.
.SH FILES
.TP
\fI~/.coderclaw\fR
The state dir, unless \fBCODERCLAW_STATE_DIR\fR or \fBCODERCLAW_PROFILE\fR names another.
.TP
\fIagents/ID/agent/auth\-profiles.json\fR
The logins of one agent, in there. \fBcoderclaw models auth paths\fR lists every file that may hold a secret.
.TP
\fIcoderclaw.json\fR
The configuration. \fBcoderclaw config\fR reads and changes it.
"#;

/// Name and text of each page.
fn pages() -> Vec<(String, String)> {
    let mut root = Cli::command();
    root.build();
    let mut pages = vec![(name(&root), main_page(&root))];
    for group in visible(&root) {
        pages.push((name(group), page(group)));
        let own = visible(group).filter(|below| OWN_PAGES.contains(&name(below).as_str()));
        pages.extend(own.map(|below| (name(below), page(below))));
    }
    pages
}

fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

/// What stands on a page of its own is only referred to.
fn is_here(command: &Command) -> bool {
    !OWN_PAGES.contains(&name(command).as_str())
}

fn main_page(root: &Command) -> String {
    let mut text = head(root);
    text.push_str(&part(&own(root, true), true));
    text.push_str(".SH COMMANDS\n");
    for group in visible(root) {
        let about = group.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!(".TP\n\\fB{}\\fR(1)\n{}.\n", escaped(&name(group)), escaped(&about)));
    }
    text.push_str(REST_OF_MAIN);
    text
}

fn page(group: &Command) -> String {
    let mut text = head(group);
    text.push_str(&part(&own(group, false), true));
    if group.has_subcommands() {
        text.push_str(".SH COMMANDS\n");
        sections(&mut text, group);
    }
    let more = visible(group).filter(|below| !is_here(below));
    let more: String = more.map(|below| format!(", \\fB{}\\fR(1)", escaped(&name(below)))).collect();
    text.push_str(&format!(".PP\n{EVERYWHERE}\n.SH \"SEE ALSO\"\n\\fBcoderclaw\\fR(1){more}\n"));
    text
}

fn sections(text: &mut String, above: &Command) {
    for command in visible(above).filter(|below| is_here(below)) {
        if command.has_subcommands()
            && !command.get_arguments().any(|arg| !arg.is_global_set() && arg.get_id() != "help")
        {
            sections(text, command);
            continue;
        }
        let bin = command.get_bin_name().unwrap_or(command.get_name());
        text.push_str(&format!(".SS \"{}\"\n", escaped(bin)));
        text.push_str(&part(&own(command, false), false));
        sections(text, command);
    }
}

/// The command with its own arguments only.
fn own(command: &Command, with_global: bool) -> Command {
    command.clone().mut_args(|arg| {
        let is_hidden = arg.is_hide_set() || arg.get_id() == "help" || (arg.is_global_set() && !with_global);
        arg.hide(is_hidden)
    })
}

fn head(command: &Command) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone());
    // No date: the same sources make the same page.
    let title = format!(".TH {} 1 \"\" \"coderclaw {version}\" CoderClaw\n", name(command));
    QUOTE.to_owned() + &title + &rendered(|out| man.render_name_section(out))
}

/// How a command is called, what it does, and what it takes; on a page of its own under headings.
fn part(command: &Command, is_page: bool) -> String {
    let man = Man::new(command.clone());
    let has_options = command.get_arguments().any(|arg| !arg.is_hide_set());
    let text = rendered(|out| {
        man.render_synopsis_section(out)?;
        man.render_description_section(out)?;
        if has_options { man.render_options_section(out) } else { Ok(()) }
    });
    if is_page {
        return text;
    }
    let mut part = String::new();
    for line in text.lines() {
        match line.strip_prefix(".SH ") {
            Some("SYNOPSIS") => continue,
            // Each option begins a paragraph of its own.
            Some("OPTIONS") => continue,
            Some("DESCRIPTION") => part.push_str(".PP"),
            Some(heading) => part.push_str(&format!(".PP\n\\fI{}\\fR", heading.trim_matches('"'))),
            None => part.push_str(line),
        }
        part.push('\n');
    }
    part
}

/// Without the definition that each piece begins with: a page has it once.
fn rendered(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap().replace(QUOTE, "")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// B9: every command that can be seen is on a page, and so are its options; with `MAN`, the pages are written.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test writes where it is told to")]
fn b9_man_pages_have_every_command() {
    let pages = pages();
    let all: String = pages.iter().map(|(_, text)| text.replace("\\-", "-")).collect();
    let mut missing = Vec::new();
    fn walk(command: &Command, all: &str, missing: &mut Vec<String>) {
        let bin = command.get_bin_name().unwrap_or(command.get_name());
        let options = command.get_opts().filter(|arg| !arg.is_hide_set() && !arg.is_global_set());
        let is_there = |option: &str| all.contains(&format!("--{option}\\fR"));
        missing
            .extend(options.filter_map(clap::Arg::get_long).filter(|one| !is_there(one)).map(str::to_owned));
        if !command.has_subcommands() && !all.contains(&format!("\\fB{bin}\\fR")) {
            missing.push(bin.to_owned());
        }
        visible(command).for_each(|below| walk(below, all, missing));
    }
    let mut root = Cli::command();
    root.build();
    walk(&root, &all, &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
    for (name, text) in &pages {
        assert!(text.contains(".SH NAME") && text.matches(".TH ").count() == 1, "{name}: {text}");
        assert!(text.starts_with(QUOTE) && text.matches(QUOTE).count() == 1, "{name}: {text}");
    }
    let groups: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(groups[0], "coderclaw");
    assert!(groups.contains(&"coderclaw-models-auth") && groups.contains(&"coderclaw-gateway"), "{groups:?}");
    assert!(!groups.contains(&"coderclaw-complete"), "{groups:?}");
    if let Some(folder) = std::env::var_os("MAN") {
        for (name, text) in &pages {
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.1")), text).unwrap();
        }
    }
}

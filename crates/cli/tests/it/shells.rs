//! The completions in real shells, at a terminal, with the keys that a person presses.
//!
//! A shell that is not installed is said; `cargo xtask e2e` installs them where it may.

use std::io::Write;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;

use crate::complete::{HOSTILE, WORK, world};
use crate::terminal::Terminal;
use crate::world::{ME, World};

const HOUR: i64 = 3_600_000;

/// A world with the program on its path, and the script of a shell.
fn ready(shell: &str) -> World {
    let world = world();
    let bin = world.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_coderclaw"), bin.join("coderclaw")).unwrap();
    let script = world.run(&["completions", shell]).ok();
    std::fs::write(world.path().join("script"), script).unwrap();
    world
}

/// The shell with the world's variables.
fn shell(world: &World, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir(world.path());
    command.envs(world.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", format!("{}:/usr/bin:/bin", world.path().join("bin").display()));
    command.env("TERM", "dumb").env("LC_ALL", "C.UTF-8").env("HISTFILE", "/dev/null");
    command
}

#[expect(clippy::print_stdout, reason = "what was not tried is said")]
fn is_there(program: &str) -> bool {
    let is_there = Path::new(program).exists();
    if !is_there {
        println!("Not tried: {program} is not installed (apt-get install bash zsh fish).");
    }
    is_there
}

/// Types each line, with its Tab, and waits for what the shell makes of it.
fn type_in(world: &World, mut command: Command, start: &str, lines: &[(&str, &str)]) {
    let mut terminal = Terminal::open();
    terminal.resize(200);
    command.current_dir(world.path());
    let mut child = terminal.controls(&command).current_dir(world.path()).spawn().unwrap();
    let mut shown = String::new();
    terminal.master.write_all(format!("{start}; echo rea''dy\r").as_bytes()).unwrap();
    terminal.until(&mut shown, "ready");
    let (rows, columns) = (NonZero::new(24).unwrap(), NonZero::new(200).unwrap());
    for (typed, expected) in lines {
        let mut screen = vt100::Parser::new(rows, columns, 0);
        // Ctrl-U first: what the last line left is not run. The plus shows where the cursor is after the Tab.
        terminal.master.write_all(format!("\x15{typed}\t+").as_bytes()).unwrap();
        terminal.until_seen(&mut screen, expected);
    }
    terminal.master.write_all(b"\x15exit\r").unwrap();
    // Read on, so that a full screen never holds the shell up.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut terminal.master, &mut rest).ok();
    child.wait().unwrap();
    assert!(!world.path().join("owned").exists(), "a name in the store was run");
}

/// In bash, also where it cuts words at `:`, `@` and `=`.
#[test]
fn completions_in_bash() {
    if !is_there("/bin/bash") {
        return;
    }
    let world = ready("bash");
    let lines = [
        ("coderclaw compl", "completions +"),
        ("coderclaw models auth use openai-codex:m", "use openai-codex:me@x.test +"),
        ("coderclaw models auth use openai-codex:me@", "use openai-codex:me@x.test +"),
        ("coderclaw models auth use open", "use openai-codex:+"),
        ("coderclaw models auth use openai-codex:work@x.test#1", "work@x.test#1a2b3c4d +"),
        ("coderclaw models auth use \"openai-codex:w", "\"openai-codex:work@x.test#1a2b3c4d\" +"),
        ("coderclaw --agent=ops models auth use o", "use openai-codex:ops@x.test +"),
        ("coderclaw exec --profile=openai-codex:me", "--profile=openai-codex:me@x.test +"),
        ("true; coderclaw agents link ops --to m", "--to main +"),
        ("coderclaw models auth paste-token --file scr", "--file script +"),
        ("./bin/coderclaw models auth tok", "auth token +"),
    ];
    type_in(&world, shell(&world, "/bin/bash", &["--norc", "--noprofile", "-i"]), ". ./script", &lines);
    let mine = world.login(HOUR);
    world.seed("main", &[(HOSTILE, &mine.entry)]);
    let hostile = [("coderclaw models auth use openai-codex:", "\\$\\(touch")];
    type_in(&world, shell(&world, "/bin/bash", &["--norc", "--noprofile", "-i"]), ". ./script", &hostile);
}

/// In zsh, with what each word is beside it.
#[test]
fn completions_in_zsh() {
    if !is_there("/usr/bin/zsh") {
        return;
    }
    let world = ready("zsh");
    let lines = [
        ("coderclaw compl", "completions +"),
        ("coderclaw models auth use openai-codex:m", "openai-codex:me@x.test +"),
        ("coderclaw --agent=ops models auth use o", "openai-codex:ops@x.test +"),
        ("coderclaw exec --profile=openai-codex:me", "--profile=openai-codex:me@x.test +"),
        ("coderclaw models auth use \"openai-codex:w", "\"openai-codex:work@x.test#1a2b3c4d\""),
        ("coderclaw models auth use openai-codex:\t", "oauth, ok"),
        ("coderclaw models auth paste-token --file scr", "--file script +"),
        ("./bin/coderclaw models auth tok", "auth token +"),
    ];
    let start = "autoload -U compinit && compinit -D -u && . ./script";
    type_in(&world, shell(&world, "/usr/bin/zsh", &["-f", "-i"]), start, &lines);
    // As a package brings it: a file of its name where zsh looks for functions.
    std::fs::create_dir(world.path().join("site")).unwrap();
    std::fs::rename(world.path().join("script"), world.path().join("site/_coderclaw")).unwrap();
    let start = "fpath=($PWD/site $fpath); autoload -U compinit && compinit -D -u";
    type_in(&world, shell(&world, "/usr/bin/zsh", &["-f", "-i"]), start, &lines[..2]);
}

/// In fish, as its own `complete -C` says.
#[test]
fn completions_in_fish() {
    if !is_there("/usr/bin/fish") {
        return;
    }
    let world = ready("fish");
    let ask = |line: &str| {
        let script = format!("source script; complete -C '{line}'");
        let out = shell(&world, "/usr/bin/fish", &["--no-config", "-c", &script]).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{line}: {out:?}");
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ask("coderclaw models auth use openai-codex:m"), [format!("{ME}\toauth, ok")]);
    assert_eq!(ask("coderclaw models auth use openai-codex:w"), [format!("{WORK}\toauth, ok")]);
    assert_eq!(ask("coderclaw --agent ops models auth use "), ["openai-codex:ops@x.test\toauth, ok"]);
    assert!(ask("coderclaw --ag").iter().any(|line| line.starts_with("--agent\t")));
    assert!(
        ask("coderclaw models auth paste-token --file scr").iter().any(|line| line.starts_with("script"))
    );
    assert!(ask("coderclaw models auth token --min-validity ").is_empty());
    assert!(ask("coderclaw compl").iter().any(|line| line.starts_with("completions\t")));
}

//! A chat at a real terminal.

use std::io::{Read, Write};
use std::time::Duration;

use crate::chat::{calls, world};
use crate::terminal::Terminal;
use crate::world::World;

/// A command that runs in a terminal of its own.
pub(crate) struct Running {
    pub(crate) terminal: Terminal,
    child: std::process::Child,
    pub(crate) shown: String,
}

impl Running {
    fn chat(world: &mut World, columns: u16) -> Self {
        Self::start(world, columns, &["chat"])
    }

    pub(crate) fn start(world: &mut World, columns: u16, command: &[&str]) -> Self {
        world.set("TERM", "xterm");
        let terminal = Terminal::open();
        terminal.resize(columns);
        let child = terminal.controls(&world.command(command)).spawn().unwrap();
        Self { terminal, child, shown: String::new() }
    }

    /// Types a line once the prompt has come, and forgets what was shown before it.
    pub(crate) fn types(&mut self, prompt: &str, line: &str) {
        self.until(prompt);
        self.shown.clear();
        self.terminal.master.write_all(format!("{line}\r").as_bytes()).unwrap();
    }

    /// Answers a question of a program that takes single keys.
    pub(crate) fn answers(&mut self, question: &str, keys: &str) {
        self.until(question);
        self.terminal.wait_for_silence();
        self.shown.clear();
        self.terminal.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads on until `wanted` is shown; a narrow screen may break it between words.
    pub(crate) fn until(&mut self, wanted: &str) {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = flat(wanted);
        let mut buffer = [0; 1024];
        while !flat(&self.shown).contains(&wanted) {
            let read = self.terminal.master.read(&mut buffer).unwrap_or(0);
            assert!(read > 0, "it ended before it showed {wanted}: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    /// Its exit code, and whether the terminal is as it was.
    pub(crate) fn ends(mut self) -> (Option<i32>, bool) {
        let code = self.child.wait().unwrap().code();
        (code, self.terminal.is_sane())
    }
}

/// C5: the product page's own example, typed into a running chat on a state dir without a config: the prompt shows the
/// account, the very next request goes out with it, and a switch of models leaves it.
#[test]
fn c5_the_account_changes_in_a_running_chat() {
    let mut world = world();
    let mut chat = Running::chat(&mut world, 80);
    chat.types("gpt-5.3-codex · me@x.test › ", "hello");
    chat.until("acct-me-1 gpt-5.3-codex: hello");
    chat.types("› ", "/model Opus@anthropic:work");
    chat.until("Auth profile set to anthropic:work.");
    chat.types("claude-opus-4-6 · work › ", "which one?");
    chat.until("work claude-opus-4-6: which one?");
    chat.types("› ", "/model sonnet");
    chat.until("stays anthropic:work");
    chat.types("claude-sonnet-4-6 · work › ", "and now?");
    chat.until("work claude-sonnet-4-6: and now?");
    chat.types("› ", "/model Opus@anthropic:nosuch");
    chat.until("[unknown_profile]");
    chat.types("claude-sonnet-4-6 · work › ", "/quit");
    let (code, is_sane) = chat.ends();
    assert_eq!((code, is_sane), (Some(0), true));
    let accounts: Vec<_> = calls(&world).into_iter().filter_map(|call| call.account).collect();
    assert_eq!(accounts, ["acct-me-1", "work", "work"]);
    // The same session goes on where it was.
    let mut chat = Running::chat(&mut world, 60);
    chat.until("6 messages so far");
    chat.types("claude-sonnet-4-6 · work › ", "\x04");
    assert_eq!(chat.ends().0, Some(0));
}

/// Ctrl-C stops an answer, and not the program; what had come is in the transcript, and the model is not told it again.
#[test]
fn an_answer_is_stopped_and_the_chat_goes_on() {
    let mut world = world();
    let gate = world.sandbox.stream_gate();
    let mut chat = Running::chat(&mut world, 80);
    chat.types("› ", "tell me a long story");
    assert!(gate.wait_arrived(Duration::from_secs(30)));
    // The head of the stream and the first words.
    gate.step(4);
    chat.until("acct-me-1");
    chat.terminal.master.write_all(b"\x03").unwrap();
    chat.until("Stopped.");
    drop(gate);
    chat.types("› ", "again");
    chat.until("acct-me-1 gpt-5.3-codex: again");
    chat.types("› ", "\x04");
    assert_eq!(chat.ends(), (Some(0), true));
    let shown = world.run(&["sessions", "show", "main", "--json"]).json();
    assert_eq!(shown["messageCount"], 3, "{shown}");
}

/// Several lines are one message, and completion knows commands, models and profiles.
#[test]
fn lines_and_completion() {
    let mut world = world();
    let mut chat = Running::chat(&mut world, 80);
    chat.types("› ", "one \\\rtwo");
    chat.until("acct-me-1 gpt-5.3-codex: one");
    chat.types("me@x.test › ", "/model opus@anthropic:w\t");
    chat.until("Auth profile set to anthropic:work.");
    chat.types("work › ", "/unp\t");
    chat.until("No longer pinned to anthropic:work");
    chat.types("› ", "/quit");
    assert_eq!(chat.ends(), (Some(0), true));
    let shown = world.run(&["sessions", "show", "main", "--json"]).json();
    assert_eq!(shown["messages"][0]["text"], "one \ntwo");
}

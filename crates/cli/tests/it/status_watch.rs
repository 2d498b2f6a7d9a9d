//! `models status --watch`: what somebody sees who goes on looking, and that looking changes nothing.

use std::io::{BufRead, BufReader, Read};
use std::num::NonZeroU16;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::profiles::HOUR;
use crate::status_screen::settled;
use crate::terminal::Terminal;
use crate::world::{ME, PROVIDER, World};

const WATCH: &[&str] = &["models", "status", "--watch"];
/// Half a minute more, so that a slow machine shows the same minute.
const SLACK: i64 = 30_000;
const KEY: &str = "groq:cooling";

/// A login whose plan is known, a token that ends, and a key that waits.
pub(crate) fn world() -> World {
    let mut world = World::new();
    world.fingerprint_key();
    let codex = world.state().join("providers/openai-codex.toml");
    let text = std::fs::read_to_string(&codex).unwrap();
    let api = format!("{text}\n[api]\nbase_url = \"{}/backend-api/codex\"\n", world.sandbox.origin());
    world.private(&codex, &api);
    let login = world.login(50 * 60_000 + SLACK).entry;
    let month = 30 * 24 * HOUR;
    let token = json!({
        "type": "token", "provider": "anthropic", "token": "made-up",
        "expires": world.at(10 * 24 * HOUR + SLACK), "issuedAt": world.at(10 * 24 * HOUR + SLACK - month),
    });
    let key = json!({"type": "api_key", "provider": "groq", "key": "made-up"});
    world.seed("main", &[(ME, &login), ("anthropic:ends", &token), (KEY, &key)]);
    let state = json!({"version": 1, "usageStats": {KEY: {"cooldownUntil": world.at(HOUR)}}});
    world.private(&world.store().with_file_name("auth-state.json"), &state.to_string());
    world.run(&["models", "status", "--usage"]).ok();
    world.set("TERM", "xterm");
    world
}

fn some(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// A watch on a terminal, and what it shows.
struct Watch {
    terminal: Terminal,
    screen: vt100::Parser,
    sent: Vec<u8>,
    child: Child,
}

impl Watch {
    fn start(world: &World, columns: u16, more: &[&str]) -> Self {
        let terminal = Terminal::open();
        terminal.resize_to(columns, 40);
        let child = terminal.controls(&world.command(&[WATCH, more].concat())).spawn().unwrap();
        Self { terminal, screen: vt100::Parser::new(some(40), some(columns), 0), sent: Vec::new(), child }
    }

    /// Reads until the screen is as wanted.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut buffer = [0; 4096];
        loop {
            let text = self.screen.screen().contents();
            if wanted(&text) {
                return text;
            }
            let mut fds = [PollFd::new(&self.terminal.master, PollFlags::IN)];
            let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
            let ready = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience))).unwrap();
            assert!(ready > 0, "it stayed as it was:\n{text}");
            let read = self.terminal.master.read(&mut buffer).unwrap_or(0);
            assert!(read > 0, "it ended:\n{text}");
            self.sent.extend_from_slice(&buffer[..read]);
            self.screen.process(&buffer[..read]);
        }
    }

    fn shows(&mut self, wanted: &str) -> String {
        self.until(|text| text.contains(wanted) && text.contains("q ends"))
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.set_size(some(rows), some(columns));
        self.terminal.resize_to(columns, rows);
    }

    fn press(&mut self, keys: &[u8]) {
        std::io::Write::write_all(&mut self.terminal.master, keys).unwrap();
    }

    /// How it ended, with the terminal as it was.
    fn ended(mut self) -> ExitStatus {
        let mut rest = Vec::new();
        self.terminal.master.read_to_end(&mut rest).ok();
        self.sent.extend_from_slice(&rest);
        self.screen.process(&rest);
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the screen was not given back");
        assert_eq!(screen.contents(), "", "something was left on the screen");
        let status = self.child.wait().unwrap();
        assert!(self.terminal.is_sane());
        status
    }
}

/// B1, B11: what somebody sees who watches: bars of what is left and of what is used, in narrow, usual and wide windows,
/// with colours and without; and no window breaks a line where a word does not end.
#[test]
fn b11_bars_in_every_window() {
    let mut world = world();
    let before = world.everything();
    for columns in [60, 80, 140] {
        let mut watch = Watch::start(&world, columns, &["--no-color"]);
        let shown = watch.shows("coderclaw models auth paste-token");
        watch.press(b"q");
        assert!(watch.ended().success());
        // The first line is a path, as long as this machine's folders are.
        let below = shown.split_once("\n\n").unwrap().1;
        insta::assert_snapshot!(format!("watch-{columns}"), settled(&world, below));
    }
    let (refreshed, _) = World::expired();
    refreshed.token().ok();
    let mut watch = Watch::start(&refreshed, 80, &["--no-color"]);
    watch.until(|text| text.contains("Time left") && text.contains("%  refreshed "));
    watch.press(b"q");
    watch.ended();
    let mut watch = Watch::start(&world, 80, &[]);
    watch.shows("Needs attention");
    let coloured = watch.screen.screen().contents_formatted().clone();
    watch.press(b"q");
    watch.ended();
    assert!(coloured.contains("[32m█"), "a bar in the colour of how it stands");
    world.set("NO_COLOR", "1");
    let mut watch = Watch::start(&world, 80, &[]);
    assert!(watch.shows("Needs attention").contains('█'));
    watch.press(b"q");
    let sent = String::from_utf8_lossy(&watch.sent).into_owned();
    let is_colour = |escape: &str| {
        escape.find(|c: char| c.is_ascii_alphabetic()).is_some_and(|at| &escape[at..=at] == "m")
    };
    assert!(!sent.split('\u{1b}').skip(1).any(is_colour), "{sent:?}");
    watch.ended();
    assert_eq!(world.everything(), before, "a look changed something");
}

/// B1, F2: it goes on through whatever becomes of the files, and says what that is.
#[test]
fn b1_a_watch_survives_what_it_looks_at() {
    let world = world();
    let work = world.store_of("work");
    let key = json!({"type": "api_key", "provider": "groq", "key": "made-up"});
    world.seed("work", &[("groq:first", &key)]);
    let asked = world.sandbox.log().len();
    let mut watch = Watch::start(&world, 80, &["--agent", "work"]);
    watch.shows("groq:first");
    let another = json!({"type": "api_key", "provider": "xai", "key": "made-up"});
    world.seed("work", &[("groq:first", &key), ("xai:second", &another)]);
    watch.shows("xai:second");
    // Damaged; then of another window; then whole again.
    world.private(&work, "{torn");
    watch.shows("[corrupt]");
    watch.resize(60, 12);
    watch.shows("[corrupt]");
    world.seed("work", &[("groq:third", &key)]);
    let shown = watch.until(|text| text.contains("groq:third") && !text.contains("corrupt"));
    assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
    // A window with less room than there is to see, and one with none to speak of.
    watch.resize(60, 4);
    watch.until(|text| text.contains("below") && !text.contains("groq:third"));
    watch.press(b"\x1b[B j");
    watch.until(|text| text.contains("groq:third"));
    watch.resize(1, 1);
    watch.resize(80, 24);
    watch.shows("groq:third");
    // A config that is none, and an agent that is no more.
    world.config("{auth: ");
    watch.shows("[config_invalid]");
    world.config("{}");
    watch.shows("groq:third");
    std::fs::remove_dir_all(world.state().join("agents/work")).unwrap();
    watch.until(|text| !text.contains("groq:third") && text.contains("q ends"));
    world.seed("work", &[("groq:back", &key)]);
    watch.shows("groq:back");
    watch.press(&[3]);
    assert!(watch.ended().success());
    assert_eq!(world.sandbox.log().len(), asked, "a look asks nobody");
}

/// B1: a signal ends it too, and the terminal is as it was.
#[test]
fn b1_a_signal_leaves_the_terminal_as_it_was() {
    let world = world();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut watch = Watch::start(&world, 80, &[]);
        watch.shows("q ends");
        // The program itself, which is what setsid became or has started.
        let pid = coderclaw_below(watch.child.id());
        kill_process(pid, signal).unwrap();
        let status = watch.ended();
        assert!(!status.success() || status.signal().is_some(), "{signal:?}: {status}");
    }
}

/// The process that is, or is a child of, this one and is the program.
fn coderclaw_below(parent: u32) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let child = children.split_whitespace().next().map_or(parent, |child| child.parse().unwrap());
    Pid::from_raw(i32::try_from(child).unwrap()).unwrap()
}

fn block(reader: &mut impl BufRead) -> String {
    let mut block = String::new();
    // The command of the last call is the last line of a block in this world.
    while !block.contains("--replace") {
        assert!(reader.read_line(&mut block).unwrap() > 0, "it ended: {block}");
    }
    block
}

/// B1: into a pipe, or on a terminal that cannot draw, it prints words: a block at first, and one for each change. A clock
/// that runs on is no change, nor is a file that says the same. It ends with its reader.
#[test]
fn b1_words_where_nothing_can_be_drawn() {
    let world = world();
    let mut child = world.start(world.command(WATCH).stdin(Stdio::null()));
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let first = block(&mut reader);
    assert!(first.contains(ME) && !first.contains('\u{1b}') && !first.contains('█'), "{first}");
    let store = std::fs::read_to_string(world.store()).unwrap();
    world.private(&world.store(), &store);
    world.private(&world.store(), &format!("{store}\n"));
    // A second, and another, in which only clocks run: seen by what comes next.
    let mut changed: Value = serde_json::from_str(&store).unwrap();
    changed["profiles"]["groq:new"] = changed["profiles"][KEY].clone();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(2_500) {
        let mut fds = [PollFd::new(reader.get_ref(), PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let ready = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&time))).unwrap();
        assert_eq!(ready, 0, "a block that says nothing new");
    }
    world.private(&world.store(), &changed.to_string());
    let second = block(&mut reader);
    assert!(second.starts_with('\n') && second.contains("groq:new"), "{second}");
    drop(reader);
    assert!(child.wait().unwrap().success(), "a reader that has gone is no failure");

    let mut dumb = world;
    dumb.set("TERM", "dumb");
    let mut terminal = Terminal::open();
    let mut child = terminal.controls(&dumb.command(WATCH)).spawn().unwrap();
    let mut shown = String::new();
    terminal.until(&mut shown, "--replace");
    assert!(!shown.contains('\u{1b}') && !shown.contains('█') && shown.contains(PROVIDER), "{shown}");
    kill_process(coderclaw_below(child.id()), Signal::INT).unwrap();
    child.wait().unwrap();
    assert!(terminal.is_sane());
}

/// B9: what cannot be watched is said at once.
#[test]
fn b9_what_cannot_be_watched_is_said() {
    let world = world();
    assert_eq!(world.run(&["models", "status", "--watch", "--agent", "nobody"]).code(), "unknown_agent");
    for other in ["--json", "--plain", "--check", "--probe", "--usage"] {
        assert_eq!(world.run(&[WATCH, &[other]].concat()).code, Some(1), "{other}");
    }
}

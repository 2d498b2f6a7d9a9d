//! `setup-token` at a terminal, with a Claude Code that is a script.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::terminal::Terminal;
use crate::world::World;

const MANUAL: &str = "anthropic:manual";
const QUESTION: &str = "[Y/n] ";
const PASTE: &str = "It is not shown.";

/// As long as real ones, and easy to find in an output.
fn token(mark: &str) -> String {
    let body = format!("{mark}{}", "Ab3-dEf_Gh1jKlMn0pQrStUv".repeat(5));
    format!("sk-ant-oat01-{}", &body[..95])
}

/// A world with a `claude` on the PATH that does this.
fn with_claude(script: &str) -> World {
    let mut world = World::new();
    let folder = world.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("claude");
    std::fs::write(&path, format!("#!/bin/sh\n[ \"$*\" = setup-token ] || exit 9\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.set("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    world
}

/// `setup-token` at a terminal of so many columns.
struct Session {
    terminal: Terminal,
    child: Child,
    shown: String,
}

impl Session {
    fn begin(world: &World, columns: u16, more: &[&str]) -> Self {
        let terminal = Terminal::open();
        terminal.resize(columns);
        let command = world.command(&[&["models", "auth", "setup-token"], more].concat());
        let child = terminal.controls(&command).spawn().unwrap();
        Self { terminal, child, shown: String::new() }
    }

    fn until(&mut self, wanted: &str) -> &mut Self {
        self.terminal.until(&mut self.shown, wanted);
        self
    }

    fn types(&mut self, text: &str) -> &mut Self {
        self.terminal.master.write_all(text.as_bytes()).unwrap();
        self
    }

    /// How it ended, what was on the screen with one blank between words, and whether the terminal is sane.
    fn end(self) -> (ExitStatus, String, bool) {
        let Self { terminal, mut child, mut shown } = self;
        let master = terminal.master.try_clone().unwrap();
        let is_asked_before = shown.contains(PASTE);
        let reader = std::thread::spawn(move || {
            let (mut rest, mut buffer, mut is_ended) = (String::new(), [0; 1024], is_asked_before);
            while let Ok(read @ 1..) = (&master).read(&mut buffer) {
                rest.push_str(&String::from_utf8_lossy(&buffer[..read]));
                // Nobody answers a question that no test has asked for: without this, it would wait for ever.
                if !is_ended && rest.contains(PASTE) {
                    is_ended = true;
                    (&master).write_all(b"\x03").ok();
                }
            }
            rest
        });
        let status = child.wait().unwrap();
        let is_sane = terminal.is_sane();
        shown.push_str(&reader.join().unwrap());
        (status, shown.split_whitespace().collect::<Vec<_>>().join(" "), is_sane)
    }
}

fn alive(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

/// E17: the person answers one question, types into `claude setup-token` as if it ran alone, and its token is in the store:
/// in windows that break it, in colours, drawn twice, with words around it.
#[test]
fn e17_the_token_is_taken_from_claude() {
    let token = token("canary");
    let shows = [
        ("printf '\\033[33m%s\\033[0m\\n' \"$T\"", "as one line"),
        // As programs do that draw a screen of their own.
        ("C=$(stty size | cut -d' ' -f2); printf '%s\\n' \"$T\" | fold -w $C", "broken by the program"),
        (
            "C=$(stty size | cut -d' ' -f2); printf '%s\\n' \"$T\" | cut -c1-50; \
             printf '\\033[1A\\033[2K\\033[G%s\\n' \"$T\"; printf '\\033[%dA\\033[J%s\\n' $((1 + 107 / C)) \"$T\"",
            "redrawn",
        ),
    ];
    for columns in [60, 80, 100, 200] {
        for (show, how) in shows {
            let script = format!(
                "printf 'Paste the code: '; read code; [ \"$code\" = 'abc def' ] || exit 8\nT={token}\n\
                 printf 'Your token (valid for 1 year):\\n\\n'\n{show}\n\
                 printf '\\nStore this token securely.\\n\\nexport CLAUDE_CODE_OAUTH_TOKEN=<token>\\n'"
            );
            let world = with_claude(&script);
            let mut session = Session::begin(&world, columns, &[]);
            session.until(QUESTION).types("\r").until("the code: ").types("abc def\r");
            let (status, shown, is_sane) = session.end();
            assert!(status.success() && is_sane, "{how} {columns}: {shown}");
            assert_eq!(world.entry("main", MANUAL)["token"], token, "{how} {columns}");
            assert!(shown.contains("still on the screen"), "{how}: {shown}");
            // What comes after the program is ours, and has nothing of it.
            let ours = shown.rsplit("The token was taken").next().unwrap();
            assert!(!ours.contains("canary") && !ours.contains("dEf"), "{how} {columns}: {ours}");
        }
    }
}

/// G1, E17: nothing but the store holds the token, and nobody but its owner can read that; with `--yes` nothing is asked, and
/// with `--json` standard output is JSON alone.
#[test]
fn g1_the_token_is_in_the_store_and_nowhere_else() {
    let token = token("canary");
    let world = with_claude(&format!("rm -- \"$0\"; echo {token}"));
    let terminal = Terminal::open();
    let mut command =
        terminal.controls(&world.command(&["models", "auth", "setup-token", "--yes", "--json"]));
    let output = command.stdout(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["profileId"].as_str(), json["mode"].as_str()), (Some(MANUAL), Some("token")));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("canary"));
    let mut holders = Vec::new();
    for (path, _, _, content) in world.everything() {
        if content.windows(6).any(|window| window == b"canary") {
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{path:?}");
            holders.push(path);
        }
    }
    let cache = world.store().with_file_name("auth.json");
    assert_eq!(holders, [world.store(), world.store().with_extension("json.bak"), cache]);
}

/// E17, E11: declined, not there, not a program, failed, and with nothing or half a token to show for it: a sentence says so,
/// and a token can be pasted all the same.
#[test]
fn e17_without_claude_a_token_is_pasted() {
    let token = token("pasted");
    let half = format!("echo {}", &token[..60]);
    let two = format!("echo {}; echo {}", self::token("one"), self::token("two"));
    let table: [(&str, &str, &str); 7] = [
        ("echo never; exit 0", "n\r", "in another window"),
        ("exit 3", "y\r", "exit code 3"),
        ("kill -9 $$", "\r", "signal 9"),
        ("exit 0", "\r", "it showed nothing"),
        ("echo all is well", "\r", "there is no token"),
        (&half, "\r", "truncated (60 characters)"),
        (&two, "YES\r", "2 different tokens"),
    ];
    for (script, answer, said) in table {
        let world = with_claude(script);
        let mut session = Session::begin(&world, 80, &[]);
        session.until(QUESTION).types(answer).until(PASTE);
        session.terminal.wait_for_silence();
        session.types(&format!("{token}\r"));
        let (status, shown, is_sane) = session.end();
        assert!(status.success() && is_sane, "{script}: {shown}");
        assert!(shown.contains(said), "{said}: {shown}");
        assert!(!shown.contains("never"), "it was not run");
        assert_eq!(world.entry("main", MANUAL)["token"], token, "{script}");
    }
    // Not a program: nobody is asked whether it is to be run.
    let world = with_claude("exit 0");
    let path = world.path().join("bin/claude");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut session = Session::begin(&world, 80, &[]);
    session.until(PASTE);
    session.terminal.wait_for_silence();
    session.types(&format!("{token}\r"));
    let (status, shown, _) = session.end();
    assert!(status.success() && !shown.contains(QUESTION.trim()), "{shown}");
}

/// A17, E2: Ctrl-C, a signal, and a terminal that closes end both programs; nothing is stored, and the terminal is as it was.
#[test]
fn e2_what_is_ended_leaves_nothing() {
    for how in ["ctrl-c", "raw", "term", "closed"] {
        // One that has made its terminal raw is sent the character, not the signal.
        let raw =
            if how == "raw" { "stty raw; printf '\\033[?25l\\033[?1049h'; trap 'exit 130' INT;" } else { "" };
        let wait = if how == "raw" { "dd bs=1 count=1 2>/dev/null; exit 130" } else { "read code" };
        let world =
            with_claude(&format!("echo $$ > \"$0.pid\"; {raw} echo ready; {wait}; echo {}", token("canary")));
        let before = world.picture();
        let mut session = Session::begin(&world, 80, &["--yes"]);
        session.until("ready");
        let pid = std::fs::read_to_string(world.path().join("bin/claude.pid")).unwrap();
        let own = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
        let parent = own.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
        let status = match how {
            "term" => {
                let parent = rustix::process::Pid::from_raw(parent.parse().unwrap()).unwrap();
                rustix::process::kill_process(parent, rustix::process::Signal::TERM).unwrap();
                session.end()
            }
            "closed" => {
                let Session { terminal, mut child, shown } = session;
                drop(terminal);
                (child.wait().unwrap(), shown, true)
            }
            _ => {
                session.types("\u{3}");
                session.end()
            }
        };
        let (status, shown, is_sane) = status;
        assert!(!status.success() && is_sane, "{how}: {shown}");
        if how == "raw" {
            assert!(shown.contains("\u{1b}[?25h") && shown.contains("\u{1b}[?1049l"), "{shown:?}");
        }
        let began = Instant::now();
        while alive(&pid) || alive(&parent) {
            assert!(began.elapsed() < Duration::from_secs(10), "{how}: one of them lives on");
            std::thread::yield_now();
        }
        assert_eq!(world.picture(), before, "{how}");
    }
}

/// The program sees the size of the window, also after that has changed, and a program that it leaves behind with the terminal
/// open does not hold the login up.
#[test]
fn the_window_is_passed_on() {
    let token = token("canary");
    let world = with_claude(&format!(
        "trap 'stty size' WINCH; stty size; read x; read y; (trap '' HUP; sleep 30) & echo {token}"
    ));
    let mut session = Session::begin(&world, 70, &["--yes"]);
    session.until("24 70");
    session.terminal.resize(132);
    // A shell runs its trap once what it waits for has ended.
    session.types("\r").until("24 132").types("\r");
    let began = Instant::now();
    let (status, shown, _) = session.end();
    assert!(status.success(), "{shown}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(world.entry("main", MANUAL)["token"], token);
}

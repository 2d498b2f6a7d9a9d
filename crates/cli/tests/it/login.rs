//! Logging in from anywhere: the browser comes back, or its last address is pasted; and whatever goes wrong, the login
//! that was there before is still there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStderr, ChildStdin, Stdio};

use coderclaw_sandbox::{BrowserPage, Fault, On, User, browse};
use serde_json::{Value, json};

use crate::world::{LOGIN, ME, PROVIDER, Ran, World};

/// A login that waits.
pub(crate) struct Waiting {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stderr: BufReader<ChildStderr>,
    /// What it has said so far.
    pub(crate) said: String,
    pub(crate) url: String,
}

impl Waiting {
    /// Starts a login and reads until it waits. Standard input is a pipe that stays open.
    pub(crate) fn start(world: &World, more: &[&str]) -> Self {
        Self::with(world, more, Stdio::piped())
    }

    pub(crate) fn with(world: &World, more: &[&str], stdin: Stdio) -> Self {
        let mut command = world.command(&[LOGIN, more].concat());
        let last = if more.contains(&"--quiet") { "state=" } else { "Ctrl-C" };
        Self::of(world.start(command.stdin(stdin)), last)
    }

    /// A login that was started; `last` is what it says before it waits.
    pub(crate) fn of(mut child: Child, last: &str) -> Self {
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let stdin = child.stdin.take();
        let mut waiting = Self { child, stdin, stderr, said: String::new(), url: String::new() };
        waiting.until(last);
        let url = waiting.said.lines().find(|line| line.starts_with("http"));
        waiting.url = url.expect(&waiting.said).to_owned();
        waiting
    }

    pub(crate) fn until(&mut self, wanted: &str) {
        while !self.said.contains(wanted) {
            let read = self.stderr.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it ended before it said {wanted}: {}", self.said);
        }
    }

    pub(crate) fn paste(&mut self, text: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    /// The last address of a browser on another machine.
    pub(crate) fn ends_at(&self) -> String {
        location(&self.url)
    }

    pub(crate) fn browse(&self) -> BrowserPage {
        browse(&self.url).unwrap()
    }

    /// Waits until it is done, with its standard input still open.
    pub(crate) fn done(mut self) -> Ran {
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut self.said).unwrap();
        Ran { code: self.child.wait().unwrap().code(), stdout, stderr: self.said }
    }
}

/// What it said on standard error, without the line breaks.
pub(crate) fn flat(ran: &Ran) -> String {
    ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The code that a failed login named.
pub(crate) fn code_of(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = flat(ran);
    let error = said.split_once("Error: ").expect(&said).1;
    error.split_once('[').unwrap().1.split(']').next().unwrap().to_owned()
}

/// Where a page leads, without going there.
pub(crate) fn location(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find(|line| line.to_lowercase().starts_with("location:")).expect(&text);
    line.split_once(':').unwrap().1.trim().to_owned()
}

/// A world that has a login of `me@x.test`, and what its store holds.
pub(crate) fn with_login() -> (World, Vec<u8>) {
    let world = World::new();
    let login = world.login(600_000);
    world.seed("main", &[(ME, &login.entry)]);
    let store = std::fs::read(world.store()).unwrap();
    (world, store)
}

pub(crate) fn assert_untouched(world: &World, store: &[u8]) {
    assert_eq!(std::fs::read(world.store()).unwrap(), store, "the store is byte for byte as it was");
}

pub(crate) fn manifest_with_ports(world: &World, ports: &[u16]) {
    let text = world
        .sandbox
        .manifest(PROVIDER)
        .replace("redirect_ports = []", &format!("redirect_ports = {ports:?}"));
    world.private(&world.state().join("providers/openai-codex.toml"), &text);
}

/// E4: the browser may come by either family; the page says so only once the login is on disk.
#[test]
fn e4_e22_the_browser_comes_back_by_either_family() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let world = World::new();
        let waiting = Waiting::with(&world, &["--json"], Stdio::null());
        let port_of =
            |url: &str| url.split_once("://127.0.0.1:").unwrap().1.split('/').next().unwrap().to_owned();
        let end = waiting.ends_at();
        if host == "[::1]" && TcpStream::connect(format!("[::1]:{}", port_of(&end))).is_err() {
            continue;
        }
        let page = browse(&end.replacen("127.0.0.1", host, 1)).unwrap();
        assert_eq!(page.status, 200, "{host}: {page:?}");
        assert!(page.body.contains("You are logged in") && page.body.contains(ME), "{page:?}");
        assert!(world.entry("main", ME)["refresh"].is_string(), "on disk before the page");
        let said: Value = waiting.done().json();
        assert_eq!(
            (&said["profileId"], &said["email"], &said["accountId"], &said["plan"], &said["replaced"]),
            (&json!(ME), &json!("me@x.test"), &json!("acct-me-1"), &json!("plus"), &json!(false))
        );
    }
}

/// E3, E5: on a remote machine the listener and the paste are both live, and the paste wins here.
#[test]
fn e3_e5_the_last_address_is_pasted() {
    let mut world = World::new();
    world.set("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22");
    let mut waiting = Waiting::start(&world, &[]);
    assert!(waiting.said.contains("This is an SSH session"), "{}", waiting.said);
    let end = waiting.ends_at();
    // As a terminal of 80 columns hands it over.
    let (one, two) = end.split_at(70);
    waiting.paste(&format!("{one}\n{two}"));
    let ran = waiting.done();
    let text = ran.ok();
    for part in [ME, "Person: me@x.test", "Workspace: acct-me-1", "Plan: plus"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(world.entry("main", ME)["access"].is_string());
}

/// E5, E7: what is no answer, or another login's, is named and refused, and the same login goes on.
#[test]
fn e5_e7_wrong_pastes_do_not_end_the_wait() {
    let world = World::new();
    let mut waiting = Waiting::start(&world, &[]);
    let end = waiting.ends_at();
    let (address, _) = end.split_once('?').unwrap();
    let table = [
        ("what now?".to_owned(), "neither an address nor a code"),
        (waiting.url.clone(), "the page to open"),
        (format!("{address}?code=abcdefghij"), "state is missing"),
        (format!("{address}?code=abcdefghij&state=of-another-tab"), "from an earlier attempt"),
        ("sk-ant-oat01-canary-canary-canary".to_owned(), "a key or a token"),
        ("a-code-that-was-typed-wrong-9".to_owned(), "does not take this code"),
    ];
    for (text, said) in table {
        waiting.paste(&text);
        waiting.until(said);
    }
    assert!(!waiting.said.contains("canary"));
    // The listener refuses the same, and both go on.
    let stale = browse(&format!("{address}?code=x&state=of-another-tab")).unwrap();
    assert!(stale.status == 400 && stale.body.contains("earlier attempt"), "{stale:?}");
    waiting.paste(&end);
    assert!(waiting.done().ok().contains(ME));
}

/// E7: a code alone is taken in the run that waits for it.
#[test]
fn e7_a_bare_code_is_taken() {
    let world = World::new();
    let mut waiting = Waiting::start(&world, &["--quiet"]);
    let end = waiting.ends_at();
    let code = end.split_once("code=").unwrap().1.split('&').next().unwrap();
    waiting.paste(code);
    assert_eq!(waiting.done().ok(), format!("{ME}\n"));
}

/// E1: with both ports taken the login says so and takes a paste, in the same run; the address names the first port.
#[test]
fn e1_both_ports_taken_leaves_the_paste() {
    let world = World::new();
    let taken = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let ports = taken.each_ref().map(|listener| listener.local_addr().unwrap().port());
    manifest_with_ports(&world, &ports);
    let mut waiting = Waiting::start(&world, &[]);
    assert!(waiting.said.contains("cannot come back by itself"), "{}", waiting.said);
    assert!(waiting.said.contains(&ports[1].to_string()), "{}", waiting.said);
    let end = waiting.ends_at();
    assert!(end.starts_with(&format!("http://127.0.0.1:{}/auth/callback?", ports[0])), "{end}");
    waiting.paste(&end);
    assert!(waiting.done().ok().contains(ME));
    // Where nothing can be pasted either, nobody is made to wait.
    let ran = world.run(LOGIN);
    assert_eq!(code_of(&ran), "input_required");
    let ran = world.run_with_input(LOGIN, "nonsense\n");
    assert_eq!(code_of(&ran), "input_required");
    assert!(flat(&ran).contains("neither an address nor a code"), "{ran:?}");
}

/// E1: a Codex CLI that starts takes the port; the login goes on by paste.
#[test]
fn e1_the_port_is_given_up_and_the_paste_stays() {
    let world = World::new();
    let mut waiting = Waiting::start(&world, &[]);
    let end = waiting.ends_at();
    let origin = end.split_once("/auth").unwrap().0.to_owned();
    assert_eq!(browse(&format!("{origin}/cancel")).unwrap().body, "Login cancelled");
    waiting.until("Another program took the port");
    waiting.paste(&end);
    assert!(waiting.done().ok().contains(ME));
}

/// E6, A17: a refusal ends the login with the provider's words, by page and by paste, and costs nothing.
#[test]
fn e6_a17_denied() {
    let (world, store) = with_login();
    for pastes in [false, true] {
        world.sandbox.deny_next("access_denied", "No seat left");
        let mut waiting = Waiting::start(&world, &[]);
        if pastes {
            let end = waiting.ends_at();
            waiting.paste(&end);
        } else {
            let page = waiting.browse();
            assert!(page.status == 400 && page.body.contains("No seat left"), "{page:?}");
        }
        let ran = waiting.done();
        assert_eq!(code_of(&ran), "login_denied");
        assert!(flat(&ran).contains("access_denied: No seat left"), "{ran:?}");
        assert_untouched(&world, &store);
    }
}

/// C10: who is not expected is not stored, and both are named.
#[test]
fn c10_somebody_else_than_expected() {
    let (world, store) = with_login();
    for (flags, expected) in [
        (["--expect", "you@x.test"], "you@x.test was expected"),
        (["--workspace", "acct-other"], "workspace acct-other was expected"),
    ] {
        let waiting = Waiting::start(&world, &flags);
        let page = waiting.browse();
        assert!(page.status == 400 && page.body.contains("other_identity"), "{page:?}");
        let ran = waiting.done();
        assert_eq!(code_of(&ran), "other_identity");
        let said = flat(&ran);
        assert!(said.contains(expected) && said.contains("me@x.test in workspace acct-me-1"), "{said}");
        assert_untouched(&world, &store);
    }
    let waiting = Waiting::start(&world, &["--expect", "ME@x.test", "--workspace", "acct-me-1"]);
    assert_eq!(waiting.browse().status, 200);
    assert!(waiting.done().ok().contains("Renewed"));
}

/// C9: person and workspace make an identity; none of these three overwrites another, and each is renewed in place.
#[test]
fn c9_three_identities() {
    let world = World::new();
    let people = [
        ("user-me", "me@x.test", "acct-me-1", ME.to_owned()),
        ("user-me", "me@x.test", "team-two-2", format!("{ME}#team-two")),
        ("user-you", "you@x.test", "acct-me-1", format!("{PROVIDER}:you@x.test")),
    ];
    for round in 0..2 {
        for (subject, email, account, id) in &people {
            let user = User { email: (*email).into(), account: (*account).into(), ..User::named(subject) };
            world.sandbox.add_user(user);
            world.sandbox.next_user(email);
            let waiting = Waiting::start(&world, &["--json"]);
            assert_eq!(waiting.browse().status, 200);
            let said = waiting.done().json();
            assert_eq!((&said["profileId"], &said["replaced"]), (&json!(id), &json!(round == 1)), "{said}");
        }
    }
    for (_, email, account, id) in &people {
        let entry = world.entry("main", id);
        assert_eq!((&entry["email"], &entry["accountId"]), (&json!(email), &json!(account)));
    }
}

/// A17, E2: killed while it waits, it leaves the old login and a free port.
#[test]
fn a17_e2_killed_while_it_waits() {
    let (world, store) = with_login();
    for signal in [rustix::process::Signal::KILL, rustix::process::Signal::INT, rustix::process::Signal::TERM]
    {
        let mut waiting = Waiting::start(&world, &[]);
        let end = waiting.ends_at();
        let address = end.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        assert!(TcpStream::connect(&address).is_ok());
        let pid = rustix::process::Pid::from_child(&waiting.child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert!(!waiting.child.wait().unwrap().success());
        assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
        assert_untouched(&world, &store);
    }
}

/// A17, E22: where the exchange or the save fails, the page and the program say so with one code, and the old login stays.
#[test]
fn a17_e22_a_step_that_fails() {
    let (mut world, store) = with_login();
    world.sandbox.script_on(On::Exchange, Fault::status(500), 1);
    let waiting = Waiting::start(&world, &[]);
    let page = waiting.browse();
    assert!(
        page.status == 400 && page.body.contains("login_failed") && page.body.contains("500"),
        "{page:?}"
    );
    assert_eq!(code_of(&waiting.done()), "login_failed");
    assert_untouched(&world, &store);

    world.set("CODERCLAW_FAULT", "store.before_rename:enospc");
    let waiting = Waiting::start(&world, &[]);
    let page = waiting.browse();
    assert!(page.status == 400 && page.body.contains("not_writable"), "{page:?}");
    assert!(!page.body.contains("You are logged in"));
    assert_eq!(code_of(&waiting.done()), "not_writable");
    assert_untouched(&world, &store);

    for point in ["store.write", "store.before_rename"] {
        world.set("CODERCLAW_FAULT", format!("{point}:kill"));
        let waiting = Waiting::start(&world, &[]);
        // The browser is left without an answer.
        assert!(browse(&waiting.url).is_err());
        assert_eq!(waiting.done().code, None);
        assert_untouched(&world, &store);
    }
    world.unset("CODERCLAW_FAULT");

    world.sandbox.policy(|policy| policy.send_iss = true);
    let text = world.sandbox.manifest(PROVIDER);
    let issuer = format!("issuer = \"{}\"", world.sandbox.origin());
    let other = text.replace(&issuer, "issuer = \"https://other.test\"");
    assert_ne!(text, other);
    world.private(&world.state().join("providers/openai-codex.toml"), &other);
    for pastes in [false, true] {
        let mut waiting = Waiting::start(&world, &[]);
        if pastes {
            let end = waiting.ends_at();
            waiting.paste(&end);
        } else {
            assert_eq!(waiting.browse().status, 400);
        }
        assert_eq!(code_of(&waiting.done()), "login_denied", "another issuer answered");
        assert_untouched(&world, &store);
    }
}

/// E13: a scope that is needed and was not granted ends the login, by its name.
#[test]
fn e13_a_scope_that_was_not_granted() {
    let (world, store) = with_login();
    let text = world.sandbox.manifest(PROVIDER) + "required_scopes = [\"offline_access\"]\n";
    world.private(&world.state().join("providers/openai-codex.toml"), &text);
    world.sandbox.policy(|policy| policy.granted_scope = Some("openid email".into()));
    let waiting = Waiting::start(&world, &[]);
    assert_eq!(waiting.browse().status, 400);
    let ran = waiting.done();
    assert_eq!(code_of(&ran), "login_failed");
    assert!(flat(&ran).contains("offline_access"), "{ran:?}");
    assert_untouched(&world, &store);
}

/// A new login is not held back by what the old one did.
#[test]
fn a_cooldown_ends_with_the_login() {
    let (world, _) = with_login();
    let state = world.store().with_file_name("auth-state.json");
    let usage = json!({"version": 1, "usageStats": {
        ME: {"lastUsed": 5, "cooldownUntil": 9_000_000_000_000_i64, "disabledUntil": 9_000_000_000_000_i64,
             "disabledReason": "billing", "errorCount": 4, "failureCounts": {"billing": 4}, "own": 1},
        "openai-codex:you": {"errorCount": 2},
    }});
    world.private(&state, &usage.to_string());
    let waiting = Waiting::start(&world, &[]);
    assert_eq!(waiting.browse().status, 200);
    waiting.done().ok();
    let now: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    assert_eq!(now["usageStats"][ME], json!({"lastUsed": 5, "errorCount": 0, "own": 1}));
    assert_eq!(now["usageStats"]["openai-codex:you"], json!({"errorCount": 2}));
    assert_eq!(std::fs::metadata(&state).unwrap().mode() & 0o777, 0o600);
}

/// The same person in another agent's store is pointed out, and left alone.
#[test]
fn another_agent_with_the_same_person() {
    let world = World::new();
    let login = world.login(600_000);
    world.seed("work", &[("openai-codex:mine", &login.entry)]);
    let before = std::fs::read(world.store_of("work")).unwrap();
    let waiting = Waiting::start(&world, &["--agent", "main"]);
    if waiting.browse().status != 200 {
        panic!("{}", waiting.done().stderr);
    }
    let text = waiting.done().ok();
    assert!(text.contains("Agent work") && text.contains("openai-codex:mine"), "{text}");
    assert_eq!(std::fs::read(world.store_of("work")).unwrap(), before);
}

/// E8: the address stands on one line, and in a private file, and as a code.
#[test]
fn e8_the_address_in_every_form() {
    let world = World::new();
    let file = world.path().join("url.txt");
    std::fs::write(&file, "old").unwrap();
    let waiting = Waiting::start(&world, &["--qr", "--no-browser", "--url-file", "url.txt"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{}\n", waiting.url));
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert!(waiting.said.lines().filter(|line| line.contains('█')).count() > 30, "{}", waiting.said);
    assert!(!waiting.said.contains('\u{1b}'), "no escape sequences into a pipe");
    assert_eq!(waiting.browse().status, 200);
    waiting.done().ok();
    let ran = world.run(&[LOGIN, &["--url-file", "/proc/none/url.txt"]].concat());
    assert_eq!(code_of(&ran), "not_writable");
}

//! Logging in at a real terminal.

use std::io::Write;
use std::net::TcpListener;
use std::process::Child;

use coderclaw_sandbox::browse;

use crate::login::{location, manifest_with_ports};
use crate::terminal::Terminal;
use crate::world::{LOGIN, ME, PROVIDER, World};

/// What the person does once the address is shown.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    /// The browser on this machine, by IPv4 or as the address says.
    Browses,
    /// The same, by IPv6.
    BrowsesIpv6,
    /// The browser elsewhere; its last address is typed in.
    Pastes,
    /// Ctrl-C.
    Interrupts,
    /// Says no on the provider's page.
    Denies,
}

/// A login at a terminal: the store afterwards, and what was on the screen.
fn login(world: &World, does: Does) -> (Option<i32>, String) {
    let terminal = Terminal::open();
    let child = terminal.controls(&world.command(LOGIN)).spawn().unwrap();
    go_on(world, terminal, child, does)
}

fn go_on(world: &World, mut terminal: Terminal, mut child: Child, does: Does) -> (Option<i32>, String) {
    let mut shown = String::new();
    terminal.until(&mut shown, "Ctrl-C");
    let url = shown.lines().find_map(|line| line.find("http").map(|at| line[at..].trim().to_owned()));
    let url = url.expect(&shown);
    let url = url.split('\u{1b}').next().unwrap().to_owned();
    match does {
        Does::Browses => assert!(browse(&url).unwrap().body.contains("stored")),
        Does::BrowsesIpv6 => {
            let callback = location(&url).replacen("127.0.0.1", "[::1]", 1);
            assert!(browse(&callback).unwrap().body.contains("stored"));
        }
        Does::Pastes => terminal.master.write_all(format!("{}\r", location(&url)).as_bytes()).unwrap(),
        Does::Interrupts => terminal.master.write_all(b"\x03").unwrap(),
        Does::Denies => {
            world.sandbox.deny_next("access_denied", "not today");
            browse(&url).unwrap();
        }
    }
    // Read on, so that a full screen never holds the program up.
    let reader = std::thread::spawn(move || {
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut terminal.master, &mut rest).ok();
        String::from_utf8_lossy(&rest).into_owned()
    });
    let code = child.wait().unwrap().code();
    shown.push_str(&reader.join().unwrap());
    // A narrow screen breaks lines between words.
    (code, shown.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// E1, E3, E4: at a terminal, by either family, by paste, over SSH, with the port taken.
#[test]
fn e3_a_login_at_a_terminal_from_anywhere() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let cases: [(&str, Does, bool, &[u16]); 5] = [
        ("ipv4", Does::Browses, false, &[]),
        ("ipv6", Does::BrowsesIpv6, false, &[]),
        ("paste", Does::Pastes, false, &[]),
        ("ssh", Does::Pastes, true, &[]),
        ("taken", Does::Pastes, false, &[port]),
    ];
    for (name, does, ssh, ports) in cases {
        let mut world = World::new();
        if ssh {
            world.set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
        }
        if !ports.is_empty() {
            manifest_with_ports(&world, ports);
        }
        let (code, shown) = login(&world, does);
        assert_eq!(code, Some(0), "{name}: {shown}");
        assert!(shown.contains(ME), "{name}: {shown}");
        assert_eq!(world.entry("main", ME)["accountId"], "acct-me-1", "{name}");
    }
}

/// A17, E6: denied or interrupted at a terminal, the login that was there is there, byte for byte.
#[test]
fn a17_a_login_at_a_terminal_that_ends_early() {
    let world = World::new();
    let old = world.login(3_600_000);
    world.seed("main", &[(ME, &old.entry)]);
    let before = std::fs::read(world.store()).unwrap();
    let (code, shown) = login(&world, Does::Denies);
    assert_eq!(code, Some(1));
    assert!(shown.contains("not today") && shown.contains("login_denied"), "{shown}");
    let (code, _) = login(&world, Does::Interrupts);
    assert_ne!(code, Some(0));
    assert_eq!(std::fs::read(world.store()).unwrap(), before);
    assert_eq!(world.token().ok().trim(), old.access.expose());
}

/// Where no provider is named a menu asks, by number or id; a script is told the ids instead. Nothing chosen changes nothing.
#[test]
fn e11_a_provider_that_is_not_named() {
    const UNNAMED: &[&str] = &["models", "auth", "login"];
    let world = World::new();
    let told = world.run(UNNAMED);
    assert_eq!((told.code(), told.code), ("input_required", Some(1)));
    assert!(told.stderr.contains("openai-codex, "), "{told:?}");

    let ask = |terminal: &mut Terminal, answer: &dyn Fn(&str) -> String| {
        let child = terminal.controls(&world.command(UNNAMED)).spawn().unwrap();
        let mut shown = String::new();
        terminal.until(&mut shown, "Number or id:");
        terminal.master.write_all(format!("{}\r", answer(&shown)).as_bytes()).unwrap();
        child
    };
    let number = |shown: &str| {
        let line = shown.lines().find(|line| line.contains("  openai-codex ")).expect(shown);
        line.split_whitespace().next().unwrap().to_owned()
    };
    for answer in [&number as &dyn Fn(&str) -> String, &|_| PROVIDER.to_owned()] {
        let mut terminal = Terminal::open();
        let child = ask(&mut terminal, answer);
        let (code, shown) = go_on(&world, terminal, child, Does::Browses);
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains(ME), "{shown}");
    }
    let before = std::fs::read(world.store()).unwrap();
    for (answer, says) in
        [("", "nothing was chosen"), ("99", "no provider is called"), ("nobody", "no provider is called")]
    {
        let mut terminal = Terminal::open();
        let mut child = ask(&mut terminal, &|_| answer.to_owned());
        let mut shown = String::new();
        terminal.until(&mut shown, says);
        assert_eq!(child.wait().unwrap().code(), Some(1), "{shown}");
    }
    assert_eq!(std::fs::read(world.store()).unwrap(), before);
}

//! Logins that meet the machine's edges: killed at the worst moment, without a port, with a browser that hangs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Fault, Kind, On};

use crate::login::{Waiting, assert_untouched, code_of, flat, manifest_with_ports, with_login};
use crate::world::{LOGIN, ME, Ran, World};

const PATIENCE: Duration = Duration::from_secs(30);

/// A17, F1: killed while the code is on its way to be exchanged, or its tokens on their way back, the old login is there byte
/// for byte and works, nothing lies about, and the next login works.
#[test]
fn a17_killed_while_the_exchange_is_outstanding() {
    for fault in [Fault::HangBeforeRotate, Fault::RotateThenDelay(Duration::from_secs(600))] {
        let (world, store) = with_login();
        let before = world.picture();
        world.sandbox.script_on(On::Exchange, fault.clone(), 1);
        let mut waiting = Waiting::start(&world, &[]);
        let url = waiting.url.clone();
        let browser = std::thread::spawn(move || coderclaw_sandbox::browse(&url).is_err());
        let is_there =
            world.sandbox.wait_for(PATIENCE, |log| log.iter().any(|seen| seen.kind == Kind::Exchange));
        assert!(is_there, "the exchange never came");
        let pid = rustix::process::Pid::from_child(&waiting.child);
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert!(!waiting.child.wait().unwrap().success());
        assert!(browser.join().unwrap(), "no page says that it is done");
        assert_untouched(&world, &store);
        // Lock files are made once and stay; there is nothing else.
        let left: Vec<PathBuf> = world.picture().into_iter().map(|(path, ..)| path).collect();
        let new = left.iter().filter(|path| !before.iter().any(|(known, ..)| known == *path));
        let odd: Vec<_> = new.filter(|path| !path.starts_with(world.state().join("locks"))).collect();
        assert!(odd.is_empty(), "{fault:?}: {odd:?}");
        assert!(world.token().ok().len() > 10);
        let (ran, page) = world.log_in(&[]);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(ran.ok().contains(ME));
    }
}

/// E1: a port that the system does not let this account have costs a sentence; the login goes on by paste.
#[test]
fn e1_a_port_that_is_not_ours_to_have() {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if start.trim().parse::<u16>().unwrap() <= 1 {
        // This machine gives every port to everybody: there is nothing to be refused. The sentence has a test of its own.
        return;
    }
    let world = World::new();
    manifest_with_ports(&world, &[1]);
    let inner = world.command(LOGIN);
    // Root may have any port; without this one right it is as everybody else.
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if is_root { "/usr/bin/setpriv" } else { "/usr/bin/env" });
    if is_root {
        command.args(["--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]);
    }
    command.arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut waiting = Waiting::of(world.start(command.stdin(Stdio::piped())), "Ctrl-C");
    assert!(
        waiting
            .said
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("does not let this account have it")
    );
    let end = waiting.ends_at();
    assert!(end.starts_with("http://127.0.0.1:1/"), "{end}");
    waiting.paste(&end);
    assert!(waiting.done().ok().contains(ME));
    // And where nothing can be pasted, it says so at once.
    let began = Instant::now();
    let ran = Ran::from(command.stdin(Stdio::null()).output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(code_of(&ran), "input_required");
    assert!(flat(&ran).contains("does not let this account have it"), "{ran:?}");
}

/// A world with a browser that notes what it is given, and then never ends.
fn with_browser() -> (World, PathBuf) {
    let mut world = World::new();
    let browser = world.path().join("bin/open-page");
    std::fs::create_dir_all(browser.parent().unwrap()).unwrap();
    let script = "#!/bin/sh\necho $$ > \"$0.pid\"\nprintf '%s\\n' \"$@\" > \"$0.tmp\"\nmv \"$0.tmp\" \"$0.got\"\nexec sleep 600\n";
    std::fs::write(&browser, script).unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.set("BROWSER", browser.to_str().unwrap());
    (world, browser)
}

/// E3: the browser is opened with the very address that is on the screen, and nothing waits for it: it hangs, and the login is
/// done all the same. With `--no-browser`, or with one of the terminal's own, none is started.
#[test]
fn e3_the_browser_is_opened_and_not_waited_for() {
    let (mut world, browser) = with_browser();
    let got = browser.with_extension("got");
    let waiting = Waiting::start(&world, &[]);
    assert!(waiting.said.contains("A browser opens this page"), "{}", waiting.said);
    let began = Instant::now();
    while !got.exists() {
        assert!(began.elapsed() < PATIENCE, "no browser was opened");
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_to_string(&got).unwrap(), format!("{}\n", waiting.url));
    assert_eq!(waiting.browse().status, 200);
    let began = Instant::now();
    assert!(waiting.done().ok().contains(ME));
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for the browser");
    let pid = std::fs::read_to_string(browser.with_extension("pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();

    std::fs::remove_file(&got).unwrap();
    let quiet = |world: &World, more: &[&str]| {
        let waiting = Waiting::start(world, more);
        assert!(waiting.said.contains("Open this page in a browser"), "{}", waiting.said);
        assert_eq!(waiting.browse().status, 200);
        waiting.done().ok();
        assert!(!got.exists(), "{more:?}");
    };
    quiet(&world, &["--no-browser"]);
    world.set("BROWSER", "/usr/bin/w3m");
    world.set("SSH_TTY", "/dev/pts/9");
    quiet(&world, &[]);
}

/// E3: one that does not exist, or fails, costs nothing.
#[test]
fn e3_a_browser_that_fails_costs_nothing() {
    let (mut world, browser) = with_browser();
    std::fs::write(&browser, "#!/bin/sh\nexit 3\n").unwrap();
    for path in [browser.to_str().unwrap(), "/no/such/browser"] {
        world.set("BROWSER", path);
        let waiting = Waiting::start(&world, &[]);
        assert_eq!(waiting.browse().status, 200, "{path}");
        assert!(waiting.done().ok().contains(ME));
    }
}

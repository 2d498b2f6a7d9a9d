//! A login in two processes: begun by one, finished by another.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Duration;

use coderclaw_sandbox::{Fault, On};

use crate::login::{assert_untouched, code_of, flat, location, with_login};
use crate::world::{ME, PROVIDER, Ran, World};

const START: &[&str] = &["models", "auth", "login", "start", "--provider", PROVIDER];

fn start(world: &World, more: &[&str]) -> (String, String) {
    let said = world.run(&[START, more, &["--json"]].concat()).json();
    assert!(said["expiresAt"].as_i64().unwrap() > crate::world::now().0);
    (said["id"].as_str().unwrap().to_owned(), said["url"].as_str().unwrap().to_owned())
}

fn finish(world: &World, id: &str, input: &str) -> Ran {
    let mut command = world.command(&["models", "auth", "login", "finish", id]);
    let mut child = world.start(command.stdin(Stdio::piped()));
    // One that refuses the id does not read at all.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    Ran::from(child.wait_with_output().unwrap())
}

fn waiting_files(world: &World) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(world.state().join("logins")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// E3, E12: a login in two processes, whose file is private, serves once and is gone.
#[test]
fn e3_a_login_in_two_processes() {
    let (world, store) = with_login();
    let (id, url) = start(&world, &["--expect", "me@x.test"]);
    let files = waiting_files(&world);
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::metadata(&files[0]).unwrap().mode() & 0o777, 0o600);
    assert!(!url.contains(&std::fs::read_to_string(&files[0]).unwrap()));
    assert_untouched(&world, &store);
    let end = location(&url);
    let (address, _) = end.split_once('?').unwrap();
    for (wrong, code) in [
        (String::new(), "input_required"),
        ("hello there".into(), "login_failed"),
        (format!("{address}?code=abcdefghij&state=other"), "login_failed"),
        (url.clone(), "login_failed"),
    ] {
        let ran = finish(&world, &id, &wrong);
        assert_eq!(code_of(&ran), code, "{wrong}: {ran:?}");
        assert!(flat(&ran).contains(&format!("login finish {id}")), "{ran:?}");
        assert_eq!(waiting_files(&world).len(), 1, "it still waits");
    }
    assert_untouched(&world, &store);
    assert!(finish(&world, &id, &end).ok().contains("Renewed"));
    assert!(waiting_files(&world).is_empty());
    assert_eq!(code_of(&finish(&world, &id, &end)), "login_failed", "used twice");
    for wrong in ["0123456789abcdef0123456789abcdef", "../../x", "x"] {
        let ran = finish(&world, wrong, &end);
        assert_eq!(code_of(&ran), "login_failed", "{wrong}");
        assert!(ran.stderr.ends_with("next: coderclaw models auth login start --help\n"), "{ran:?}");
    }
}

/// E3: what the first process was told counts in the second; an answer uses the login up whatever comes of it.
#[test]
fn e3_a_login_in_two_processes_that_fails() {
    let (mut world, store) = with_login();
    let (id, url) = start(&world, &["--expect", "you@x.test"]);
    assert_eq!(code_of(&finish(&world, &id, &location(&url))), "other_identity");
    let (id, url) = start(&world, &[]);
    world.sandbox.deny_next("access_denied", "No seat left");
    let ran = finish(&world, &id, &location(&url));
    assert!(code_of(&ran) == "login_denied" && flat(&ran).contains("No seat left"), "{ran:?}");
    let (id, url) = start(&world, &[]);
    world.sandbox.script_on(On::Exchange, Fault::status(500), 1);
    assert_eq!(code_of(&finish(&world, &id, &location(&url))), "login_failed");
    assert!(waiting_files(&world).is_empty());
    let (id, url) = start(&world, &[]);
    let ran = world.run_with_input(&["models", "auth", "login", "finish", &id, "--agent", "work"], "");
    assert_eq!(code_of(&ran), "usage");
    let end = location(&url);
    world.shift_clock(Duration::from_secs(15 * 60 + 1));
    let ran = finish(&world, &id, &end);
    assert!(code_of(&ran) == "login_failed" && flat(&ran).contains("15 minutes"), "{ran:?}");
    assert!(waiting_files(&world).is_empty());
    assert_untouched(&world, &store);
}

/// E3: two that finish one login at once: the code is redeemed by one.
#[test]
fn e3_two_that_finish_at_once() {
    let world = World::new();
    let (id, url) = start(&world, &[]);
    let end = location(&url);
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let both: Vec<_> = (0..4).map(|_| scope.spawn(|| finish(&world, &id, &end))).collect();
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(ran.iter().filter(|ran| ran.code == Some(0)).count(), 1, "{ran:?}");
    assert!(world.entry("main", ME)["refresh"].is_string());
}

//! Logging in with a browser for a key.

use std::io::Write;
use std::process::Stdio;

use coderclaw_sandbox::{Body, Fault, Kind, On, Reply, browse};
use serde_json::Value;

use crate::login::{Waiting, code_of, flat, location};
use crate::world::{Ran, World};

const LOGIN: &[&str] = &["models", "auth", "login", "--provider", "openrouter"];

/// A world in which the provider's page and its keys are the sandbox's.
fn world() -> World {
    let world = World::new();
    let origin = world.sandbox.origin();
    let text = format!(
        "extends = \"openrouter\"\n\n[[auth]]\nmethod = \"oauth-key\"\nauthorize_url = \"{origin}/auth\"\n\
         token_url = \"{origin}/api/v1/auth/keys\"\n"
    );
    world.private(&world.state().join("providers/openrouter.toml"), &text);
    world
}

fn waiting(world: &World, more: &[&str], stdin: Stdio) -> Waiting {
    Waiting::of(world.start(world.command(&[LOGIN, more].concat()).stdin(stdin)), "Ctrl-C")
}

fn log_in(world: &World, more: &[&str]) -> String {
    let (ran, page) = world.log_in_with(&mut world.command(&[LOGIN, more, &["--json"]].concat()));
    assert_eq!(page.status, 200, "{page:?}");
    let said = ran.json();
    said["profileId"].as_str().unwrap().to_owned()
}

fn key(world: &World, id: &str) -> String {
    let entry = world.entry("main", id);
    assert_eq!(entry["type"], "api_key", "{entry}");
    entry["key"].as_str().unwrap().to_owned()
}

/// E14: a login in the browser brings a key, which is stored and lent as one, is metered, and is shown nowhere.
#[test]
fn e14_a_login_that_brings_a_key() {
    let world = world();
    let waiting = waiting(&world, &[], Stdio::null());
    assert!(waiting.said.contains("Nobody has tried this login"), "{}", waiting.said);
    assert!(!waiting.url.contains("client_id") && waiting.url.contains("code_challenge="), "{}", waiting.url);
    let page = browse(&waiting.url).unwrap();
    assert!(page.status == 200 && page.body.contains("openrouter:default is stored"), "{page:?}");
    let ran = waiting.done();
    let key = key(&world, "openrouter:default");
    assert!(!ran.stdout.contains(&key) && !ran.stderr.contains(&key) && !page.body.contains(&key));
    let lent = world.run(&["models", "auth", "token", "--provider", "openrouter"]).ok();
    assert_eq!(lent.trim(), key);
    let list = world.run(&["models", "auth", "list", "--json"]).ok();
    assert!(list.contains("\"api_key\"") && !list.contains(&key), "{list}");
}

/// C6, A17: another key takes the place of none but the same user's.
#[test]
fn c6_a_second_key() {
    let world = world();
    assert_eq!(log_in(&world, &[]), "openrouter:default");
    let first = key(&world, "openrouter:default");
    assert_eq!(log_in(&world, &[]), "openrouter:default-2");
    assert_eq!(key(&world, "openrouter:default"), first);
    world.sandbox.policy(|policy| policy.keys_name_users = true);
    assert_eq!(log_in(&world, &[]), "openrouter:user-me");
    let old = key(&world, "openrouter:user-me");
    assert_eq!(log_in(&world, &[]), "openrouter:user-me", "the same user's");
    assert_ne!(key(&world, "openrouter:user-me"), old);
    assert_eq!(log_in(&world, &["--profile-id", "openrouter:work"]), "openrouter:work");
    // A key cannot be given back, so that none is made in vain.
    let keys = world.sandbox.log().iter().filter(|seen| seen.kind == Kind::Key).count();
    let ran = world.run(&[LOGIN, &["--profile-id", "openrouter:default"]].concat());
    assert_eq!(code_of(&ran), "id_taken");
    assert!(!ran.stderr.contains("http"), "{ran:?}");
    assert_eq!(world.sandbox.log().iter().filter(|seen| seen.kind == Kind::Key).count(), keys);
    assert_eq!(log_in(&world, &["--profile-id", "openrouter:default", "--replace"]), "openrouter:default");
    assert_ne!(key(&world, "openrouter:default"), first);
}

/// E7: the state is part of the address that the page leads back to; a wrong one or none is no answer, in the browser or pasted.
#[test]
fn e7_the_state_counts_here_too() {
    let world = world();
    let mut waiting = waiting(&world, &[], Stdio::piped());
    let end = location(&waiting.url);
    let (before, state) = end.split_once("state=").unwrap();
    let state = state.split('&').next().unwrap();
    let code = end.split_once("code=").unwrap().1;
    // One time in 64 it begins with an x by itself.
    let other = if state.starts_with('x') { "y" } else { "x" };
    for wrong in [format!("{before}state={other}{}&code={code}", &state[1..]), format!("{before}code={code}")]
    {
        assert_eq!(browse(&wrong).unwrap().status, 400, "{wrong}");
        waiting.paste(&wrong);
    }
    waiting.until("state");
    assert_eq!(browse(&end).unwrap().status, 200);
    waiting.done().ok();
    key(&world, "openrouter:default");
}

/// E22: what goes wrong with the exchange is on the page and in the exit, and nothing is stored.
#[test]
fn e22_an_exchange_that_brings_no_key() {
    let refusal = Reply::new(403, Body::Json(r#"{"error":{"code":403,"message":"Invalid code"}}"#.into()));
    for (fault, words) in [
        (Fault::Reply(refusal), "Invalid code"),
        (Fault::status(500), "500"),
        (Fault::html_200(), "no usable key"),
        (Fault::DropBeforeRotate, "could not be exchanged"),
        (Fault::HugeBody, "longer than"),
        (Fault::Reply(Reply::new(200, Body::Json(r#"{"key":"a","key":"b"}"#.into()))), "no usable key"),
    ] {
        let world = world();
        let waiting = waiting(&world, &[], Stdio::null());
        world.sandbox.script_on(On::Key, fault.clone(), 1);
        let page = browse(&waiting.url).unwrap();
        assert!(page.status == 400 && page.body.contains("login_failed"), "{fault:?}: {page:?}");
        let ran = waiting.done();
        assert_eq!(code_of(&ran), "login_failed", "{fault:?}");
        assert!(flat(&ran).contains(words), "{fault:?}: {ran:?}");
        assert!(!world.store().exists() || !world.text().contains("openrouter:"));
    }
}

/// E12, A17: in two processes; and a login that is killed while it waits leaves nothing.
#[test]
fn e12_a_key_in_two_processes() {
    let world = world();
    let mut killed = waiting(&world, &[], Stdio::null());
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(!world.store().exists());

    let start = ["models", "auth", "login", "start", "--provider", "openrouter", "--json"];
    let started = world.run(&start).json();
    let end = location(started["url"].as_str().unwrap());
    let id = started["id"].as_str().unwrap();
    let both: Vec<Ran> = std::thread::scope(|scope| {
        let finish = || {
            let words = ["models", "auth", "login", "finish", id, "--json"];
            let mut child = world.start(world.command(&words).stdin(Stdio::piped()));
            // Who comes too late reads nothing.
            child.stdin.take().unwrap().write_all(end.as_bytes()).ok();
            Ran::from(child.wait_with_output().unwrap())
        };
        let all: Vec<_> = (0..3).map(|_| scope.spawn(finish)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let good: Vec<&Ran> = both.iter().filter(|ran| ran.code == Some(0)).collect();
    assert_eq!(good.len(), 1, "{both:?}");
    let said: Value = serde_json::from_str(&good[0].stdout).unwrap();
    assert_eq!(said["profileId"], "openrouter:default");
    key(&world, "openrouter:default");
}

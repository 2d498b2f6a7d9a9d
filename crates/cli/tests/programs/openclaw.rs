//! openclaw, which the stores come from, at work on our state dir: it reads and refreshes while we do.

use std::time::Duration;

use coderclaw_sandbox::{Fault, Grant};
use serde_json::{Value, json};

use crate::field::{Field, LIMIT, Program, is_served};
use crate::running::{Done, Running};
use crate::world::{ME, PROVIDER, TOKEN};

/// Far more than it takes to start.
const SOON: Duration = Duration::from_secs(90);

/// A field with one state dir for both, and a login in it that has expired.
fn expired() -> (Field, Grant) {
    let field = Field::shared();
    let grant = field.grant(true);
    give(&field, "main", &grant);
    (field, grant)
}

/// Seeds the store once more, as openclaw would write it, and openclaw's config.
fn give(field: &Field, agent: &str, grant: &Grant) {
    field.give(Program::Openclaw, agent, grant);
}

fn ours(field: &Field, count: usize) -> Vec<Running> {
    (0..count).map(|_| Running::start(field.command(Program::Coderclaw, "main", TOKEN))).collect()
}

/// Everybody was served with the token that the store now holds, which the provider saw asked for once.
fn one_refresh(field: &Field, grant: &Grant, ours: Vec<Running>, theirs: Vec<Running>) {
    let (access, before) = (|| field.held(Program::Coderclaw, "main").0, field.world.sandbox.counts());
    let theirs: Vec<Done> = theirs.into_iter().map(|one| one.end(LIMIT)).collect();
    assert!(theirs.iter().all(is_served), "{theirs:?}");
    for done in ours.into_iter().map(|one| one.end(LIMIT)) {
        assert_eq!(done.ok().trim(), access().expose());
    }
    assert_eq!((field.sent(grant), field.world.sandbox.counts().reuses), (1, before.reuses));
    assert!(field.lives(Program::Coderclaw, "main"));
    let lock = field.world.store().with_file_name("auth-profiles.json.lock");
    assert!(!lock.exists(), "nobody has left a lock");
}

fn openclaw(field: &Field, arguments: &[&str]) -> Value {
    let done = Running::start(field.command(Program::Openclaw, "main", arguments)).end(LIMIT);
    let out = done.ok();
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

/// The entry of the store, changed by hand.
fn change(field: &Field, agent: &str, how: impl FnOnce(&mut Value)) {
    let path = field.world.store_of(agent);
    let mut store: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    how(&mut store);
    field.world.private(&path, &format!("{store:#}\n"));
}

fn expire(field: &Field, agent: &str) {
    let (access, _) = field.held(Program::Coderclaw, agent);
    field.world.sandbox.reject_access(&access);
    change(field, agent, |store| store["profiles"][ME]["expires"] = json!(crate::world::now().0 - 1_000));
}

/// A1, F9: we refresh, and the provider takes its time. openclaw starts meanwhile, waits at its own lock, and takes over what
/// has come.
#[test]
fn a1_f9_openclaw_waits_for_us() {
    let (field, grant) = expired();
    field.world.sandbox.script(Fault::RotateThenDelay(Duration::from_secs(15)), 1);
    let ours = ours(&field, 8);
    assert!(field.world.sandbox.wait_for(SOON, |seen| !seen.is_empty()), "the request is there");
    let theirs = vec![field.prompt(Program::Openclaw, "main", 1)];
    one_refresh(&field, &grant, ours, theirs);
}

/// A1, F9: openclaw refreshes, and the provider takes its time. We wait for three seconds at most, say who is at it, and send
/// nothing; once it is done, its token is ours too.
#[test]
fn a1_f9_we_wait_for_openclaw() {
    let (field, grant) = expired();
    let gate = field.world.sandbox.gate();
    let theirs = vec![field.prompt(Program::Openclaw, "main", 1)];
    assert!(gate.wait_arrived(SOON), "the request is there");
    for done in ours(&field, 2).into_iter().map(|one| one.end(LIMIT)) {
        assert!(done.code == Some(1) && done.err.contains("[locked]"), "{done:?}");
    }
    // What came of it holds for a moment; after that they wait again.
    let waiting = ours(&field, 8);
    gate.open();
    for done in waiting.into_iter().map(|one| one.end(LIMIT)) {
        assert!(done.code == Some(0) || done.err.contains("[locked]"), "{done:?}");
    }
    for one in theirs {
        assert!(is_served(&one.end(LIMIT)));
    }
    let tries = field.until_served(Program::Coderclaw, "main");
    assert!(tries.served_after.is_some(), "{tries:?}");
    one_refresh(&field, &grant, ours(&field, 1), Vec::new());
}

/// A1: whoever comes first: three of openclaw and sixteen of ours find the login expired, three times over.
#[test]
fn a1_at_once() {
    for _ in 0..3 {
        let (field, grant) = expired();
        let theirs = (1..=3).map(|number| field.prompt(Program::Openclaw, "main", number)).collect();
        // Some of ours are there before openclaw has started, some while it is at it.
        let mut all = ours(&field, 4);
        if field.world.sandbox.wait_for(Duration::from_secs(2), |seen| !seen.is_empty()) {
            all.extend(ours(&field, 12));
        }
        one_refresh(&field, &grant, all, theirs);
    }
}

/// F9: each reads what the other has written: the state of a login, an order, a refreshed token; and nothing of ours in an entry
/// is lost when openclaw writes it.
#[test]
fn f9_each_reads_what_the_other_wrote() {
    let (field, grant) = expired();
    change(&field, "main", |store| {
        store["profiles"][ME]["x-note"] = json!({"kept": [1, 2]});
        store["profiles"]["openai:manual"] =
            json!({"type": "api_key", "provider": "openai", "key": "sk-canary-0123456789", "x": 1});
    });
    field.world.token().ok();
    assert_eq!(field.sent(&grant), 1);
    let mine = field.world.entry("main", ME);
    assert!(mine["grant"].is_string(), "{mine}");

    let seen = openclaw(&field, &["models", "status", "--json"]);
    let profiles = seen["auth"]["oauth"]["profiles"].as_array().unwrap();
    let me = profiles.iter().find(|one| one["profileId"] == ME).unwrap();
    assert_eq!((&me["status"], &me["expiresAt"]), (&json!("ok"), &mine["expires"]), "{seen}");

    let second = "openai-codex:second";
    change(&field, "main", |store| store["profiles"][second] = mine.clone());
    let order = ["models", "auth", "order", "set", "--provider", PROVIDER, second, ME];
    let done = Running::start(field.command(Program::Openclaw, "main", &order)).end(LIMIT);
    done.ok();
    let read = field.world.run(&["models", "auth", "order", "get", "--provider", PROVIDER, "--json"]).json();
    assert_eq!(read["order"], json!([second, ME]), "{read}");
    field.world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME]).ok();
    let read = openclaw(&field, &["models", "auth", "order", "get", "--provider", PROVIDER, "--json"]);
    assert_eq!(read["order"], json!([ME]), "{read}");

    // openclaw refreshes what we have written.
    change(&field, "main", |store| drop(store["profiles"].as_object_mut().unwrap().remove(second)));
    expire(&field, "main");
    assert!(is_served(&field.ask(Program::Openclaw, "main", 1)));
    let theirs = field.world.entry("main", ME);
    assert_ne!(theirs["refresh"], mine["refresh"]);
    let rest = |entry: &Value| {
        let mut rest = entry.as_object().unwrap().clone();
        rest.retain(|key, _| !["access", "refresh", "expires"].contains(&key.as_str()));
        rest
    };
    assert_eq!(rest(&theirs), rest(&mine));
    assert_eq!(field.world.entry("main", "openai:manual")["x"], 1);
    assert_eq!(field.world.token().ok().trim(), theirs["access"].as_str().unwrap());

    // And we what it has written.
    expire(&field, "main");
    assert_ne!(field.world.token().ok().trim(), theirs["access"].as_str().unwrap());
    let counts = field.world.sandbox.counts();
    assert_eq!((counts.refreshes, counts.reuses), (3, 0));
}

/// A5: openclaw refreshes one copy of a login whose other copy we have refreshed before. The key that both carry survives its
/// write: the copy that is spent now is not sent, and the login lives.
#[test]
fn a5_a_copy_that_openclaw_left_behind() {
    let (field, grant) = expired();
    give(&field, "work", &grant);
    field.world.token().ok();
    let copies = ["main", "work"].map(|agent| field.world.entry(agent, ME));
    assert_eq!(copies[0]["grant"], copies[1]["grant"]);
    assert_eq!(copies[0]["refresh"], copies[1]["refresh"]);
    expire(&field, "main");
    expire(&field, "work");
    assert!(is_served(&field.ask(Program::Openclaw, "main", 1)));
    let ran = field.world.run(&[TOKEN, &["--agent", "work"]].concat());
    assert_eq!(ran.code(), "needs_login", "{ran:?}");
    assert!(ran.stderr.contains("another program has refreshed a copy"), "{ran:?}");
    assert_eq!(field.world.sandbox.counts().reuses, 0);
    assert!(field.lives(Program::Openclaw, "main"));
}

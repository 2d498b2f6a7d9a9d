//! GitHub's device login, and the short tokens that are made of what it brings.

use std::process::Stdio;
use std::time::Duration;

use coderclaw_sandbox::{Body, Fault, Kind, On, Reply, User};
use coderclaw_types::Secret;
use serde_json::Value;

use crate::login::{Waiting, code_of, flat};
use crate::world::{Ran, World};

const LOGIN: &[&str] = &["models", "auth", "login", "--provider", "github-copilot"];
const TOKEN: &[&str] = &["models", "auth", "token", "--provider", "github-copilot"];
const ME: &str = "github-copilot:user-me";

/// A world in which GitHub is the sandbox.
fn world() -> World {
    let world = World::new();
    let origin = world.sandbox.origin();
    let text = format!(
        "extends = \"github-copilot\"\n\n[[auth]]\nmethod = \"device-code\"\ndevice_url = \"{origin}/oauth/device\"\n\
         token_url = \"{origin}/oauth/token\"\naccess_url = \"{origin}/copilot_internal/v2/token\"\n\
         userinfo_url = \"{origin}/user\"\n\n[auth.api]\nbase_url = \"{origin}/v1\"\n"
    );
    world.private(&world.state().join("providers/github-copilot.toml"), &text);
    world.sandbox.policy(|policy| policy.bare_tokens = true);
    world
}

fn log_in(world: &World) -> Ran {
    let command = world.start(world.command(&[LOGIN, &["--no-browser"]].concat()).stdin(Stdio::null()));
    let waiting = Waiting::of(command, "Ctrl-C");
    let at = waiting.said.find("SBOX-").expect(&waiting.said);
    assert!(world.sandbox.type_in(&waiting.said[at..at + 9], true));
    waiting.done()
}

fn logged_in() -> World {
    let world = world();
    log_in(&world).ok();
    world
}

fn made(world: &World) -> usize {
    world.sandbox.log().iter().filter(|seen| seen.kind == Kind::Access).count()
}

/// E10: the long-lived token stands where a refresh token stands, the short one where an access token does: nothing else has to
/// know. Whose it is comes from the provider's page, and a second account is a second profile.
#[test]
fn e10_a_long_token_and_a_short_one() {
    let world = logged_in();
    let entry = world.entry("main", ME);
    assert!(entry["refresh"].as_str().unwrap().starts_with("sandbox-long-"), "{entry}");
    let short = entry["access"].as_str().unwrap();
    assert!(short.starts_with("tid="), "{entry}");
    assert_eq!(world.run(TOKEN).ok().trim(), short);
    assert_eq!(made(&world), 1, "the one that the login had made is lent");

    world.sandbox.add_user(User::named("user-two"));
    world.sandbox.next_user("user-two@example.test");
    log_in(&world).ok();
    assert_ne!(world.entry("main", "github-copilot:user-two")["access"], short);
    assert_eq!(world.entry("main", ME), entry);
    // The same account again keeps its place.
    world.sandbox.next_user("me@x.test");
    let said = log_in(&world).ok();
    assert!(said.contains("Renewed") && world.text().matches("\"refresh\"").count() == 2, "{said}");
}

/// A1: many processes and one short token that has ended: one new one is made, with the long one, which stays.
#[test]
fn a1_one_short_token_for_all() {
    let mut world = logged_in();
    let before = world.entry("main", ME);
    for round in 1..=2 {
        world.shift_clock(Duration::from_secs(2 * 3_600));
        let all: Vec<_> = (0..8).map(|_| world.start(&mut world.command(TOKEN))).collect();
        let all: Vec<String> =
            all.into_iter().map(|one| Ran::from(one.wait_with_output().unwrap()).ok()).collect();
        assert!(all.iter().all(|one| *one == all[0] && one.starts_with("tid=")), "{all:?}");
        assert_eq!(made(&world), 1 + round);
        world.wait_for_access("main", ME, all[0].trim());
        assert_eq!(world.entry("main", ME)["refresh"], before["refresh"]);
    }
    assert_eq!(world.sandbox.counts().refreshes, 0, "GitHub refreshes nothing");
}

/// A8: a worker that is killed with the new short token in its hands is recovered from without another one.
#[test]
fn a8_killed_in_the_middle() {
    for point in ["refresh.answered", "refresh.applied", "refresh.sending"] {
        let mut world = logged_in();
        world.shift_clock(Duration::from_secs(2 * 3_600));
        world.set("CODERCLAW_FAULT", format!("{point}:kill"));
        drop(world.run(TOKEN));
        world.unset("CODERCLAW_FAULT");
        let before = made(&world);
        let ran = world.run(TOKEN);
        if ran.code != Some(0) {
            // The question may have been sent: a moment is waited for.
            assert_eq!(point, "refresh.sending", "{ran:?}");
            world.shift_clock(Duration::from_secs(3_600));
            world.run(TOKEN).ok();
        } else if point != "refresh.sending" {
            assert_eq!(made(&world), before, "{point}");
        }
        assert!(world.entry("main", ME)["refresh"].as_str().unwrap().starts_with("sandbox-long-"));
    }
}

/// A4, F1: a provider that no longer knows the long token is a login that is needed, once; anything else leaves it all as it
/// was. Nothing is taken out of the store.
#[test]
fn a4_what_ends_a_long_token() {
    let json = |status, body: &str| Fault::Reply(Reply::new(status, Body::Json(body.into())));
    for (fault, code) in [
        (json(401, r#"{"message":"Bad credentials"}"#), "needs_login"),
        (Fault::status(500), "offline"),
        (Fault::status(404), "offline"),
        (Fault::html_200(), "offline"),
        (Fault::DropBeforeRotate, "offline"),
        (Fault::HugeBody, "offline"),
        (json(403, r#"{"message":"no seat"}"#), "offline"),
    ] {
        let mut world = logged_in();
        let before = world.entry("main", ME);
        world.shift_clock(Duration::from_secs(2 * 3_600));
        world.sandbox.script_on(On::Access, fault.clone(), 1);
        let ran = world.run(TOKEN);
        assert_eq!(ran.code(), code, "{fault:?}: {ran:?}");
        assert_eq!(world.entry("main", ME), before, "{fault:?}");
        world.shift_clock(Duration::from_secs(3_600));
        let again = world.run(TOKEN);
        assert_eq!(again.code == Some(0), code == "offline", "{fault:?}: {again:?}");
    }
}

/// E13: an account without access to the API is told so at the login, and nothing is stored.
#[test]
fn e13_a_login_without_a_seat() {
    let world = world();
    let body = Body::Json(r#"{"message":"You have no access to Copilot"}"#.into());
    world.sandbox.script_on(On::Access, Fault::Reply(Reply::new(403, body)), 1);
    let ran = log_in(&world);
    assert_eq!(code_of(&ran), "login_failed");
    assert!(
        flat(&ran).contains("brings no access to the API") && flat(&ran).contains("no access to Copilot"),
        "{ran:?}"
    );
    assert!(!world.store().exists() || !world.text().contains("github-copilot:"));
}

/// G7, G1: neither token is shown anywhere, and a logout says that GitHub has no way to end it.
#[test]
fn g7_out_again() {
    let world = logged_in();
    let entry = world.entry("main", ME);
    let secrets = ["refresh", "access"].map(|key| Secret::from(entry[key].as_str().unwrap()));
    let status = world.run(&["models", "status", "--json"]).ok();
    let ran = world.run(&["models", "auth", "logout", ME]);
    for secret in &secrets {
        assert!(!status.contains(secret.expose()) && !ran.stdout.contains(secret.expose()));
    }
    let said = ran.ok();
    assert!(said.contains("no way to revoke"), "{said}");
    let value: Value = world.run(&["models", "auth", "list", "--json"]).json();
    assert!(!value.to_string().contains(ME), "{value}");
    let text = std::fs::read_to_string(world.state().join("logs/auth.jsonl")).unwrap_or_default();
    assert!(secrets.iter().all(|secret| !text.contains(secret.expose())));
}

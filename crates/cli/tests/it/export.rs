//! `export --access-only`, and `models auth refresh --persist-cmd`: logins in CI.

use std::process::Child;

use serde_json::{Value, json};

use crate::profiles::HOUR;
use crate::world::{ME, PROVIDER, Ran, World};

const EXPORT: &[&str] = &["export", "--access-only", "--min-validity", "30m"];

/// H5: twenty jobs take what they need at once; nothing is rotated, and no refresh token leaves in any format.
#[test]
fn h5_twenty_exports_at_once_rotate_nothing() {
    let world = World::new();
    let login = world.login(HOUR);
    world.seed("main", &[(ME, &login.entry)]);
    let before = world.everything();
    for format in ["json", "env", "github"] {
        let jobs: Vec<Child> = (0..20)
            .map(|_| world.start(&mut world.command(&[EXPORT, &["--format", format]].concat())))
            .collect();
        for job in jobs {
            let ran = Ran::from(job.wait_with_output().unwrap());
            assert!(
                !ran.stdout.contains(login.refresh.expose()) && !ran.stdout.contains("refresh"),
                "{ran:?}"
            );
            assert!(ran.ok().contains(login.access.expose()), "{format}");
        }
    }
    assert!(world.sandbox.log().is_empty(), "nobody was asked");
    assert_eq!(world.everything(), before, "nothing was written");
    let json = world.run(EXPORT).json();
    let one = &json["credentials"][0];
    assert_eq!((&one["profileId"], &one["env"][0]["name"]), (&json!(ME), &json!("CODEX_ACCESS_TOKEN")));
}

/// H5: a token that ends too soon is refreshed once for all twenty; one that cannot be had for so long is a failure.
#[test]
fn h5_what_ends_too_soon_is_refreshed_once() {
    let world = World::new();
    let login = world.login(HOUR / 4);
    world.seed("main", &[(ME, &login.entry)]);
    let jobs: Vec<Child> = (0..20).map(|_| world.start(&mut world.command(EXPORT))).collect();
    let mut tokens: Vec<Value> = jobs
        .into_iter()
        .map(|job| Ran::from(job.wait_with_output().unwrap()).json()["credentials"][0]["token"].take())
        .collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(world.sent(&login.refresh), 1);
    let too_long = world.run(&["export", "--access-only", "--min-validity", "9h"]);
    assert_eq!(too_long.code(), "cannot_guarantee");
    let next = "next: coderclaw export --access-only --min-validity 1m --provider openai-codex";
    assert!(too_long.stderr.contains(next), "{too_long:?}");
}

/// What is asked for wrongly is refused, and masks are printed in a job only.
#[test]
fn exports_say_what_they_cannot_do() {
    let mut world = World::new();
    assert_eq!(world.run(EXPORT).code(), "missing_credential");
    assert_eq!(world.run(&["export"]).code(), "usage");
    let login = world.login(HOUR);
    let key = json!({"type": "api_key", "provider": "groq", "key": "canary-key"});
    world.seed("main", &[(ME, &login.entry), ("groq:manual", &key)]);
    assert!(!world.run(EXPORT).ok().contains("canary-key"), "a key has no end, and is exported by name only");
    let github = [EXPORT, &["--format", "github"]].concat();
    assert_eq!(world.run(&github).stderr, "");
    world.set("GITHUB_ACTIONS", "true");
    // Not watched for secrets: a runner masks what this names, on whichever stream it is said.
    let ran = Ran::from(world.command(&github).output().unwrap());
    assert_eq!(ran.stderr, format!("::add-mask::{}\n", login.access.expose()));
    assert_eq!(ran.stdout, format!("CODEX_ACCESS_TOKEN={}\n", login.access.expose()));
}

fn refresh(world: &World, command: &str) -> Ran {
    world.run(&["models", "auth", "refresh", "--provider", PROVIDER, "--persist-cmd", command])
}

/// H5: the secret store gets a login that was refreshed, once; never one that was not. Where it fails the new token is kept
/// here and the next call hands it over, also where nothing is due.
#[test]
fn h5_a_refreshed_login_goes_to_the_secret_store() {
    let world = World::new();
    let login = world.login(HOUR);
    world.seed("main", &[(ME, &login.entry)]);
    let seen = world.path().join("vault.json");
    let take = format!("cat > '{}'", seen.display());
    refresh(&world, &take).ok();
    assert!(!seen.exists(), "what was not refreshed is never written back");

    let mut world = world;
    world.shift_clock(std::time::Duration::from_secs(2 * 3_600));
    let ran = refresh(&world, "cat >/dev/null; echo canary-words; exit 3");
    assert!(ran.stderr.contains("kept here") && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("[not_persisted]"), "{ran:?}");
    assert_eq!(ran.code, Some(1));
    assert_eq!(world.sent(&login.refresh), 1);
    let now = world.entry("main", ME);
    assert_ne!(now["refresh"], json!(login.refresh.expose()), "the new one is held");
    let token = world.token();
    assert_eq!(token.ok().trim(), now["access"].as_str().unwrap());

    let said = refresh(&world, &take).ok();
    assert!(said.contains("The secret store has it now"), "{said}");
    let vault: Value = serde_json::from_str(&std::fs::read_to_string(&seen).unwrap()).unwrap();
    assert_eq!(vault["profiles"][ME], now, "the whole login, as a store has it");
    assert!(!said.contains(now["refresh"].as_str().unwrap()));
    std::fs::remove_file(&seen).unwrap();
    refresh(&world, &take).ok();
    assert!(!seen.exists(), "once");
    assert_eq!(world.sent(&login.refresh), 1);
    let note = std::fs::read_to_string(world.state().join("persisted.json")).unwrap();
    assert!(!note.contains(now["refresh"].as_str().unwrap()), "hashes only");
}

/// H5: killed between the refresh and the secret store, the next call still knows that it owes something.
#[test]
fn h5_a_kill_before_the_secret_store_owes_it_still() {
    let (mut world, login) = World::expired();
    let seen = world.path().join("vault.json");
    // The command ends the process that waits for it.
    let ran = refresh(&world, "kill -9 $PPID");
    assert_eq!(ran.code, None, "{ran:?}");
    assert_eq!(world.sent(&login.refresh), 1);
    refresh(&world, &format!("cat > '{}'", seen.display())).ok();
    let vault: Value = serde_json::from_str(&std::fs::read_to_string(&seen).unwrap()).unwrap();
    assert_eq!(vault["profiles"][ME], world.entry("main", ME));
    // A note that cannot be understood: nothing is sent, and nothing is written back.
    world.private(&world.state().join("persisted.json"), "{torn");
    world.shift_clock(std::time::Duration::from_secs(3 * 3_600));
    let counted = world.sandbox.log().len();
    assert_eq!(refresh(&world, "false").code(), "corrupt");
    assert_eq!(world.sandbox.log().len(), counted);
}

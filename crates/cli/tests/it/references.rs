//! Secrets that are kept elsewhere, and helpers that print them.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{KeyKind, ModelFault};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::world::{Ran, World};

const MANUAL: &str = "groq:manual";
const TOKEN: &[&str] = &["models", "auth", "token", "--provider", "groq"];

fn paste(world: &World, reference: &str, more: &[&str]) -> Ran {
    world.run(
        &[&["models", "auth", "paste-api-key", "--provider", "groq", "--ref", reference][..], more].concat(),
    )
}

/// A helper: a shell script that leaves a line in `runs` each time.
fn helper(world: &World, script: &str) -> String {
    let path = world.path().join("helper.sh");
    let runs = world.path().join("runs");
    world.private(&path, &format!("#!/bin/sh\necho run >> {}\n{script}\n", runs.display()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    format!("exec:{}", path.display())
}

fn runs(world: &World) -> usize {
    std::fs::read_to_string(world.path().join("runs")).map_or(0, |text| text.lines().count())
}

fn explained(world: &World) -> Value {
    let told = world.run(&["models", "auth", "explain", "--provider", "groq", "--json"]).json();
    told["candidates"][0].clone()
}

/// A variable, a file and 1Password's own program: looked at without running anything, lent on demand, never stored.
#[test]
fn references_are_followed_when_they_are_lent() {
    let mut world = World::new();
    paste(&world, "env:MY_KEY", &[]).ok();
    assert_eq!(
        world.entry("main", MANUAL),
        json!({"type": "api_key", "provider": "groq", "keyRef": "env:MY_KEY"})
    );
    let one = explained(&world);
    assert_eq!(
        (one["reason"].as_str(), one["detail"].as_str().unwrap().contains("MY_KEY")),
        (Some("unresolved_ref"), true)
    );
    let ran = world.run(TOKEN);
    assert_eq!(ran.code(), "unresolved_ref");
    assert!(ran.stderr.contains("MY_KEY, which is not set"), "{}", ran.stderr);
    world.set("MY_KEY", "gsk_canary-of-env");
    assert_eq!(explained(&world)["reason"], "ok");
    assert_eq!(world.run(TOKEN).ok(), "gsk_canary-of-env\n");

    let file = world.path().join("key");
    paste(&world, &format!("file:{}", file.display()), &["--replace"]).ok();
    assert_eq!(explained(&world)["reason"], "unresolved_ref");
    world.private(&file, "gsk_canary-of-file\n");
    assert_eq!(world.run(TOKEN).ok(), "gsk_canary-of-file\n");
    world.private(&file, "two words");
    assert_eq!(world.run(TOKEN).code(), "unresolved_ref");

    let bin = world.path().join("bin");
    world.private(
        &bin.join("op"),
        "#!/bin/sh\n[ \"$1 $2 $3\" = 'read --no-newline op://vault/groq/key' ] && printf gsk_canary-of-op\n",
    );
    std::fs::set_permissions(bin.join("op"), std::fs::Permissions::from_mode(0o700)).unwrap();
    paste(&world, "op://vault/groq/key", &["--replace"]).ok();
    assert_eq!(world.run(TOKEN).code(), "unresolved_ref", "there is no op in the path");
    world.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    assert_eq!(world.run(TOKEN).ok(), "gsk_canary-of-op\n");

    for (path, _, content) in world.picture() {
        assert!(!String::from_utf8_lossy(&content).contains("canary"), "{} has a copy", path.display());
    }
    assert_eq!(paste(&world, "sk-canary", &["--replace"]).code(), "usage");
    let taken = paste(&world, "env:OTHER", &[]);
    assert_eq!(taken.code(), "id_taken");
}

/// Law 4: no look runs a helper, whatever it says; the original's object is understood where it can be.
#[test]
fn law4_looks_run_no_helper() {
    let world = World::new();
    paste(&world, &helper(&world, "echo gsk_canary"), &[]).ok();
    let before = world.everything();
    for look in [
        &["models", "status"][..],
        &["models", "status", "--json"],
        &["models", "auth", "list"],
        &["models", "auth", "explain", "--provider", "groq"],
        &["models", "auth", "paths"],
    ] {
        assert!(!world.run(look).ok().contains("canary"), "{look:?}");
    }
    assert!(before == world.everything());
    assert_eq!(runs(&world), 0);
    let entry = json!({"type": "api_key", "provider": "groq", "keyRef": {"source": "env", "provider": "default", "id": "HOME"}});
    let strange = json!({"type": "api_key", "provider": "groq", "keyRef": {"source": "file", "provider": "vault", "id": "/k"}});
    world.seed("main", &[(MANUAL, &entry)]);
    assert_eq!(explained(&world)["reason"], "ok");
    world.seed("main", &[(MANUAL, &strange)]);
    let one = explained(&world);
    assert_eq!(one["reason"], "unresolved_ref");
    assert!(one["detail"].as_str().unwrap().contains("\"vault\""), "{one}");
}

/// The config may say where a key is kept; a config that others can write runs nothing.
#[test]
fn the_config_s_key_may_be_kept_elsewhere() {
    let world = World::new();
    let helper = helper(&world, "echo gsk_canary-of-config");
    world.config(&json!({"models": {"providers": {"groq": {"baseUrl": "https://api.groq.com/openai/v1", "apiKey": helper, "models": []}}}}).to_string());
    assert_eq!(world.run(TOKEN).ok(), "gsk_canary-of-config\n");
    std::fs::set_permissions(world.state().join("coderclaw.json"), std::fs::Permissions::from_mode(0o622))
        .unwrap();
    assert_eq!(world.run(TOKEN).code(), "unresolved_ref");
    assert_eq!(runs(&world), 1);
}

/// H6: a helper with a lifetime of an hour runs once for ten processes at a time and for every later request; not again
/// before the hour is over, then once; and its end is the lifetime's.
#[test]
fn h6_a_helper_runs_once_for_all_processes() {
    let mut world = World::new();
    paste(&world, &helper(&world, "sleep 0.2; echo gsk_canary-$$"), &["--ttl", "1h"]).ok();
    let mut tokens: Vec<String> = Vec::new();
    for _ in 0..5 {
        let children: Vec<_> = (0..10).map(|_| world.start(&mut world.command(TOKEN))).collect();
        tokens.extend(children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()).ok()));
    }
    tokens.dedup();
    assert_eq!((tokens.len(), runs(&world)), (1, 1));
    let told = world.run(&[TOKEN, &["--format", "json"]].concat()).json();
    let left = told["validUntil"].as_i64().unwrap() - world.at(0);
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    let kept = world.run(&["models", "auth", "paths", "--json"]).json();
    assert!(
        kept["secrets"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["path"].as_str().unwrap().ends_with("/helpers"))
    );
    world.shift_clock(Duration::from_secs(3_601));
    assert_ne!(world.run(TOKEN).ok(), tokens[0]);
    assert_eq!(runs(&world), 2);
    world.run(&["models", "auth", "logout", MANUAL]).ok();
    assert_eq!(std::fs::read_dir(world.state().join("helpers")).unwrap().count(), 0, "gone with the profile");
}

/// H6: a helper that hangs is ended with everything it started, at its time limit, and what it complained about is quoted
/// without secrets; whoever waited gets the same answer, and it is left alone for a moment.
#[test]
fn h6_a_helper_that_hangs_is_ended() {
    let world = World::new();
    let script = "echo 'asking vault with sk-ant-oat01-canarycanary' >&2; sleep 600 & echo $! > pid; wait";
    paste(&world, &helper(&world, script), &["--ttl", "1h", "--timeout", "1s"]).ok();
    let began = Instant::now();
    let children: Vec<_> = (0..4).map(|_| world.start(&mut world.command(TOKEN))).collect();
    for child in children {
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code(), "unresolved_ref");
        assert!(
            ran.stderr.contains("did not end within 1 s and was killed: asking vault with ***"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    }
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(runs(&world), 1);
    let pid = std::fs::read_to_string(world.path().join("pid")).unwrap();
    let proc = std::path::PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let gone = std::fs::read_to_string(proc).map_or(true, |stat| stat.contains(") Z "));
    assert!(gone, "what the helper started goes on");
    assert_eq!(explained(&world)["reason"], "unresolved_ref");
}

/// What a helper may print: a token, or an object with an end of its own; anything else is named and not lent.
#[test]
fn what_a_helper_prints() {
    let mut world = World::new();
    world.set("GROQ_API_KEY", "gsk_canary-not-for-helpers");
    for (script, wanted) in [
        ("echo gsk_plain", Ok("gsk_plain\n")),
        ("echo '{\"token\": \"gsk_json\", \"expires_in\": 60}'", Ok("gsk_json\n")),
        ("[ -z \"$GROQ_API_KEY\" ] && echo gsk_clean", Ok("gsk_clean\n")),
        ("echo two words", Err("no token")),
        ("true", Err("there is nothing")),
        ("echo '{\"token\": 1}'", Err("no `token`")),
        ("echo '{\"token\": \"gsk_x\", \"expiresAt\": 1000}'", Err("ended already")),
        ("echo 'no' >&2; exit 4", Err("exit status: 4: no")),
        ("yes", Err("more than 64 KB")),
    ] {
        paste(&world, &helper(&world, script), &["--replace"]).ok();
        let ran = world.run(TOKEN);
        match wanted {
            Ok(token) => assert_eq!(ran.ok(), token, "{script}"),
            Err(why) => {
                assert_eq!(ran.code(), "unresolved_ref", "{script}");
                assert!(ran.stderr.contains(why), "{script}: {}", ran.stderr);
            }
        }
    }
}

/// H6: after a 401 the helper runs once more and the message is sent again; where that does not help, it is not run a third
/// time.
#[test]
fn h6_a_rejected_token_is_fetched_once_more() {
    let world = World::new();
    world.private(&world.state().join("providers/groq.toml"), &world.sandbox.model_manifest("groq"));
    let tokens = world.path().join("token");
    world.private(&tokens, "gsk_canary-old");
    world.sandbox.add_key(KeyKind::Bearer, &Secret::from("gsk_canary-new"), "acct-1");
    paste(
        &world,
        &helper(&world, &format!("cat {}; echo gsk_canary-new > {}", tokens.display(), tokens.display())),
        &["--ttl", "1h"],
    )
    .ok();
    let send = &["agent", "--message", "hello", "--session-key", "s", "--model", "groq/x"];
    world.run(send).ok();
    assert_eq!(runs(&world), 2, "once, and once more after the 401");
    world.run(send).ok();
    assert_eq!(runs(&world), 2);
    world.sandbox.remove_key(&Secret::from("gsk_canary-new"));
    assert_ne!(world.run(send).code, Some(0));
    assert_eq!(runs(&world), 2, "forced once a minute at most");
}

/// H6: a 403 is answered by the helper as a 401 is: it runs once more, though what it gave would have served for an hour.
#[test]
fn h6_a_forbidden_token_is_fetched_once_more() {
    let world = World::new();
    world.private(&world.state().join("providers/groq.toml"), &world.sandbox.model_manifest("groq"));
    let tokens = world.path().join("token");
    world.private(&tokens, "gsk_canary-first");
    for (token, account) in [("gsk_canary-first", "acct-1"), ("gsk_canary-second", "acct-2")] {
        world.sandbox.add_key(KeyKind::Bearer, &Secret::from(token), account);
    }
    let script = format!("cat {}; echo gsk_canary-second > {}", tokens.display(), tokens.display());
    paste(&world, &helper(&world, &script), &["--ttl", "1h"]).ok();
    let send = &["agent", "--message", "hello", "--session-key", "s", "--model", "groq/x"];
    world.run(send).ok();
    assert_eq!(runs(&world), 1);
    // The first account may no longer do this; its token is a good one all the same.
    world.sandbox.script_model(Some("acct-1"), ModelFault::Forbidden, 9);
    let said = world.run(send).ok();
    assert!(said.contains("acct-2"), "{said}");
    assert_eq!(runs(&world), 2, "once, and once more after the 403");
    world.run(send).ok();
    assert_eq!(runs(&world), 2);
    world.sandbox.script_model(Some("acct-2"), ModelFault::Forbidden, 9);
    assert_ne!(world.run(send).code, Some(0));
    assert_eq!(runs(&world), 2, "forced once a minute at most");
}

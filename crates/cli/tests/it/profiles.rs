//! `list`, `use`, `rename`, `prune`, `restore`, `lock` and `cooldown`.

use std::io::Read;
use std::time::{Duration, Instant};

use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::gateway_world::wait_until;
use crate::world::{Login, ME, PROVIDER, Ran, TOKEN, World};

pub(crate) const OTHER: &str = "openai-codex:other";
pub(crate) const KEY: &str = "openai-codex:key";
pub(crate) const WORK: &str = "openai-codex:work";
pub(crate) const HOUR: i64 = 3_600_000;
/// Reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn auth<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["models", "auth"], words].concat()
}

pub(crate) fn run(world: &World, words: &[&str]) -> Ran {
    world.run(&auth(words))
}

/// A login, another person's, and a key; an order, usage, and something of a newer version.
pub(crate) fn full(left: i64) -> (World, Login, Login) {
    let world = World::new();
    let (mine, other) = (world.login(left), world.login_of("other", HOUR));
    let text = format!(
        r#"{{
  "version": 1,
  "future": {{"kept": 1.50}},
  "profiles": {{
    "{ME}": {},
    "{OTHER}": {},
    "odd": {{"type":"passkey","provider":"acme","n":1.50}},
    "{KEY}": {{"type":"api_key","provider":"openai-codex","key":"metered"}}
  }},
  "order": {{"openai-codex": ["{ME}", "{OTHER}"]}},
  "usageStats": {{"{ME}": {{"lastUsed": 7}}, "{OTHER}": {{"lastUsed": 8}}}}
}}
"#,
        mine.entry, other.entry
    );
    world.private(&world.store(), &text);
    (world, mine, other)
}

/// Every file of the world that holds the secret.
pub(crate) fn holders(world: &World, secret: &Secret) -> Vec<String> {
    let wanted = secret.expose().as_bytes();
    let all = world.picture().into_iter();
    let found = all.filter(|(_, _, content)| content.windows(wanted.len()).any(|window| window == wanted));
    found.map(|(path, ..)| path.display().to_string()).collect()
}

pub(crate) fn store(world: &World) -> Value {
    serde_json::from_str(&std::fs::read_to_string(world.store()).unwrap()).unwrap()
}

/// No secret in what was said.
pub(crate) fn is_silent(ran: &Ran, logins: &[&Login]) {
    for secret in logins.iter().flat_map(|login| [&login.access, &login.refresh]) {
        assert!(!ran.stdout.contains(secret.expose()) && !ran.stderr.contains(secret.expose()), "{ran:?}");
    }
}

/// C17: `prune` removes what its dry run lists, in one step, and no other entry changes by a byte.
#[test]
fn c17_prune_removes_what_the_dry_run_lists() {
    let (world, mine, other) = full(-HOUR);
    let text = std::fs::read_to_string(world.store()).unwrap();
    let dead = [
        (r#""p:broken": 7"#, "p:broken", "corrupt"),
        (r#""p:empty": {"type":"api_key","provider":"p","key":" "}"#, "p:empty", "missing_credential"),
        (r#""p:old": {"type":"token","provider":"p","token":"t","expires":5}"#, "p:old", "expired"),
        (
            r#""p:gone": {"type":"oauth","provider":"openai-codex","access":"a","expires":5}"#,
            "p:gone",
            "expired",
        ),
    ];
    let entries = dead.iter().map(|(entry, ..)| format!("{entry},")).collect::<String>();
    let kept = r#""p:ref": {"type":"api_key","provider":"p","keyRef":{"source":"env"}},"#;
    let text = text.replacen(r#""profiles": {"#, &format!(r#""profiles": {{{entries}{kept}"#), 1);
    let text = text.replacen(r#"["openai-codex"#, r#"["p:gone", "openai-codex"#, 1);
    world.private(&world.store(), &text);
    let before = world.picture();
    let listed = run(&world, &["prune", "--dry-run", "--json"]).json();
    assert_eq!(world.picture(), before, "a dry run changes nothing");
    let found: Vec<_> = listed["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["profileId"], &one["reason"]))
        .collect();
    assert_eq!(found.len(), dead.len());
    for (_, id, reason) in dead {
        assert!(found.contains(&(&json!(id), &json!(reason))), "{id}: {found:?}");
    }
    let done = run(&world, &["prune", "--json"]).json();
    assert_eq!(done["profiles"], listed["profiles"]);
    let after = std::fs::read_to_string(world.store()).unwrap();
    for kept in [
        mine.entry.to_string(),
        other.entry.to_string(),
        r#"{"type":"passkey","provider":"acme","n":1.50}"#.into(),
        kept[..kept.len() - 1].into(),
    ] {
        assert!(after.contains(&kept), "{kept}");
    }
    assert!(!after.contains("p:gone") && !after.contains("p:old"));
    assert_eq!(run(&world, &["prune"]).ok(), "There is nothing to remove.\n");
    assert!(world.sandbox.log().is_empty());
}

/// H8: switching, listing and renaming ask nobody, also with an expired login: no refresh, no revocation, no lock of a
/// grant.
#[test]
fn h8_switching_asks_nobody() {
    let (world, mine, _) = full(-1_000);
    let before = world.picture();
    let listed = run(&world, &["list", "--json"]).json();
    assert_eq!(listed["profiles"].as_array().unwrap().len(), 4);
    assert_eq!(world.picture(), before);
    let text = run(&world, &["use", OTHER]).ok();
    let file = format!("Auth file: {}\n", world.store().display());
    assert_eq!(
        text,
        format!("{OTHER} is now the first choice for {PROVIDER}.\nOrder override: {OTHER}, {ME}\n{file}")
    );
    let json = run(&world, &["use", OTHER, "--json"]).json();
    assert_eq!((&json["changed"], &json["order"]), (&json!(false), &json!([OTHER, ME])));
    let text = run(&world, &["rename", ME, WORK]).ok();
    assert_eq!(text, format!("Renamed {ME} to {WORK}.\n{file}"));
    assert_eq!(store(&world)["order"][PROVIDER], json!([OTHER, WORK]));
    assert_eq!(store(&world)["usageStats"][WORK], json!({"lastUsed": 7}));
    assert!(std::fs::read_to_string(world.store()).unwrap().contains(&mine.entry.to_string()));
    assert_eq!(run(&world, &["rename", WORK, OTHER]).code(), "id_taken");
    assert_eq!(run(&world, &["rename", ME, "x"]).code(), "unknown_profile");
    assert_eq!(run(&world, &["use", "nobody"]).code(), "unknown_profile");
    assert!(world.sandbox.log().is_empty());
    assert!(!world.state().join("journal").exists());
    let locks = std::fs::read_dir(world.state().join("locks")).unwrap().map(|e| e.unwrap().file_name());
    assert!(locks.into_iter().all(|name| !name.to_string_lossy().starts_with("g")), "no grant was locked");
}

/// H8, C8: a first `use` makes an order of what is there. A key that is billed per use comes into it only if it is
/// the one that was chosen: being in an order is consent.
#[test]
fn h8_a_first_use_is_no_consent_to_a_bill() {
    let (world, ..) = full(HOUR);
    run(&world, &["order", "clear", "--provider", PROVIDER]).ok();
    let text = run(&world, &["use", OTHER]).ok();
    assert!(
        text.contains(&format!(
            "Order override: {OTHER}, {ME}\nLeft out, since it is billed per use: {KEY}\n"
        )),
        "{text}"
    );
    run(&world, &["order", "clear", "--provider", PROVIDER]).ok();
    assert_eq!(run(&world, &["use", KEY, "--json"]).json()["order"][0], KEY);
    assert_eq!(world.token().ok(), "metered\n");
}

/// A rename in the middle of a storm: one request, and its tokens are there under the new name.
#[test]
fn a1_a_rename_during_a_storm_loses_nothing() {
    let (world, login) = World::expired();
    let gate = world.sandbox.gate();
    let children: Vec<_> = (0..8).map(|_| world.start(&mut world.command(TOKEN))).collect();
    assert!(gate.wait_arrived(PATIENCE));
    run(&world, &["rename", ME, WORK]).ok();
    gate.open();
    let lent: Vec<Ran> =
        children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap())).collect();
    let token = world.token().ok();
    world.wait_for_access("main", WORK, token.trim());
    for ran in lent {
        assert_eq!(ran.ok(), token);
    }
    assert_eq!((world.sent(&login.refresh), world.sandbox.counts().refreshes), (1, 1));
    assert!(world.entry("main", ME).is_null());
}

/// `restore` adds what is missing and rolls nothing back.
#[test]
fn f1_restore_adds_what_is_missing_and_rolls_nothing_back() {
    let (world, mine, other) = full(HOUR);
    let copy = world.path().join("copy.json");
    std::fs::copy(world.store(), &copy).unwrap();
    let copy = copy.to_str().unwrap();
    run(&world, &["logout", OTHER, "--local-only"]).ok();
    run(&world, &["rename", ME, WORK]).ok();
    run(&world, &["logout", KEY]).ok();
    let before = world.picture();
    let plan = run(&world, &["restore", "--from", copy, "--dry-run", "--json"]).json();
    assert_eq!(world.picture(), before);
    assert_eq!(plan["added"], json!([KEY]));
    let left: Vec<_> = plan["left"].as_array().unwrap().iter().map(|one| one["profileId"].clone()).collect();
    assert_eq!(left, [ME, OTHER], "{plan}");
    let done = run(&world, &["restore", "--from", copy, "--json"]).json();
    assert_eq!(done["added"], plan["added"]);
    assert_eq!(world.entry("main", KEY)["key"], "metered");
    assert_eq!(world.entry("main", WORK)["refresh"], mine.refresh.expose());
    assert!(holders(&world, &other.refresh).iter().all(|path| path.ends_with("copy.json")));

    // A store that is damaged is written anew from its backup; the damage stays aside.
    std::fs::write(world.store(), "{torn").unwrap();
    let text = run(&world, &["restore"]).ok();
    assert!(text.contains("Did write the damaged store anew"), "{text}");
    assert_eq!(world.entry("main", KEY)["key"], "metered");
    // A program that knows less has dropped an entry.
    let mut short = store(&world);
    short["profiles"].as_object_mut().unwrap().remove(KEY);
    std::fs::write(world.store(), short.to_string()).unwrap();
    assert!(run(&world, &["restore"]).ok().contains(&format!("Did add {KEY}\n")));
    assert_eq!(run(&world, &["restore", "--from", "/nowhere"]).code(), "corrupt");
}

/// F9: a script takes part in the locking. Meanwhile a token that works is lent at once, and whoever has to write is
/// told who holds the lock.
#[test]
fn f9_a_script_takes_part_in_the_locking() {
    let (world, mine, _) = full(HOUR);
    let words = auth(&["lock", "--", "sh", "-c", "echo held; read line; exit 7"]);
    let mut script = world.start(world.command(&words).stdin(std::process::Stdio::piped()));
    let mut held = [0; 5];
    script.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
    let began = Instant::now();
    assert_eq!(world.token().ok().trim(), mine.access.expose());
    assert!(began.elapsed() < Duration::from_secs(3));
    let ran = run(&world, &["use", OTHER]);
    assert_eq!(ran.code(), "locked");
    assert!(ran.stderr.contains(&format!("held by pid {}", script.id())), "{ran:?}");
    drop(script.stdin.take());
    assert_eq!(script.wait().unwrap().code(), Some(7));
    run(&world, &["use", OTHER]).ok();
    assert_eq!(run(&world, &["lock", "--", "sh", "-c", "kill -TERM $$"]).code, Some(143));
    assert_eq!(run(&world, &["lock", "--", "/nowhere"]).code(), "usage");
}

/// F9: the original is kept out for as long as the script runs: our mark does not grow as old as one that it takes for
/// abandoned.
#[test]
fn f9_a_script_may_take_its_time() {
    let (world, ..) = full(HOUR);
    let words = auth(&["lock", "--", "sh", "-c", "echo held; read line"]);
    let mut script = world.start(world.command(&words).stdin(std::process::Stdio::piped()));
    let mut held = [0; 5];
    script.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
    let mark = world.store().with_file_name("auth-profiles.json.lock");
    let born = |text: &str| -> String {
        serde_json::from_str::<Value>(text).unwrap()["createdAt"].as_str().unwrap().into()
    };
    let first = born(&std::fs::read_to_string(&mark).unwrap());
    wait_until("the mark is younger", || born(&std::fs::read_to_string(&mark).unwrap()) > first);
    drop(script.stdin.take());
    script.wait().unwrap();
    assert!(!mark.exists());
}

/// F9: a refresh that is needed while a script holds the lock says who holds it, and nothing of a login.
#[test]
fn f9_a_refresh_that_finds_the_lock_held_says_by_whom() {
    let (world, login) = World::expired();
    let words = auth(&["lock", "--", "sh", "-c", "echo held; read line"]);
    let mut script = world.start(world.command(&words).stdin(std::process::Stdio::piped()));
    let mut held = [0; 5];
    script.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
    let ran = world.token();
    assert_eq!(ran.code(), "locked");
    assert!(ran.stderr.contains(&format!("held by pid {}", script.id())), "{ran:?}");
    assert_eq!(world.sent(&login.refresh), 0);
    drop(script.stdin.take());
    script.wait().unwrap();
}

/// Cooldowns are listed, and end when they are cleared.
#[test]
fn cooldowns_are_listed_and_cleared() {
    let (world, mine, other) = full(HOUR);
    let until = world.at(HOUR / 2);
    let usage = json!({"version": 1, "usageStats": {ME: {"cooldownUntil": until, "errorCount": 2, "x": 1}, OTHER: {"lastUsed": 4}}});
    let path = world.store().with_file_name("auth-state.json");
    world.private(&path, &usage.to_string());
    assert_eq!(world.token().ok().trim(), other.access.expose());
    let before = world.picture();
    let listed = run(&world, &["cooldown", "list", "--json"]).json();
    assert_eq!(
        listed["cooldowns"],
        json!([{"profileId": ME, "reason": "cooldown", "until": until, "errorCount": 2}])
    );
    assert!(run(&world, &["cooldown", "list"]).ok().contains("cooldown for another 29 min"));
    assert_eq!(run(&world, &["cooldown", "clear", "nobody"]).code(), "unknown_profile");
    assert_eq!(run(&world, &["cooldown", "clear", OTHER]).ok(), "There was nothing to clear.\n");
    assert_eq!(world.picture(), before);
    let file = format!("Usage file: {}\n", path.display());
    assert_eq!(run(&world, &["cooldown", "clear", ME]).ok(), format!("{ME} is used again at once.\n{file}"));
    assert_eq!(world.token().ok().trim(), mine.access.expose());
    let after: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        (&after["usageStats"][ME]["x"], &after["usageStats"][OTHER]["lastUsed"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(run(&world, &["cooldown", "list"]).ok(), "No profile is set aside.\n");
}

//! `list`, `use`, `rename`, `logout`, `prune`, `restore`, `lock` and `cooldown`.

use std::io::Read;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Fault, On};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::world::{Login, ME, PROVIDER, Ran, TOKEN, World};

const OTHER: &str = "openai-codex:other";
const KEY: &str = "openai-codex:key";
const WORK: &str = "openai-codex:work";
const HOUR: i64 = 3_600_000;
/// Reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn auth<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["models", "auth"], words].concat()
}

fn run(world: &World, words: &[&str]) -> Ran {
    world.run(&auth(words))
}

/// A login, another person's, and a key; an order, usage, and something of a newer version.
fn full(left: i64) -> (World, Login, Login) {
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
fn holders(world: &World, secret: &Secret) -> Vec<String> {
    let wanted = secret.expose().as_bytes();
    let all = world.picture().into_iter();
    let found = all.filter(|(_, _, content)| content.windows(wanted.len()).any(|window| window == wanted));
    found.map(|(path, ..)| path.display().to_string()).collect()
}

fn store(world: &World) -> Value {
    serde_json::from_str(&std::fs::read_to_string(world.store()).unwrap()).unwrap()
}

/// No secret in what was said.
fn is_silent(ran: &Ran, logins: &[&Login]) {
    for secret in logins.iter().flat_map(|login| [&login.access, &login.refresh]) {
        assert!(!ran.stdout.contains(secret.expose()) && !ran.stderr.contains(secret.expose()), "{ran:?}");
    }
}

/// G7, C17, F3: a logout revokes both tokens, removes the entry, its place in the order, its usage and every copy,
/// and nothing else.
#[test]
fn g7_c17_a_logout_removes_everything_and_revokes() {
    let (world, mine, other) = full(HOUR);
    // A commit before, so that there is a backup that holds the tokens.
    run(&world, &["use", ME]).ok();
    assert!(!holders(&world, &mine.refresh).is_empty());
    world.private(
        &world.store().with_file_name("auth-state.json"),
        &json!({"version": 1, "usageStats": {ME: {"lastUsed": 7}, OTHER: {"lastUsed": 9}}}).to_string(),
    );
    let ran = run(&world, &["logout", ME]);
    is_silent(&ran, &[&mine, &other]);
    let text = ran.ok();
    assert!(text.contains(&format!("Removed {ME} from ")), "{text}");
    assert!(text.contains("Revoked at the provider: refresh token and access token.\n"), "{text}");
    assert!(!world.sandbox.is_live(&mine.refresh) && !world.sandbox.is_live_access(&mine.access));
    assert!(world.sandbox.is_live(&other.refresh));
    assert_eq!(holders(&world, &mine.refresh), Vec::<String>::new());
    assert_eq!(holders(&world, &mine.access), Vec::<String>::new());
    let after = store(&world);
    assert_eq!(after["order"], json!({PROVIDER: [OTHER]}));
    assert_eq!(after["usageStats"], json!({OTHER: {"lastUsed": 8}}));
    let usage = std::fs::read_to_string(world.store().with_file_name("auth-state.json")).unwrap();
    assert!(!usage.contains(ME) && usage.contains(OTHER));
    let text = std::fs::read_to_string(world.store()).unwrap();
    for kept in [other.entry.to_string().as_str(), r#"{"type":"passkey","provider":"acme","n":1.50}"#, "1.50"]
    {
        assert!(text.contains(kept), "{kept}");
    }
    assert_eq!(run(&world, &["logout", ME]).code(), "unknown_profile");
}

/// G7: with the server down the copies here go all the same; what failed and how long the token works is said.
#[test]
fn g7_a_server_that_is_down_keeps_nothing_here() {
    for json in [false, true] {
        let (world, mine, _) = full(HOUR);
        world.sandbox.script_on(On::Revoke, Fault::status(503), 2);
        let ran = run(&world, &if json { vec!["logout", ME, "--json"] } else { vec!["logout", ME] });
        is_silent(&ran, &[&mine]);
        if json {
            let json = ran.json();
            assert_eq!(json["refreshToken"]["state"], "failed");
            assert!(json["accessToken"]["detail"].as_str().unwrap().contains("503"));
            assert_eq!(json["accessWorksUntil"], mine.entry["expires"]);
        } else {
            let text = ran.ok();
            assert!(
                text.contains("Not revoked: refresh token and access token (") && text.contains("503"),
                "{text}"
            );
            assert!(text.contains("Its access token works for another 59 min"), "{text}");
        }
        assert_eq!(world.sandbox.counts().revokes, 2);
        assert!(world.entry("main", ME).is_null());
        assert!(holders(&world, &mine.refresh).is_empty() && holders(&world, &mine.access).is_empty());
    }
}

/// G7: `--local-only` makes no request.
#[test]
fn g7_local_only_sends_nothing() {
    let (world, mine, _) = full(HOUR);
    let text = run(&world, &["logout", ME, "--local-only"]).ok();
    assert!(text.contains("Not revoked") && text.contains("works for another 59 min"), "{text}");
    assert!(world.sandbox.log().is_empty());
    assert!(world.sandbox.is_live(&mine.refresh));
    assert!(holders(&world, &mine.refresh).is_empty());
    // A copy of it that comes back is not used, and says why.
    let before = world.entry("main", OTHER);
    assert!(before.is_object());
    let expired = json!({"type": "oauth", "provider": PROVIDER, "refresh": mine.refresh.expose(), "access": "x", "expires": 5});
    world.seed("main", &[(ME, &expired)]);
    assert_eq!(world.token().code(), "needs_login");
    assert_eq!(world.sandbox.counts().refreshes, 0);
}

/// G7: a login that another agent holds too is not revoked; that agent goes on, also with its next refresh.
#[test]
fn g7_a_shared_login_is_not_revoked() {
    let (world, login) = World::expired();
    world.seed("work", &[(WORK, &login.entry)]);
    let text = run(&world, &["logout", ME]).ok();
    assert!(
        text.contains(&format!("Not revoked: refresh token and access token ({WORK} of agent work")),
        "{text}"
    );
    assert!(world.sandbox.is_live(&login.refresh));
    assert_eq!(world.sandbox.counts().revokes, 0);
    let lent = world.run(&auth(&["token", "--provider", PROVIDER, "--agent", "work"])).ok();
    assert!(world.sandbox.is_live_access(&Secret::from(lent.trim())));
    assert_eq!(world.sandbox.counts().refreshes, 1);
}

/// G7: a provider that cannot revoke is not asked; one that ends all logins of a person at once is not asked while
/// another of them is in use.
#[test]
fn g7_what_would_do_harm_is_not_asked_for() {
    for (word, said) in
        [("never", "no way to revoke"), ("grant", "would end openai-codex:second of agent main as well")]
    {
        let world = World::new();
        let manifest = format!("{}revoke = \"{word}\"\n", world.sandbox.manifest(PROVIDER));
        world.private(&world.state().join("providers/openai-codex.toml"), &manifest);
        let (mine, second) = (world.login(HOUR), world.login(HOUR));
        world.seed("main", &[(ME, &mine.entry), ("openai-codex:second", &second.entry)]);
        let text = run(&world, &["logout", ME]).ok();
        assert!(text.contains(said), "{text}");
        assert!(world.sandbox.log().is_empty(), "{word}");
        if word == "grant" {
            let text = run(&world, &["logout", "openai-codex:second"]).ok();
            assert!(text.contains("Revoked at the provider"), "{text}");
            assert!(!world.sandbox.is_live(&second.refresh));
        }
    }
}

/// G7, A1: a logout while a refresh is under way: the new tokens do not come back, they end too, and no file holds
/// them.
#[test]
fn g7_a_logout_during_a_refresh_ends_what_it_brings() {
    let (world, mine, _) = full(-1_000);
    let gate = world.sandbox.gate();
    let asker = world.start(&mut world.command(&auth(&["token", "--provider", PROVIDER, "--profile", ME])));
    assert!(gate.wait_arrived(PATIENCE));
    let logout = world.start(&mut world.command(&auth(&["logout", ME])));
    gate.open();
    let text = Ran::from(logout.wait_with_output().unwrap()).ok();
    let lent = Ran::from(asker.wait_with_output().unwrap());
    assert!(text.contains("Revoked at the provider: refresh token and access token."), "{text}");
    assert!(world.entry("main", ME).is_null());
    assert!(!world.sandbox.is_live_access(&mine.access));
    if lent.code == Some(0) {
        let access = Secret::from(lent.stdout.trim());
        assert!(!world.sandbox.is_live_access(&access));
        assert!(holders(&world, &access).is_empty(), "{:?}", holders(&world, &access));
    }
    let counts = world.sandbox.counts();
    assert_eq!((counts.refreshes, counts.reuses, counts.revokes), (1, 0, 2));
    assert!(holders(&world, &mine.refresh).is_empty());
}

/// G7, A8: the worker dies with the new tokens in the journal only; a logout ends those, and wipes them. One that is
/// itself killed in the middle leaves a login that is not refreshed any more, and can be repeated.
#[test]
fn g7_a_logout_finds_the_tokens_of_a_dead_worker() {
    for killed in [false, true] {
        let (mut world, mine) = World::expired();
        world.set("CODERCLAW_FAULT", "refresh.answered:kill");
        drop(world.token());
        world.unset("CODERCLAW_FAULT");
        assert_eq!(world.sent(&mine.refresh), 1);
        assert_eq!(world.entry("main", ME)["refresh"], mine.refresh.expose());
        if killed {
            world.set("CODERCLAW_FAULT", "store.write@1:kill");
            assert_eq!(run(&world, &["logout", ME]).code, None);
            world.unset("CODERCLAW_FAULT");
            assert!(world.entry("main", ME).is_object());
            assert_eq!(world.token().code(), "needs_login");
        }
        let text = run(&world, &["logout", ME]).ok();
        assert!(text.contains("Revoked at the provider"), "{text}");
        let counts = world.sandbox.counts();
        assert_eq!((counts.refreshes, counts.reuses, counts.revokes), (1, 0, 2), "{killed}");
        let all =
            String::from_utf8_lossy(&world.picture().into_iter().flat_map(|(.., c)| c).collect::<Vec<_>>())
                .into_owned();
        assert!(!all.contains("\"refresh\"") && !all.contains("\"access\""), "{killed}");
    }
}

/// G7: a token that nobody can revoke says so, and how long it lives.
#[test]
fn g7_a_pasted_token_says_how_long_it_lives() {
    let world = World::new();
    let token =
        json!({"type": "token", "provider": "anthropic", "token": "canary-1", "expires": world.at(5 * HOUR)});
    let key = json!({"type": "api_key", "provider": "openai", "key": "canary-2"});
    world.seed("main", &[("anthropic:manual", &token), ("openai:manual", &key)]);
    world.private(&world.store().with_file_name("auth.json"), r#"{"openai": {"key": "canary-2"}}"#);
    let text = run(&world, &["logout", "anthropic:manual"]).ok();
    assert!(text.contains("Not revoked: token (it ends only at the provider, by hand)"), "{text}");
    assert!(text.contains("Its token works for another 4 h") || text.contains("for another 5 h"), "{text}");
    let text = run(&world, &["logout", "openai:manual"]).ok();
    assert!(text.contains("The key itself works until it is deleted at the provider."), "{text}");
    assert!(text.contains("auth.json\n") && !text.contains("canary"), "{text}");
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
    assert_eq!(
        text,
        format!("{OTHER} is now the first choice for {PROVIDER}.\nOrder override: {OTHER}, {ME}\n")
    );
    let json = run(&world, &["use", OTHER, "--json"]).json();
    assert_eq!((&json["changed"], &json["order"]), (&json!(false), &json!([OTHER, ME])));
    let text = run(&world, &["rename", ME, WORK]).ok();
    assert_eq!(text, format!("Renamed {ME} to {WORK}.\n"));
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
    assert_eq!(run(&world, &["cooldown", "clear", ME]).ok(), format!("{ME} is used again at once.\n"));
    assert_eq!(world.token().ok().trim(), mine.access.expose());
    let after: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        (&after["usageStats"][ME]["x"], &after["usageStats"][OTHER]["lastUsed"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(run(&world, &["cooldown", "list"]).ok(), "No profile is set aside.\n");
}

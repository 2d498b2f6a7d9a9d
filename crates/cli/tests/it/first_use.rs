//! What older versions left comes in on first use: once, whole, verified, and never again after a logout.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use coderclaw_store::faults::IMPORT_POINTS;
use serde_json::{Value, json};

use crate::profiles::{HOUR, WORK, auth, run, store};
use crate::world::{Login, ME, PROVIDER, TOKEN, World};

const DEFAULT: &str = "openai-codex:default";

fn oauth_json(world: &World) -> PathBuf {
    world.state().join("credentials/oauth.json")
}

fn auth_json(world: &World) -> PathBuf {
    world.store().with_file_name("auth.json")
}

fn receipts(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("credentials/imports.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The tokens as `oauth.json` has them, with keys that nobody knows and two that must not count.
fn old(login: &Login) -> Value {
    json!({
        "type": "api_key",
        "provider": "openai",
        "access": login.access.expose(),
        "refresh": login.refresh.expose(),
        "expires": login.entry["expires"],
        "accountId": "acct-me-1",
        "clientIdentifier": {"kept": [1, 2]},
    })
}

fn with_oauth_json(left: i64) -> (World, Login) {
    let world = World::new();
    let login = world.login(left);
    world.private(&oauth_json(&world), &json!({PROVIDER: old(&login)}).to_string());
    (world, login)
}

fn with_auth_json() -> (World, Login, String) {
    let world = World::new();
    let login = world.login(HOUR);
    let text = json!({
        PROVIDER: {"type": "oauth", "access": login.access.expose(), "refresh": login.refresh.expose(), "expires": login.entry["expires"], "clientId": "c"},
        "groq": {"type": "api_key", "key": "canary-groq", "metadata": {"a": "b"}},
        "odd": {"type": "passkey", "x": 1},
    })
    .to_string();
    world.private(&auth_json(&world), &text);
    (world, login, text)
}

/// F5: `oauth.json` is seen by every look and changed by none; the first loan takes it over with all its keys, verified,
/// once; the source stays as it is, and nothing comes back after a logout.
#[test]
fn f5_oauth_json_comes_in_once() {
    let (world, login) = with_oauth_json(HOUR);
    let source = std::fs::read(oauth_json(&world)).unwrap();
    let before = world.everything();
    let status = world.run(&["models", "status"]).ok();
    assert!(
        status.contains("From an older version; the next command that uses a login imports them"),
        "{status}"
    );
    assert!(status.contains("not imported yet") && status.contains("oauth.json"), "{status}");
    let json = world.run(&["models", "status", "--json"]).json();
    assert_eq!(
        json["auth"]["imports"],
        json!([{"state": "pending", "source": oauth_json(&world), "profileId": DEFAULT}])
    );
    assert!(run(&world, &["list"]).ok().contains("not imported yet"));
    let explained = run(&world, &["explain", "--provider", PROVIDER, "--json"]).json();
    assert_eq!(explained["winner"]["profileId"], DEFAULT);
    assert_eq!(world.run(&["models", "status", "--check"]).code, Some(0));
    assert_eq!(world.everything(), before, "looks change nothing");

    let ran = world.token();
    assert!(ran.stderr.contains(&format!("Note: imported {DEFAULT} from ")), "{ran:?}");
    assert!(!ran.stderr.contains(login.access.expose()));
    assert_eq!(ran.ok().trim(), login.access.expose());
    let entry = world.entry("main", DEFAULT);
    assert_eq!((&entry["type"], &entry["provider"]), (&json!("oauth"), &json!(PROVIDER)), "D-30");
    assert_eq!(entry["clientIdentifier"], json!({"kept": [1, 2]}));
    assert_eq!(std::fs::read(oauth_json(&world)).unwrap(), source);
    let receipt = receipts(&world);
    assert_eq!(receipt["oauthJson"][PROVIDER]["profileId"], DEFAULT);
    assert!(receipt["oauthJson"][PROVIDER]["fingerprint"].as_str().is_some_and(|hash| hash.len() == 12));
    assert!(!receipt.to_string().contains(login.refresh.expose()));
    let meta = std::fs::metadata(world.state().join("credentials/imports.json")).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o600);

    let again = world.token();
    assert_eq!(again.stderr, "");
    let text = run(&world, &["logout", DEFAULT]).ok();
    assert!(
        text.contains("A copy that is not this program's to change") && text.contains("oauth.json"),
        "{text}"
    );
    assert_eq!(world.token().code(), "missing_credential");
    run(&world, &["order", "clear", "--provider", PROVIDER]).ok();
    assert_eq!(world.run(&["models", "status", "--json"]).json()["auth"]["imports"], json!([]));
    assert!(store(&world)["profiles"].as_object().unwrap().is_empty());
    // A new key comes in, the old one does not.
    let more = world.login_of("other", HOUR);
    let both = json!({PROVIDER: old(&login), "chutes": {"access": more.access.expose(), "refresh": "r"}});
    world.private(&oauth_json(&world), &both.to_string());
    world.run(&auth(&["token", "--provider", "chutes"]));
    let ids: Vec<_> = store(&world)["profiles"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(ids, ["chutes:default"]);
    assert!(world.entry("main", "chutes:default").get("expires").is_none(), "kept as it is");
}

/// F5: it is the state dir's, so it goes to the default agent and to no other; a folder of its own may be named.
#[test]
fn f5_oauth_json_goes_to_the_default_agent() {
    let (mut world, login) = with_oauth_json(HOUR);
    let elsewhere = world.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(oauth_json(&world), elsewhere.join("oauth.json")).unwrap();
    world.set("CODERCLAW_OAUTH_DIR", elsewhere.to_str().unwrap());
    world.config(r#"{"agents": {"list": [{"id": "main"}, {"id": "work", "default": true}]}}"#);
    let of_main = [TOKEN, &["--agent", "main"]].concat();
    assert_eq!(world.run(&of_main).code(), "missing_credential");
    assert!(!world.store().exists());
    assert_eq!(world.token().ok().trim(), login.access.expose());
    assert!(world.entry("work", DEFAULT).is_object() && !world.store().exists());
    assert_eq!(world.run(&of_main).code(), "not_linked");
}

/// F5: where the agent has a profile of that provider the older one stays out, also when that profile goes.
#[test]
fn f5_what_was_passed_over_stays_out() {
    let (world, _) = with_oauth_json(HOUR);
    let own = world.login_of("other", HOUR);
    world.seed("main", &[("openai-codex:own", &own.entry)]);
    assert_eq!(world.run(&["models", "status", "--json"]).json()["auth"]["imports"], json!([]));
    let before = world.everything();
    assert_eq!(world.token().ok().trim(), own.access.expose());
    assert_eq!(world.everything(), before, "a loan of a fresh login of one's own writes nothing");
    run(&world, &["logout", "openai-codex:own", "--local-only"]).ok();
    assert_eq!(receipts(&world)["oauthJson"][PROVIDER]["imported"], false);
    assert_eq!(world.token().code(), "missing_credential");
    assert!(store(&world)["profiles"].as_object().unwrap().is_empty());
}

/// F5: an `auth.json` of before there were stores comes in whole, and is kept beside under another name, byte for byte.
#[test]
fn f5_an_old_auth_json_comes_in_and_is_kept() {
    let (world, login, text) = with_auth_json();
    let before = world.everything();
    let json = world.run(&["models", "status", "--json"]).json();
    let states: Vec<_> =
        json["auth"]["imports"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["pending", "pending", "corrupt"]);
    assert!(json["auth"]["imports"][2]["detail"].as_str().unwrap().contains("\"odd\""), "{json:#}");
    assert_eq!(world.everything(), before);
    run(&world, &["use", DEFAULT]).ok();
    let aside = auth_json(&world).with_extension("json.imported");
    assert_eq!(std::fs::read_to_string(&aside).unwrap(), text);
    assert_eq!(std::fs::metadata(&aside).unwrap().mode() & 0o777, 0o600);
    assert_eq!(
        world.entry("main", "groq:default"),
        json!({"type": "api_key", "provider": "groq", "key": "canary-groq", "metadata": {"a": "b"}})
    );
    assert_eq!(world.entry("main", DEFAULT)["clientId"], "c", "D-30");
    assert_eq!(receipts(&world)["authJson"]["main"]["count"], 2);
    let cache: Value = serde_json::from_str(&std::fs::read_to_string(auth_json(&world)).unwrap()).unwrap();
    assert_eq!(cache[PROVIDER]["key"], login.access.expose(), "and the name is the cache's now");
    // D-11: the store is lost; the cache is not taken for the old file, and neither is the old file itself.
    for path in [world.store(), world.store().with_extension("json.bak")] {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(world.token().code(), "missing_credential");
}

/// F5: where there is a store, its backup or a state file, an `auth.json` is no older version's: it stays as it is.
#[test]
fn f5_an_auth_json_beside_a_store_is_not_imported() {
    for beside in ["auth-profiles.json", "auth-profiles.json.bak", "auth-state.json"] {
        let (world, ..) = with_auth_json();
        let text = std::fs::read(auth_json(&world)).unwrap();
        world.private(&world.store().with_file_name(beside), r#"{"version": 1, "profiles": {}}"#);
        assert_eq!(world.token().code(), "missing_credential", "{beside}");
        run(&world, &["order", "clear", "--provider", PROVIDER]).ok();
        assert_eq!(std::fs::read(auth_json(&world)).unwrap(), text, "{beside}");
        // Nor does a commit take away what only stands there.
        world.sandbox.next_user("me@x.test");
        world.log_in(&["--profile-id", ME]).0.ok();
        let now: Value = serde_json::from_slice(&std::fs::read(auth_json(&world)).unwrap()).unwrap();
        let was: Value = serde_json::from_slice(&text).unwrap();
        for key in [PROVIDER, "groq", "odd"] {
            assert_eq!(now[key], was[key], "{beside}: {key}");
        }
    }
}

/// F5: two, or twenty, that are first at once: one import, and all are right.
#[test]
fn f5_many_at_once_import_once() {
    let (world, login) = with_oauth_json(HOUR);
    let mut notes = Vec::new();
    for ran in world.storm(20) {
        notes.extend(ran.stderr.lines().filter(|line| line.contains("imported")).map(str::to_owned));
        assert_eq!(ran.ok().trim(), login.access.expose());
    }
    assert_eq!(notes.len(), 1, "one of them did it: {notes:?}");
    assert_eq!(store(&world)["profiles"].as_object().unwrap().len(), 1);
    assert!(world.sandbox.log().is_empty());
}

/// F5: killed at each step, the next run completes it: nothing is missing, nothing is there twice, and the sources are
/// what they were.
#[test]
fn f5_a_kill_at_each_step_is_completed() {
    let steps = [IMPORT_POINTS, &["cache.write"]].concat();
    let writes = ["store.write", "store.before_rename", "store.after_rename"];
    let writes = writes.iter().flat_map(|point| (1..=5).map(move |n| format!("{point}@{n}")));
    for point in steps.iter().map(|point| (*point).to_owned()).chain(writes) {
        let (mut world, login, text) = with_auth_json();
        let more =
            json!({"chutes": {"access": "canary-a", "refresh": "canary-r", "expires": world.at(HOUR)}});
        world.private(&oauth_json(&world), &more.to_string());
        let chutes = auth(&["token", "--provider", "chutes"]);
        world.set("CODERCLAW_FAULT", format!("{point}:kill"));
        assert_eq!(world.run(&chutes).code, None, "{point} is passed");
        world.unset("CODERCLAW_FAULT");
        assert_eq!(world.run(&chutes).ok(), "canary-a\n", "{point}");
        assert_eq!(world.token().ok().trim(), login.access.expose(), "{point}");
        run(&world, &["use", DEFAULT]).ok();
        let ids: Vec<_> = store(&world)["profiles"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(ids, [DEFAULT, "groq:default", "chutes:default"], "{point}");
        let aside = auth_json(&world).with_extension("json.imported");
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), text, "{point}");
        assert!(!auth_json(&world).with_extension("json.imported-2").exists(), "{point}");
        assert_eq!(std::fs::read_to_string(oauth_json(&world)).unwrap(), more.to_string(), "{point}");
        let receipt = receipts(&world);
        assert_eq!(
            (&receipt["authJson"]["main"]["done"], &receipt["oauthJson"]["chutes"]["imported"]),
            (&json!(true), &json!(true)),
            "{point}"
        );
        let cache: Value =
            serde_json::from_str(&std::fs::read_to_string(auth_json(&world)).unwrap()).unwrap();
        assert_eq!(cache[PROVIDER]["key"], login.access.expose(), "{point}");
        run(&world, &["logout", "chutes:default", "--local-only"]).ok();
        assert_eq!(world.run(&chutes).code(), "missing_credential", "{point}");
    }
}

/// F5: an import that was cut off is followed by a refresh before anything completes it: the older file is still as it
/// was when it is moved aside.
#[test]
fn f5_a_refresh_in_between_leaves_the_old_file_as_it_was() {
    let (mut world, login, text) = with_auth_json();
    world.set("CODERCLAW_FAULT", "import.stored:kill");
    assert_eq!(world.token().code, None);
    world.unset("CODERCLAW_FAULT");
    world.shift_clock(std::time::Duration::from_secs(3_590));
    let token = world.token().ok();
    assert_ne!(token.trim(), login.access.expose());
    world.wait_for_access("main", DEFAULT, token.trim());
    // The worker ends with the cache; its lock is free when it has.
    let grants = std::fs::read_dir(world.state().join("journal")).unwrap().count();
    assert_eq!(grants, 1);
    run(&world, &["use", DEFAULT]).ok();
    let aside = auth_json(&world).with_extension("json.imported");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), text);
    assert_eq!(store(&world)["profiles"].as_object().unwrap().len(), 2);
    assert_eq!(world.entry("main", DEFAULT)["access"], token.trim());
}

/// F5: an `auth.json` is its own agent's, whichever that is.
#[test]
fn f5_each_agent_has_an_auth_json_of_its_own() {
    let (world, login, text) = with_auth_json();
    let of_work = world.store_of("work").with_file_name("auth.json");
    std::fs::create_dir_all(of_work.parent().unwrap()).unwrap();
    std::fs::rename(auth_json(&world), &of_work).unwrap();
    assert_eq!(world.token().code(), "missing_credential");
    assert_eq!(std::fs::read_to_string(&of_work).unwrap(), text);
    let lent = world.run(&[TOKEN, &["--agent", "work"]].concat()).ok();
    assert_eq!(lent.trim(), login.access.expose());
    assert!(!world.store().exists() && of_work.with_extension("json.imported").exists());
}

/// F5, F4: a damaged source is named with what is wrong, nothing of it comes in, and everything else goes on.
#[test]
fn f5_damage_is_named_and_nothing_is_half_done() {
    let broken =
        ["", "{\"openai-codex\": {\"access\": \"canary", "[1]", "\"canary\"", "{\"openai-codex\": canary}"];
    for (i, text) in broken.iter().enumerate() {
        for path in [oauth_json as fn(&World) -> PathBuf, auth_json] {
            let world = World::new();
            world.private(&path(&world), text);
            let json = world.run(&["models", "status", "--json"]).json();
            let told = &json["auth"]["imports"][0];
            assert_eq!((&told["state"], &told["source"]), (&json!("corrupt"), &json!(path(&world))), "{i}");
            let status = world.run(&["models", "status"]).ok();
            assert!(status.contains("is damaged") && status.contains("[corrupt]"), "{status}");
            let ran = world.token();
            assert!(ran.stderr.contains("is damaged") && !ran.stderr.contains("canary"), "{ran:?}");
            assert_eq!(
                ran.stderr.lines().nth(1).map(|line| line.contains("[missing_credential]")),
                Some(true),
                "{ran:?}"
            );
            let key = world.run_with_input(
                &auth(&["paste-api-key", "--provider", "openai", "--stdin", "--force"]),
                "sk-canarycanarycanarycanary",
            );
            key.ok();
            assert_eq!(std::fs::read_to_string(path(&world)).unwrap(), *text, "{i}: left as it is");
            assert_eq!(store(&world)["profiles"].as_object().unwrap().len(), 1);
        }
    }
    // One bad entry beside a good one: the good one comes in, and the bad one is named until it is mended.
    let (world, login) = with_oauth_json(HOUR);
    world.private(&oauth_json(&world), &json!({"bad": 7, "empty": {}, PROVIDER: old(&login)}).to_string());
    let ran = world.token();
    assert!(ran.stderr.contains("\"bad\"") && ran.stderr.contains("\"empty\""), "{ran:?}");
    assert_eq!(ran.ok().trim(), login.access.expose());
    world.private(
        &oauth_json(&world),
        &json!({"groq": {"access": "mended", "expires": world.at(HOUR)}}).to_string(),
    );
    assert_eq!(world.run(&auth(&["token", "--provider", "groq"])).ok(), "mended\n");
}

/// F2: receipts that cannot be understood are not "none": what was logged out would come back.
#[test]
fn f2_damaged_receipts_import_nothing() {
    for text in ["", "{torn", r#"{"version": 2}"#] {
        let (world, _) = with_oauth_json(HOUR);
        let path = world.state().join("credentials/imports.json");
        world.private(&path, text);
        let ran = world.token();
        assert!(ran.stderr.contains("imports.json"), "{ran:?}");
        assert!(!world.store().exists());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

/// Law 4: with a fresh login of one's own, nothing that older versions left is even read.
#[test]
fn law4_a_loan_of_ones_own_reads_nothing_older() {
    let world = World::new();
    let login = world.login(HOUR);
    world.seed("main", &[(ME, &login.entry)]);
    std::fs::create_dir_all(oauth_json(&world)).unwrap();
    std::fs::create_dir_all(auth_json(&world)).unwrap();
    let before = world.everything();
    let ran = world.token();
    assert_eq!(ran.stderr, "", "a folder in its place is not noticed");
    assert_eq!(ran.ok().trim(), login.access.expose());
    let json = world.run(&["models", "status", "--json"]).json();
    assert_eq!(json["auth"]["imports"][0]["state"], "unreadable");
    assert_eq!(world.everything(), before);
}

/// B3, C15: looks and loans agree before and after, and a login that waits to be imported comes before a key of the
/// environment.
#[test]
fn b3_a_pending_login_is_what_is_lent() {
    let mut world = World::new();
    world.set("ANTHROPIC_API_KEY", "canary-env");
    world.private(
        &oauth_json(&world),
        &json!({"anthropic": {"access": "canary-old", "expires": world.at(HOUR)}}).to_string(),
    );
    let explain = auth(&["explain", "--provider", "anthropic", "--json"]);
    let before = world.run(&explain).json();
    assert_eq!(before["winner"]["profileId"], "anthropic:default");
    assert_eq!(world.run(&auth(&["token", "--provider", "anthropic"])).ok(), "canary-old\n");
    let after = world.run(&explain).json();
    assert_eq!(before["winner"]["validUntil"], after["winner"]["validUntil"]);
    assert_eq!(before["candidates"][0]["verdict"], after["candidates"][0]["verdict"]);
}

/// A2: a source that holds the login of another agent is the same login: one refresh for both, and it is said.
#[test]
fn a2_an_imported_copy_is_the_same_login() {
    let (world, login) = with_oauth_json(-1_000);
    world.seed("work", &[(WORK, &login.entry)]);
    let ran = world.token();
    assert!(ran.stderr.contains(&format!("the same login as {WORK} of agent work")), "{ran:?}");
    let token = ran.ok();
    world.wait_for_access("work", WORK, token.trim());
    assert_eq!((world.sandbox.counts().refreshes, world.sandbox.counts().reuses), (1, 0));
    let status = world.run(&["models", "status"]).ok();
    assert!(status.contains("Shared with another agent") && status.contains(WORK), "{status}");
    let json = world.run(&["models", "status", "--json"]).json();
    let places = &json["auth"]["sharedGrants"][0]["places"];
    assert_eq!(places.as_array().unwrap().len(), 2, "{json:#}");
}

/// E19, A17: a login of the same person goes into the profile that came from the older file.
#[test]
fn e19_a_login_renews_what_was_imported() {
    let (world, _) = with_oauth_json(-1_000);
    world.sandbox.next_user("me@x.test");
    let (ran, _) = world.log_in(&[]);
    ran.ok();
    let ids: Vec<_> = store(&world)["profiles"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

//! `auth.json`: what would be lent now, for programs that read that file. Never truth, and gone with a logout.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::profiles::{HOUR, KEY, OTHER, PATIENCE, WORK, full, holders, run};
use crate::world::{ME, PROVIDER, TOKEN, World};

const MARKER: &str = "_coderclaw";

fn path(world: &World, agent: &str) -> PathBuf {
    world.store_of(agent).with_file_name("auth.json")
}

fn cache_of(world: &World, agent: &str) -> Value {
    let text = std::fs::read_to_string(path(world, agent)).unwrap_or_else(|_| "{}".into());
    serde_json::from_str(&text).unwrap()
}

fn cache(world: &World) -> Value {
    cache_of(world, "main")
}

fn entry(key: &str) -> Value {
    json!({"type": "api_key", "key": key})
}

/// A refresh's worker writes it last, when its asker may be gone.
fn wait_for(world: &World, agent: &str, key: &str) {
    let began = Instant::now();
    while cache_of(world, agent)[PROVIDER] != entry(key) {
        assert!(began.elapsed() < PATIENCE, "{:#}", cache_of(world, agent));
        std::thread::yield_now();
    }
}

/// G5, F7: a login puts its access token there and no refresh token, private from birth; a refresh renews it; a logout
/// takes it away.
#[test]
fn g5_the_cache_follows_login_refresh_and_logout() {
    let mut world = World::new();
    world.sandbox.next_user("me@x.test");
    world.log_in(&[]).0.ok();
    let first = world.entry("main", ME);
    let access = |entry: &Value| entry["access"].as_str().unwrap().to_owned();
    assert_eq!(cache(&world)[PROVIDER], entry(&access(&first)));
    assert_eq!(cache(&world)[MARKER]["type"], "runtime_cache");
    assert_eq!(std::fs::metadata(path(&world, "main")).unwrap().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path(&world, "main")).unwrap();
    assert!(text.starts_with("{\n  \"") && text.ends_with("}\n"), "{text}");
    assert!(!text.contains(first["refresh"].as_str().unwrap()) && !text.contains("expires"));

    world.shift_clock(std::time::Duration::from_secs(3_590));
    let token = world.token().ok();
    wait_for(&world, "main", token.trim());
    let text = std::fs::read_to_string(path(&world, "main")).unwrap();
    assert!(!text.contains(&access(&first)), "the spent token is gone");

    run(&world, &["logout", ME]).ok();
    assert!(!path(&world, "main").exists(), "{text}");
    assert!(holders(&world, &token.trim().into()).is_empty());
}

/// D-11: the entry is the winner's, by order, by cooldown and under every name; what cannot be lent has none, and a key
/// of the environment is not written down.
#[test]
fn the_cache_says_what_the_resolver_says() {
    let (mut world, mine, other) = full(HOUR);
    world.set("ANTHROPIC_API_KEY", "canary-env");
    run(&world, &["use", OTHER]).ok();
    assert_eq!(cache(&world)[PROVIDER], entry(other.access.expose()));
    assert!(cache(&world).get("anthropic").is_none());
    run(&world, &["rename", OTHER, WORK]).ok();
    assert_eq!(cache(&world)[PROVIDER], entry(other.access.expose()));
    run(&world, &["order", "set", "--provider", PROVIDER, KEY]).ok();
    assert_eq!(cache(&world)[PROVIDER], entry("metered"));
    run(&world, &["order", "set", "--provider", PROVIDER, ME, WORK]).ok();
    assert_eq!(cache(&world)[PROVIDER], entry(mine.access.expose()));
    // A first choice that cools makes way, and comes back when its cooldown is cleared.
    let until = world.at(HOUR);
    let usage = json!({"version": 1, "usageStats": {ME: {"cooldownUntil": until, "errorCount": 1}}});
    world.private(&world.store().with_file_name("auth-state.json"), &usage.to_string());
    world
        .run_with_input(
            &["models", "auth", "paste-api-key", "--provider", "groq", "--stdin", "--force"],
            "gsk_canarycanarycanarycanarycanarycanarycanarycanary",
        )
        .ok();
    assert_eq!(cache(&world)[PROVIDER], entry(other.access.expose()));
    assert_eq!(cache(&world)["groq"]["key"], "gsk_canarycanarycanarycanarycanarycanarycanarycanary");
    run(&world, &["cooldown", "clear"]).ok();
    assert_eq!(cache(&world)[PROVIDER], entry(mine.access.expose()));
    // Nothing works any more: nothing is offered.
    world.shift_clock(std::time::Duration::from_secs(7_300));
    run(&world, &["rename", KEY, "openai-codex:paid"]).ok();
    assert!(cache(&world).get(PROVIDER).is_none() && cache(&world).get("groq").is_some());
    let paths = run(&world, &["paths", "--json"]).json();
    let listed = paths["secrets"].as_array().unwrap().iter();
    let one = listed.filter(|one| one["path"] == json!(path(&world, "main"))).collect::<Vec<_>>();
    assert_eq!((one.len(), &one[0]["exists"]), (1, &json!(true)));
}

/// An entry that somebody else wrote stays: it may be the only copy. One that the original copied from our store gives
/// way, since it is ours; ours is found again under the marker.
#[test]
fn foreign_entries_stay_and_copies_of_ours_give_way() {
    let (world, mine, _) = full(HOUR);
    let theirs = json!({
        PROVIDER: {"type": "oauth", "access": mine.access.expose(), "refresh": mine.refresh.expose(), "expires": 7},
        "xai": {"type": "api_key", "key": "typed-by-hand", "more": 1.50},
        "groq": {"type": "oauth", "access": "a", "refresh": "their-own", "expires": 1},
        "_note": [1, 2],
    });
    world.private(&path(&world, "main"), &theirs.to_string());
    run(&world, &["use", ME]).ok();
    let now = cache(&world);
    assert_eq!(
        now[PROVIDER],
        json!({"type": "oauth", "access": mine.access.expose(), "refresh": mine.refresh.expose(), "expires": 7}),
        "nothing was committed, so nothing was renewed"
    );
    run(&world, &["use", OTHER]).ok();
    run(&world, &["use", ME]).ok();
    let now = cache(&world);
    assert_eq!(now[PROVIDER], entry(mine.access.expose()));
    for kept in ["xai", "groq", "_note"] {
        assert_eq!(now[kept], theirs[kept], "{kept}");
    }
    run(&world, &["logout", ME, "--local-only"]).ok();
    run(&world, &["logout", OTHER, "--local-only"]).ok();
    run(&world, &["logout", KEY, "--local-only"]).ok();
    let now = cache(&world);
    assert!(now.get(PROVIDER).is_none(), "{now:#}");
    for kept in ["xai", "groq", "_note"] {
        assert_eq!(now[kept], theirs[kept], "{kept}");
    }
    assert!(holders(&world, &mine.access).is_empty() && holders(&world, &mine.refresh).is_empty());
}

/// A token that the provider rejects, and whose login it then refuses, is offered no longer, though its time is not over.
#[test]
fn what_was_refused_is_not_offered() {
    let (world, mine, _) = full(HOUR / 2);
    run(&world, &["order", "set", "--provider", PROVIDER, ME]).ok();
    assert_eq!(cache(&world)[PROVIDER], entry(mine.access.expose()));
    world.sandbox.kill_family(&mine.refresh);
    let words = ["models", "auth", "refresh", "--provider", PROVIDER, "--profile", ME, "--rejected-stdin"];
    assert_eq!(world.run_with_input(&words, mine.access.expose()).code(), "needs_login");
    let began = Instant::now();
    while cache(&world).get(PROVIDER).is_some() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:#}", cache(&world));
        std::thread::yield_now();
    }
}

/// Two agents hold one login: its refresh renews the cache of both.
#[test]
fn a_refresh_renews_the_cache_of_every_agent_concerned() {
    let (world, login) = World::expired();
    world.seed("work", &[(WORK, &login.entry)]);
    world.seed(
        "other",
        &[("anthropic:manual", &json!({"type": "token", "provider": "anthropic", "token": "t"}))],
    );
    let token = world.token().ok();
    for agent in ["main", "work"] {
        wait_for(&world, agent, token.trim());
    }
    assert!(!path(&world, "other").exists(), "it has nothing to do with it");
}

/// G5: a linked agent's cache has what it borrows, and loses it with the link and with a logout of its owner.
#[test]
fn g5_a_linked_agents_cache_follows_its_owner() {
    let (world, mine, other) = full(HOUR);
    world.config(r#"{"agents": {"list": [{"id": "main"}, {"id": "work"}]}}"#);
    run(&world, &["use", OTHER]).ok();
    world.run(&["agents", "link", "work", "--to", "main"]).ok();
    assert_eq!(cache_of(&world, "work")[PROVIDER], entry(other.access.expose()));
    run(&world, &["use", ME]).ok();
    assert_eq!(cache_of(&world, "work")[PROVIDER], entry(mine.access.expose()));
    run(&world, &["logout", ME, "--local-only"]).ok();
    assert!(holders(&world, &mine.access).is_empty());
    assert_eq!(cache_of(&world, "work")[PROVIDER], entry(other.access.expose()));
    world.run(&["agents", "unlink", "work"]).ok();
    assert!(!path(&world, "work").exists());
}

/// A cache that cannot be written is told beside the result, and the result stands; nothing of it is read back either.
#[test]
fn a_cache_that_cannot_be_written_fails_nothing() {
    let (world, _, other) = full(HOUR);
    for damage in ["folder", "torn", "link"] {
        let path = path(&world, "main");
        match damage {
            "folder" => std::fs::create_dir(&path).unwrap(),
            "torn" => world.private(&path, "{\"openai-codex\": {\"type"),
            _ => std::os::unix::fs::symlink("/nowhere", &path).unwrap(),
        }
        let before = std::fs::symlink_metadata(&path).unwrap().mtime_nsec();
        for id in [ME, OTHER] {
            let ran = run(&world, &["use", id]);
            assert!(id == ME || ran.stderr.contains("was not renewed"), "{damage}: {ran:?}");
            ran.ok();
        }
        let quiet = run(&world, &["use", ME, "--json", "--quiet"]);
        assert_eq!(quiet.stderr, "");
        quiet.json();
        run(&world, &["use", OTHER]).ok();
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().mtime_nsec(), before, "{damage}");
        assert_eq!(world.token().ok().trim(), other.access.expose());
        if damage == "folder" {
            std::fs::remove_dir(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
    }
    // What stands in it is never used.
    world.private(&path(&world, "main"), &json!({PROVIDER: entry("canary-cache")}).to_string());
    assert_eq!(world.token().ok().trim(), other.access.expose());
    world.private(&world.store(), "{\"version\": 1, \"profiles\": {}}");
    assert_eq!(world.token().code(), "missing_credential");
}

/// Killed between store and cache: the store's change stands, and the next commit brings the cache along. A logout that
/// is killed leaves no copy behind in any case.
#[test]
fn a_kill_between_store_and_cache_is_made_good() {
    let (mut world, mine, other) = full(HOUR);
    run(&world, &["use", OTHER]).ok();
    world.set("CODERCLAW_FAULT", "cache.write:kill");
    assert_eq!(run(&world, &["use", ME]).code, None);
    world.unset("CODERCLAW_FAULT");
    assert_eq!(cache(&world)[PROVIDER], entry(other.access.expose()), "it is behind");
    assert_eq!(world.token().ok().trim(), mine.access.expose(), "and nobody cares");
    run(&world, &["rename", OTHER, WORK]).ok();
    assert_eq!(cache(&world)[PROVIDER], entry(mine.access.expose()));
    for point in ["store.write", "store.before_rename", "store.after_rename"] {
        let (mut world, mine, _) = full(HOUR);
        run(&world, &["use", OTHER]).ok();
        run(&world, &["use", ME]).ok();
        assert_eq!(cache(&world)[PROVIDER], entry(mine.access.expose()));
        world.set("CODERCLAW_FAULT", format!("{point}@1:kill"));
        assert_eq!(run(&world, &["logout", ME, "--local-only"]).code, None, "{point}");
        assert!(cache(&world).get(PROVIDER).is_none(), "{point}");
    }
}

/// Forty processes that change the store at once leave a whole cache that is right.
#[test]
fn many_writers_leave_a_cache_that_is_right() {
    let (world, ..) = full(HOUR);
    let children: Vec<_> = (0..20)
        .map(|n| {
            world.start(&mut world.command(&["models", "auth", "use", if n % 2 == 0 { ME } else { OTHER }]))
        })
        .collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(cache(&world)[PROVIDER]["key"], world.token().ok().trim());
}

/// Readers of the original want the project beside the token of these providers.
#[test]
fn some_providers_want_a_project_beside_the_token() {
    let world = World::new();
    let manifest = world.sandbox.manifest("google-gemini-cli");
    world.private(&world.state().join("providers/google-gemini-cli.toml"), &manifest);
    let mut login = world.login(HOUR);
    login.entry["provider"] = json!("google-gemini-cli");
    login.entry["projectId"] = json!("p-1");
    world.seed(
        "main",
        &[("google-gemini-cli:a", &login.entry), ("google-gemini-cli:b", &world.login(HOUR).entry)],
    );
    run(&world, &["use", "google-gemini-cli:a"]).ok();
    let key = cache(&world)["google-gemini-cli"]["key"].as_str().unwrap().to_owned();
    let key: Value = serde_json::from_str(&key).unwrap();
    assert_eq!(key, json!({"token": login.access.expose(), "projectId": "p-1"}));
    // A loan is the bare token.
    let ran = world.run(&["models", "auth", "token", "--provider", "google-gemini-cli"]);
    assert_eq!(ran.ok().trim(), login.access.expose());
    assert_eq!(TOKEN[2], "token");
}

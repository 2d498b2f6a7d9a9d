//! `logout`: what goes, what the provider is told, and what is said.

use coderclaw_sandbox::{Fault, On};
use coderclaw_types::Secret;
use serde_json::json;

use crate::profiles::{HOUR, OTHER, PATIENCE, WORK, auth, full, holders, is_silent, run, store};
use crate::world::{ME, PROVIDER, Ran, World};

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
    // The copy in the runtime cache's place goes; one in a file that nobody knows is named.
    world.private(&world.store().with_file_name("auth.json"), r#"{"openai": {"key": "canary-2"}, "x": 1}"#);
    world.private(&world.store().with_file_name("my-copy.json"), r#"{"openai": {"key": "canary-2"}}"#);
    let text = run(&world, &["logout", "anthropic:manual"]).ok();
    assert!(text.contains("Not revoked: token (it ends only at the provider, by hand)"), "{text}");
    assert!(text.contains("Its token works for another 4 h") || text.contains("for another 5 h"), "{text}");
    let text = run(&world, &["logout", "openai:manual"]).ok();
    assert!(text.contains("The key itself works until it is deleted at the provider."), "{text}");
    assert!(text.contains("my-copy.json\n") && !text.contains("auth.json\n"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    let cache = std::fs::read_to_string(world.store().with_file_name("auth.json")).unwrap();
    assert!(!cache.contains("canary") && cache.contains("\"x\": 1"), "{cache}");
}

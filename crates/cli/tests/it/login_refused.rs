//! What becomes of a login that is refused here, and of one that comes back.

use std::time::Duration;

use coderclaw_sandbox::{Body, Fault, Kind, On, Reply, User};
use coderclaw_types::Secret;
use serde_json::json;

use crate::login::{Waiting, assert_untouched, code_of, flat, location, with_login};
use crate::profiles::{HOUR, run};
use crate::world::{LOGIN, ME, PROVIDER, World, now};

/// A world with a login of `me@x.test`, where somebody else signs in next.
fn with_a_stranger() -> (World, Vec<u8>) {
    let (world, store) = with_login();
    world.sandbox.add_user(User {
        email: "you@x.test".into(),
        account: "acct-you".into(),
        ..User::named("user-you")
    });
    world.sandbox.next_user("you@x.test");
    (world, store)
}

fn revoked(world: &World) -> usize {
    world.sandbox.log().iter().filter(|seen| seen.kind == Kind::Revoke).count()
}

fn manifest(world: &World, more: &str) {
    let text = world.sandbox.manifest(PROVIDER) + more;
    world.private(&world.state().join("providers/openai-codex.toml"), &text);
}

/// C10: the wrong person's login is ended at the provider at once, both tokens of it and nothing else, in one run and in two,
/// and that is said.
#[test]
fn c10_a_login_that_is_refused_is_handed_back() {
    for flags in [&["--expect", "me@x.test"][..], &["--workspace", "acct-me-1"]] {
        let (world, store) = with_a_stranger();
        let waiting = Waiting::start(&world, flags);
        assert_eq!(waiting.browse().status, 400);
        let ran = waiting.done();
        assert_eq!(code_of(&ran), "other_identity");
        assert!(flat(&ran).contains("the provider has ended it again"), "{ran:?}");
        assert_eq!(revoked(&world), 2, "refresh token and access token");
        assert_untouched(&world, &store);
        let kept = Secret::from(world.entry("main", ME)["refresh"].as_str().unwrap());
        assert!(world.sandbox.is_live(&kept), "the login that is kept is not touched");
    }
    let (world, store) = with_a_stranger();
    let started = world
        .run(&[&LOGIN[..3], &["start"], &LOGIN[3..], &["--expect", "me@x.test", "--json"]].concat())
        .json();
    let end = location(started["url"].as_str().unwrap());
    let words = ["models", "auth", "login", "finish", started["id"].as_str().unwrap()];
    let ran = world.run_with_input(&words, &end);
    assert_eq!(code_of(&ran), "other_identity");
    assert!(flat(&ran).contains("the provider has ended it again"), "{ran:?}");
    assert_eq!(revoked(&world), 2);
    assert_untouched(&world, &store);
}

/// C10, E13: nothing is revoked that another profile may live on, that takes other logins along, or that the provider has no
/// way to end; a provider that fails or hangs holds nobody up. Each time the reason is said, and the refusal is the same.
#[test]
fn c10_what_may_be_shared_is_not_handed_back() {
    // The same person again, so that some servers would put both on one grant.
    let (world, store) = with_login();
    let waiting = Waiting::start(&world, &["--expect", "you@x.test"]);
    waiting.browse();
    let ran = waiting.done();
    assert_eq!(code_of(&ran), "other_identity");
    assert!(flat(&ran).contains(&format!("stays open ({ME} of agent main may depend on it)")), "{ran:?}");
    assert_eq!(revoked(&world), 0);
    assert_untouched(&world, &store);

    for (more, said) in [
        ("revoke = \"grant\"\n", "would end other logins with it"),
        ("revoke = \"never\"\n", "has no way to revoke"),
    ] {
        let (world, store) = with_a_stranger();
        manifest(&world, more);
        let waiting = Waiting::start(&world, &["--expect", "me@x.test"]);
        waiting.browse();
        let ran = waiting.done();
        assert!(flat(&ran).contains(said), "{ran:?}");
        assert_eq!((revoked(&world), code_of(&ran).as_str()), (0, "other_identity"));
        assert_untouched(&world, &store);
    }

    let (world, _) = with_a_stranger();
    manifest(&world, "required_scopes = [\"offline_access\"]\n");
    world.sandbox.policy(|policy| policy.granted_scope = Some("openid email".into()));
    world.sandbox.script_on(On::Revoke, Fault::HangBeforeRotate, 2);
    let waiting = Waiting::start(&world, &[]);
    // The page does not wait for it.
    assert_eq!(waiting.browse().status, 400);
    let began = std::time::Instant::now();
    let ran = waiting.done();
    assert!(began.elapsed() < Duration::from_secs(10), "three seconds, not more");
    assert_eq!(code_of(&ran), "login_failed");
    assert!(flat(&ran).contains("offline_access; at the provider it stays open"), "{ran:?}");
}

/// G7, A17: a login that brings back the very refresh token that was logged out here, or refused, works: it is lent, refreshed,
/// and can be logged out again.
#[test]
fn a_token_that_comes_back_works_again() {
    for ended in ["logout", "refused"] {
        let mut world = World::new();
        let mine = world.login(if ended == "logout" { HOUR } else { -1_000 });
        world.seed("main", &[(ME, &mine.entry)]);
        if ended == "logout" {
            run(&world, &["logout", ME, "--local-only"]).ok();
        } else {
            world.sandbox.script(Fault::Reply(Reply::error("invalid_grant")), 1);
            assert_eq!(world.token().code(), "needs_login");
        }
        // Some servers hand out the same token for as long as it lives.
        let again = json!({
            "access_token": mine.access.expose(), "refresh_token": mine.refresh.expose(), "token_type": "Bearer",
            "expires_in": 3600, "scope": "offline_access",
        });
        world.sandbox.script_on(
            On::Exchange,
            Fault::Reply(Reply::new(200, Body::Json(again.to_string()))),
            1,
        );
        let (ran, page) = world.log_in(&[]);
        assert_eq!(page.status, 200, "{ended}: {page:?}");
        ran.ok();
        assert_eq!(world.entry("main", ME)["refresh"], mine.refresh.expose(), "{ended}");
        assert_eq!(world.token().ok().trim(), mine.access.expose(), "{ended}");
        let requests = world.sandbox.counts().refreshes;
        world.shift_clock(Duration::from_secs(2 * 3_600));
        let renewed = world.token().ok();
        assert_ne!(renewed.trim(), mine.access.expose(), "{ended}");
        assert_eq!(world.sandbox.counts().refreshes, requests + 1, "{ended}");
        world.wait_for_access("main", ME, renewed.trim());
        // The next logout counts.
        run(&world, &["logout", ME, "--local-only"]).ok();
        let copy = json!({"type": "oauth", "provider": PROVIDER, "refresh": mine.refresh.expose(), "access": "x", "expires": 5});
        world.seed("main", &[(ME, &copy)]);
        assert_eq!(world.token().code(), "needs_login", "{ended}");
    }
}

/// G7: where the manifest names the issuer alone, a logout revokes at the place that the issuer named at the login; an entry that
/// names any other place is not followed there.
#[test]
fn g7_a_discovered_place_is_where_a_logout_revokes() {
    let world = World::new();
    let text = format!(
        "id = \"acme\"\nname = \"Acme\"\n\n[[auth]]\nmethod = \"oauth\"\nbilling = \"subscription\"\nissuer = \"{}\"\n\
         client_id = \"acme-cli\"\nscopes = [\"openid\", \"offline_access\"]\nredirect = \"http://127.0.0.1/callback\"\n\
         revoke = \"token\"\n",
        world.sandbox.origin()
    );
    world.private(&world.state().join("providers/acme.toml"), &text);
    let log_in = || {
        let words = ["models", "auth", "login", "--provider", "acme", "--json"];
        let (ran, page) = world.log_in_with(&mut world.command(&words));
        assert_eq!(page.status, 200, "{page:?}");
        ran.json()["profileId"].as_str().unwrap().to_owned()
    };
    let id = log_in();
    let entry = world.entry("main", &id);
    assert_eq!(entry["revokeUrl"], format!("{}/oauth/revoke", world.sandbox.origin()));
    let refresh = Secret::from(entry["refresh"].as_str().unwrap());
    assert!(world.sandbox.is_live(&refresh));
    // A refresh keeps it.
    let text = run(&world, &["logout", &id]).ok();
    assert!(text.contains("Revoked at the provider: refresh token and access token."), "{text}");
    assert!(!world.sandbox.is_live(&refresh));

    let id = log_in();
    let mut entry = world.entry("main", &id);
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    entry["revokeUrl"] = json!(format!("http://{}/revoke", elsewhere.local_addr().unwrap()));
    entry["expires"] = json!(now().0 + HOUR);
    world.seed("main", &[(&id, &entry)]);
    let text = run(&world, &["logout", &id]).ok();
    assert!(text.contains("Not revoked") && text.contains("names no place for it"), "{text}");
    assert!(elsewhere.accept().is_err(), "nobody came");
    assert_eq!(revoked(&world), 2);
}

//! Against a server on Authlib (e2e/authlib/server.py): Python's reading of the standards. Its issuer has a path and is
//! described where RFC 8414 says and nowhere else; it rotates refresh tokens, and ends a grant when a spent one comes again.

use std::collections::HashSet;

use crate::server::Server;
use crate::world::{Ran, TOKEN, World};

const LOGOUT: &[&str] = &["models", "auth", "logout", "acme:ann@e2e.test"];

fn by_code() -> World {
    World::by_issuer(Server::start("authlib", None), "[[auth]]\nmethod = \"device-code\"\n")
}

/// A1, E14: the issuer alone is enough: a login, and three refreshes with a new refresh token each.
#[test]
fn a1_login_lend_refresh() {
    let server = Server::start("authlib", None);
    server.lifetime(900);
    let mut world = World::by_issuer(server, "");
    let said = world.login_ok();
    assert!(said.contains("Stored acme:ann@e2e.test"), "{said}");
    let issuer = world.server.issuer_text.clone();
    let (_, entry) = world.entry();
    assert_eq!(
        (&entry["issuer"], &entry["tokenUrl"]),
        (&issuer.clone().into(), &format!("{issuer}/token").into())
    );
    let first = world.token();
    assert_eq!(world.server.userinfo(&first).unwrap()["email"], "ann@e2e.test");
    assert_eq!(world.server.userinfo("something-else"), None);
    let (mut spent, mut tokens) = (HashSet::from([world.refresh_token()]), HashSet::from([first]));
    for round in 1..=3 {
        world.later(905);
        let next = world.token();
        assert!(world.server.userinfo(&next).is_some(), "round {round}");
        assert!(tokens.insert(next.clone()) && spent.insert(world.refresh_token()), "round {round}");
        assert_eq!(world.token(), next, "round {round}: nothing is due twice");
    }
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refreshed, counts.refused, counts.grants_revoked), (1, 3, 0, 0));
    assert_eq!(counts.keys, 1, "its id_token was checked at the login; those of the refreshes need no keys");
}

/// A1: eight processes and one expired token: one request, where a second would have ended the grant.
#[test]
fn a1_eight_processes_cause_one_refresh() {
    let mut world = World::logged_in(Server::start("authlib", None));
    for round in 1..=3 {
        world.later(7_200);
        let tokens: HashSet<String> = world.storm(8).into_iter().map(Ran::ok).collect();
        assert_eq!(tokens.len(), 1, "round {round}");
        let counts = world.server.counts();
        assert_eq!((counts.refreshed, counts.refused, counts.grants_revoked), (round, 0, 0), "round {round}");
    }
}

/// A4: somebody else uses a spent token, and the grant is over: `needs_login`, asked once, and the store is as it was.
#[test]
fn a4_a_grant_that_a_replay_has_ended() {
    let mut world = World::logged_in(Server::start("authlib", None));
    let spent = world.refresh_token();
    world.later(7_200);
    let lent = world.token();
    let replay = [("grant_type", "refresh_token"), ("refresh_token", spent.as_str())];
    let answer = world.server.post("token_endpoint", &replay);
    assert!(answer.status == 400 && answer.body.contains("invalid_grant"), "{answer:?}");
    assert_eq!(world.server.userinfo(&lent), None, "its access tokens went with it");
    let store = std::fs::read(world.store()).unwrap();
    world.later(7_200);
    for _ in 0..2 {
        assert_eq!(world.run(TOKEN).code(), "needs_login");
    }
    let counts = world.server.counts();
    assert_eq!((counts.refused, counts.grants_revoked), (2, 1), "the replay and one of ours");
    assert_eq!(std::fs::read(world.store()).unwrap(), store);
    assert!(world.login_ok().contains("Renewed"));
}

/// G7: a logout revokes at the server (RFC 7009), and what was lent is worth nothing any more.
#[test]
fn g7_a_logout_revokes() {
    let world = World::logged_in(Server::start("authlib", None));
    let (lent, refresh) = (world.token(), world.refresh_token());
    let said = world.run(LOGOUT).ok();
    assert!(said.contains("Revoked at the provider"), "{said}");
    assert_eq!(world.server.userinfo(&lent), None);
    let answer =
        world.server.post("token_endpoint", &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]);
    assert!(answer.status == 400 && answer.body.contains("invalid_grant"), "{answer:?}");
    assert_eq!(world.server.counts().grants_revoked, 1);
    assert_eq!(world.run(TOKEN).code(), "missing_credential");
}

/// E10: by a code that is typed in elsewhere (RFC 8628): approved, it is a login like any other; refused, it is over at once.
#[test]
fn e10_a_code_typed_in_elsewhere() {
    let mut world = by_code();
    let said = world.login_by_code().ok();
    assert!(said.contains("Stored acme:ann@e2e.test"), "{said}");
    let first = world.token();
    world.later(7_200);
    assert_ne!(world.token(), first);
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refreshed, counts.refused), (1, 1, 0));

    let world = by_code();
    let ran = world.login_by_code_and(Server::deny);
    assert_eq!(ran.code(), "login_denied", "{ran:?}");
    assert!(!world.store().exists());
}

//! Against `oidc-provider`, which rotates refresh tokens and ends the whole grant when a spent one comes again.

use std::collections::HashSet;
use std::net::TcpListener;

use crate::server::{Counts, Server};
use crate::world::{REFRESH, Ran, TOKEN, World};

fn provider() -> Server {
    Server::start("oidc-provider", None)
}

/// A1: the issuer is all that is known; a login finds the rest out, once, and refreshes for ever after without asking.
#[test]
fn a1_login_lend_refresh() {
    let server = provider();
    server.lifetime(900);
    let mut world = World::new(server);
    let said = world.login_ok();
    assert!(said.contains("Stored acme:ann@e2e.test"), "{said}");
    let (id, entry) = world.entry();
    assert_eq!(id, "acme:ann@e2e.test");
    let issuer = &world.server.issuer_text;
    assert_eq!(entry["tokenOrigin"], issuer.as_str());
    assert_eq!(entry["issuer"], issuer.as_str());
    assert_eq!(entry["tokenUrl"], format!("{issuer}/token"));
    let after_login = world.server.counts();

    let first = world.token();
    assert_eq!(world.server.userinfo(&first).unwrap()["email"], "ann@e2e.test");
    assert_eq!(world.server.userinfo("something-else"), None);
    assert_eq!(world.server.counts().refreshed, 0, "a token that has just come is not due");

    for round in 1..=3 {
        // A little more than the server said the token lives.
        world.later(905);
        let next = world.token();
        assert_ne!(next, first, "round {round}");
        assert_eq!(world.server.userinfo(&next).unwrap()["sub"], "ann@e2e.test");
        assert_eq!(world.token(), next, "round {round}: nothing is due twice");
        assert_eq!(world.server.counts().refreshed, round);
    }
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refused, counts.grants_revoked), (1, 0, 0));
    // The test has asked for the description as well, each time that it needed an endpoint; the program did once.
    assert_eq!(after_login.described, 1);
}

/// A1: eight processes and one expired token: one request at the provider, which would have ended the grant at the second.
#[test]
fn a1_eight_processes_cause_one_refresh() {
    let mut world = World::logged_in(provider());
    for round in 1..=5 {
        world.later(7_200);
        let tokens: HashSet<String> = world.storm(8).into_iter().map(Ran::ok).collect();
        assert_eq!(tokens.len(), 1, "round {round}");
        let counts = world.server.counts();
        assert_eq!((counts.refreshed, counts.refused, counts.grants_revoked), (round, 0, 0), "round {round}");
        assert!(world.server.userinfo(tokens.into_iter().next().unwrap().trim()).is_some());
    }
}

/// C6: a second login of the same person keeps the id and replaces the tokens, and what came last is what is refreshed.
#[test]
fn c6_a_second_login_over_the_first() {
    let mut world = World::logged_in(provider());
    let (id, first) = world.entry();
    let said = world.login_ok();
    assert!(said.contains("Renewed acme:ann@e2e.test"), "{said}");
    let (same, second) = world.entry();
    assert_eq!(same, id);
    assert_ne!(second["refresh"], first["refresh"]);
    world.later(7_200);
    assert!(world.server.userinfo(&world.token()).is_some());
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refreshed, counts.grants_revoked), (2, 1, 0));
}

/// A4: somebody else replays a spent token, and the provider ends the grant. The next refresh says that a login is needed,
/// asks no second time, and takes nothing out of the store.
#[test]
fn a4_a_grant_that_a_replay_has_ended() {
    let mut world = World::logged_in(provider());
    let spent = world.refresh_token();
    world.later(7_200);
    world.token();
    let replay = [("grant_type", "refresh_token"), ("refresh_token", spent.as_str())];
    let answer = world.server.post("token_endpoint", &replay);
    assert!(answer.status == 400 && answer.body.contains("invalid_grant"), "{answer:?}");
    assert_eq!(world.server.counts().grants_revoked, 1);

    let store = std::fs::read(world.store()).unwrap();
    world.later(7_200);
    for _ in 0..2 {
        let ran = world.run(TOKEN);
        assert_eq!(ran.code(), "needs_login", "{ran:?}");
        assert!(ran.stderr.contains("coderclaw models auth login --provider acme"), "{ran:?}");
    }
    let counts = world.server.counts();
    assert_eq!((counts.refreshed, counts.refused), (1, 2), "the replay and one of ours");
    assert_eq!(std::fs::read(world.store()).unwrap(), store);

    assert!(world.login_ok().contains("Renewed"));
    assert!(world.server.userinfo(&world.token()).is_some());
}

/// A12: the provider has ended a token that looks good here. Whoever was turned away with it gets another one, once.
#[test]
fn a12_a_token_that_the_provider_rejects() {
    let mut world = World::logged_in(provider());
    let rejected = world.token();
    world.server.forget(&rejected);
    assert_eq!(world.server.userinfo(&rejected), None);
    assert_eq!(world.token(), rejected, "nobody has told us");

    world.later(120);
    let rejecting = [REFRESH, &["--rejected-stdin"]].concat();
    for said in ["Refreshed", "acme:ann@e2e.test is not due"] {
        let ran = world.run_with_input(&rejecting, &rejected).ok();
        assert!(ran.starts_with(said), "{ran}");
        let next = world.token();
        assert!(next != rejected && world.server.userinfo(&next).is_some());
        assert_eq!(world.server.counts().refreshed, 1);
    }
}

/// A12: a rejected token whose login is gone with it, as after a revocation elsewhere: the words are about the login.
#[test]
fn a12_a_login_that_was_revoked_elsewhere() {
    let mut world = World::logged_in(provider());
    let rejected = world.token();
    // This server ends all tokens of the grant with one of them.
    let revocation = [("token", rejected.as_str()), ("token_type_hint", "access_token")];
    assert_eq!(world.server.post("revocation_endpoint", &revocation).status, 200);
    world.later(120);
    let rejecting = [REFRESH, &["--rejected-stdin"]].concat();
    for _ in 0..2 {
        let ran = world.run_with_input(&rejecting, &rejected);
        assert_eq!(ran.code(), "needs_login", "{ran:?}");
        assert!(ran.stderr.contains("invalid_grant"), "{ran:?}");
    }
    assert_eq!(world.server.counts().refused, 1, "it was asked once");
}

/// A store that was changed behind our back sends the token nowhere: a discovered endpoint is the issuer's, or it is none.
#[test]
fn a_tampered_endpoint_gets_nothing() {
    let mut world = World::logged_in(provider());
    let evil = TcpListener::bind("127.0.0.1:0").unwrap();
    evil.set_nonblocking(true).unwrap();
    let url = format!("http://{}/token", evil.local_addr().unwrap());
    world.tamper("tokenUrl", &url);
    world.later(7_200);
    let ran = world.run(TOKEN);
    assert_eq!(ran.code(), "provider_mismatch", "{ran:?}");
    assert!(evil.accept().is_err(), "nobody came");
    // Nor does it help that another key says the same: the login came from somewhere else.
    world.tamper("tokenOrigin", &url[..url.len() - "/token".len()]);
    world.tamper("issuer", "https://another.test");
    let ran = world.run(TOKEN);
    assert_eq!(ran.code(), "provider_mismatch", "{ran:?}");
    assert!(evil.accept().is_err(), "nobody came");
    let Counts { refreshed, refused, .. } = world.server.counts();
    assert_eq!((refreshed, refused), (0, 0));
}

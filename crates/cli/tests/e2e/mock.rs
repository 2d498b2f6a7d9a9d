//! Against `oauth2-mock-server`, which differs: access tokens are JWTs, no answer names the issuer (RFC 9207), the
//! granted scope is not the one asked for, and there is no e-mail address anywhere.

use std::collections::HashSet;

use crate::server::Server;
use crate::world::{Ran, World};

fn provider() -> Server {
    Server::start("mock", None)
}

/// A1: the description is where OpenID puts it and nowhere else.
#[test]
fn a1_login_lend_refresh() {
    let server = provider();
    server.lifetime(900);
    let mut world = World::new(server);
    let said = world.login_ok();
    assert!(said.contains("Stored acme:johndoe"), "{said}");
    let first = world.token();
    assert_eq!(world.server.userinfo(&first).unwrap()["sub"], "johndoe");
    assert_eq!(world.server.userinfo("something-else"), None);
    let spent = world.refresh_token();
    world.later(905);
    let next = world.token();
    assert_ne!(next, first);
    assert!(world.server.userinfo(&next).is_some());
    assert_ne!(world.refresh_token(), spent);
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refreshed), (1, 1));
}

/// A1: eight processes and one expired token cause one request.
#[test]
fn a1_eight_processes_cause_one_refresh() {
    let mut world = World::logged_in(provider());
    for round in 1..=5 {
        world.later(7_200);
        let tokens: HashSet<String> = world.storm(8).into_iter().map(Ran::ok).collect();
        assert_eq!(tokens.len(), 1, "round {round}");
        assert_eq!(world.server.counts().refreshed, round);
    }
}

/// C6: a second login of the same person keeps the id and replaces the tokens.
#[test]
fn c6_a_second_login_over_the_first() {
    let mut world = World::logged_in(provider());
    let (id, first) = world.entry();
    assert!(world.login_ok().contains("Renewed acme:johndoe"));
    let (same, second) = world.entry();
    assert_eq!(same, id);
    assert_ne!(second["refresh"], first["refresh"]);
    world.later(7_200);
    assert!(world.server.userinfo(&world.token()).is_some());
    assert_eq!(world.server.counts().refreshed, 1);
}

/// OpenID Connect Core 3.1.3.7: what another implementation signs for another client, in another name, or in answer to another
/// request is not stored.
#[test]
fn an_id_token_that_proves_nothing_is_not_stored() {
    for (claim, value) in
        [("aud", "somebody-else"), ("nonce", "of-another-login"), ("iss", "other.test"), ("azp", "x")]
    {
        let world = World::new(provider());
        world.server.spoil(claim, value);
        let (ran, page) = world.login();
        assert!(ran.stderr.contains("[id_token_invalid]"), "{claim}: {ran:?}");
        assert_eq!(page.map(|page| page.status), Some(400), "{claim}");
        let store = world.path().join("state/agents/main/agent/auth-profiles.json");
        assert!(!std::fs::read_to_string(store).unwrap_or_default().contains("acme:"), "{claim}");
    }
}

//! A provider of which a person's file says only who it is: id, name, issuer and client.

use crate::server::Server;
use crate::world::World;

fn provider() -> Server {
    Server::start("oidc-provider", None)
}

/// E14: the issuer is enough: endpoints, scopes and names of the claims come from the standards, and the login lasts.
#[test]
fn e14_the_issuer_alone() {
    let mut world = World::by_issuer(provider(), "");
    let said = world.login_ok();
    assert!(said.contains("Stored acme:ann@e2e.test"), "{said}");
    let (_, entry) = world.entry();
    assert_eq!(
        (entry["sub"].as_str(), entry["email"].as_str()),
        (Some("ann@e2e.test"), Some("ann@e2e.test"))
    );
    let first = world.token();
    assert_eq!(world.server.userinfo(&first).unwrap()["sub"], "ann@e2e.test");
    world.later(7_200);
    assert_ne!(world.token(), first);
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refreshed, counts.refused), (1, 1, 0));
}

/// E10: the same by a code: one more line in the file, and the certified server's own device endpoint, which says no interval.
#[test]
fn e10_a_code_of_a_certified_server() {
    let mut world = World::by_issuer(provider(), "[[auth]]\nmethod = \"device-code\"\n");
    let said = world.login_by_code().ok();
    assert!(said.contains("Stored acme:ann@e2e.test"), "{said}");
    let first = world.token();
    assert_eq!(world.server.userinfo(&first).unwrap()["email"], "ann@e2e.test");
    world.later(7_200);
    assert_ne!(world.token(), first);
    let counts = world.server.counts();
    assert_eq!((counts.exchanged, counts.refreshed, counts.grants_revoked), (1, 1, 0));
}

/// E14: scopes that are said are asked for as they are said, and with the consent that `offline_access` needs (OpenID Connect Core
/// section 11): this server gives no refresh token without one.
#[test]
fn e14_scopes_of_ones_own() {
    let mut world = World::by_issuer(provider(), "scopes = [\"openid\", \"offline_access\"]\n");
    world.login_ok();
    let first = world.token();
    world.later(7_200);
    assert_ne!(world.token(), first);
    assert_eq!(world.server.counts().refreshed, 1);
}

/// OpenID Connect Core 3.1.3.7 and 12.2: a certified server's id_token (RS256, with our nonce) is checked by the keys that it
/// shows, once at the login; no refresh asks for them.
#[test]
fn a_certified_servers_signature_is_checked_at_the_login() {
    let mut world = World::by_issuer(provider(), "");
    world.login_ok();
    assert_eq!(world.server.counts().keys, 1);
    world.later(7_200);
    world.token();
    let counts = world.server.counts();
    assert_eq!((counts.refreshed, counts.keys), (1, 1));
}

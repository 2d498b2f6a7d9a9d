//! Who logged in, as the issuer signs it: what does not prove it is not stored, and no refresh depends on the proof.

use std::process::Stdio;
use std::time::Duration;

use coderclaw_sandbox::{Body, Fault, IdTokens, Kind, On, Reply, browse};
use coderclaw_types::Secret;

use crate::login::{Waiting, code_of, flat, location};
use crate::world::{Ran, World};

const LOGIN: &[&str] = &["models", "auth", "login", "--provider", "acme"];
const ID: &str = "acme:me@x.test";

/// A world with a provider of which only the issuer is known.
fn world() -> World {
    let world = World::new();
    let text = format!(
        "id = \"acme\"\n\n[api]\nkind = \"openai-chat\"\nbase_url = \"{0}/v1\"\n\n[[auth]]\nmethod = \"oauth\"\nissuer = \"{0}\"\n\
         client_id = \"acme-cli\"\nrevoke = \"token\"\n\n[[auth]]\nmethod = \"device-code\"\n",
        world.sandbox.origin()
    );
    world.private(&world.state().join("providers/acme.toml"), &text);
    world
}

fn asked_for_keys(world: &World) -> usize {
    world.sandbox.log().iter().filter(|seen| seen.kind == Kind::Keys).count()
}

fn start(world: &World) -> Waiting {
    let mut command = world.command(&[LOGIN, &["--method", "oauth"]].concat());
    Waiting::of(world.start(command.stdin(Stdio::null())), "Ctrl-C")
}

fn stored(world: &World) -> bool {
    world.store().exists() && world.text().contains("acme:")
}

fn token(world: &World) -> Ran {
    world.run(&["models", "auth", "token", "--provider", "acme"])
}

const WRONG: [(IdTokens, &str, usize); 8] = [
    (IdTokens::ForeignKey, "its signature is wrong", 1),
    (IdTokens::UnknownKey, "a key that the issuer does not show", 2),
    (IdTokens::Unsigned, "not signed in a way that counts", 1),
    (IdTokens::OtherAudience, "made for another client", 0),
    (IdTokens::OtherIssuer, "it comes from https://other.test", 0),
    (IdTokens::OtherNonce, "not the answer to this login (nonce)", 0),
    (IdTokens::Expired, "not valid at this time", 0),
    (IdTokens::Absent, "there is none", 0),
];

/// OpenID Connect Core 3.1.3.7, each rule: an id_token that proves nothing ends the login, in the browser and on the page;
/// nothing is stored, the tokens are handed back, and one command is named. The keys are asked for twice at most.
#[test]
fn a_login_that_proves_nothing_is_not_stored() {
    for (how, words, keys) in WRONG {
        let world = world();
        world.sandbox.policy(|policy| policy.id_tokens = how);
        let waiting = start(&world);
        let page = waiting.browse();
        assert!(page.status == 400 && page.body.contains("id_token_invalid"), "{how:?}: {page:?}");
        let ran = waiting.done();
        assert_eq!(code_of(&ran), "id_token_invalid", "{how:?}");
        let said = flat(&ran);
        assert!(said.contains(words) && said.contains("the provider has ended it again"), "{how:?}: {said}");
        assert!(said.ends_with("next: coderclaw models auth login --provider acme"), "{said}");
        assert!(!stored(&world), "{how:?}");
        assert_eq!((asked_for_keys(&world), world.sandbox.counts().revokes), (keys, 2), "{how:?}");
    }
}

/// The same for a login in two processes, and for one by a code, which has no nonce to lose.
#[test]
fn every_door_asks_for_the_proof() {
    for (how, words, _) in WRONG {
        let world = world();
        world.sandbox.policy(|policy| policy.id_tokens = how);
        let started = world.run(&[&LOGIN[..3], &["start", "--json"], &LOGIN[3..]].concat()).json();
        let end = location(started["url"].as_str().unwrap());
        let id = started["id"].as_str().unwrap();
        let ran = world.run_with_input(&["models", "auth", "login", "finish", id], &end);
        assert_eq!(code_of(&ran), "id_token_invalid", "{how:?}");
        assert!(flat(&ran).contains(words), "{how:?}: {ran:?}");
        assert!(!stored(&world));
        // A question a second is asked there; one of each kind will do.
        if !matches!(how, IdTokens::ForeignKey | IdTokens::OtherAudience) {
            continue;
        }
        let child = world.start(world.command(&[LOGIN, &["--device"]].concat()).stdin(Stdio::null()));
        let waiting = Waiting::of(child, "Ctrl-C");
        let code = waiting.said.find("SBOX-").map(|at| waiting.said[at..at + 9].to_owned());
        assert!(world.sandbox.type_in(&code.expect(&waiting.said), true));
        let ran = waiting.done();
        assert_eq!(code_of(&ran), "id_token_invalid", "{how:?}");
        assert!(!stored(&world));
    }
}

/// OpenID Connect Core 3.1.2.1 and 10.1.1: the request has a nonce that no other has; a key that came a moment ago, and an
/// answer that was lost, cost nobody a login; a set without the key is asked for once more, and so is none.
#[test]
fn keys_that_come_late() {
    let reply = |status, body: &str| Fault::Reply(Reply::new(status, Body::Json(body.into())));
    for (fault, times, works) in [
        (reply(200, r#"{"keys":[]}"#), 1, true),
        (reply(503, "{}"), 1, true),
        (Fault::DropBeforeRotate, 1, true),
        (reply(200, r#"{"keys":[]}"#), 2, false),
        (reply(503, "{}"), 2, false),
        (Fault::html_200(), 2, false),
        (Fault::DropBeforeRotate, 2, false),
        (reply(200, &format!("{{\"keys\":[\"{}\"]}}", "x".repeat(9 << 20))), 2, false),
    ] {
        let world = world();
        world.sandbox.script_on(On::Keys, fault.clone(), times);
        let waiting = start(&world);
        let nonce = waiting.url.split("nonce=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().len();
        assert_eq!(nonce, 43);
        let page = waiting.browse();
        let ran = waiting.done();
        assert_eq!((page.status, stored(&world)), (if works { 200 } else { 400 }, works), "{ran:?}");
        assert_eq!(asked_for_keys(&world), 2);
        if !works {
            let is_stale =
                matches!(&fault, Fault::Reply(reply) if reply.body == Body::Json(r#"{"keys":[]}"#.into()));
            let code = if is_stale { "id_token_invalid" } else { "login_failed" };
            assert_eq!(code_of(&ran), code, "{ran:?}");
            assert!(flat(&ran).contains("the provider has ended it again"), "{ran:?}");
        }
    }
    // The key changes while the person signs in.
    let world = world();
    let waiting = start(&world);
    world.sandbox.rotate_key().unwrap();
    assert_eq!(waiting.browse().status, 200);
    waiting.done().ok();
    assert_eq!(asked_for_keys(&world), 1);
}

/// A13: a clock that is wrong, theirs or ours, refuses no login: the token's times are judged by its server's own.
#[test]
fn a13_times_are_the_servers() {
    for skew in [-200_000, 200_000] {
        let world = world();
        world.sandbox.policy(|policy| policy.skew = skew);
        let waiting = start(&world);
        assert_eq!(waiting.browse().status, 200, "{skew}");
        waiting.done().ok();
        assert!(stored(&world));
    }
}

/// OpenID Connect Core 12.2: no refresh asks for the issuer's keys, so that none is lost to their absence; an id_token that
/// has ended, is not signed, or does not come at all holds nobody up.
#[test]
fn a_refresh_needs_no_keys() {
    for how in
        [IdTokens::Signed, IdTokens::ForeignKey, IdTokens::Unsigned, IdTokens::Expired, IdTokens::Absent]
    {
        let mut world = world();
        let waiting = start(&world);
        waiting.browse();
        waiting.done().ok();
        let first = token(&world).ok();
        let keys = asked_for_keys(&world);
        world.sandbox.script_on(On::Keys, Fault::status(503), 99);
        world.sandbox.policy(|policy| policy.id_tokens = how);
        for round in 1..=2 {
            world.shift_clock(Duration::from_secs(2 * 3_600));
            assert_ne!(token(&world).ok(), first, "{how:?}");
            assert_eq!(world.sandbox.counts().rotations, round, "{how:?}");
        }
        assert_eq!(asked_for_keys(&world), keys, "{how:?}");
        assert_eq!(world.entry("main", ID)["email"], "me@x.test");
    }
}

/// OpenID Connect Core 12.2: a refresh that brings an id_token for another client, or in another issuer's name, is not this
/// login's: its tokens are kept for rescue and lent to nobody, and what the store holds stays.
#[test]
fn a_refresh_for_somebody_else_is_not_lent() {
    for (how, words) in
        [(IdTokens::OtherAudience, "made for another client"), (IdTokens::OtherIssuer, "https://other.test")]
    {
        let mut world = world();
        let waiting = start(&world);
        waiting.browse();
        waiting.done().ok();
        let before = world.text();
        world.sandbox.policy(|policy| policy.id_tokens = how);
        world.shift_clock(Duration::from_secs(2 * 3_600));
        let ran = token(&world);
        assert_eq!(ran.code(), "needs_login", "{how:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert_eq!(world.text(), before);
        assert_eq!(token(&world).code(), "needs_login", "and nothing more is sent");
        assert_eq!(world.sandbox.counts().refreshes, 1);
        // A new login ends it.
        world.sandbox.policy(|policy| policy.id_tokens = IdTokens::Signed);
        let waiting = start(&world);
        waiting.browse();
        waiting.done().ok();
        let lent = token(&world).ok();
        assert!(world.sandbox.is_live_access(&Secret::from(lent.trim())));
    }
}

/// A provider that names no issuer, as the product page's own, is asked for no proof: the request has no nonce.
#[test]
fn without_an_issuer_there_is_nothing_to_compare() {
    let world = World::new();
    let text = world.sandbox.manifest(crate::world::PROVIDER);
    let issuer = format!("issuer = \"{}\"\n", world.sandbox.origin());
    world.private(&world.state().join("providers/openai-codex.toml"), &text.replace(&issuer, ""));
    world.sandbox.policy(|policy| policy.id_tokens = IdTokens::OtherAudience);
    let waiting = Waiting::start(&world, &[]);
    assert!(!waiting.url.contains("nonce="), "{}", waiting.url);
    assert_eq!(browse(&waiting.url).unwrap().status, 200);
    waiting.done().ok();
}

//! What the standards ask of a login, where no other test asks it of the whole program. `docs/conformance.md` lists them all.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use coderclaw_sandbox::{Body, Fault, On, Reply};
use url::Url;

use crate::login::{Waiting, code_of, flat};
use crate::world::World;

const LOGIN: &[&str] = &["models", "auth", "login", "--provider", "acme", "--no-browser"];

/// A provider of which only the issuer is known; its description says that every answer names it (RFC 9207).
fn by_issuer() -> World {
    let world = World::new();
    let text = format!(
        "id = \"acme\"\nname = \"Acme\"\n\n[[auth]]\nmethod = \"oauth\"\nissuer = \"{}\"\nclient_id = \"acme-cli\"\n",
        world.sandbox.origin()
    );
    world.private(&world.state().join("providers/acme.toml"), &text);
    world.sandbox.policy(|policy| policy.send_iss = true);
    world
}

fn start(world: &World) -> Waiting {
    Waiting::of(world.start(world.command(LOGIN).stdin(Stdio::null())), "Ctrl-C")
}

/// E7: RFC 9207, 2.4: an issuer that names itself in every answer has not given one without a name. Nothing is exchanged.
#[test]
fn e7_an_answer_that_names_no_issuer() {
    let world = by_issuer();
    world.sandbox.policy(|policy| policy.send_iss = false);
    let waiting = start(&world);
    assert_eq!(waiting.browse().status, 400);
    let ran = waiting.done();
    assert_eq!(code_of(&ran), "login_denied", "{ran:?}");
    assert!(flat(&ran).contains("does not say which issuer"), "{ran:?}");
    assert_eq!(world.sandbox.counts().exchanges, 0);
    assert!(!world.store().exists());

    world.sandbox.policy(|policy| policy.send_iss = true);
    let waiting = start(&world);
    assert_eq!(waiting.browse().status, 200);
    waiting.done().ok();
}

/// E22: RFC 6749, 7.1: a token of a kind that is not understood is not used, nor stored; `bearer` is, in any case of letters.
#[test]
fn e22_a_token_of_another_kind() {
    for (kind, is_known) in
        [("mac", false), ("DPoP", false), ("N_A", false), ("bearer", true), ("BEARER", true)]
    {
        let world = by_issuer();
        let body = format!(
            r#"{{"access_token": "at-canary", "refresh_token": "rt-canary", "token_type": "{kind}", "expires_in": 3600}}"#
        );
        world.sandbox.script_on(On::Exchange, Fault::Reply(Reply::new(200, Body::Json(body))), 1);
        let waiting = start(&world);
        let status = waiting.browse().status;
        let ran = waiting.done();
        if is_known {
            // It says nowhere whose it is; what matters is that the kind was no reason.
            assert!(!flat(&ran).contains("of the kind"), "{kind}: {ran:?}");
            continue;
        }
        assert_eq!((status, code_of(&ran)), (400, "login_failed".into()), "{kind}: {ran:?}");
        assert!(flat(&ran).contains(&format!("of the kind {kind}")), "{ran:?}");
        assert!(!world.store().exists() || !world.text().contains("canary"), "{kind}");
    }
}

/// E7: RFC 7636, 7.1 and RFC 9700, 2.1.1: each attempt has a state and a challenge of its own, by S256, and nothing in the
/// address is a secret that the exchange needs.
#[test]
fn e7_each_attempt_has_its_own_secrets() {
    let world = by_issuer();
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let waiting = start(&world);
        let url = Url::parse(&waiting.url).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let query: HashMap<String, String> = pairs.iter().cloned().collect();
        assert_eq!(query.len(), pairs.len(), "no parameter stands twice");
        assert_eq!((&*query["response_type"], &*query["code_challenge_method"]), ("code", "S256"));
        assert!(!query.contains_key("code_verifier") && !query.contains_key("client_secret"), "{url}");
        let redirect = Url::parse(&query["redirect_uri"]).unwrap();
        assert_eq!((redirect.scheme(), redirect.host_str()), ("http", Some("127.0.0.1")), "never a name");
        assert_eq!(query["code_challenge"].len(), 43);
        assert!(query["state"].len() >= 22, "{url}");
        for value in [&query["state"], &query["code_challenge"]] {
            assert!(seen.insert(value.clone()), "{value} stood there before");
        }
        assert_eq!(waiting.browse().status, 200);
        waiting.done().ok();
    }
}

/// A server with one page, and its address.
fn page(body: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/userinfo", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// C10: OpenID Connect Core, 5.3.2: a page of userinfo about another subject than that of the tokens is not believed; one about
/// the same says what the tokens did not.
#[test]
fn c10_userinfo_about_somebody_else() {
    for (body, stored) in [
        (r#"{"sub": "somebody-else", "mail": "eve@x.test"}"#, "acme:user-me"),
        (r#"{"sub": "user-me", "mail": "me-too@x.test"}"#, "acme:me-too@x.test"),
        (r#"{"mail": "nobody@x.test"}"#, "acme:nobody@x.test"),
    ] {
        let world = by_issuer();
        let path = world.state().join("providers/acme.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let more = format!(
            "{text}userinfo_url = \"{}\"\nidentity = {{ subject = \"/sub\", email = \"/mail\" }}\n",
            page(body)
        );
        world.private(&path, &more);
        let waiting = start(&world);
        assert_eq!(waiting.browse().status, 200, "{body}");
        let said = waiting.done().ok();
        assert!(said.contains(&format!("Stored {stored}")), "{body}: {said}");
    }
}

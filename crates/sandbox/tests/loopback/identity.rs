//! Who somebody is: signed id tokens, the keys to check them by, and the userinfo endpoint.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_sandbox::{IdTokens, Kind, Sandbox};
use coderclaw_types::Secret;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use crate::client::{claims, get, post_bytes, refresh, send, start, start_with};

/// What the discovery document names, as a path of this server.
fn place(sandbox: &Sandbox, key: &str) -> String {
    let metadata = get(sandbox, "/.well-known/openid-configuration", "").json();
    let url = metadata[key].as_str().unwrap();
    url.strip_prefix(sandbox.origin()).expect("its own").to_owned()
}

/// The keys at `jwks_uri`, each as a point of the curve.
fn keys(sandbox: &Sandbox) -> HashMap<String, Vec<u8>> {
    let jwks = get(sandbox, &place(sandbox, "jwks_uri"), "").json();
    let point = |key: &Value| {
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
            (&"EC".into(), &"P-256".into(), &"ES256".into(), &"sig".into())
        );
        assert!(key["d"].is_null(), "the private half is nobody's business");
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        [vec![4], coordinate("x"), coordinate("y")].concat()
    };
    jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["kid"].as_str().unwrap().to_owned(), point(key)))
        .collect()
}

/// As a client checks it: the key that the token names is there, and the signature is that key's.
fn verify(sandbox: &Sandbox, token: &Secret) -> Result<(), &'static str> {
    let parts: Vec<&str> = token.expose().split('.').collect();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    if header["alg"] != "ES256" {
        return Err("not signed");
    }
    let keys = keys(sandbox);
    let key = keys.get(header["kid"].as_str().unwrap()).ok_or("no such key")?;
    let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    let signed = format!("{}.{}", parts[0], parts[1]);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "another key")
}

#[test]
fn id_tokens_are_signed_by_the_key_that_is_shown() {
    let sandbox = start();
    let grant = sandbox.grant("user-1");
    assert_eq!(verify(&sandbox, &grant.id_token), Ok(()));
    let changed = grant.id_token.expose().replacen('.', ".e30", 1);
    assert_eq!(verify(&sandbox, &Secret::from(changed)), Err("another key"));
    let renewed = refresh(&sandbox, &grant.refresh).secret("id_token");
    assert_eq!(verify(&sandbox, &renewed), Ok(()));
    assert_eq!(claims(&renewed)["sub"], "user-1");
    // No two servers share a key.
    assert_eq!(verify(&start(), &grant.id_token), Err("another key"));
}

#[test]
fn a_client_that_does_not_check_is_found_out() {
    for (how, said) in [
        (IdTokens::Unsigned, Err("not signed")),
        (IdTokens::ForeignKey, Err("another key")),
        (IdTokens::UnknownKey, Err("no such key")),
        (IdTokens::Signed, Ok(())),
    ] {
        let sandbox = start();
        sandbox.policy(|policy| policy.id_tokens = how);
        let token = sandbox.grant("user-1").id_token;
        assert_eq!(verify(&sandbox, &token), said, "{how:?}");
        assert_eq!(claims(&token)["sub"], "user-1", "its claims are those of an honest one");
    }
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one() {
    let sandbox = start();
    let old = sandbox.grant("user-1").id_token;
    sandbox.rotate_key().unwrap();
    let new = sandbox.grant("user-1").id_token;
    assert_eq!(verify(&sandbox, &old), Err("no such key"));
    assert_eq!(verify(&sandbox, &new), Ok(()));
    assert_eq!(keys(&sandbox).len(), 1);
}

#[test]
fn userinfo_wants_a_live_access_token() {
    let (sandbox, hands) = start_with(|_| ());
    let path = place(&sandbox, "userinfo_endpoint");
    let ask = |token: &Secret| get(&sandbox, &path, &format!("Authorization: Bearer {}\r\n", token.expose()));
    let (one, two) = (sandbox.grant("user-1"), sandbox.grant("user-2"));
    for grant in [&one, &two] {
        let told = ask(&grant.access).json();
        assert_eq!(
            (&told["sub"], &told["email"]),
            (&grant.user.subject.clone().into(), &grant.user.email.clone().into())
        );
        assert_eq!(told["sub"], claims(&grant.id_token)["sub"], "OpenID Connect Core section 5.3.4");
    }
    let posted = format!("Authorization: Bearer {}\r\nContent-Type", one.access.expose());
    let bytes = post_bytes(&path, "application/x-www-form-urlencoded", "");
    let bytes = String::from_utf8(bytes).unwrap().replacen("Content-Type", &posted, 1);
    assert_eq!(send(&sandbox, bytes.as_bytes()).status(), 200);

    let refused = |token: &Secret| {
        let answer = ask(token);
        assert_eq!(answer.status(), 401);
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    };
    refused(&one.refresh);
    refused(&one.id_token);
    sandbox.reject_access(&one.access);
    refused(&one.access);
    sandbox.kill_family(&two.refresh);
    refused(&two.access);
    let late = sandbox.grant("user-3");
    hands.forward(3_601);
    refused(&late.access);
    let none = get(&sandbox, &path, "");
    assert_eq!((none.status(), none.header("www-authenticate")), (401, Some("Bearer realm=\"sandbox\"")));
    assert_eq!(send(&sandbox, &format!("PUT {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()).status(), 405);
    let asked = sandbox.wait_for(Duration::from_secs(1), |log| {
        log.iter().filter(|seen| seen.kind == Kind::Api).count() == 9
    });
    assert!(asked, "every call is in the log");
}

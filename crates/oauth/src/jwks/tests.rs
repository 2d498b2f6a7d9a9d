use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn keys_of(keys: &Value) -> Keys {
    let body = json!({ "keys": keys }).to_string().into_bytes();
    Keys::read(&Answer { status: 200, headers: Vec::new(), body }).unwrap()
}

fn keys() -> Keys {
    keys_of(&vectors()["keys"])
}

fn token(head: &str, payload: &str, signature: &str) -> Secret {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    Secret::from(format!("{}.{}.{signature}", part(head), part(payload)))
}

fn vector(one: &Value) -> Secret {
    token(one["head"].as_str().unwrap(), r#"{"sub":"vector"}"#, one["signature"].as_str().unwrap())
}

/// OpenID Connect Core 3.1.3.7, rules 6 and 7: what another implementation has signed is taken, in each way that is allowed;
/// with one letter changed, or another's signature, it is not.
#[test]
fn signatures_of_another_implementation() {
    let (all, keys) = (vectors(), keys());
    let good = all["good"].as_array().unwrap();
    assert_eq!(good.len(), ALLOWED.len());
    for (at, one) in good.iter().enumerate() {
        let (head, signature) = (one["head"].as_str().unwrap(), one["signature"].as_str().unwrap());
        assert_eq!(keys.check(&vector(one)), Ok(()), "{head}");
        let other = good[(at + 1) % good.len()]["signature"].as_str().unwrap();
        for (payload, signature) in [
            (r#"{"sub":"Vector"}"#, signature),
            (r#"{"sub":"vector"}"#, other),
            (r#"{"sub":"vector"}"#, ""),
            (r#"{"sub":"vector"}"#, &signature[..signature.len() - 4]),
        ] {
            assert_eq!(keys.check(&token(head, payload, signature)), Err(BadIdToken::Forged), "{head}");
        }
    }
}

/// RFC 8725 3.1, RFC 7515 4.1.11: not signed at all, signed with the public key as if it were a secret, with an extension that
/// nobody here understands, with a key that is too short.
#[test]
fn what_does_not_count_as_a_signature() {
    let (all, keys) = (vectors(), keys());
    let rs256 = all["good"][0]["signature"].as_str().unwrap();
    for head in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None","kid":"rs256-1"}"#,
        r#"{"alg":"HS256","kid":"rs256-1"}"#,
        r#"{"alg":"ES512","kid":"rs256-1"}"#,
        r#"{"kid":"rs256-1"}"#,
        "[]",
    ] {
        for signature in [rs256, ""] {
            assert_eq!(keys.check(&token(head, "{}", signature)), Err(BadIdToken::Unsigned), "{head}");
        }
    }
    assert_eq!(keys.check(&vector(&all["shared"])), Err(BadIdToken::Unsigned));
    assert_eq!(keys.check(&vector(&all["critical"])), Err(BadIdToken::Unsigned));
    assert_eq!(keys.check(&vector(&all["weak"])), Err(BadIdToken::Forged));
    for text in ["", "a", "a.b", "a.b.c.d", "..", "a.b.c"] {
        assert_eq!(keys.check(&Secret::from(text)), Err(BadIdToken::Unsigned), "{text}");
    }
}

/// A key counts for what it says that it is for, and under its own name only.
#[test]
fn which_key_is_looked_for() {
    let all = vectors();
    let (good, key) = (vector(&all["good"][0]), all["keys"][0].clone());
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        match value {
            Value::Null => drop(key.as_object_mut().unwrap().shift_remove(name)),
            value => key[name] = value,
        }
        keys_of(&json!([{"kty": "new"}, key])).check(&good)
    };
    assert_eq!(with("alg", Value::Null), Ok(()));
    assert_eq!(with("use", Value::Null), Ok(()));
    assert_eq!(with("key_ops", json!(["verify"])), Ok(()));
    assert_eq!(with("kid", Value::Null), Ok(()), "a set of one needs no names");
    for (name, value) in [
        ("kid", json!("other")),
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("RS512")),
        ("kty", json!("EC")),
    ] {
        assert_eq!(with(name, value.clone()), Err(BadIdToken::UnknownKey), "{name} {value}");
    }
    // A number with a sign byte before it is the same number.
    let mut signed = vec![0];
    signed.extend(URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap());
    assert_eq!(with("n", json!(URL_SAFE_NO_PAD.encode(signed))), Ok(()));
    assert_eq!(keys_of(&json!([])).check(&good), Err(BadIdToken::UnknownKey));
    // A token that names no key: any of the set may have signed it.
    let nameless =
        token(r#"{"alg":"RS256"}"#, r#"{"sub":"vector"}"#, all["good"][0]["signature"].as_str().unwrap());
    assert_eq!(keys().check(&nameless), Err(BadIdToken::Forged));
}

#[test]
fn what_is_no_set_of_keys() {
    let read = |status, body: &str| Keys::read(&Answer { status, headers: Vec::new(), body: body.into() });
    for body in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(read(200, body).is_err(), "{body}");
    }
    let odd = read(200, r#"{"keys":[7,null,{"kty":"RSA"}]}"#).unwrap();
    assert_eq!(odd.check(&vector(&vectors()["good"][0])), Err(BadIdToken::UnknownKey));
    assert_eq!(read(503, r#"{"keys":[]}"#).unwrap_err(), "the answer was 503");
}

proptest! {
    #[test]
    fn no_token_and_no_key_breaks_it(head in ".{0,60}", signature in "[A-Za-z0-9_-]{0,90}", n in ".{0,20}", e in ".{0,9}") {
        drop(keys().check(&token(&head, "{}", &signature)));
        let odd = json!([{"kty": "RSA", "n": n, "e": e}, {"kty": "EC", "crv": "P-256", "x": n, "y": e}]);
        for algorithm in ["RS256", "ES256"] {
            drop(keys_of(&odd).check(&token(&format!(r#"{{"alg":"{algorithm}"}}"#), "{}", &signature)));
        }
    }
}

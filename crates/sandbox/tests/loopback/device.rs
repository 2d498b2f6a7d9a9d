//! Codes that are typed in elsewhere, and what vendors make of a login, as their clients see it.

use coderclaw_sandbox::{Fault, Kind, On, Sandbox};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::client::{Raw, get, post, post_bytes, refresh, send, start, start_with, whoami};

/// The pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn begin(sandbox: &Sandbox, more: &[(&str, &str)]) -> Value {
    let pairs = [&[("client_id", "client-1"), ("scope", "openid")], more].concat();
    post(sandbox, "/oauth/device", &pairs).json()
}

fn poll(sandbox: &Sandbox, code: &Value, more: &[(&str, &str)]) -> Raw {
    let code = code["device_code"].as_str().unwrap();
    let pairs = [&[("grant_type", GRANT), ("client_id", "client-1"), ("device_code", code)], more].concat();
    post(sandbox, "/oauth/token", &pairs)
}

fn post_json(sandbox: &Sandbox, path: &str, body: &Value) -> Raw {
    send(sandbox, &post_bytes(path, "application/json", &body.to_string()))
}

/// RFC 8628: pending, no, too late, and tokens once.
#[test]
fn the_answers_of_the_standard() {
    let (sandbox, hands) = start_with(|_| {});
    let code = begin(&sandbox, &[]);
    assert_eq!((code["expires_in"].as_i64(), code["interval"].as_i64()), (Some(900), Some(1)));
    let user_code = code["user_code"].as_str().unwrap();
    assert!(
        code["verification_uri_complete"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/device?user_code={user_code}"))
    );
    assert_eq!(poll(&sandbox, &code, &[]).error_code(), "authorization_pending");
    assert_eq!(get(&sandbox, "/device?user_code=NO-SUCH", "").status(), 400);
    assert_eq!(get(&sandbox, &format!("/device?user_code={user_code}"), "").status(), 200);
    let tokens = poll(&sandbox, &code, &[]);
    assert_eq!(tokens.status(), 200);
    assert_eq!(whoami(&sandbox, &tokens.secret("access_token")).status(), 200);
    assert_eq!(refresh(&sandbox, &tokens.secret("refresh_token")).status(), 200);
    assert_eq!(poll(&sandbox, &code, &[]).error_code(), "invalid_grant");
    assert!(!sandbox.type_in(user_code, true), "it has been used");

    let denied = begin(&sandbox, &[]);
    assert!(sandbox.type_in(denied["user_code"].as_str().unwrap(), false));
    assert_eq!(poll(&sandbox, &denied, &[]).error_code(), "access_denied");
    let late = begin(&sandbox, &[]);
    hands.forward(901);
    assert_eq!(poll(&sandbox, &late, &[]).error_code(), "expired_token");
    assert_eq!(poll(&sandbox, &json!({"device_code": "x"}), &[]).error_code(), "invalid_grant");
    sandbox.policy(|policy| policy.device_off = true);
    assert_eq!(begin(&sandbox, &[])["error"], "unauthorized_client");
    let polls = sandbox.log().iter().filter(|seen| seen.kind == Kind::Poll).count();
    assert_eq!(polls, 6);
}

#[test]
fn a_challenge_of_the_request_counts() {
    let sandbox = start();
    let code = begin(&sandbox, &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]);
    assert!(sandbox.type_in(code["user_code"].as_str().unwrap(), true));
    assert_eq!(poll(&sandbox, &code, &[]).error_code(), "invalid_grant");
    assert_eq!(poll(&sandbox, &code, &[("code_verifier", VERIFIER)]).status(), 200);
}

/// OpenAI's dialect: 403 until somebody has typed it in, then a code whose verifier comes with it.
#[test]
fn the_answers_of_openai() {
    let sandbox = start();
    let begin = |client: &Value| post_json(&sandbox, "/api/accounts/deviceauth/usercode", client);
    let code = begin(&json!({"client_id": "client-1"})).json();
    assert_eq!(code["interval"], "1");
    let ask = json!({"device_auth_id": code["device_auth_id"], "user_code": code["user_code"]});
    let poll = || post_json(&sandbox, "/api/accounts/deviceauth/token", &ask);
    assert_eq!(poll().status(), 403);
    assert!(sandbox.type_in(code["user_code"].as_str().unwrap(), true));
    let granted = poll().json();
    let exchange = |verifier: &str| {
        let redirect = format!("{}/deviceauth/callback", sandbox.origin());
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", "client-1"),
            ("redirect_uri", &redirect),
            ("code", granted["authorization_code"].as_str().unwrap()),
            ("code_verifier", verifier),
        ];
        post(&sandbox, "/oauth/token", &pairs)
    };
    assert_eq!(exchange(VERIFIER).error_code(), "invalid_grant");
    assert_eq!(exchange(granted["code_verifier"].as_str().unwrap()).status(), 200);
    sandbox.policy(|policy| policy.device_off = true);
    assert_eq!(begin(&json!({"client_id": "client-1"})).status(), 404);
}

#[test]
fn faults_reach_the_new_requests() {
    let sandbox = start();
    sandbox.script_on(On::Device, Fault::status(503), 1);
    assert_eq!(post(&sandbox, "/oauth/device", &[("client_id", "client-1")]).status(), 503);
    let code = begin(&sandbox, &[]);
    sandbox.script_on(On::Poll, Fault::error("slow_down"), 1);
    assert_eq!(poll(&sandbox, &code, &[]).error_code(), "slow_down");
    assert!(sandbox.type_in(code["user_code"].as_str().unwrap(), true));
    sandbox.script_on(On::Poll, Fault::NoRefreshToken, 1);
    assert_eq!(poll(&sandbox, &code, &[]).json()["refresh_token"], Value::Null);
    // A fault for tokens in general is none for questions.
    sandbox.script_on(On::Token, Fault::status(500), 1);
    assert_eq!(poll(&sandbox, &code, &[]).error_code(), "invalid_grant");
}

/// A token that stays, short ones that are made of it, and whose it is.
#[test]
fn long_tokens_and_short_ones() {
    let sandbox = start();
    sandbox.policy(|policy| policy.bare_tokens = true);
    let code = begin(&sandbox, &[]);
    assert!(sandbox.type_in(code["user_code"].as_str().unwrap(), true));
    let long = poll(&sandbox, &code, &[]);
    assert_eq!(
        (long.json()["refresh_token"].clone(), long.json()["expires_in"].clone()),
        (Value::Null, Value::Null)
    );
    let long = long.secret("access_token");
    let with = |path: &str, token: &Secret| {
        get(&sandbox, path, &format!("Authorization: Bearer {}\r\n", token.expose()))
    };
    let made = with("/copilot_internal/v2/token", &long);
    assert!(made.json()["expires_at"].is_i64() && made.secret("token").expose().starts_with("tid="));
    assert_eq!(whoami(&sandbox, &made.secret("token")).status(), 200);
    assert!(with("/user", &long).json()["id"].is_u64());
    assert_eq!(with("/copilot_internal/v2/token", &Secret::from("x")).status(), 401);
}

//! Each fault as a client meets it: the bytes, and whether the token that was sent is spent.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::Duration;

use coderclaw_sandbox::{Body, ExpiresIn, Fault, Kind, On, Reply, RetryAfter, Sandbox};
use serde_json::{Value, json};

use crate::client::{Raw, claims, connect, read_all, refresh, refresh_bytes, start};

/// Runs one refresh into a fault, and checks that the log and the tokens agree with what the fault says of itself.
fn strike(sandbox: &Sandbox, fault: &Fault) -> Raw {
    let grant = sandbox.grant("user-1");
    sandbox.script(fault.clone(), 1);
    let raw = refresh(sandbox, &grant.refresh);
    let log = sandbox.log();
    let seen = log.last().unwrap();
    assert_eq!(seen.fault, Some(fault.name()));
    assert_eq!(seen.rotated, fault.rotates(), "{fault:?}");
    assert_eq!(sandbox.is_live(&grant.refresh), !fault.rotates(), "{fault:?}");
    raw
}

#[test]
fn connections_that_break() {
    let sandbox = start();
    let raw = strike(&sandbox, &Fault::DropBeforeRead);
    assert!(raw.bytes.is_empty());
    assert!(matches!(raw.error, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{raw:?}");
    assert_eq!(sandbox.log().last().unwrap().kind, Kind::Other, "nobody read what it was");

    for fault in [Fault::DropBeforeRotate, Fault::RotateThenDrop] {
        let raw = strike(&sandbox, &fault);
        assert!(raw.bytes.is_empty() && raw.error.is_none(), "{fault:?}");
        assert_eq!(sandbox.log().last().unwrap().status, None);
    }
    let raw = strike(&sandbox, &Fault::RotateThenHalfBody);
    assert_eq!(raw.status(), 200);
    assert_eq!(raw.text().len(), raw.declared() / 2);
    assert!(raw.text().starts_with("{\"id_token\"") && serde_json::from_str::<Value>(raw.text()).is_err());
}

#[test]
fn answers_that_are_something_else() {
    let sandbox = start();
    let late = Reply::new(503, Body::Html).retry_after(RetryAfter::HttpDate(120));
    let soon = Reply::new(429, Body::Empty).retry_after(RetryAfter::Seconds(7));
    let table: [(Fault, u16, Option<&str>, &str); 7] = [
        (Fault::html_200(), 200, None, "<!doctype html>"),
        (Fault::status(500), 500, None, "<!doctype html>"),
        (Fault::Reply(late), 503, Some("Tue, 14 Nov 2023 22:15:20 GMT"), "<!doctype html>"),
        (Fault::Reply(soon), 429, Some("7"), ""),
        (Fault::Reply(Reply::new(429, Body::Empty)), 429, None, ""),
        (Fault::Reply(Reply::new(200, Body::Json("{\"access".into()))), 200, None, "{\"access"),
        (Fault::RotateThenReply(Reply::new(502, Body::Html)), 502, None, "<!doctype html>"),
    ];
    for (fault, status, retry_after, start) in table {
        let raw = strike(&sandbox, &fault);
        assert_eq!((raw.status(), raw.header("retry-after")), (status, retry_after), "{fault:?}");
        assert!(raw.text().starts_with(start) && raw.text().len() == raw.declared());
        assert!(raw.text().is_empty() == start.is_empty());
    }
    let raw = strike(&sandbox, &Fault::redirect("http://other.test/oauth/token"));
    assert_eq!((raw.status(), raw.header("location")), (307, Some("http://other.test/oauth/token")));
}

#[test]
fn refusals_by_name() {
    let sandbox = start();
    for (code, status, nested) in [
        ("refresh_token_reused", 401, true),
        ("refresh_token_invalidated", 401, true),
        ("refresh_token_expired", 401, true),
        ("token_expired", 401, true),
        ("something_new", 401, true),
        ("invalid_grant", 400, false),
        ("invalid_client", 401, false),
        ("temporarily_unavailable", 503, false),
    ] {
        let raw = strike(&sandbox, &Fault::error(code));
        assert_eq!((raw.status(), raw.error_code().as_str()), (status, code));
        assert_eq!(raw.json()["error"].is_object(), nested, "{code}");
        assert!(!nested || raw.json()["error"]["param"].is_null());
    }
    let raw = strike(&sandbox, &Fault::Reply(Reply::error_object(400, "refresh_token_expired")));
    assert_eq!((raw.status(), raw.error_code().as_str()), (400, "refresh_token_expired"));
    assert_eq!(sandbox.counts().refused, 0, "the server itself refused nothing");
}

#[test]
fn good_answers_with_something_odd() {
    let sandbox = start();
    let table: [(Fault, &str, Option<Value>); 12] = [
        (Fault::NoRefreshToken, "refresh_token", None),
        (Fault::ExpiresIn(ExpiresIn::Zero), "expires_in", Some(json!(0))),
        (Fault::ExpiresIn(ExpiresIn::Negative), "expires_in", Some(json!(-3600))),
        (Fault::ExpiresIn(ExpiresIn::Huge), "expires_in", Some(json!(9_007_199_254_740_993_i64))),
        (Fault::ExpiresIn(ExpiresIn::String), "expires_in", Some(json!("3600"))),
        (Fault::ExpiresIn(ExpiresIn::Float), "expires_in", Some(json!(3600.5))),
        (Fault::ExpiresIn(ExpiresIn::Absent), "expires_in", None),
        (Fault::ExpiresIn(ExpiresIn::Exact(42)), "expires_in", Some(json!(42))),
        (Fault::TokenType(Some("DPoP".into())), "token_type", Some(json!("DPoP"))),
        (Fault::TokenType(None), "token_type", None),
        (Fault::EarliestRefreshAt(json!("soon")), "earliest_refresh_at", Some(json!("soon"))),
        (Fault::EarliestRefreshAt(Value::Null), "earliest_refresh_at", Some(Value::Null)),
    ];
    for (fault, key, value) in table {
        let raw = strike(&sandbox, &fault);
        assert_eq!((raw.status(), raw.json().get(key)), (200, value.as_ref()), "{fault:?}");
        assert!(sandbox.is_live_access(&raw.secret("access_token")));
        if key != "refresh_token" {
            assert!(sandbox.is_live(&raw.secret("refresh_token")), "{fault:?}");
        }
    }
    let raw = strike(&sandbox, &Fault::OtherAccount);
    let stranger = claims(&raw.secret("access_token"));
    assert_eq!(stranger["sub"], "stranger");
    assert_eq!(stranger["https://api.openai.com/auth"]["chatgpt_account_id"], "acct-stranger");
    assert_eq!(claims(&raw.secret("id_token"))["sub"], "stranger");

    let raw = strike(&sandbox, &Fault::DuplicateKeys);
    assert_eq!(raw.text().matches("\"refresh_token\":").count(), 2);
    assert!(sandbox.is_live(&raw.secret("refresh_token")), "the second is the good one");

    let raw = strike(&sandbox, &Fault::HugeBody);
    assert!(raw.text().len() > 2_000_000 && raw.declared() == raw.text().len());
    assert!(sandbox.is_live(&raw.secret("refresh_token")));
}

#[test]
fn slow_answers_are_whole_in_the_end() {
    let sandbox = start();
    for fault in
        [Fault::RotateThenDelay(Duration::from_millis(1)), Fault::SlowBody(Duration::from_micros(10))]
    {
        let raw = strike(&sandbox, &fault);
        assert!(sandbox.is_live(&raw.secret("refresh_token")), "{fault:?}");
    }
}

#[test]
fn a_hanging_server_waits_for_the_client_to_leave() {
    let sandbox = start();
    let grant = sandbox.grant("user-1");
    sandbox.script(Fault::HangBeforeRotate, 1);
    let mut stream = connect(&sandbox);
    stream.write_all(&refresh_bytes(&grant.refresh)).unwrap();
    assert!(sandbox.wait_for(crate::client::SOON, |log| {
        log.last().is_some_and(|seen| seen.fault == Some("hang_before_rotate"))
    }));
    assert!(sandbox.is_live(&grant.refresh));
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(stream).bytes.is_empty());
    assert_eq!(refresh(&sandbox, &grant.refresh).status(), 200);
    assert_eq!(sandbox.counts().reuses, 0);
}

#[test]
fn faults_come_in_order_and_a_refused_request_uses_up_none_that_rotate() {
    let sandbox = start();
    let grant = sandbox.grant("user-1");
    sandbox.script(Fault::status(500), 2);
    sandbox.script_on(On::Token, Fault::RotateThenDrop, 1);
    assert_eq!(refresh(&sandbox, &grant.refresh).status(), 500);
    assert_eq!(refresh(&sandbox, &grant.refresh).status(), 500);
    assert_eq!(refresh(&sandbox, &"sandbox-rt-unknown".into()).status(), 401);
    assert!(refresh(&sandbox, &grant.refresh).bytes.is_empty());
    assert_eq!(refresh(&sandbox, &grant.refresh).error_code(), "refresh_token_reused");
    let counts = sandbox.counts();
    assert_eq!((counts.refreshes, counts.rotations, counts.reuses, counts.most_sent()), (5, 1, 1, 4));

    // A spent token that runs into a fault is still a reuse, though the server does not come to act on it.
    let grant = sandbox.grant("user-1");
    let next = refresh(&sandbox, &grant.refresh).secret("refresh_token");
    sandbox.script(Fault::DropBeforeRotate, 1);
    refresh(&sandbox, &grant.refresh);
    assert!(sandbox.counts().reuses == 2 && sandbox.is_live(&next));
    sandbox.script(Fault::status(500), 9);
    sandbox.clear_script();
    assert_eq!(refresh(&sandbox, &next).status(), 200);
}

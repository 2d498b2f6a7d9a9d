//! Refresh, reuse, revocation: the rules that the clients of this server are tested against.

use std::time::Duration;

use coderclaw_sandbox::{Earliest, EarliestForm, Enforced, ErrorStyle, Fault, Kind, Refusal, Reuse};
use coderclaw_types::{Secret, TokenHash};

use crate::client::{NOW, claims, post, post_bytes, refresh, send, start, start_with, whoami};

/// A1, the server's half: a reuse is counted, and ends the whole family.
#[test]
fn a1_reuse_is_counted_and_ends_the_family() {
    let sandbox = start();
    let grant = sandbox.grant("user-1");
    let second = refresh(&sandbox, &grant.refresh);
    let (access, newest) = (second.secret("access_token"), second.secret("refresh_token"));
    assert!(sandbox.is_live(&newest) && !sandbox.is_live(&grant.refresh));
    assert_eq!(whoami(&sandbox, &access).status(), 200);
    assert_eq!(whoami(&sandbox, &grant.access).status(), 200, "rotation does not end access tokens");

    let reused = refresh(&sandbox, &grant.refresh);
    assert_eq!((reused.status(), reused.error_code().as_str()), (401, "refresh_token_reused"));
    assert!(reused.json()["error"]["message"].as_str().unwrap().contains("already been used"));
    assert_eq!(refresh(&sandbox, &newest).error_code(), "refresh_token_invalidated");
    assert_eq!(refresh(&sandbox, &Secret::from("sandbox-rt-guess")).error_code(), "token_expired");
    assert_eq!(whoami(&sandbox, &access).status(), 401);
    assert!(!sandbox.is_live_access(&access));

    let counts = sandbox.counts();
    assert_eq!((counts.refreshes, counts.rotations, counts.reuses, counts.refused), (4, 1, 1, 3));
    assert_eq!(counts.refreshes_of(&TokenHash::of(&grant.refresh)), 2);
    assert_eq!(counts.most_sent(), 2);
    let log = sandbox.log();
    let refreshes: Vec<_> = log.iter().filter(|seen| seen.kind == Kind::Refresh).collect();
    assert!(refreshes[0].rotated && refreshes[0].status == Some(200));
    assert_eq!(refreshes[1].refusal, Some(Refusal::Reused));
    assert!(refreshes[..3].iter().all(|seen| seen.family == Some(grant.family)));
    assert_eq!((refreshes[3].family, refreshes[3].refusal), (None, Some(Refusal::Unknown)));
}

#[test]
fn the_grace_window_follows_the_clock() {
    let (sandbox, hands) = start_with(|o| o.policy.reuse = Reuse::Grace(Duration::from_secs(30)));
    let grant = sandbox.grant("user-1");
    assert_eq!(refresh(&sandbox, &grant.refresh).status(), 200);
    hands.forward(30);
    let again = refresh(&sandbox, &grant.refresh);
    assert_eq!(again.status(), 200);
    hands.forward(1);
    assert_eq!(refresh(&sandbox, &grant.refresh).error_code(), "refresh_token_reused");
    assert!(!sandbox.is_live(&again.secret("refresh_token")));
    assert_eq!(sandbox.counts().reuses, 2, "grace or not, the token was spent");
}

#[test]
fn lifetimes_follow_the_clock() {
    let (sandbox, hands) = start_with(|o| {
        o.policy.access_lifetime = Duration::from_secs(300);
        o.policy.refresh_lifetime = Duration::from_secs(1000);
    });
    let grant = sandbox.grant("user-1");
    assert_eq!(grant.expires_in, 300);
    hands.forward(299);
    assert!(sandbox.is_live_access(&grant.access));
    hands.forward(1);
    assert!(!sandbox.is_live_access(&grant.access) && sandbox.is_live(&grant.refresh));
    hands.forward(700);
    assert_eq!(refresh(&sandbox, &grant.refresh).error_code(), "refresh_token_expired");
}

#[test]
fn other_servers_manners() {
    let sandbox = start();
    sandbox.policy(|p| p.errors = ErrorStyle::Rfc6749);
    let grant = sandbox.grant("user-1");
    let second = refresh(&sandbox, &grant.refresh);
    let reused = refresh(&sandbox, &grant.refresh);
    assert_eq!((reused.status(), reused.error_code().as_str()), (400, "invalid_grant"));
    assert!(!sandbox.is_live(&second.secret("refresh_token")));

    sandbox.policy(|p| p.rotates = false);
    let grant = sandbox.grant("user-1");
    for _ in 0..3 {
        let answer = refresh(&sandbox, &grant.refresh);
        assert!(answer.status() == 200 && answer.json().get("refresh_token").is_none());
    }
    assert!(sandbox.is_live(&grant.refresh));
    assert_eq!((sandbox.counts().rotations, sandbox.counts().reuses), (1, 1));
}

#[test]
fn earliest_refresh_is_told_and_enforced() {
    let (sandbox, hands) = start_with(|_| ());
    let times = (NOW + 3240, "2023-11-14T23:07:20Z");
    for (form, wanted) in [
        (EarliestForm::Number, serde_json::json!(times.0)),
        (EarliestForm::NumericString, serde_json::json!(times.0.to_string())),
        (EarliestForm::Rfc3339, serde_json::json!(times.1)),
        (EarliestForm::Null, serde_json::Value::Null),
    ] {
        sandbox.policy(|p| {
            p.earliest_refresh =
                Some(Earliest { before_expiry: Duration::from_secs(360), form, enforced: Enforced::No });
        });
        let answer = refresh(&sandbox, &sandbox.grant("user-1").refresh);
        assert_eq!(answer.json()["earliest_refresh_at"], wanted);
    }
    let enforce = |enforced| {
        let rule = Earliest { before_expiry: Duration::from_secs(360), form: EarliestForm::Number, enforced };
        sandbox.policy(|p| p.earliest_refresh = Some(rule));
    };
    enforce(Enforced::Refuse);
    let kept = sandbox.grant("user-1");
    assert_eq!(refresh(&sandbox, &kept.refresh).error_code(), "invalid_grant");
    assert!(sandbox.is_live(&kept.refresh) && sandbox.is_live_access(&kept.access));
    enforce(Enforced::RefuseAndSpend);
    let spent = sandbox.grant("user-1");
    assert_eq!(refresh(&sandbox, &spent.refresh).error_code(), "invalid_grant");
    assert!(!sandbox.is_live(&spent.refresh) && sandbox.is_live_access(&spent.access));
    hands.forward(3240);
    assert_eq!(refresh(&sandbox, &kept.refresh).status(), 200);
    assert_eq!(refresh(&sandbox, &spent.refresh).error_code(), "refresh_token_reused");
}

#[test]
fn a_skewed_server_shows_it_in_claims_and_date() {
    let sandbox = start();
    for (skew, date) in [
        (0, "Tue, 14 Nov 2023 22:13:20 GMT"),
        (600, "Tue, 14 Nov 2023 22:23:20 GMT"),
        (-600, "Tue, 14 Nov 2023 22:03:20 GMT"),
    ] {
        sandbox.policy(|p| p.skew = skew);
        let answer = refresh(&sandbox, &sandbox.grant("user-1").refresh);
        assert_eq!(answer.header("date"), Some(date));
        assert_eq!(claims(&answer.secret("access_token"))["exp"], NOW + skew + 3600);
        assert_eq!(answer.json()["expires_in"], 3600);
        assert!(sandbox.is_live_access(&answer.secret("access_token")));
    }
}

#[test]
fn scopes_may_shrink_and_not_grow() {
    let sandbox = start();
    let grant = sandbox.grant("user-1");
    let with = |scope: &str| {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", grant.refresh.expose()),
            ("client_id", "c"),
            ("scope", scope),
        ];
        post(&sandbox, "/oauth/token", &pairs)
    };
    assert_eq!(with("openid admin").error_code(), "invalid_scope");
    assert!(sandbox.is_live(&grant.refresh));
    assert_eq!(with("openid profile").status(), 200);
}

#[test]
fn revocation_as_form_and_json() {
    let sandbox = start();
    let one = sandbox.grant("user-1");
    let answer = post(&sandbox, "/oauth/revoke", &[("token", one.refresh.expose()), ("client_id", "c")]);
    assert_eq!((answer.status(), answer.text()), (200, ""));
    assert!(!sandbox.is_live(&one.refresh) && !sandbox.is_live_access(&one.access));

    let two = sandbox.grant("user-1");
    let revoke = |token: &Secret| {
        let body =
            serde_json::json!({ "token": token.expose(), "token_type_hint": "refresh_token" }).to_string();
        send(&sandbox, &post_bytes("/oauth/revoke", "application/json", &body)).status()
    };
    assert_eq!(revoke(&two.access), 200);
    assert!(sandbox.is_live(&two.refresh) && !sandbox.is_live_access(&two.access));
    sandbox.script_on(coderclaw_sandbox::On::Revoke, Fault::status(500), 1);
    assert_eq!(revoke(&two.refresh), 500);
    assert!(sandbox.is_live(&two.refresh));
    assert_eq!(revoke(&two.refresh), 200);
    assert_eq!(revoke(&two.refresh), 200, "dead already");
    assert_eq!(revoke(&Secret::from("never seen")), 200);
    assert_eq!(post(&sandbox, "/oauth/revoke", &[]).status(), 400);
    assert_eq!(sandbox.counts().revokes, 7);
}

#[test]
fn a_test_can_end_families_and_reject_single_tokens() {
    let sandbox = start();
    let (a, b, other) = (sandbox.grant("a"), sandbox.grant("a"), sandbox.grant("b"));
    sandbox.reject_access(&a.access);
    assert!(!sandbox.is_live_access(&a.access) && sandbox.is_live(&a.refresh));
    sandbox.kill_family(&a.refresh);
    assert!(!sandbox.is_live(&a.refresh) && sandbox.is_live(&b.refresh));
    sandbox.revoke_all("a");
    assert!(!sandbox.is_live(&b.refresh) && sandbox.is_live(&other.refresh));
    let seen = format!("{sandbox:?} {a:?} {:?}", sandbox.log());
    for secret in [&a.refresh, &a.access, &other.refresh] {
        assert!(!seen.contains(secret.expose()), "a Debug shows a token");
    }
}

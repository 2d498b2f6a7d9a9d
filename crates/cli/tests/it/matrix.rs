//! Every way in which a token endpoint can answer, or fail to: which class it is, what it costs, what is said, what is left.
//!
//! Each row runs twice: with a worker process, and with the refresh in a task of the asker.

use std::sync::Mutex;
use std::time::Duration;

use coderclaw_sandbox::{
    Body, Earliest, EarliestForm, Enforced, ExpiresIn, Fault, Policy, Reply, RetryAfter, Reuse,
};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::profiles::{PATIENCE, auth, run};
use crate::world::{Login, ME, PROVIDER, TOKEN, World};

/// What a row comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// New tokens, one request.
    Granted,
    /// A login is needed, and nothing is sent any more.
    Refused,
    /// The token is as it was: left alone for a while, then one more request brings new ones.
    NotSpent,
    /// Nobody knows. One more try after a while, which works.
    LostAndFound,
    /// Nobody knows. One more try after a while, which is refused: the login was interrupted.
    Lost,
}

use Class::{Granted, Lost, LostAndFound, NotSpent, Refused};

struct Row {
    name: String,
    fault: Option<Fault>,
    policy: fn(&mut Policy),
    class: Class,
    /// Whether the server can tell that the first request carried the token.
    is_read: bool,
}

fn as_ever(_: &mut Policy) {}

fn row(name: &str, fault: Fault, class: Class) -> Row {
    Row { name: name.to_owned(), fault: Some(fault), policy: as_ever, class, is_read: true }
}

fn under(name: &str, policy: fn(&mut Policy), fault: Option<Fault>, class: Class) -> Row {
    Row { name: name.to_owned(), fault, policy, class, is_read: true }
}

fn json_200(text: &str) -> Fault {
    Fault::Reply(Reply::new(200, Body::Json(text.to_owned())))
}

fn retry_after(status: u16, when: RetryAfter) -> Fault {
    Fault::Reply(Reply::new(status, Body::Html).retry_after(when))
}

/// The rows that take no longer than a request does.
fn rows() -> Vec<Row> {
    let grace: fn(&mut Policy) = |policy| policy.reuse = Reuse::Grace(Duration::from_secs(3_600));
    let mut rows = vec![
        Row { is_read: false, ..row("dropped before it was read", Fault::DropBeforeRead, LostAndFound) },
        row("dropped after it was read", Fault::DropBeforeRotate, LostAndFound),
        row("rotated, then dropped", Fault::RotateThenDrop, Lost),
        row("rotated, then half a body", Fault::RotateThenHalfBody, Lost),
        row("rotated, then a while", Fault::RotateThenDelay(Duration::from_millis(300)), Granted),
        row("rotated, then a 502", Fault::RotateThenReply(Reply::new(502, Body::Html)), Lost),
        row("no refresh token in it", Fault::NoRefreshToken, Granted),
        row("of another person", Fault::OtherAccount, Refused),
        row("200 with a page", Fault::html_200(), LostAndFound),
        row("200 with nothing", Fault::Reply(Reply::new(200, Body::Empty)), LostAndFound),
        row("200 with half a JSON", json_200(r#"{"access_token":"cut"#), LostAndFound),
        row("200 with garbage", json_200("\u{0}\u{7}%%{{[\u{fffd}"), LostAndFound),
        row("200 with an empty token", json_200(r#"{"access_token":"","refresh_token":""}"#), LostAndFound),
        row("503 with seconds", retry_after(503, RetryAfter::Seconds(30)), NotSpent),
        row("503 with a date", retry_after(503, RetryAfter::HttpDate(30)), NotSpent),
        row("429 without a word", Fault::status(429), NotSpent),
        row("429 with seconds", retry_after(429, RetryAfter::Seconds(60)), NotSpent),
        row("another host", Fault::redirect("http://127.0.0.1:9/oauth/token"), NotSpent),
        row("400 with an empty object", Fault::Reply(Reply::new(400, Body::Json("{}".into()))), NotSpent),
        row("keys twice", Fault::DuplicateKeys, Lost),
        row("two megabytes", Fault::HugeBody, Lost),
        row("byte by byte", Fault::SlowBody(Duration::from_micros(200)), Granted),
        row("token type bearer", Fault::TokenType(Some("bearer".into())), Granted),
        row("no token type", Fault::TokenType(None), Granted),
        // Whether the API takes such a token is its affair; dropping it would be the end of the login.
        row("token type DPoP", Fault::TokenType(Some("DPoP".into())), Granted),
        under("lost, with a grace time", grace, Some(Fault::RotateThenDrop), LostAndFound),
        under(
            "lost, reuse is let pass",
            |p| p.reuse = Reuse::Tolerate,
            Some(Fault::RotateThenDrop),
            LostAndFound,
        ),
        under("lost, no revocation", |p| p.reuse = Reuse::Refuse, Some(Fault::RotateThenDrop), Lost),
        under("does not rotate", |p| p.rotates = false, None, Granted),
        under("does not rotate, dropped", |p| p.rotates = false, Some(Fault::RotateThenDrop), LostAndFound),
        under("its clock is behind", |p| p.skew = -600, None, Granted),
        under("its clock is ahead", |p| p.skew = 600, None, Granted),
        under(
            "not before its time",
            |p| p.earliest_refresh = Some(earliest(Enforced::Refuse)),
            None,
            Granted,
        ),
        under("its time is a wish", |p| p.earliest_refresh = Some(earliest(Enforced::No)), None, Granted),
    ];
    for status in [500, 401, 403, 404, 418] {
        rows.push(row(&format!("{status} with a page"), Fault::status(status), NotSpent));
    }
    for status in [408, 502, 504, 520, 524] {
        rows.push(row(&format!("{status} of a proxy"), Fault::status(status), LostAndFound));
    }
    for code in [
        "invalid_grant",
        "refresh_token_reused",
        "refresh_token_invalidated",
        "refresh_token_expired",
        "token_expired",
    ] {
        rows.push(row(code, Fault::error(code), Refused));
    }
    for code in ["invalid_request", "invalid_client", "server_error", "temporarily_unavailable", "brand_new"]
    {
        rows.push(row(code, Fault::error(code), NotSpent));
    }
    for (name, odd) in [
        ("expires_in 0", ExpiresIn::Zero),
        ("expires_in negative", ExpiresIn::Negative),
        ("expires_in huge", ExpiresIn::Huge),
        ("expires_in a string", ExpiresIn::String),
        ("expires_in a fraction", ExpiresIn::Float),
        ("no expires_in", ExpiresIn::Absent),
    ] {
        rows.push(row(name, Fault::ExpiresIn(odd), Granted));
    }
    rows
}

/// The rows that last as long as a request may: 20 s.
fn slow_rows() -> Vec<Row> {
    vec![
        row("silence before it rotates", Fault::HangBeforeRotate, LostAndFound),
        row("rotated, then silence", Fault::RotateThenDelay(Duration::from_secs(25)), Lost),
        row("a byte every 100 ms", Fault::SlowBody(Duration::from_millis(100)), Lost),
    ]
}

fn earliest(enforced: Enforced) -> Earliest {
    Earliest { before_expiry: Duration::from_secs(600), form: EarliestForm::Number, enforced }
}

/// The state and the detail that status gives the profile.
fn state(world: &World) -> (String, Value) {
    let status = world.run(&["models", "status", "--json"]).json();
    let profiles = status["auth"]["oauth"]["profiles"].as_array().unwrap();
    let one = profiles.iter().find(|one| one["profileId"] == ME).unwrap();
    (one["state"].as_str().unwrap().to_owned(), one["detail"].clone())
}

fn is_silent(name: &str, said: &str, world: &World, login: &Login) {
    let entry = world.entry("main", ME);
    let now = ["access", "refresh"].map(|key| entry[key].as_str().unwrap_or_default().to_owned());
    for secret in [login.access.expose(), login.refresh.expose(), &now[0], &now[1]] {
        assert!(!said.contains(secret), "{name}: {said}");
    }
}

fn check(row: &Row, in_task: bool) {
    let name = &format!("{} ({})", row.name, if in_task { "in a task" } else { "by a worker" });
    let (mut world, login) = World::expired();
    if in_task {
        world.set("CODERCLAW_FAULT", "worker.spawn:emfile");
    }
    world.sandbox.policy(row.policy);
    if let Some(fault) = &row.fault {
        world.sandbox.script(fault.clone(), 1);
    }
    let before = std::fs::read(world.store()).unwrap();
    let sent = |world: &World, extra: usize| world.sent(&login.refresh) == extra + usize::from(row.is_read);
    let first = world.run_within(PATIENCE, TOKEN);
    is_silent(name, &first.stderr, &world, &login);
    assert!(sent(&world, 0), "{name}: {:?}", world.sandbox.counts());
    if row.class == Granted {
        let token = Secret::from(first.ok().trim());
        assert!(world.sandbox.is_live_access(&token), "{name}");
        let entry = world.entry("main", ME);
        assert_eq!(entry["access"], token.expose(), "{name}");
        assert!(world.sandbox.is_live(&entry["refresh"].as_str().unwrap().into()), "{name}");
        let left = entry["expires"].as_i64().unwrap() - world.at(0);
        assert!((600_000..=3_600_000 * 24).contains(&left), "{name}: {left} ms are left");
        assert_eq!(state(&world).0, "ok", "{name}");
        assert_eq!(world.token().ok().trim(), token.expose(), "{name}: and once only");
        assert_eq!(world.sandbox.counts().refreshes, 1, "{name}");
        return;
    }
    let unchanged = |world: &World| assert_eq!(std::fs::read(world.store()).unwrap(), before, "{name}");
    unchanged(&world);
    let code = if row.class == Refused { "needs_login" } else { "offline" };
    assert_eq!(first.code(), code, "{name}: {first:?}");
    let (said, detail) = state(&world);
    assert_eq!(said, code, "{name}");
    is_silent(name, &detail.to_string(), &world, &login);
    // Nobody asks again so soon, whether by themselves or, after what may have been spent, by command.
    assert_eq!(world.token().code(), code, "{name}");
    assert!(sent(&world, 0), "{name}: asked again at once");
    unchanged(&world);
    world.shift_clock(Duration::from_secs(90));
    let second = world.run_within(PATIENCE, TOKEN);
    is_silent(name, &second.stderr, &world, &login);
    match row.class {
        Refused => {
            assert_eq!(second.code(), "needs_login", "{name}");
            assert_eq!(
                run(&world, &["refresh", "--provider", PROVIDER, "--profile", ME]).code(),
                "needs_login",
                "{name}"
            );
            assert!(sent(&world, 0), "{name}: a dead login costs nothing");
            unchanged(&world);
        }
        NotSpent | LostAndFound => {
            assert_eq!(second.code, Some(0), "{name}: {second:?}");
            assert!(world.sandbox.is_live_access(&Secret::from(second.stdout.trim())), "{name}");
            assert!(sent(&world, 1), "{name}: {:?}", world.sandbox.counts());
            assert_eq!(state(&world).0, "ok", "{name}");
        }
        Lost => {
            assert_eq!(second.code(), "interrupted", "{name}: {second:?}");
            assert!(sent(&world, 1), "{name}: {:?}", world.sandbox.counts());
            assert_eq!(state(&world).0, "interrupted", "{name}");
            world.shift_clock(Duration::from_secs(7_200));
            assert_eq!(world.token().code(), "interrupted", "{name}");
            assert!(sent(&world, 1), "{name}: there is no third try");
            unchanged(&world);
        }
        Granted => {}
    }
    let explained = world.run(&auth(&["explain", "--provider", PROVIDER, "--json"])).json();
    let reason = &explained["candidates"][0]["reason"];
    assert_eq!(*reason, json!(state(&world).0), "{name}: explain and status agree");
}

/// A4, A9, A11, A13: the whole table, by a worker and in a task. The rows that take 20 s each are for
/// `cargo xtask torture`.
#[test]
fn a11_every_answer_of_a_token_endpoint() {
    let mut rows = rows();
    if std::env::var_os("CODERCLAW_TORTURE").is_some() {
        rows.extend(slow_rows());
    }
    let cases: Vec<_> = rows.iter().flat_map(|row| [(row, false), (row, true)]).collect();
    let (count, queue) = (cases.len(), Mutex::new(cases.into_iter()));
    let broken = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some((row, in_task)) = queue.lock().unwrap().next() else { return };
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(row, in_task)));
            if done.is_err() {
                broken.lock().unwrap().push((row.name.clone(), in_task));
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{} of {count} rows failed: {broken:?}", broken.len());
}

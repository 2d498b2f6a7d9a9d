use std::cell::{Cell, RefCell};

use coderclaw_http::{Answer, NotSentWhy, SendError};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;

fn standard(pkce: bool) -> DeviceEndpoint {
    DeviceEndpoint {
        start: Url::parse("https://id.test/device").unwrap(),
        token: TokenEndpoint {
            url: Url::parse("https://id.test/token").unwrap(),
            client_id: "app".into(),
            encoding: Encoding::Form,
            extra: Vec::new(),
        },
        scopes: vec!["openid".into(), "offline_access".into()],
        dialect: Dialect::Standard { pkce },
    }
}

fn openai() -> DeviceEndpoint {
    let dialect = Dialect::OpenAi {
        poll: Url::parse("https://id.test/poll").unwrap(),
        page: Url::parse("https://id.test/codex/device").unwrap(),
        redirect: "https://id.test/deviceauth/callback".into(),
    };
    DeviceEndpoint { dialect, ..standard(false) }
}

fn answer(status: u16, body: &str) -> Result<Answer, SendError> {
    Ok(Answer { status, headers: Vec::new(), body: body.into() })
}

fn page(status: u16) -> Result<Answer, SendError> {
    answer(status, "<!doctype html><h1>Attention required</h1>")
}

fn body(request: &Request) -> &str {
    request.body.as_ref().unwrap().bytes.expose()
}

fn waiting(interval: u64, lifetime: u64) -> DeviceCode {
    DeviceCode {
        user_code: "ABCD-EFGH".into(),
        page: Url::parse("https://id.test/device").unwrap(),
        complete: None,
        interval: Duration::from_secs(interval),
        lifetime: Duration::from_secs(lifetime),
        handle: Secret::from("dc-canary"),
    }
}

#[test]
fn what_is_asked() {
    let pkce = Pkce::from_verifier(Secret::from("v".repeat(43))).unwrap();
    let code = waiting(5, 900);
    let plain = standard(false);
    assert_eq!(body(&code_request(&plain, &pkce)), "client_id=app&scope=openid+offline_access");
    assert_eq!(
        body(&poll_request(&plain, &code, &pkce)),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=dc-canary&client_id=app"
    );
    let with_pkce = standard(true);
    let asked = code_request(&with_pkce, &pkce);
    assert!(body(&asked).contains(&format!("code_challenge={}", pkce.challenge())));
    assert!(body(&asked).contains("code_challenge_method=S256"));
    assert!(body(&poll_request(&with_pkce, &code, &pkce)).contains("&code_verifier=vvv"));
    let openai = openai();
    let asked = code_request(&openai, &pkce);
    assert_eq!(body(&asked), r#"{"client_id":"app"}"#);
    let poll = poll_request(&openai, &code, &pkce);
    assert_eq!(body(&poll), r#"{"device_auth_id":"dc-canary","user_code":"ABCD-EFGH"}"#);
    assert_eq!(poll.url.path(), "/poll");
    assert!(!format!("{code:?} {poll:?}").contains("canary"));
}

#[test]
fn codes_are_read() {
    let read = |text: &str| read_code(&standard(false), answer(200, text));
    let code = read(
        r#"{"device_code":"dc","user_code":"WDJB-MJHT","verification_uri":"https://id.test/device",
            "verification_uri_complete":"https://id.test/device?user_code=WDJB-MJHT","expires_in":1800,"interval":7}"#,
    )
    .unwrap();
    assert_eq!((code.user_code.as_str(), code.page.path()), ("WDJB-MJHT", "/device"));
    assert_eq!(code.complete.unwrap().query(), Some("user_code=WDJB-MJHT"));
    assert_eq!((code.interval.as_secs(), code.lifetime.as_secs()), (7, 1800));
    // Section 3.2: five seconds where nothing is said. Nonsense is brought into bounds.
    for (more, interval, lifetime) in [
        ("", 5, 900),
        (r#","interval":"5","expires_in":"900""#, 5, 900),
        (r#","interval":0,"expires_in":0"#, 5, 900),
        (r#","interval":-3,"expires_in":-3"#, 5, 900),
        (r#","interval":0.2,"expires_in":1"#, 1, 10),
        (r#","interval":86400,"expires_in":9007199254740993"#, 60, 3600),
        (r#","interval":null,"expires_in":{}"#, 5, 900),
    ] {
        let text =
            format!(r#"{{"device_code":"d","user_code":"u","verification_url":"https://a.test"{more}}}"#);
        let code = read(&text).unwrap();
        assert_eq!((code.interval.as_secs(), code.lifetime.as_secs()), (interval, lifetime), "{more}");
    }
    let of_openai = r#"{"device_auth_id":"da","usercode":"AB12-CD34E","interval":"5"}"#;
    let code = read_code(&openai(), answer(200, of_openai)).unwrap();
    assert_eq!((code.user_code.as_str(), code.page.path()), ("AB12-CD34E", "/codex/device"));
    assert_eq!((code.interval.as_secs(), code.lifetime.as_secs()), (5, 900));
}

#[test]
fn what_is_no_code() {
    let read = |status, text: &str| read_code(&standard(false), answer(status, text)).unwrap_err();
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"device_code":"d","user_code":"u"}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"http://evil.test"}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}"#,
        r#"{"device_code":"d","user_code":"\u001b[2J","verification_uri":"https://a.test"}"#,
        r#"{"device_code":"d","user_code":"u","user_code":"w","verification_uri":"https://a.test"}"#,
        r#"{"device_code":7,"user_code":"u","verification_uri":"https://a.test"}"#,
        r#"{"user_code":"u","verification_uri":"https://a.test"}"#,
    ] {
        assert!(matches!(read(200, bad), NoCode::Failed(_)), "{bad}");
    }
    let long = format!(
        r#"{{"device_code":"d","user_code":"{}","verification_uri":"https://a.test"}}"#,
        "u".repeat(65)
    );
    assert!(matches!(read(200, &long), NoCode::Failed(_)));
    assert!(matches!(read(500, r#"{"error":"server_error"}"#), NoCode::Failed(_)));
    assert!(matches!(read_code(&standard(false), page(404)), Err(NoCode::Failed(_))));
    let lost = Err(SendError::NotSent { why: NotSentWhy::Dns, detail: "id.test: no such name".into() });
    assert_eq!(read_code(&openai(), lost).unwrap_err(), NoCode::Failed("id.test: no such name".into()));
}

/// E9: a provider that gives out no codes is told from one that fails.
#[test]
fn e9_a_refusal_is_not_a_failure() {
    for (status, text) in [
        (404, ""),
        (404, r#"{"detail":"Not Found"}"#),
        (400, r#"{"error":"unauthorized_client","error_description":"not for you"}"#),
        (200, r#"{"error":"device_flow_disabled"}"#),
    ] {
        for endpoint in [standard(false), openai()] {
            let said = read_code(&endpoint, answer(status, text)).unwrap_err();
            assert!(matches!(said, NoCode::Off(_)), "{status} {text}: {said:?}");
        }
    }
}

/// E10: every answer of RFC 8628 section 3.5, with the status that servers send it with, or with a 200.
#[test]
fn e10_what_a_poll_means() {
    use PollAnswer::{Denied, Expired, Pending, SlowDown, Trouble};
    let read = |status, text: &str| read_poll(&standard(false), answer(status, text));
    for status in [400, 401, 403, 200, 429] {
        let said = |code: &str| read(status, &format!(r#"{{"error":"{code}","error_description":"words"}}"#));
        assert_eq!(said("authorization_pending"), Pending);
        assert_eq!(said("slow_down"), SlowDown { interval: None });
        assert_eq!(said("access_denied"), Denied("access_denied: words".into()));
        assert_eq!(said("expired_token"), Expired);
    }
    let slower = read(200, r#"{"error":"slow_down","interval":12}"#);
    assert_eq!(slower, SlowDown { interval: Some(Duration::from_secs(12)) });
    for (status, text) in
        [(400, r#"{"error":"invalid_grant"}"#), (200, r#"{"error":"incorrect_device_code"}"#)]
    {
        assert!(matches!(read(status, text), PollAnswer::Failed(_)), "{text}");
    }
    for status in [408, 500, 502, 503] {
        assert!(matches!(read(status, ""), Trouble(_)), "{status}");
    }
    // A captive portal grants nothing and ends nothing.
    for status in [200, 302, 403, 404] {
        assert!(matches!(read_poll(&standard(false), page(status)), Trouble(_)), "{status}");
        assert!(matches!(read_poll(&openai(), page(status)), Trouble(_)), "{status}");
    }
    assert!(matches!(read(200, r#"{"access_token":"at","refresh_token":"rt"}"#), PollAnswer::Granted(_)));
    assert!(matches!(read(200, r#"{"refresh_token":"rt"}"#), PollAnswer::Failed(_)));
    // A huge answer ends as one that was lost.
    let lost =
        SendError::Lost { status: Some(200), why: coderclaw_http::LostWhy::TooLarge, detail: "long".into() };
    assert_eq!(read_poll(&standard(false), Err(lost)), Trouble("long".into()));
}

/// E10: OpenAI's servers say "not yet" with 403 and 404.
#[test]
fn e10_pending_in_openai_s_words() {
    let read = |status, text: &str| read_poll(&openai(), answer(status, text));
    for (status, text) in [
        (403, ""),
        (404, ""),
        (
            403,
            r#"{"error":{"message":"Device authorization is unknown","code":"deviceauth_authorization_unknown"}}"#,
        ),
        (400, r#"{"error":"authorization_pending"}"#),
    ] {
        assert_eq!(read(status, text), PollAnswer::Pending, "{status} {text}");
    }
    let granted = r#"{"authorization_code":"ac","code_challenge":"cc","code_verifier":"cv"}"#;
    assert_eq!(
        read(200, granted),
        PollAnswer::Code { code: Secret::from("ac"), verifier: Secret::from("cv") }
    );
    for text in ["", "{}", r#"{"authorization_code":"ac"}"#, r#"{"access_token":"at"}"#] {
        assert!(matches!(read(200, text), PollAnswer::Failed(_)), "{text}");
    }
    assert!(matches!(read(401, "{}"), PollAnswer::Failed(_)));
    assert!(matches!(read(429, "{}"), PollAnswer::SlowDown { .. }));
}

/// Runs the loop with a clock of its own. `say` has the seconds since the start and the number of the question; an answer may
/// take a while itself.
fn run(code: &DeviceCode, say: impl Fn(u64, usize) -> PollAnswer) -> (PollAnswer, Vec<u64>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let asked = RefCell::new(Vec::new());
    let count = Cell::new(0);
    let answer = runtime.block_on(async {
        let began = Instant::now();
        wait(code, async || {
            let at = began.elapsed().as_secs();
            asked.borrow_mut().push(at);
            count.set(count.get() + 1);
            say(at, count.get())
        })
        .await
    });
    (answer, asked.into_inner())
}

fn yes() -> PollAnswer {
    PollAnswer::Code { code: Secret::from("c"), verifier: Secret::from("v") }
}

/// E10: approved at minute 14 of 15, the login completes; all the while the server is asked every five seconds.
#[test]
fn e10_approved_at_minute_14() {
    let (answer, asked) =
        run(&waiting(5, 900), |at, _| if at >= 14 * 60 { yes() } else { PollAnswer::Pending });
    assert_eq!(answer, yes());
    assert_eq!(asked.len(), 14 * 60 / 5);
    assert!(asked.windows(2).all(|two| two[1] - two[0] == 5));
}

/// E10: `slow_down` adds five seconds for good, and a server's own longer interval counts.
#[test]
fn e10_slow_down_is_for_good() {
    let (_, asked) = run(&waiting(5, 900), |_, nth| match nth {
        2 | 3 => PollAnswer::SlowDown { interval: None },
        5 => PollAnswer::SlowDown { interval: Some(Duration::from_secs(40)) },
        8 => yes(),
        _ => PollAnswer::Pending,
    });
    assert_eq!(asked, [5, 10, 20, 35, 50, 90, 130, 170]);
}

/// E10: a network that is away slows the questions down and ends nothing; then the old pace is back.
#[test]
fn e10_a_lost_network_backs_off() {
    let (answer, asked) = run(&waiting(5, 900), |_, nth| match nth {
        1..=3 => PollAnswer::Trouble("away".into()),
        6 => yes(),
        _ => PollAnswer::Pending,
    });
    assert_eq!(answer, yes());
    assert_eq!(asked, [5, 15, 35, 75, 80, 85]);
    let (answer, asked) = run(&waiting(5, 900), |_, _| PollAnswer::Trouble("away".into()));
    assert_eq!(answer, PollAnswer::Failed("away".into()), "the reason, not that time is over");
    assert!(asked.windows(2).all(|two| two[1] - two[0] <= 60) && *asked.last().unwrap() == 900, "{asked:?}");
}

/// E10: the last question falls on the code's last moment, so that nobody who was in time is too late.
#[test]
fn e10_the_last_moment() {
    let (answer, asked) = run(&waiting(7, 60), |at, _| if at >= 58 { yes() } else { PollAnswer::Pending });
    assert_eq!((answer, asked.last()), (yes(), Some(&60)));
    let (answer, asked) = run(&waiting(7, 60), |_, _| PollAnswer::Pending);
    assert_eq!((answer, asked.last()), (PollAnswer::Expired, Some(&60)));
}

/// A question that takes long does not make up for it by asking faster.
#[test]
fn a_slow_server_is_not_asked_faster() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let count = Cell::new(0);
    let answer = runtime.block_on(wait(&waiting(5, 60), async || {
        advance(Duration::from_secs(20)).await;
        count.set(count.get() + 1);
        PollAnswer::Pending
    }));
    assert_eq!((answer, count.get()), (PollAnswer::Expired, 3));
}

proptest! {
    #[test]
    fn no_answer_breaks_the_readers(status: u16, text in ".*", key in "[a-z_]{1,30}", value in ".*") {
        for endpoint in [standard(true), openai()] {
            drop(read_code(&endpoint, answer(status, &text)));
            let object = serde_json::json!({
                "device_code": "d", "device_auth_id": "d", "user_code": "u", "verification_uri": "https://a.test", key.clone(): value,
            });
            if let Ok(code) = read_code(&endpoint, answer(200, &object.to_string())) {
                prop_assert!(code.user_code.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                prop_assert!(code.interval >= Duration::from_secs(1) && code.lifetime <= Duration::from_secs(3_600));
            }
            drop(read_poll(&endpoint, answer(status, &text)));
        }
    }
}

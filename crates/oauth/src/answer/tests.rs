use coderclaw_http::LostWhy;
use coderclaw_types::Secret;
use proptest::prelude::*;

use super::*;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Answer { status, headers: headers.collect(), body: body.into() }
}

/// One word for the class, with the code, so that a table stays readable.
fn class(status: u16, body: &str) -> String {
    match read_answer(Ok(answer(status, &[], body))) {
        RefreshAnswer::Granted(_) => "granted".into(),
        RefreshAnswer::Refused { code, .. } => format!("refused {code}"),
        RefreshAnswer::NotSpent { code, .. } => format!("not spent {}", code.unwrap_or_default()),
        RefreshAnswer::Ambiguous { .. } => "ambiguous".into(),
        RefreshAnswer::Offline { .. } => "offline".into(),
    }
}

const HTML: &str = "<!DOCTYPE html><title>Just a moment...</title>invalid_grant";

#[test]
fn every_status_with_bodies_that_name_no_code() {
    let large = "x".repeat(2 * 1024 * 1024);
    for status in 100..=599 {
        let wanted = match status {
            200..=299 | 408 | 502 | 504 | 520..=529 => "ambiguous",
            _ => "not spent ",
        };
        for body in ["", HTML, "[]", "[\"invalid_grant\"]", "\"invalid_grant\"", "{}", "null", &large] {
            assert_eq!(class(status, body), wanted, "{status} {}", &body[..body.len().min(20)]);
        }
    }
}

#[test]
fn every_terminal_code_in_every_shape() {
    for code in TERMINAL {
        for body in [
            format!(r#"{{"error":"{code}"}}"#),
            format!(r#"{{"error":"{}","error_description":"x"}}"#, code.to_uppercase()),
            format!(r#"{{"error":{{"code":"{code}","type":"invalid_request_error","param":null}}}}"#),
            format!(r#"{{"error":{{"message":"x","type":"{code}","code":null}}}}"#),
            format!(r#"{{"code":"{code}"}}"#),
            format!(r#"{{"error":null,"code":"{code}"}}"#),
        ] {
            for status in [400, 401, 403, 404] {
                assert_eq!(class(status, &body), format!("refused {code}"), "{status} {body}");
            }
            // The same words with another status end nothing.
            for status in [302, 402, 405, 409, 422, 429, 500, 503] {
                assert_eq!(class(status, &body), format!("not spent {code}"), "{status} {body}");
            }
            for status in [200, 408, 502, 504, 520, 524, 529] {
                assert_eq!(class(status, &body), "ambiguous", "{status} {body}");
            }
        }
    }
}

#[test]
fn particular_bodies() {
    let anthropic = r#"{"type":"error","error":{"type":"not_found_error","message":"Not found"}}"#;
    let table = [
        (404, anthropic, "refused not_found_error"),
        (400, anthropic, "not spent not_found_error"),
        (401, r#"{"error":{"code":"account_deactivated"}}"#, "not spent account_deactivated"),
        (400, r#"{"error":"invalid_client"}"#, "not spent invalid_client"),
        (
            400,
            r#"{"error":"invalid_request","error_description":"invalid_grant"}"#,
            "not spent invalid_request",
        ),
        (400, r#"{"error":"invalid_grant","code":"refresh_token_reused"}"#, "refused invalid_grant"),
        (401, r#"{"detail":"Unauthorized"}"#, "not spent "),
        (400, r#"{"error":{"code":400,"message":"x"}}"#, "not spent "),
        (400, r#"{"error":"invalid_grant","error":"invalid_grant"}"#, "not spent "),
        (400, r#"{"error":"invalid_grant""#, "not spent "),
        (403, HTML, "not spent "),
        (307, r#"{"error":"invalid_grant"}"#, "not spent invalid_grant"),
        (200, r#"{"access_token":"at"}"#, "granted"),
        (201, r#"{"access_token":"at"}"#, "granted"),
        (200, r#"{"error":"bad_refresh_token"}"#, "ambiguous"),
        (200, r#"{"access_token":"a","access_token":"b"}"#, "ambiguous"),
        (204, "", "ambiguous"),
        (500, r#"{"access_token":"at"}"#, "not spent "),
    ];
    for (status, body, wanted) in table {
        assert_eq!(class(status, body), wanted, "{status} {body}");
    }
}

#[test]
fn retry_after_in_both_forms() {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    type Case = (&'static [(&'static str, &'static str)], Option<u64>);
    let table: [Case; 13] = [
        (&[("retry-after", "0")], Some(0)),
        (&[("retry-after", " 120 ")], Some(120)),
        (&[("retry-after", "99999")], Some(3600)),
        (&[("retry-after", "99999999999999999999999999")], Some(3600)),
        (&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", DATE)], Some(60)),
        (&[("retry-after", "Sun, 06 Nov 1994 23:50:37 GMT"), ("date", DATE)], Some(3600)),
        (&[("retry-after", DATE), ("date", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(0)),
        (&[("retry-after", DATE)], None),
        (&[("retry-after", DATE), ("date", "now")], None),
        (&[("retry-after", "-5")], None),
        (&[("retry-after", "1.5")], None),
        (&[("retry-after", "")], None),
        (&[], None),
    ];
    for (headers, secs) in table {
        for status in [429, 503] {
            match read_answer(Ok(answer(status, headers, ""))) {
                RefreshAnswer::NotSpent { retry_after, rate_limited, .. } => {
                    assert_eq!(retry_after, secs.map(Duration::from_secs), "{headers:?}");
                    assert_eq!(rate_limited, status == 429);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_never_arrived() {
    let not_sent = SendError::NotSent { why: NotSentWhy::Dns, detail: "d".into() };
    let offline = RefreshAnswer::Offline { why: NotSentWhy::Dns, detail: "d".into() };
    assert_eq!(read_answer(Err(not_sent)), offline);
    for (why, status) in [
        (LostWhy::Timeout, None),
        (LostWhy::Cut, Some(200)),
        (LostWhy::TooLarge, Some(500)),
        (LostWhy::Reset, Some(400)),
    ] {
        let lost = SendError::Lost { status, why, detail: "d".into() };
        let ambiguous = RefreshAnswer::Ambiguous { status, why: "d".into() };
        assert_eq!(read_answer(Err(lost)), ambiguous);
    }
}

/// E6, E15: people see the server's words, and learn when a page came instead.
#[test]
fn e6_e15_words_for_people() {
    let words = |body: &str| match read_answer(Ok(answer(403, &[("content-type", "text/plain")], body))) {
        RefreshAnswer::NotSpent { description, .. } | RefreshAnswer::Refused { description, .. } => {
            description
        }
        other => panic!("{other:?}"),
    };
    let said = words(r#"{"error":"invalid_grant","error_description":"Gone\u001b[2J\nnow"}"#);
    assert_eq!(said.as_deref(), Some("Gone[2J now"));
    let said = words(r#"{"error":{"message":"Country, region, or territory not supported"}}"#);
    assert_eq!(said.as_deref(), Some("Country, region, or territory not supported"));
    assert_eq!(words(&format!(r#"{{"detail":"{}"}}"#, "é ".repeat(500))).unwrap().chars().count(), 200);
    assert!(words(HTML).unwrap().contains("web page"));
    assert_eq!(words("plain"), None);
}

/// G1: no answer prints a token, not even one that a server repeats in its words.
#[test]
fn g1_debug_shows_no_token() {
    let token = "sk-ant-ort01-canary-0123456789-0123456789";
    for (status, body) in [
        (200, format!(r#"{{"access_token":"{token}","refresh_token":"{token}","id_token":"{token}"}}"#)),
        (400, format!(r#"{{"error":"invalid_grant","error_description":"no such token: {token}"}}"#)),
        (400, format!(r#"{{"error":"{token}"}}"#)),
        (500, token.to_owned()),
        (204, token.to_owned()),
    ] {
        let raw = answer(status, &[("set-cookie", token)], &body);
        assert!(!format!("{raw:?}").contains("canary"));
        let text = format!("{:?}", read_answer(Ok(raw)));
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn revocations() {
    assert_eq!(read_revocation(Ok(answer(200, &[], ""))), Ok(()));
    let refused = answer(503, &[], r#"{"error":"unsupported_token_type"}"#);
    let text = read_revocation(Ok(refused)).unwrap_err().to_string();
    assert!(text.ends_with("HTTP 503, unsupported_token_type"), "{text}");
}

proptest! {
    /// Whatever comes, it has a class, and a 2xx is never taken for a refusal.
    #[test]
    fn anything_has_a_class(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let read = read_answer(Ok(Answer { status, headers: Vec::new(), body }));
        if (200..300).contains(&status) {
            let fine = matches!(read, RefreshAnswer::Granted(_) | RefreshAnswer::Ambiguous { .. });
            prop_assert!(fine);
        }
    }

    /// Tokens come out as they went in.
    #[test]
    fn tokens_are_untouched(access in "[!-~]{1,80}", refresh in "[!-~]{1,80}") {
        let body = serde_json::json!({"access_token": access, "refresh_token": refresh}).to_string();
        match read_answer(Ok(answer(200, &[], &body))) {
            RefreshAnswer::Granted(set) => {
                prop_assert_eq!(set.access, Secret::from(access));
                prop_assert_eq!(set.refresh, Some(Secret::from(refresh)));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

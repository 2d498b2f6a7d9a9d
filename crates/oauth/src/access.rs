//! Providers that make short access tokens of a long-lived one by a GET, as GitHub does for Copilot; and who it is that a
//! token belongs to, where the token does not say so itself.

use coderclaw_http::{Answer, Client, HeaderText, Request, SendError, Url};
use coderclaw_types::{Millis, Secret};
use serde_json::Value;

use crate::answer::{RefreshAnswer, looks_like_a_page, read_answer};
use crate::strict_json;
use crate::token_set::{TokenSet, point_in_time, secret};

/// Where short tokens are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEndpoint {
    /// Where.
    pub url: Url,
    /// What the server wants to know about who asks. No secrets.
    pub headers: Vec<(String, String)>,
}

/// A short token for the long-lived one.
pub(crate) fn access_request(endpoint: &AccessEndpoint, long_lived: &Secret) -> Request {
    let with = |request: Request, (name, value): &(String, String)| {
        request.header(name, HeaderText::Plain(value.clone()))
    };
    endpoint.headers.iter().fold(bearer(endpoint.url.clone(), long_lived), with)
}

/// Reads `{"token", "expires_at"}`, that time being Unix seconds of the server's clock. `now` stands in for that clock where
/// the answer has no `Date`.
///
/// Nothing is spent by asking, so that an answer that was lost leaves the token as it was.
pub(crate) fn read_access(outcome: Result<Answer, SendError>, now: Millis) -> RefreshAnswer {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(SendError::Lost { status, detail, .. }) => return not_spent(status, detail),
        Err(not_sent) => return read_answer(Err(not_sent)),
    };
    if !(200..=299).contains(&answer.status) {
        // 401: the long-lived token is dead. 404 with JSON: the server does not know it, or has nothing for its owner.
        let is_dead = matches!(answer.status, 401 | 404) && !looks_like_a_page(&answer);
        return match read_answer(Ok(answer)) {
            RefreshAnswer::NotSpent { status: Some(status), code, description, .. } if is_dead => {
                RefreshAnswer::Refused { code: code.unwrap_or_else(|| status.to_string()), description }
            }
            RefreshAnswer::Ambiguous { status, why } => not_spent(status, why),
            other => other,
        };
    }
    let unusable =
        || not_spent(Some(answer.status), "the answer says success and holds no usable token".into());
    let Some(Value::Object(object)) = strict_json::parse(&answer.body) else { return unusable() };
    let access =
        secret(&object, "token").filter(|token| token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    let Some(access) = access else { return unusable() };
    let mut set = TokenSet::bare(access);
    set.server_date = answer.header("date").and_then(Millis::from_http_date);
    let ends = object.get("expires_at").and_then(point_in_time);
    set.expires_in = ends.map(|end| end.0.saturating_sub(set.server_date.unwrap_or(now).0) / 1000);
    set.expires_in = set.expires_in.filter(|secs| (1..=crate::token_set::LONGEST_SECS).contains(secs));
    RefreshAnswer::Granted(set)
}

/// Has a short token made.
pub async fn make_access(
    client: &Client,
    endpoint: &AccessEndpoint,
    long_lived: &Secret,
    now: Millis,
) -> RefreshAnswer {
    read_access(client.send(access_request(endpoint, long_lived)).await, now)
}

/// What the server says about the owner of `access` (OpenID Connect Core section 5.3, and pages like it). `None` where it
/// says nothing.
pub async fn userinfo(client: &Client, url: Url, access: &Secret) -> Option<Value> {
    let answer = client.send(bearer(url, access)).await.ok()?;
    let body = strict_json::parse(&answer.body).filter(|_| answer.status == 200);
    body.filter(Value::is_object)
}

fn bearer(url: Url, token: &Secret) -> Request {
    let value = Secret::from(format!("Bearer {}", token.expose()));
    Request::get(url)
        .header("authorization", HeaderText::Secret(value))
        .header("accept", HeaderText::Plain("application/json".to_owned()))
}

fn not_spent(status: Option<u16>, why: String) -> RefreshAnswer {
    RefreshAnswer::NotSpent {
        status,
        code: None,
        description: Some(why),
        retry_after: None,
        rate_limited: false,
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_http::LostWhy;

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000 + 7_200_000);

    fn read(status: u16, body: &str) -> RefreshAnswer {
        let headers = vec![("date".into(), "Fri, 15 Jan 2027 08:00:00 GMT".into())];
        read_access(Ok(Answer { status, headers, body: body.into() }), NOW)
    }

    #[test]
    fn the_request_carries_the_long_token_as_a_secret() {
        let endpoint = AccessEndpoint {
            url: Url::parse("https://api.test/token").unwrap(),
            headers: vec![("editor-version".into(), "me/1".into())],
        };
        let request = access_request(&endpoint, &Secret::from("gho-canary"));
        assert!(!format!("{request:?}").contains("canary"));
        let value = |name: &str| request.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        assert!(
            matches!(value("authorization"), Some(HeaderText::Secret(text)) if text.expose() == "Bearer gho-canary")
        );
        assert!(matches!(value("editor-version"), Some(HeaderText::Plain(text)) if text == "me/1"));
    }

    /// A13: the end is counted on the server's clock, not on ours.
    #[test]
    fn a13_a_short_token_and_its_end() {
        let at = |secs: i64| {
            format!(r#"{{"token":"tid=1;exp=2;proxy-ep=p.test","expires_at":{}}}"#, 1_800_000_000_i64 + secs)
        };
        let RefreshAnswer::Granted(set) = read(200, &at(1_800)) else { panic!() };
        assert_eq!((set.access.expose(), set.expires_in), ("tid=1;exp=2;proxy-ep=p.test", Some(1_800)));
        assert_eq!(set.refresh, None, "the long-lived one stays");
        for odd in ["0", "-5", "null", "\"soon\"", "1800000000"] {
            let RefreshAnswer::Granted(set) = read(200, &format!(r#"{{"token":"t","expires_at":{odd}}}"#))
            else {
                panic!("{odd}")
            };
            assert_eq!(set.expires_in, None, "{odd}");
        }
        let undated = Answer { status: 200, headers: Vec::new(), body: at(7_200 + 60).into_bytes() };
        let RefreshAnswer::Granted(set) = read_access(Ok(undated), NOW) else { panic!() };
        assert_eq!(set.expires_in, Some(60));
    }

    /// Only the server's own no ends the long-lived token; nothing else says anything about it.
    #[test]
    fn what_ends_the_long_token() {
        for (status, body) in
            [(401, r#"{"message":"Bad credentials"}"#), (404, r#"{"message":"Not Found"}"#), (401, "")]
        {
            assert!(matches!(read(status, body), RefreshAnswer::Refused { .. }), "{status} {body}");
        }
        for (status, body) in [
            (403, r#"{"message":"no access to Copilot"}"#),
            (404, "<html>"),
            (401, "<html>"),
            (500, ""),
            (502, ""),
            (429, ""),
            (200, "<html>"),
            (200, "{}"),
            (200, r#"{"token":"a b"}"#),
            (200, r#"{"token":"a","token":"b"}"#),
        ] {
            assert!(matches!(read(status, body), RefreshAnswer::NotSpent { .. }), "{status} {body}");
        }
        let lost = SendError::Lost { status: None, why: LostWhy::Reset, detail: "reset".into() };
        assert!(matches!(read_access(Err(lost), NOW), RefreshAnswer::NotSpent { .. }));
    }
}

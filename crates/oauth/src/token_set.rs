//! What a token endpoint hands out.

use coderclaw_http::Answer;
use coderclaw_types::{Millis, Secret};
use serde_json::{Map, Value};

use crate::strict_json;

/// Longer than this no token lives: a lifetime beyond ten years is a mistake.
pub(crate) const LONGEST_SECS: i64 = 10 * 365 * 86_400;

/// A successful answer (RFC 6749 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    /// Never blank, and fit to stand in a header.
    pub access: Secret,
    /// The new refresh token; `None`: the old one stays. A blank one counts as none.
    pub refresh: Option<Secret>,
    /// Who logged in, signed by the provider (OpenID Connect).
    pub id_token: Option<Secret>,
    /// The access token's lifetime in seconds, where the answer has a sensible one: more than zero, at most ten years.
    pub expires_in: Option<i64>,
    /// What was granted; `None`: what was asked for.
    pub scope: Option<String>,
    /// Usually `Bearer`, which also stands for none at all.
    pub token_type: String,
    /// Before this the server refuses to refresh. By the server's clock; see [`TokenSet::local_time`].
    pub earliest_refresh_at: Option<Millis>,
    /// The server's clock when it answered.
    pub server_date: Option<Millis>,
    /// What the server said beside the tokens about whose they are.
    pub person: Option<Value>,
    /// The client that they are for, where that was registered in the course of the login.
    pub client_id: Option<String>,
}

impl TokenSet {
    /// Tokens that did not come from a token endpoint, and about which nothing more is known.
    pub fn plain(access: Secret, refresh: Option<Secret>, expires_in: Option<i64>) -> Self {
        Self { refresh, expires_in, ..Self::bare(access) }
    }

    /// Reads the body of a 2xx answer; `None` where it holds no usable access token.
    pub(crate) fn read(answer: &Answer) -> Option<Self> {
        let Value::Object(object) = strict_json::parse(&answer.body)? else {
            return None;
        };
        let access = secret(&object, "access_token")?;
        if !access.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        Some(Self {
            access,
            refresh: secret(&object, "refresh_token"),
            id_token: secret(&object, "id_token"),
            expires_in: object.get("expires_in").and_then(lifetime),
            scope: text(&object, "scope"),
            token_type: text(&object, "token_type").unwrap_or_else(|| "Bearer".to_owned()),
            earliest_refresh_at: object.get("earliest_refresh_at").and_then(point_in_time),
            server_date: answer.header("date").and_then(Millis::from_http_date),
            person: None,
            client_id: None,
        })
    }

    /// A token about which nothing else is known.
    pub(crate) fn bare(access: Secret) -> Self {
        Self {
            access,
            refresh: None,
            id_token: None,
            expires_in: None,
            scope: None,
            token_type: "Bearer".to_owned(),
            earliest_refresh_at: None,
            server_date: None,
            person: None,
            client_id: None,
        }
    }

    /// A time by the server's clock as a time by ours, going by the server's clock in the answer that came in at
    /// `received_at`. Where the answer had none, the clocks are taken to agree.
    pub fn local_time(&self, server_time: Millis, received_at: Millis) -> Millis {
        let Some(date) = self.server_date else {
            return server_time;
        };
        Millis(received_at.0.saturating_add(server_time.0.saturating_sub(date.0)))
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    let text = object.get(name)?.as_str()?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

pub(crate) fn secret(object: &Map<String, Value>, name: &str) -> Option<Secret> {
    text(object, name).map(Secret::from)
}

/// A number or a text that is one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

#[expect(clippy::cast_possible_truncation, reason = "in range, or saturated and then out of range")]
fn lifetime(value: &Value) -> Option<i64> {
    let secs = number(value)? as i64;
    (1..=LONGEST_SECS).contains(&secs).then_some(secs)
}

/// Seconds, milliseconds or RFC 3339. 10^11 s is the year 5138, 10^11 ms is 1973: no time that matters is in doubt.
/// Less than 10^9 s (2001) is no time of ours.
#[expect(clippy::cast_possible_truncation, reason = "in range, or saturated")]
pub(crate) fn point_in_time(value: &Value) -> Option<Millis> {
    if let Some(number) = number(value) {
        return match number {
            1e9..1e11 => Some(Millis((number * 1000.0) as i64)),
            1e11..1e14 => Some(Millis(number as i64)),
            _ => None,
        };
    }
    Millis::from_rfc3339(value.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<TokenSet> {
        TokenSet::read(&Answer {
            status: 200,
            headers: vec![("date".into(), "Sun, 06 Nov 1994 08:49:37 GMT".into())],
            body: body.into(),
        })
    }

    fn with(member: &str) -> TokenSet {
        read(&format!(r#"{{"access_token":"at",{member}}}"#)).unwrap()
    }

    #[test]
    fn the_whole_set() {
        let set = read(
            r#"{"access_token":"at","refresh_token":"rt","id_token":"it","expires_in":3600,
                "scope":"openid","token_type":"bearer","earliest_refresh_at":1700000000,"new":{"x":[1]}}"#,
        )
        .unwrap();
        assert_eq!(set.access, Secret::from("at"));
        assert_eq!(set.refresh, Some(Secret::from("rt")));
        assert_eq!(set.id_token, Some(Secret::from("it")));
        assert_eq!((set.expires_in, set.scope.as_deref()), (Some(3600), Some("openid")));
        assert_eq!(set.token_type, "bearer");
        assert_eq!(set.earliest_refresh_at, Some(Millis(1_700_000_000_000)));
        assert_eq!(set.server_date, Some(Millis(784_111_777_000)));
    }

    /// A13: only a sensible lifetime is one.
    #[test]
    fn a13_lifetimes() {
        let table = [
            ("3600", Some(3600)),
            ("3600.9", Some(3600)),
            ("3.6e3", Some(3600)),
            ("\"3600\"", Some(3600)),
            ("\" 3600.0 \"", Some(3600)),
            ("315360000", Some(315_360_000)),
            ("315360001", None),
            ("0", None),
            ("0.5", None),
            ("-1", None),
            ("99999999999999999999999", None),
            ("1e300", None),
            ("\"inf\"", None),
            ("\"NaN\"", None),
            ("\"soon\"", None),
            ("null", None),
            ("true", None),
            ("[3600]", None),
        ];
        for (json, secs) in table {
            assert_eq!(with(&format!("\"expires_in\":{json}")).expires_in, secs, "{json}");
        }
    }

    #[test]
    fn earliest_refresh_in_every_form() {
        let at = Some(Millis(1_700_000_000_000));
        let table = [
            ("1700000000", at),
            ("1700000000000", at),
            ("1700000000.5", Some(Millis(1_700_000_000_500))),
            ("\"1700000000\"", at),
            ("\"1700000000000\"", at),
            ("\"2023-11-14T22:13:20Z\"", at),
            ("\"2023-11-14T23:13:20.000+01:00\"", at),
            ("null", None),
            ("0", None),
            ("-1700000000", None),
            ("3540", None),
            ("1e30", None),
            ("\"later\"", None),
            ("{}", None),
        ];
        for (json, at) in table {
            let set = with(&format!("\"earliest_refresh_at\":{json}"));
            assert_eq!(set.earliest_refresh_at, at, "{json}");
        }
    }

    #[test]
    fn blank_tokens_are_none() {
        for blank in ["\"\"", "\" \"", "null", "7", "[]"] {
            assert_eq!(with(&format!("\"refresh_token\":{blank}")).refresh, None, "{blank}");
            assert_eq!(read(&format!("{{\"access_token\":{blank}}}")), None, "{blank}");
        }
        assert_eq!(with("\"token_type\":\"\"").token_type, "Bearer");
        // What cannot stand in a header is no access token.
        for bad in ["a\\nb", "a b", "é", "\\u0000"] {
            assert_eq!(read(&format!("{{\"access_token\":\"{bad}\"}}")), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_token_set() {
        for body in [
            "",
            "<html>",
            "[]",
            "\"at\"",
            "{}",
            r#"{"access_token":"a","access_token":"b"}"#,
            r#"{"access_token":"a","x":{"y":1,"y":2}}"#,
            r#"{"error":"bad_refresh_token"}"#,
            "{\"access_token\":\"a\"",
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }

    #[test]
    fn server_times_become_ours() {
        let set = with("\"x\":1");
        let an_hour_later = Millis(784_111_777_000 + 3_600_000);
        assert_eq!(set.local_time(an_hour_later, Millis(5)), Millis(3_600_005));
        let undated = TokenSet { server_date: None, ..set };
        assert_eq!(undated.local_time(an_hour_later, Millis(5)), an_hour_later);
    }
}

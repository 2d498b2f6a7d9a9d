//! What a plugin's program and we say to each other: one JSON object a line. `docs/plugins.md` tells it message by message.

use std::time::Duration;

use coderclaw_oauth::{Identity, TokenSet};
use coderclaw_providers::endpoint_origin;
use coderclaw_types::{Millis, Secret, for_people};
use serde_json::{Map, Value};

/// The version of the protocol.
pub(crate) const VERSION: u64 = 1;

/// What goes along with each call.
pub(crate) const CALLS: &[(&str, &[&str])] = &[
    ("login", &[]),
    ("refresh", &["refresh", "access", "account", "subject"]),
    ("headers", &["access", "account"]),
    ("usage", &["access", "account"]),
    ("revoke", &["refresh", "access"]),
];

/// What a program says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A page to open.
    Open(String),
    /// A code to type in, and where.
    Code { code: String, page: String },
    /// Words for the person.
    Say(String),
    /// A question to the person.
    Ask { text: String, secret: bool },
    /// It is done.
    Done(Map<String, Value>),
    /// It is not.
    Failed(Failure),
}

/// Why a program did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// Fit to be shown.
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

/// The closed set of failures: each tells us what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It does not do this: we go on without it.
    Unsupported,
    /// A person or the provider said no: the login ends.
    Denied,
    /// The provider no longer accepts this login: a new one is needed.
    Refused,
    /// Nothing was sent: later.
    Offline,
    /// The provider answered and the token is unspent: later.
    TryLater,
    /// Nobody knows whether the token was used.
    Unknown,
}

impl FailureKind {
    /// What is not in the set is what can be said least of.
    fn from_text(text: &str) -> Self {
        match text {
            "unsupported" => Self::Unsupported,
            "denied" => Self::Denied,
            "refused" => Self::Refused,
            "offline" => Self::Offline,
            "try_later" => Self::TryLater,
            _ => Self::Unknown,
        }
    }
}

/// Whether the greeting offers our version.
pub(crate) fn read_hello(line: &Secret) -> Result<(), String> {
    let value: Option<Value> = serde_json::from_str(line.expose()).ok();
    let offered = value.as_ref().and_then(|value| value.get("v")?.as_array());
    let offered = offered.ok_or(r#"it does not begin with {"v": [1]}"#)?;
    match offered.iter().any(|one| one.as_u64() == Some(VERSION)) {
        true => Ok(()),
        false => Err(format!("it does not speak version {VERSION} of the protocol")),
    }
}

/// One line of a program of `provider`'s plugin. An error ends it.
pub(crate) fn read(line: &Secret, provider: &str) -> Result<Heard, String> {
    let value: Value =
        serde_json::from_str(line.expose()).map_err(|_| "it printed a line that is no JSON")?;
    let Value::Object(map) = value else { return Err("it printed a line that is no JSON object".to_owned()) };
    let text = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    let shown = |text: Option<String>| text.as_deref().and_then(for_people).unwrap_or_default();
    let page = |url: Option<String>| {
        let url = url.ok_or("it names no page")?;
        endpoint_origin(&url).map_err(|why| format!("a page that it names cannot be opened: {why}"))?;
        Ok::<_, String>(url)
    };
    let Some(what) = map.keys().next().cloned() else { return Err("it printed an empty object".to_owned()) };
    match what.as_str() {
        "open" => Ok(Heard::Open(page(text(&map, "open"))?)),
        "code" => {
            let code = shown(text(&map, "code"));
            Ok(Heard::Code { code, page: page(text(&map, "page"))? })
        }
        "say" => Ok(Heard::Say(shown(text(&map, "say")))),
        "ask" => {
            let secret = map.get("secret") == Some(&Value::Bool(true));
            Ok(Heard::Ask { text: shown(text(&map, "ask")), secret })
        }
        "ok" => {
            let done = map.get("ok").and_then(Value::as_object).cloned().ok_or("`ok` is no object")?;
            let named = text(&done, "provider").or_else(|| {
                let id = text(&done, "profileId")?;
                Some(id.split(':').next().unwrap_or_default().to_owned())
            });
            match named.filter(|named| named != provider) {
                Some(other) => Err(format!(
                    "it speaks for {}, which is not its own",
                    for_people(&other).unwrap_or_default()
                )),
                None => Ok(Heard::Done(done)),
            }
        }
        "error" => {
            let retry_after =
                map.get("retryAfter").and_then(Value::as_u64).map(|secs| Duration::from_secs(secs.min(3600)));
            let kind = FailureKind::from_text(&text(&map, "error").unwrap_or_default());
            Ok(Heard::Failed(Failure { kind, message: shown(text(&map, "message")), retry_after }))
        }
        other => {
            Err(format!("it asks for `{}`, which no plugin gets", for_people(other).unwrap_or_default()))
        }
    }
}

/// The tokens of a finished login or refresh, and whose they are.
pub(crate) fn tokens(done: &Map<String, Value>, now: Millis) -> Result<(TokenSet, Identity), String> {
    let text =
        |key: &str| done.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let access = text("access").ok_or("it brought no `access` token")?;
    if !access.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its `access` token holds a character that no token has".to_owned());
    }
    let seconds = |at: i64| at.saturating_sub(now.0) / 1000;
    let expires_in = done.get("expiresIn").and_then(Value::as_i64);
    let expires_in = expires_in.or_else(|| done.get("expiresAt").and_then(Value::as_i64).map(seconds));
    if expires_in.is_some_and(|secs| !(1..=10 * 365 * 86_400).contains(&secs)) {
        return Err("the end of its token is no time ahead".to_owned());
    }
    let fit = |key: &str| {
        let name = text(key)?;
        (name.len() <= 256 && !name.chars().any(char::is_control)).then(|| name.to_owned())
    };
    let identity = Identity {
        issuer: None,
        subject: fit("subject"),
        email: fit("email"),
        account: fit("account"),
        plan: fit("plan"),
        name: fit("name"),
    };
    let refresh = text("refresh").map(Secret::from);
    Ok((TokenSet::plain(Secret::from(access), refresh, expires_in), identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(line: &str) -> String {
        match read(&Secret::from(line), "acme") {
            Ok(Heard::Failed(failure)) => format!("{:?} {}", failure.kind, failure.message),
            Ok(Heard::Done(_)) => "done".into(),
            Ok(other) => format!("{other:?}"),
            Err(why) => format!("ended: {why}"),
        }
    }

    #[test]
    fn every_line_is_understood_or_ends_it() {
        for (line, said) in [
            (r#"{"open": "https://id.acme.example/a?x=1"}"#, "Open(\"https://id.acme.example/a?x=1\")"),
            (
                r#"{"open": "http://id.acme.example/"}"#,
                "ended: a page that it names cannot be opened: plain http",
            ),
            (r#"{"open": "file:///etc/passwd"}"#, "ended: a page that it names cannot be opened"),
            (r#"{"ask": "Region?", "secret": true}"#, "Ask { text: \"Region?\", secret: true }"),
            (r#"{"say": "a\u001b[2Jb"}"#, "Say("),
            (r#"{"ok": {"access": "at"}}"#, "done"),
            (r#"{"ok": {"access": "at", "provider": "acme"}}"#, "done"),
            (
                r#"{"ok": {"access": "at", "provider": "openai"}}"#,
                "ended: it speaks for openai, which is not its own",
            ),
            (
                r#"{"ok": {"access": "at", "profileId": "openai-codex:me"}}"#,
                "ended: it speaks for openai-codex",
            ),
            (r#"{"ok": 1}"#, "ended: `ok` is no object"),
            (r#"{"error": "refused", "message": "gone"}"#, "Refused gone"),
            (r#"{"error": "a_new_one"}"#, "Unknown "),
            (r#"{"profile": "openai-codex:me"}"#, "ended: it asks for `profile`, which no plugin gets"),
            ("{}", "ended: it printed an empty object"),
            ("[1]", "ended: it printed a line that is no JSON object"),
            ("hello", "ended: it printed a line that is no JSON"),
        ] {
            let got = heard(line);
            assert!(got.starts_with(said), "{line}: {got}");
            assert!(!got.contains('\u{1b}'));
        }
        assert!(read_hello(&Secret::from(r#"{"v": [1, 2]}"#)).is_ok());
        for bad in ["", "{}", r#"{"v": 1}"#, r#"{"v": [2]}"#] {
            assert!(read_hello(&Secret::from(bad)).is_err(), "{bad}");
        }
    }

    /// Every line of the page that tells the protocol is a line of the protocol, and every call has its own.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test reads a page")]
    fn the_page_tells_the_protocol_as_it_is() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plugins.md")).unwrap();
        let (mut whose, mut told, mut failures) = (None, Vec::new(), Vec::new());
        for line in page.lines() {
            match line {
                "```json plugin" | "```json host" => whose = line.split(' ').nth(1),
                "```" => whose = None,
                _ if whose == Some("plugin") && line.starts_with(r#"{"v""#) => {
                    read_hello(&Secret::from(line)).unwrap();
                }
                _ if whose == Some("plugin") => match read(&Secret::from(line), "acme").unwrap() {
                    Heard::Done(done) if done.contains_key("access") => {
                        drop(tokens(&done, Millis(0)).unwrap());
                    }
                    Heard::Failed(failure) => failures.push(failure.kind),
                    _ => {}
                },
                _ if whose == Some("host") => {
                    let value: Map<String, Value> = serde_json::from_str(line).unwrap();
                    let Some(call) = value.get("call").and_then(Value::as_str) else {
                        assert!(value.contains_key("answer"), "{line}");
                        continue;
                    };
                    let (_, keys) = CALLS.iter().find(|(name, _)| *name == call).unwrap();
                    let wanted: Vec<&str> = ["v", "call"].iter().chain(*keys).copied().collect();
                    assert_eq!(value.keys().collect::<Vec<_>>(), wanted, "{line}");
                    told.push(call.to_owned());
                }
                _ => {}
            }
        }
        assert_eq!(told, CALLS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert_eq!(failures.len(), 6);
        failures.dedup();
        assert_eq!(failures.len(), 6, "each failure once");
    }

    #[test]
    fn tokens_are_checked() {
        let read = |text: &str| {
            tokens(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap(), Millis(1_000_000))
        };
        let (set, identity) =
            read(r#"{"access": "at", "refresh": "rt", "expiresIn": 60, "email": "me@x.test"}"#).unwrap();
        assert_eq!((set.expires_in, identity.email.as_deref()), (Some(60), Some("me@x.test")));
        assert_eq!(read(r#"{"access": "at", "expiresAt": 1060000}"#).unwrap().0.expires_in, Some(60));
        for bad in [
            "{}",
            r#"{"access": " "}"#,
            r#"{"access": "a\nb"}"#,
            r#"{"access": "at", "expiresIn": 0}"#,
            r#"{"access": "at", "expiresIn": -5}"#,
            r#"{"access": "at", "expiresAt": 5}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

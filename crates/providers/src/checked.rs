//! The values of a manifest's keys, each checked where it is read, so that the parser can say on which line.

use std::time::Duration;

use serde::Deserialize;

use crate::endpoint;

macro_rules! checked {
    ($($(#[$doc:meta])* $name:ident($raw:ident $raw_text:literal) = $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = $raw_text)]
        pub(crate) struct $name(pub(crate) $raw);

        impl TryFrom<$raw> for $name {
            type Error = String;

            fn try_from(raw: $raw) -> Result<Self, String> {
                let check: fn($raw) -> Result<$raw, String> = $check;
                check(raw).map(Self)
            }
        }
    )*};
}

checked! {
    /// A provider's id.
    Id(String "String") = |text: String| {
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let good = bytes.len() <= 64 && edge(bytes.first()) && bytes.iter().copied().all(ok);
        keep(text, good, "an id is 1 to 64 of a-z 0-9 . _ -, a letter or digit first")
    };

    /// One line that is safe to show.
    Line(String "String") = |text: String| {
        let good = !text.trim().is_empty() && !text.chars().any(char::is_control);
        keep(text, good, "one line of text is wanted, without control characters")
    };

    /// One scope (RFC 6749 section 3.3).
    Scope(String "String") = |text: String| {
        let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        keep(text, good, "a scope is one word: several stand in a list")
    };

    /// The name of an environment variable.
    EnvName(String "String") = |text: String| {
        let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = text.bytes().all(ok) && text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        keep(text, good, "a variable's name is letters, digits and _, no digit first")
    };

    /// What a child program finds in a variable.
    EnvValue(String "String") = |text: String| {
        let good = !text.chars().any(char::is_control);
        keep(text, good, "one line of text is wanted, without control characters")
            .and_then(|text| placeholders(text, &["{token}", "{accountId}"]))
    };

    /// The name of a header (RFC 9110 section 5.1), made lower case.
    HeaderName(String "String") = |text: String| {
        let ok = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let good = !text.is_empty() && text.bytes().all(ok);
        keep(text.to_ascii_lowercase(), good, "this cannot be the name of a header")
    };

    /// The value of a header that is not the credential.
    HeaderValue(String "String") = |text: String| {
        let good = !text.is_empty() && text.trim() == text && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        keep(text, good, "a header's value is visible ASCII").and_then(|text| placeholders(text, &["{accountId}"]))
    };

    /// A URL that secrets, or a person, may be sent to.
    Endpoint(String "String") = |text: String| match endpoint::endpoint_origin(&text) {
        Ok(_) => Ok(text),
        Err(why) => Err(why.to_owned()),
    };

    /// The URL that paths are appended to.
    BaseUrl(String "String") = |text: String| {
        endpoint::endpoint_origin(&text)?;
        let good = !text.contains('?') && !text.ends_with('/');
        keep(text, good, "a base URL has no query and no slash at its end")
    };

    /// Where the browser comes back to.
    Redirect(String "String") = |text: String| {
        endpoint::check_redirect(&text)?;
        Ok::<_, String>(text)
    };

    /// A port that can be listened on.
    Port(u16 "u16") = |port: u16| match port {
        0 => Err("port 0 is no port: leave redirect_ports out for any free one".to_owned()),
        _ => Ok(port),
    };

    /// A path below the base URL.
    Path(String "String") = |text: String| {
        let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        keep(text, good, "a path begins with / and holds visible ASCII")
    };

    /// A JSON pointer (RFC 6901 section 3).
    Pointer(String "String") = |text: String| {
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let good = text.starts_with('/') && escapes;
        keep(text, good, "a JSON pointer begins with /, and writes ~ as ~0 and a / in a name as ~1")
    };

    /// A regular expression.
    Pattern(String "String") = |text: String| match regex_lite::Regex::new(&text) {
        Ok(_) => Ok(text),
        Err(why) => Err(format!("the pattern cannot be used: {why}")),
    };
}

/// A span of time: `90s`, `30m`, `1h`, `10d`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl TryFrom<String> for Span {
    type Error = &'static str;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        let rule = "a time is a number and s, m, h or d, such as \"1h\", and at most 3650 days";
        span(&raw).map(Self).ok_or(rule)
    }
}

/// One pointer, or several to be tried in turn.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a JSON pointer such as \"/sub\", or a list of them")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// The pointers of one identity key.
#[derive(Debug, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub(crate) struct Pointers(pub(crate) Vec<Pointer>);

impl TryFrom<OneOrMore> for Pointers {
    type Error = String;

    fn try_from(raw: OneOrMore) -> Result<Self, String> {
        let list = match raw {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        };
        list.into_iter().map(Pointer::try_from).collect::<Result<_, _>>().map(Self)
    }
}

fn keep(text: String, good: bool, rule: &str) -> Result<String, String> {
    if good { Ok(text) } else { Err(rule.to_owned()) }
}

fn placeholders(text: String, known: &[&str]) -> Result<String, String> {
    let bare = known.iter().fold(text.clone(), |text, name| text.replace(name, ""));
    let rule = format!("of braces, only {} can stand here", known.join(" and "));
    keep(text, !bare.contains(['{', '}']), &rule)
}

fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (1..=3650 * 86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

//! Requests that are refused whatever key they bring: those that a web page could send, and those that say one thing
//! to one reader and another to the next.

use coderclaw_types::Code;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

use crate::refusal::Refusal;
use crate::tls::Tls;

/// Whether a request with this head may be looked at further.
pub(crate) fn check(head: &Parts, port: u16, tls: Option<&Tls>) -> Result<(), Refusal> {
    own_name(&head.headers, port, tls)?;
    own_business(head)
}

/// The same for a question that gives nothing away: over TLS also by the names of this machine, which whoever asks how
/// it is doing knows it by.
pub(crate) fn check_health(head: &Parts, port: u16, tls: Option<&Tls>) -> Result<(), Refusal> {
    host(&head.headers, port).or_else(|_| own_name(&head.headers, port, tls))?;
    own_business(head)
}

fn own_business(head: &Parts) -> Result<(), Refusal> {
    no_browser(&head.headers)?;
    target(&head.uri)?;
    match head.method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(()),
        _ => Err(refused(405, "this method is not served here")),
    }
}

fn refused(status: u16, message: &str) -> Refusal {
    Refusal::new(status, Code::GatewayRefused, message)
}

/// Whether the request is for a name that this gateway goes by.
pub(crate) fn own_name(headers: &HeaderMap, port: u16, tls: Option<&Tls>) -> Result<(), Refusal> {
    match tls {
        None => host(headers, port),
        Some(tls) => certified_host(headers, port, |name| tls.is_for(name)),
    }
}

/// A page whose name was pointed at 127.0.0.1 (DNS rebinding) sends that name here.
fn host(headers: &HeaderMap, port: u16) -> Result<(), Refusal> {
    let host = one_host(headers)?;
    let is_ours = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
        let rest = host.strip_prefix(name);
        rest.is_some_and(|rest| {
            rest.strip_prefix(':') == Some(&port.to_string()) || (rest.is_empty() && port == 80)
        })
    });
    if is_ours { Ok(()) } else { Err(other_name()) }
}

/// Over TLS, the gateway goes by the names that its certificate is for.
fn certified_host(headers: &HeaderMap, port: u16, is_for: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let host = one_host(headers)?;
    // What follows the last colon is a port, unless it is inside the brackets of an IPv6 address.
    let (name, named_port) = match host.rsplit_once(':') {
        Some((name, digits)) if !digits.ends_with(']') => (name, digits.parse().ok()),
        _ => (host.as_str(), Some(443)),
    };
    if named_port == Some(port) && is_for(name) { Ok(()) } else { Err(other_name()) }
}

fn one_host(headers: &HeaderMap) -> Result<String, Refusal> {
    let mut all = headers.get_all(HOST).iter();
    match (all.next(), all.next()) {
        (Some(host), None) => Ok(host.to_str().unwrap_or_default().to_ascii_lowercase()),
        _ => Err(refused(400, "a request has one Host header")),
    }
}

fn other_name() -> Refusal {
    refused(403, "this gateway does not go by the name in Host")
}

/// Browsers name the page that asks, and no page has business here. Programs send neither header.
fn no_browser(headers: &HeaderMap) -> Result<(), Refusal> {
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    if headers.contains_key(ORIGIN) || !matches!(site, None | Some(b"none" | b"same-origin")) {
        return Err(refused(403, "web pages are not served here"));
    }
    Ok(())
}

/// Only a plain path: what one program would read as another path than we do, nobody gets to read.
pub(crate) fn target(uri: &Uri) -> Result<(), Refusal> {
    let is_origin_form = uri.scheme().is_none() && uri.authority().is_none();
    if !is_origin_form || !is_plain(uri.path()) {
        return Err(refused(400, "the path is not a plain one"));
    }
    Ok(())
}

fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let segments = rest.strip_suffix('/').unwrap_or(rest);
    let is_known = |segment: &str| !matches!(segment, "" | "." | "..");
    let lower = path.to_ascii_lowercase();
    // Of dot, slash, backslash, percent, semicolon and the control characters, none may be hidden.
    let hides = |at: usize| {
        let hidden = lower.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        hidden.is_none_or(|byte| byte < 0x20 || byte == 0x7f || b"./\\%;".contains(&byte))
    };
    path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#')
        && (path == "/" || segments.split('/').all(is_known))
        && !lower.match_indices('%').any(|(at, _)| hides(at))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn status(build: impl FnOnce(http::request::Builder) -> http::request::Builder, target: &str) -> u16 {
        let request = build(Request::builder().uri(target)).body(()).unwrap();
        check(&request.into_parts().0, 18_789, None).map_or_else(|refusal| refusal.status(), |()| 200)
    }

    #[test]
    fn only_the_gateway_s_own_names_are_answered() {
        let with = |host: &str| status(|request| request.header("host", host), "/v1/messages");
        for good in ["127.0.0.1:18789", "localhost:18789", "LocalHost:18789", "[::1]:18789"] {
            assert_eq!(with(good), 200, "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:18789",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:80",
            "127.0.0.1:187890",
            "127.0.0.1.evil.example:18789",
            "localhost.:18789",
            "0.0.0.0:18789",
            "localhost:18789@evil",
            "",
            "::1:18789",
            "127.0.0.1:18789, evil.example",
        ] {
            assert_eq!(with(bad), 403, "{bad}");
        }
        assert_eq!(status(|request| request, "/"), 400, "none");
        let twice = |request: http::request::Builder| {
            request.header("host", "127.0.0.1:18789").header("host", "evil.example")
        };
        assert_eq!(status(twice, "/"), 400);
    }

    #[test]
    fn over_tls_the_certificate_says_the_names() {
        let with = |host: &str, port: u16| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            certified_host(&headers, port, |name| {
                matches!(name, "box.example" | "192.0.2.1" | "[2001:db8::1]")
            })
            .is_ok()
        };
        for good in ["box.example:8443", "Box.Example:8443", "192.0.2.1:8443", "[2001:db8::1]:8443"] {
            assert!(with(good, 8443), "{good}");
        }
        assert!(with("box.example", 443) && with("[2001:db8::1]", 443) && with("box.example:443", 443));
        for bad in [
            "box.example",
            "box.example:443",
            "evil.example:8443",
            "box.example:8443:8443",
            "",
            ":8443",
            "box.example:+8443x",
        ] {
            assert!(!with(bad, 8443), "{bad}");
        }
    }

    #[test]
    fn pages_are_told_by_what_their_browser_says() {
        let with = |name: &str, value: &str| {
            status(|request| request.header("host", "localhost:18789").header(name, value), "/v1/messages")
        };
        assert_eq!(with("origin", "https://evil.example"), 403);
        assert_eq!(with("origin", "null"), 403);
        assert_eq!(with("origin", "http://localhost:18789"), 403);
        for site in ["cross-site", "same-site", "", "Cross-Site"] {
            assert_eq!(with("sec-fetch-site", site), 403, "{site}");
        }
        assert_eq!(with("sec-fetch-mode", "cors"), 200, "Node's fetch sends this one");
    }

    #[test]
    fn paths_mean_the_same_to_everybody() {
        for good in [
            "/",
            "/v1/messages?beta=true&x=../..",
            "/anthropic/v1/models/",
            "/groq/v1/models/a%20b",
            "/a..b/.c",
        ] {
            assert!(is_plain(good.split('?').next().unwrap()), "{good}");
        }
        for bad in [
            "",
            "v1",
            "//",
            "//evil.example/x",
            "/v1//messages",
            "/..",
            "/../x",
            "/v1/../x",
            "/v1/.",
            "/./v1",
            "/%2e%2e/x",
            "/v1/%2E%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0ab",
            "/a%252e",
            "/a%",
            "/a%2",
            "/a%zz",
            "/v1/messages//",
            "/é",
            "/a;b%3b",
            "/a b",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
        let absolute = |target: &str| status(|request| request.header("host", "localhost:18789"), target);
        assert_eq!(absolute("http://evil.example/v1/messages"), 400);
        assert_eq!(absolute("http://localhost:18789/v1/messages"), 400);
        assert_eq!(absolute("evil.example:443"), 400);
        assert_eq!(absolute("*"), 400);
    }
}

//! Which requests may come to the console at all: those of a person who opens it, and those of its own pages.
//!
//! Browsers say where a request comes from (`Sec-Fetch-Site`), and no page can make them lie. A request that changes
//! something has to say that it comes from here. Since our pages send no referrer, `Origin` is `null` in their forms, and
//! counts only where a browser sends nothing better.

use coderclaw_types::Code;
use http::Method;
use http::header::{HOST, HeaderMap, ORIGIN};
use http::request::Parts;

use crate::guard;
use crate::refusal::Refusal;
use crate::tls::Tls;

pub(super) fn check(head: &Parts, port: u16, tls: Option<&Tls>) -> Result<(), Refusal> {
    guard::own_name(&head.headers, port, tls)?;
    guard::target(&head.uri)?;
    let is_ours = match head.method {
        Method::GET | Method::HEAD => may_look(&head.headers),
        Method::POST => may_change(&head.headers),
        _ => return Err(Refusal::new(405, Code::GatewayRefused, "this method is not served here")),
    };
    if is_ours { Ok(()) } else { Err(not_ours("another page sent this request")) }
}

pub(super) fn not_ours(message: &str) -> Refusal {
    Refusal::new(403, Code::GatewayRefused, message)
}

fn word<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// A page of ours, an address that somebody typed, or a link elsewhere that somebody followed: that shows a page as a whole,
/// which no other page can read, and our cookie does not come along.
fn may_look(headers: &HeaderMap) -> bool {
    match word(headers, "sec-fetch-site") {
        None => !headers.contains_key(ORIGIN) || is_own_origin(headers),
        Some("none" | "same-origin") => true,
        Some(_) => {
            word(headers, "sec-fetch-mode") == Some("navigate")
                && word(headers, "sec-fetch-dest") == Some("document")
        }
    }
}

fn may_change(headers: &HeaderMap) -> bool {
    match word(headers, "sec-fetch-site") {
        None => is_own_origin(headers),
        Some(site) => site == "same-origin",
    }
}

/// What `Host` is was checked before.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let origin = word(headers, ORIGIN.as_str()).unwrap_or_default();
    let host = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
    host.is_some_and(|host| !host.is_empty() && Some(host) == word(headers, HOST.as_str()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn passes(method: &str, lines: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/").header("host", "localhost:18789");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, 18_789, None).is_ok()
    }

    #[test]
    fn looks_from_here_and_pages_as_a_whole() {
        const SITE: &str = "sec-fetch-site";
        assert!(passes("GET", &[]) && passes("HEAD", &[(SITE, "none")]));
        assert!(passes("GET", &[(SITE, "same-origin"), ("sec-fetch-mode", "cors")]));
        assert!(passes("GET", &[("origin", "http://localhost:18789")]));
        let followed = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        for site in ["cross-site", "same-site"] {
            assert!(passes("GET", &[&[(SITE, site)], &followed[..]].concat()), "{site}");
            assert!(!passes("GET", &[(SITE, site)]), "{site}");
            assert!(!passes("GET", &[(SITE, site), followed[0], ("sec-fetch-dest", "iframe")]), "{site}");
            assert!(!passes("GET", &[(SITE, site), ("sec-fetch-mode", "no-cors"), followed[1]]), "{site}");
            assert!(!passes("POST", &[&[(SITE, site)], &followed[..]].concat()), "{site}");
        }
        assert!(!passes("GET", &[("origin", "http://evil.example")]));
        assert!(!passes("GET", &[("host", "evil.example")]), "two names");
    }

    #[test]
    fn changes_from_here_only() {
        const SITE: &str = "sec-fetch-site";
        assert!(passes("POST", &[(SITE, "same-origin"), ("origin", "null")]));
        assert!(passes("POST", &[("origin", "http://localhost:18789")]), "an older browser");
        for lines in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "http://localhost:1")],
            &[("origin", "http://")],
            &[("origin", "localhost:18789")],
            &[("origin", "http://evil.example")],
            &[(SITE, "none")],
            &[(SITE, "same-site"), ("origin", "http://localhost:18789")],
            &[(SITE, "cross-site"), ("origin", "http://localhost:18789")],
        ] {
            assert!(!passes("POST", lines), "{lines:?}");
        }
        assert!(!passes("PUT", &[(SITE, "same-origin")]) && !passes("OPTIONS", &[(SITE, "same-origin")]));
    }
}

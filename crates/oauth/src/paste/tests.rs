//! A corpus of what people paste.

use proptest::prelude::*;

use super::*;

const REDIRECT: &str = "http://127.0.0.1:1455/auth/callback";
const CODE: &str = "ac_K3v-9x.Qz~77";
const STATE: &str = "st-Abc_123";

fn read(text: &str) -> Pasted {
    read_paste(text, &State::from_secret(Secret::from(STATE)), REDIRECT)
}

fn code() -> Pasted {
    Pasted::Code { code: Secret::from(CODE), iss: None, client_id: None }
}

/// E5: every shape in which the address or the code comes out of a browser, a chat, a mail or a terminal.
#[test]
fn e5_shapes_that_are_understood() {
    let url = format!("{REDIRECT}?code={CODE}&state={STATE}");
    let shapes = [
        url.clone(),
        format!("{url}\n"),
        format!("{url}\r\n"),
        format!("  {url}  "),
        format!("\t{url}\n\n"),
        format!("{REDIRECT}?state={STATE}&code={CODE}"),
        format!("{url}&scope=openid+email&session_state=x"),
        format!("{url}#"),
        format!("{url}#_=_"),
        format!("{REDIRECT}#code={CODE}&state={STATE}"),
        format!("{}\n{}", &url[..40], &url[40..]),
        format!("{}\r\n    {}\r\n    {}", &url[..30], &url[30..60], &url[60..]),
        format!("\u{1b}[200~{url}\u{1b}[201~"),
        format!("\"{url}\""),
        format!("'{url}'"),
        format!("“{url}”"),
        format!("«{url}»"),
        format!("`{url}`"),
        format!("<{url}>"),
        format!("({url})"),
        format!("[{url}]"),
        format!("[the page]({url})"),
        format!("{url},"),
        format!("<a href=\"{url}\">here</a>"),
        format!("It says: {url}"),
        format!("Here it is:\n{url}\n"),
        format!("\u{feff}{url}"),
        format!("\u{200b}{}\u{200d}{}\u{2060}", &url[..50], &url[50..]),
        format!("\u{a0}{url}\u{a0}"),
        url.replace('&', "&amp;"),
        url.replace('&', "&amp;amp;"),
        url.replace('&', "&#38;"),
        url.replace("http://", "HTTP://"),
        url.replace("http://", ""),
        url.replace("127.0.0.1", "localhost"),
        url.replace("http://127.0.0.1", "localhost"),
        url.replace("127.0.0.1", "[::1]"),
        format!("/auth/callback?code={CODE}&state={STATE}"),
        format!("code={CODE}&state={STATE}"),
        format!("state={STATE}&code={CODE}"),
        format!("?code={CODE}&state={STATE}"),
        format!("#code={CODE}&state={STATE}"),
        format!("&code={CODE}&state={STATE}"),
        format!("?code={CODE}&amp;state={STATE}"),
        format!("{CODE}#{STATE}"),
        format!(" {CODE}#{STATE}\n"),
        format!("\"{CODE}#{STATE}\""),
        CODE.to_owned(),
        format!("  {CODE}\n"),
        format!("'{CODE}'"),
        format!("{}\n{}", &CODE[..6], &CODE[6..]),
        url.replace('.', "%2E").replace("127%2E0%2E0%2E1", "127.0.0.1"),
    ];
    assert!(shapes.len() >= 40);
    for shape in shapes {
        assert_eq!(read(&shape), code(), "{shape:?}");
    }
    let with_iss = format!("{REDIRECT}?code={CODE}&state={STATE}&iss=https%3A%2F%2Fid.test");
    assert_eq!(
        read(&with_iss),
        Pasted::Code { code: Secret::from(CODE), iss: Some("https://id.test".into()), client_id: None }
    );
}

/// E5, E7: what is refused, and why.
#[test]
fn e5_e7_shapes_that_are_refused() {
    use Pasted::{AuthorizeUrl, LooksLikeToken, NoState, OtherPlace, WrongState};
    let no = Pasted::Unusable;
    let long = "x".repeat(2 << 20);
    let long_url = format!("{REDIRECT}?code={long}&state={STATE}");
    let table: Vec<(String, Pasted)> = vec![
        (format!("{REDIRECT}?code={CODE}"), NoState),
        (format!("{REDIRECT}?code={CODE}&state="), NoState),
        (format!("{REDIRECT}?code={CODE}&sta"), NoState),
        (format!("code={CODE}"), NoState),
        (format!("?code={CODE}&scope=x"), NoState),
        (format!("{CODE}#"), NoState),
        ("error=access_denied".into(), NoState),
        (format!("{REDIRECT}?code={CODE}&state=other"), WrongState),
        (format!("{REDIRECT}?error=access_denied&state=other"), WrongState),
        (format!("http://127.0.0.1:9999/auth/callback?code={CODE}&state=other"), WrongState),
        (format!("code={CODE}&state=other"), WrongState),
        (format!("{CODE}#other"), WrongState),
        (format!("{CODE}#{STATE}x"), WrongState),
        (format!("http://127.0.0.1:1457/auth/callback?code={CODE}&state={STATE}"), OtherPlace),
        (format!("http://127.0.0.1/auth/callback?code={CODE}&state={STATE}"), OtherPlace),
        (format!("http://127.0.0.1:1455/other?code={CODE}&state={STATE}"), OtherPlace),
        (format!("http://evil.test:1455/auth/callback?code={CODE}&state={STATE}"), OtherPlace),
        (format!("https://127.0.0.1:1455/auth/callback?code={CODE}&state={STATE}"), OtherPlace),
        (format!("http://127.0.0.1:1455@evil.test/auth/callback?code={CODE}&state={STATE}"), OtherPlace),
        (format!("/other?code={CODE}&state={STATE}"), OtherPlace),
        ("https://auth.test/".into(), OtherPlace),
        // What is no address, or none of the web, is no code either.
        ("https://".into(), OtherPlace),
        ("http://127.0.0.1:99999/auth/callback".into(), OtherPlace),
        ("chrome://newtab/abcdefgh".into(), OtherPlace),
        ("about:blank-page".into(), OtherPlace),
        (format!("xcode={CODE}"), no(Unusable::NotACode)),
        (format!("I got oldcode={CODE} there"), no(Unusable::NotACode)),
        (
            "https://auth.test/oauth/authorize?response_type=code&client_id=x&state=st-Abc_123".into(),
            AuthorizeUrl,
        ),
        ("https://auth.test/oauth/authorize?client_id=x&code_challenge=y".into(), AuthorizeUrl),
        ("sk-ant-oat01-canary-canary-canary".into(), LooksLikeToken),
        ("sk-proj-canarycanarycanary".into(), LooksLikeToken),
        ("Bearer canarycanarycanary".into(), LooksLikeToken),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.x".into(), LooksLikeToken),
        ("sandbox-rt-canary00000".into(), LooksLikeToken),
        ("{\"access_token\": \"canary\"}".into(), LooksLikeToken),
        ("gho_canarycanarycanary".into(), LooksLikeToken),
        (String::new(), no(Unusable::Empty)),
        (" \r\n\t ".into(), no(Unusable::Empty)),
        ("\u{200b}".into(), no(Unusable::Empty)),
        ("\"\"".into(), no(Unusable::Empty)),
        (REDIRECT.into(), no(Unusable::NoCode)),
        (format!("{REDIRECT}?state={STATE}"), no(Unusable::NoCode)),
        (format!("{REDIRECT}?code=&state={STATE}"), no(Unusable::NoCode)),
        (format!("{REDIRECT}?code={CODE}&code=x&state={STATE}"), no(Unusable::Repeated)),
        ("yes".into(), no(Unusable::NotACode)),
        ("continue".into(), no(Unusable::NotACode)),
        ("what do I do now?".into(), no(Unusable::NotACode)),
        ("код-авторизации".into(), no(Unusable::NotACode)),
        ("\u{1b}[A\u{1b}[A".into(), no(Unusable::NotACode)),
        (format!("{CODE} {CODE}"), no(Unusable::NotACode)),
        (long, no(Unusable::TooLong)),
        (long_url, no(Unusable::TooLong)),
    ];
    for (text, wanted) in table {
        let shown: String = text.chars().take(120).collect();
        assert_eq!(read(&text), wanted, "{shown:?}");
    }
}

/// E6: a refusal that is pasted is a refusal, with the provider's words.
#[test]
fn e6_a_pasted_refusal() {
    let denied =
        Pasted::Denied { code: "access_denied".into(), description: Some("No seat left".into()), iss: None };
    let query = format!("error=access_denied&error_description=No+seat+left&state={STATE}");
    for text in [format!("{REDIRECT}?{query}"), query.clone(), format!("{REDIRECT}#{query}")] {
        assert_eq!(read(&text), denied, "{text}");
    }
    assert_eq!(denied.to_string(), "the provider refused: access_denied: No seat left");
}

/// E7: a vendor's own page as the redirect.
#[test]
fn a_redirect_that_is_not_on_this_machine() {
    let redirect = "https://vendor.test/code/callback";
    let read = |text: &str| read_paste(text, &State::from_secret(Secret::from(STATE)), redirect);
    assert_eq!(read(&format!("{redirect}?code={CODE}&state={STATE}")), code());
    assert_eq!(read(&format!("https://vendor.test:443/code/callback?code={CODE}&state={STATE}")), code());
    assert_eq!(read(&format!("vendor.test/code/callback?code={CODE}&state={STATE}")), code());
    assert_eq!(
        read(&format!("http://127.0.0.1/code/callback?code={CODE}&state={STATE}")),
        Pasted::OtherPlace
    );
}

proptest! {
    /// G1: whatever is pasted, it is not repeated.
    #[test]
    fn never_panics_and_never_echoes(text in "\\PC{0,60}|(http://|127.0.0.1:1455/|code=|state=|&|#|\\?| |\n|canary){0,12}") {
        let said = read(&text);
        if !matches!(said, Pasted::Denied { .. }) {
            prop_assert!(!said.to_string().contains("canary"));
        }
    }
}

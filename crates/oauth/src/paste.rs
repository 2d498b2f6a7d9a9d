//! What a person pasted.
//!
//! Where the browser runs on another machine than the program, its last page cannot be loaded; its address, pasted, does
//! the same. People paste that address in many shapes, and many other things besides.

use std::fmt;

use coderclaw_http::Url;
use coderclaw_types::Secret;

use crate::callback::{BadQuery, Redirected, read_query};
use crate::pkce::State;

/// More than this was not copied from an address bar.
const LIMIT: usize = 16 * 1024;
/// A code with fewer characters would be guessable (RFC 6749 section 10.10), and is rather a word that was typed.
const SHORTEST_CODE: usize = 8;
/// What an answer has in it.
const PARAMETERS: [&str; 3] = ["code=", "state=", "error="];

/// What was pasted, and what is to be done about it. Only [`Pasted::Code`] and [`Pasted::Denied`] end a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pasted {
    /// The code.
    Code {
        /// To be redeemed, once.
        code: Secret,
        /// Who says so (RFC 9207), for comparison with the issuer that was asked.
        iss: Option<String>,
        /// The client that the provider has registered for this login.
        client_id: Option<String>,
    },
    /// The user or the provider said no.
    Denied {
        /// The provider's code, fit to be shown.
        code: String,
        /// The provider's words, fit to be shown.
        description: Option<String>,
        /// Who says so (RFC 9207).
        iss: Option<String>,
    },
    /// It belongs to another login.
    WrongState,
    /// An address that does not say to which login it belongs: cut off, or made up by somebody else.
    NoState,
    /// The address that was to be opened, not the one where the browser ended.
    AuthorizeUrl,
    /// An address of something else.
    OtherPlace,
    /// An API key, a token or a file of them.
    LooksLikeToken,
    /// Nothing that a code could be taken from.
    Unusable(Unusable),
}

/// Why nothing can be taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// Nothing but blanks.
    Empty,
    /// More than 16 KiB.
    TooLong,
    /// The address of this login, without a code and without an error.
    NoCode,
    /// A parameter stands twice (forbidden by RFC 6749 section 3.1).
    Repeated,
    /// Words, not a code.
    NotACode,
}

/// A sentence for the person who pasted. It repeats nothing of what was pasted.
impl fmt::Display for Pasted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code { .. } => "This is the code.",
            Self::Denied { code, description, .. } => {
                let words = description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                return write!(f, "the provider refused: {code}{words}");
            }
            Self::WrongState => "This is from an earlier attempt to log in. Paste the address of the newest tab.",
            Self::NoState => "The state is missing at the end of this address. Paste all of it.",
            Self::AuthorizeUrl => {
                "This is the page to open. Paste the address of the page where the browser ends after signing in."
            }
            Self::OtherPlace => "This address is not the one that the provider sends the browser to.",
            Self::LooksLikeToken => {
                "This looks like a key or a token, which does not belong here. Paste the address of the last page."
            }
            Self::Unusable(why) => match why {
                Unusable::Empty => "Nothing was pasted.",
                Unusable::TooLong => "This is too long to be an address.",
                Unusable::NoCode => "The code is missing in this address. Paste all of it.",
                Unusable::Repeated => "A parameter stands twice in this address. Paste it as the browser shows it.",
                Unusable::NotACode => "This is neither an address nor a code. Paste the address of the last page.",
            },
        })
    }
}

/// Reads what was pasted while the login with this `state` waits. `redirect` is the redirect address of its request.
///
/// A code alone is taken, since PKCE binds it to this login; an address is taken only with the right state.
pub fn read_paste(text: &str, state: &State, redirect: &str) -> Pasted {
    if text.len() > LIMIT {
        return Pasted::Unusable(Unusable::TooLong);
    }
    let Some(text) = one_word(text) else {
        return match looks_like_token(text.trim()) {
            true => Pasted::LooksLikeToken,
            false => Pasted::Unusable(Unusable::NotACode),
        };
    };
    if text.is_empty() {
        return Pasted::Unusable(Unusable::Empty);
    }
    if looks_like_token(&text) {
        return Pasted::LooksLikeToken;
    }
    if let Some(url) = as_url(&text, redirect) {
        return read_url(&url, state, redirect);
    }
    // An address that is none, or one of another kind, such as a browser's own pages.
    if text.contains("://") || text.starts_with("about:") {
        return Pasted::OtherPlace;
    }
    let query = text.trim_start_matches(['?', '#', '&']);
    if PARAMETERS.iter().any(|name| query.starts_with(name) || query.contains(&format!("&{name}"))) {
        return read_parameters(query.split('#').next().unwrap_or(query), state);
    }
    match text.split_once('#') {
        Some((code, given)) if is_code(code) && state.matches(given) => {
            Pasted::Code { code: Secret::from(code), iss: None, client_id: None }
        }
        Some((code, "")) if is_code(code) => Pasted::NoState,
        Some((code, _)) if is_code(code) => Pasted::WrongState,
        // A parameter with something before its name was torn out of an address, state and all.
        None if PARAMETERS.iter().any(|name| text.contains(name)) => Pasted::Unusable(Unusable::NotACode),
        None if is_code(&text) => Pasted::Code { code: Secret::from(text), iss: None, client_id: None },
        _ => Pasted::Unusable(Unusable::NotACode),
    }
}

/// The one word that is meant: lines put together again, quotes, brackets and what cannot be seen taken away. `None`
/// where it is several words and none of them stands out.
fn one_word(text: &str) -> Option<String> {
    // A terminal marks what is pasted (xterm's bracketed paste mode).
    let text = text.replace("\u{1b}[200~", "").replace("\u{1b}[201~", "");
    let joined: String = text.lines().map(str::trim).collect();
    let seen: String = joined.chars().filter(|c| !c.is_control() && !is_hidden(*c)).collect();
    let mut text = seen.replace('\u{a0}', " ");
    while let Some(shorter) = unescaped(&text) {
        text = shorter;
    }
    let text = text.trim();
    // In a sentence, the address is meant.
    let text = match find_url(text) {
        Some(at) => text[at..].split([' ', '"', '<', '>', '`', '”', '»']).next().unwrap_or_default(),
        None => match text
            .split(' ')
            .filter(|word| word.contains("code=") || word.contains("error="))
            .collect::<Vec<_>>()[..]
        {
            [one] => one,
            _ => text,
        },
    };
    let text = text.trim_matches(|c: char| " \"'`<>()[]{},;“”„‘’«»".contains(c));
    (!text.contains(' ')).then(|| text.to_owned())
}

/// Zero-width characters, direction marks, soft hyphens.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `&amp;` and its other spellings are `&`. `None` where there is none.
fn unescaped(text: &str) -> Option<String> {
    let shorter =
        ["&amp;", "&AMP;", "&#38;", "&#x26;"].iter().fold(text.to_owned(), |t, name| t.replace(name, "&"));
    (shorter.len() < text.len()).then_some(shorter)
}

fn find_url(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    ["http://", "https://"].iter().filter_map(|scheme| lower.find(scheme)).min()
}

/// The text as an address. Some browsers leave the scheme away, and some people the host.
fn as_url(text: &str, redirect: &str) -> Option<Url> {
    if find_url(text) == Some(0) {
        return Url::parse(text).ok();
    }
    let redirect = Url::parse(redirect).ok()?;
    if text.starts_with('/') {
        return redirect.join(text).ok();
    }
    let (host, _) = text.split_once(['/', '?'])?;
    let (name, _) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_host = is_loopback(name) || redirect.host_str() == Some(name);
    is_host.then(|| Url::parse(&format!("{}://{text}", redirect.scheme())).ok()).flatten()
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

fn read_url(url: &Url, state: &State, redirect: &str) -> Pasted {
    let has = |part: Option<&str>, names: &[&str]| {
        let part = part.unwrap_or_default();
        url::form_urlencoded::parse(part.as_bytes()).any(|(name, _)| names.contains(&&*name))
    };
    if has(url.query(), &["response_type", "code_challenge"]) {
        return Pasted::AuthorizeUrl;
    }
    // Some providers put the answer behind `#`; some add a `#` of their own behind it.
    let answer = &["code", "error", "state"];
    let query = if has(url.query(), answer) { url.query() } else { url.fragment() };
    let read = has(query, answer).then(|| read_parameters(query.unwrap_or_default(), state));
    match read {
        // Of an earlier attempt at another port, this is what helps.
        Some(Pasted::WrongState) => Pasted::WrongState,
        _ if !is_same_place(url, redirect) => Pasted::OtherPlace,
        Some(read) => read,
        None => Pasted::Unusable(Unusable::NoCode),
    }
}

/// This machine has three names in a loopback address; all else must agree.
fn is_same_place(url: &Url, redirect: &str) -> bool {
    let Ok(redirect) = Url::parse(redirect) else {
        return false;
    };
    let same_host = url.host_str() == redirect.host_str()
        || [url, &redirect].iter().all(|url| url.host_str().is_some_and(is_loopback));
    same_host
        && url.scheme() == redirect.scheme()
        && url.port_or_known_default() == redirect.port_or_known_default()
        && url.path() == redirect.path()
}

fn read_parameters(query: &str, state: &State) -> Pasted {
    match read_query(query, state) {
        Ok(Redirected::Code { code, iss, client_id }) => Pasted::Code { code, iss, client_id },
        Ok(Redirected::Denied { code, description, iss }) => Pasted::Denied { code, description, iss },
        Ok(Redirected::Nothing) => Pasted::Unusable(Unusable::NoCode),
        Err(BadQuery::NoState) => Pasted::NoState,
        Err(BadQuery::WrongState) => Pasted::WrongState,
        Err(BadQuery::Repeated) => Pasted::Unusable(Unusable::Repeated),
    }
}

/// Visible ASCII (RFC 6749 appendix A.11) of some length, and not a word of English.
fn is_code(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=%:!*".contains(&b);
    let word = text.len() < 20 && text.bytes().all(|b| b.is_ascii_alphabetic());
    text.len() >= SHORTEST_CODE && text.bytes().all(plain) && !word
}

/// What begins like the keys and tokens of well-known services, has the form of a JWT (RFC 7519), or is a JSON text.
fn looks_like_token(text: &str) -> bool {
    const BEGINNINGS: [&str; 22] = [
        "sk-",
        "sk_",
        "sess-",
        "at-",
        "rt-",
        "rt_",
        "rt.",
        "gho_",
        "ghp_",
        "ghu_",
        "ghr_",
        "ghs_",
        "github_pat_",
        "AIza",
        "ya29.",
        "1//",
        "xai-",
        "gsk_",
        "hf_",
        "sandbox-rt-",
        "sandbox-at-",
        "AKIA",
    ];
    let bearer = text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("bearer"));
    let jwt = text.starts_with("eyJ") && text.matches('.').count() >= 2;
    let json = text.starts_with("\":") || text.contains("\":") || text.contains("_token=");
    bearer || jwt || json || BEGINNINGS.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests;

//! Taking credentials out of text that others wrote, before it is kept or shown.
//!
//! A [`Secret`](crate::Secret) cannot be printed. What a server, a hook or another program says can hold one all the same,
//! and so every line of a log and every error that quotes somebody passes [`redact`]. It rather masks too much.

use std::borrow::Cow;

/// What stands where a secret was.
pub const MASK: &str = "***";

/// How a kind of credential begins, how long the rest is at least, and an example, made up.
pub const KINDS: &[(&str, usize, &str)] = &[
    ("sk-ant-oat01-", 6, "sk-ant-oat01-canarycanarycanary"),
    ("sk-ant-ort01-", 6, "sk-ant-ort01-canarycanarycanary"),
    ("sk-ant-", 6, "sk-ant-api03-canarycanarycanary"),
    ("sk-", 12, "sk-proj-canarycanarycanary"),
    ("gsk_", 8, "gsk_canarycanarycanary"),
    ("xai-", 8, "xai-canarycanarycanary"),
    ("AIza", 8, "AIzacanarycanarycanary"),
    ("hf_", 8, "hf_canarycanarycanary"),
    ("ghp_", 8, "ghp_canarycanarycanary"),
    ("gho_", 8, "gho_canarycanarycanary"),
    ("ghu_", 8, "ghu_canarycanarycanary"),
    ("ghs_", 8, "ghs_canarycanarycanary"),
    ("ghr_", 8, "ghr_canarycanarycanary"),
    ("github_pat_", 8, "github_pat_canarycanarycanary"),
    ("ya29.", 8, "ya29.canarycanarycanary"),
    ("1//", 8, "1//canarycanarycanary"),
    ("pplx-", 8, "pplx-canarycanarycanary"),
    ("nvapi-", 8, "nvapi-canarycanarycanary"),
    ("csk-", 8, "csk-canarycanarycanary"),
    ("tgp_v1_", 8, "tgp_v1_canarycanarycanary"),
    ("AKIA", 12, "AKIACANARYCANARYCANARY"),
    ("ASIA", 12, "ASIACANARYCANARYCANARY"),
    ("cpk_", 8, "cpk_canarycanarycanary"),
    ("ccg_", 8, "ccg_canarycanarycanary"),
];

/// Names whose value is a secret, as parameters, headers, JSON keys and variables have them.
const NAMES: &[&str] = &[
    "refresh_token",
    "refreshtoken",
    "access_token",
    "accesstoken",
    "id_token",
    "idtoken",
    "auth_token",
    "client_secret",
    "code_verifier",
    "device_code",
    "assertion",
    "api_key",
    "apikey",
    "authorization",
    "password",
    "passwd",
    "secret",
    "cookie",
];
/// The same, but also plain words: only before `=`, or as a quoted key.
const PLAIN_NAMES: &[&str] = &["token", "code", "key", "refresh", "access"];
/// Words between a header's name and its secret.
const SCHEMES: &[&str] = &["bearer", "basic", "dpop"];
/// What is so long, and mixes cases and digits, is no word of any language. Hashes in lower-case hex are none of it.
const LONG: usize = 32;

/// `text` with [`MASK`] in place of every credential that can be told: by how it begins, by the name before it, by
/// `Bearer`, or by looking like nothing else.
///
/// ```
/// use coderclaw_types::redact;
/// assert_eq!(redact("error=denied&refresh_token=canary-1&x=1"), "error=denied&refresh_token=***&x=1");
/// ```
pub fn redact(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let word = span(bytes, at, is_word);
        let value = span(bytes, at, is_value);
        let found = if names_a_secret(&text[..at], &text[at..value]) {
            Some((at, value))
        } else {
            // Google's refresh tokens have slashes behind their first digit, and anywhere after.
            let one = word - 1;
            let is_slashed = text[one..].starts_with("1//")
                && (one == at || !bytes[one - 1].is_ascii_alphanumeric())
                && value - one >= 11;
            match is_slashed {
                true => Some((one, value)),
                false => begins_in(&text[at..word]).map(|from| (at + from, word)),
            }
        };
        at = word.max(at + 1);
        if let Some((from, to)) = found {
            out.push_str(&text[copied..from]);
            out.push_str(MASK);
            (copied, at) = (to, to);
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~+%".contains(&byte)
}

fn is_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"'&,;<>(){}[]\\`|".contains(&byte)
}

fn span(bytes: &[u8], from: usize, is: fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|byte| !is(*byte)).map_or(bytes.len(), |length| from + length)
}

/// Where in a word a credential begins.
fn begins_in(word: &str) -> Option<usize> {
    let bytes = word.as_bytes();
    let starts = (0..bytes.len()).filter(|at| {
        bytes[*at].is_ascii_alphanumeric() && (*at == 0 || !bytes[at - 1].is_ascii_alphanumeric())
    });
    let known = |at: usize| {
        let rest = &word[at..];
        let by_kind = KINDS
            .iter()
            .any(|(begin, least, _)| rest.strip_prefix(begin).is_some_and(|rest| rest.len() >= *least));
        by_kind || (rest.starts_with("eyJ") && rest.matches('.').count() >= 2) || looks_random(rest)
    };
    starts.into_iter().find(|at| known(*at))
}

/// Whether a word begins with a run that is too mixed to be anything else.
fn looks_random(text: &str) -> bool {
    let run = text.split(['.', '~', '+', '%']).next().unwrap_or_default();
    let has = |is: fn(&u8) -> bool| run.as_bytes().iter().any(is);
    run.len() >= LONG && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

/// Whether what stands before `value` says that it is a secret.
fn names_a_secret(before: &str, value: &str) -> bool {
    let is_scheme = |word: &str| SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
    if is_scheme(value) {
        return false;
    }
    let last = |text: &str| -> usize {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        text.len() - text.trim_end_matches(name).len()
    };
    let bare = before.trim_end_matches(' ');
    if bare.len() < before.len() && is_scheme(&bare[bare.len() - last(bare)..]) {
        // "a bearer token" is prose.
        return value.len() >= 16 || value.bytes().any(|byte| byte.is_ascii_digit());
    }
    let quotes = ['"', '\'', '\\', ' '];
    let open = before.trim_end_matches(quotes);
    let (named, is_assigned) = match open.strip_suffix('=').or_else(|| open.strip_suffix("%3D")) {
        Some(named) => (named, true),
        None => match open.strip_suffix(':') {
            Some(named) => (named, false),
            None => return false,
        },
    };
    let key = named.trim_end_matches(quotes);
    let is_quoted = named.ends_with(['"', '\'']);
    let name = key[key.len() - last(key)..].to_ascii_lowercase().replace('-', "_");
    let ends =
        |known: &str| name.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    if NAMES.iter().any(|known| ends(known)) {
        // "refresh_token: not found" is prose.
        return is_assigned || is_quoted || value.len() >= 12;
    }
    // The `code` of an error is a name, and the best part of the message.
    let is_plain = PLAIN_NAMES.iter().any(|known| ends(known)) && (is_assigned || name != "code");
    is_plain && (is_assigned || is_quoted) && value.len() >= 6
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G1, G3: every kind of credential is masked, wherever it stands, to the last character.
    #[test]
    fn g3_every_kind_is_masked_wherever_it_stands() {
        let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.canary";
        let random = "Canary7Canary7Canary7Canary7Canary7";
        let samples = KINDS.iter().map(|(.., sample)| *sample).chain([jwt, random]);
        for sample in samples {
            for around in
                ["{}", "the server says {}", "\"{}\"", "a/{}/b", "x={};", "[{}] and {}", "ä{}ö", "-{}"]
            {
                let text = around.replace("{}", sample);
                let clean = redact(&text);
                assert!(!clean.to_lowercase().contains("canary"), "{text}: {clean}");
                // Those that have slashes go on to the next blank.
                let exact = !sample.contains('/') || !around.contains("/b");
                assert!(!exact || clean == around.replace("{}", MASK), "{text}: {clean}");
            }
        }
    }

    /// G1: what has no beginning of its own is known by the name before it.
    #[test]
    fn g1_named_secrets_are_masked() {
        for text in [
            "refresh_token=canary",
            "grant_type=refresh_token&refresh_token=canary%2F1&client_id=x",
            r#"{"refresh_token": "canary", "x": 1}"#,
            r#"{\"access\":\"canary-1\"}"#,
            "Authorization: Bearer canary-canary-canary",
            "authorization: canary-canary-canary",
            "proxy-authorization: Basic Y2FuYXJ5OmNhbmFyeQ==canary",
            "x-api-key: canary-canary",
            "OPENAI_API_KEY=canary",
            "GH_TOKEN='canary-1'",
            "http://127.0.0.1:1455/auth/callback?code=canary-1&state=x",
            "Cookie: session=canary-canary",
            "code_verifier=canary/with/slashes==",
        ] {
            let clean = redact(text);
            assert!(!clean.contains("canary") && clean.contains(MASK), "{text}: {clean}");
        }
    }

    /// Words, ids, paths, hashes and codes stay: a log without them explains nothing.
    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "https://auth.openai.com says invalid_grant: refresh token was already used",
            "openai-codex:me@example.com: moved from anthropic:manual to anthropic:work#acct-1",
            "code: needs_login, \"code\": \"invalid_grant\"",
            "/home/me/.coderclaw/journal/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "the answer was lost: reset after 1024 bytes; a bearer token is wanted, no basic one",
            "refresh_token: not found",
            "claude-sonnet-4-5-20250929, gpt-5.1-codex-max",
            "coderclaw models auth login --provider openai-codex --profile-id 'x y'",
            "",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    proptest::proptest! {
        /// No text breaks it, and a second pass finds nothing new.
        #[test]
        fn any_text_passes(text in "\\PC*") {
            let once = redact(&text).into_owned();
            proptest::prop_assert_eq!(redact(&once), once.as_str());
        }
    }
}

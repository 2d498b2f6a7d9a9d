//! What a browser brings to the callback, and what a person pastes: nothing counts without this login's state.

use coderclaw_oauth::callback::{Redirected, read_query};
use coderclaw_oauth::{Pasted, State, read_paste};
use coderclaw_types::Secret;

const STATE: &str = "0State0State0State0State0State0";
const REDIRECT: &str = "http://127.0.0.1:1455/auth/callback";

fn state() -> State {
    State::from_secret(Secret::from(STATE))
}

/// Decoded as often as anything decodes it, and without what cannot be seen.
fn names_the_state(text: &str) -> bool {
    let once = url::form_urlencoded::parse(text.as_bytes()).map(|(name, value)| format!("{name}={value}&"));
    let once: String = once.collect();
    let flat = |text: &str| text.chars().filter(char::is_ascii_graphic).collect::<String>();
    [text, &once].iter().any(|text| flat(text).contains(STATE))
}

pub(super) fn callback(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    let read = read_query(query, &state());
    let states: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "state")
        .map(|(_, value)| value.into_owned())
        .collect();
    let is_ours = states == [STATE];
    assert!(read.is_err() || is_ours, "only the one right state counts");
    match read {
        Ok(Redirected::Code { code, .. }) => assert!(!code.is_blank()),
        Ok(Redirected::Denied { code, description, .. }) => {
            assert!(is_shown(&code) && description.as_deref().is_none_or(is_shown));
        }
        Ok(Redirected::Nothing) | Err(_) => {}
    }
}

pub(super) fn paste(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = read_paste(text, &state(), REDIRECT);
    let said = read.to_string();
    assert!(is_shown(&said));
    match &read {
        Pasted::Code { code, .. } => {
            assert!(!code.is_blank());
            let is_address = text.contains("://")
                || text.contains("state=")
                || text.contains("code=")
                || text.contains('#');
            assert!(!is_address || names_the_state(text), "an address counts only with the right state");
        }
        Pasted::Denied { .. } => assert!(names_the_state(text), "a refusal counts only with the right state"),
        Pasted::LooksLikeToken => assert!(!said.contains(text.trim()) || text.trim().len() < 8),
        _ => {}
    }
}

fn is_shown(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

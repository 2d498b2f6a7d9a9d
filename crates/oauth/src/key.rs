//! A login in the browser whose result is a key, as OpenRouter has it: PKCE, and nothing else of OAuth.

use coderclaw_http::{Answer, Body, Client, HeaderText, Request, SendError, Url};
use coderclaw_types::Secret;
use serde_json::{Value, json};

use crate::answer::{RefreshAnswer, read_answer};
use crate::pkce::State;
use crate::strict_json;
use crate::token_set::{TokenSet, secret};

/// The page to open. It knows no `state`, so that the state is part of the address that it leads back to.
pub fn key_page(authorize_url: &Url, callback: &str, challenge: &str, state: &State) -> Url {
    let callback = match Url::parse(callback) {
        Ok(mut url) => {
            url.query_pairs_mut().append_pair("state", state.secret().expose());
            url.to_string()
        }
        Err(_) => callback.to_owned(),
    };
    let mut url = authorize_url.clone();
    url.query_pairs_mut()
        .append_pair("callback_url", &callback)
        .append_pair("code_challenge", challenge)
        .append_pair("code_challenge_method", "S256");
    url
}

/// Code and verifier for a key.
pub(crate) fn key_request(url: &Url, code: &Secret, verifier: &Secret) -> Request {
    let body = json!({
        "code": code.expose(),
        "code_verifier": verifier.expose(),
        "code_challenge_method": "S256",
    });
    let body = Body { content_type: "application/json", bytes: Secret::from(body.to_string()) };
    Request::post(url.clone(), body).header("accept", HeaderText::Plain("application/json".to_owned()))
}

/// Reads the answer. The key is the access token of the set, and there is nothing to refresh.
pub(crate) fn read_key(outcome: Result<Answer, SendError>) -> RefreshAnswer {
    let answer = match outcome {
        Ok(answer) => answer,
        error => return read_answer(error),
    };
    if !(200..=299).contains(&answer.status) {
        let is_refusal = matches!(answer.status, 400 | 401 | 403);
        return match read_answer(Ok(answer)) {
            // A code that is wrong or too old; another one may be better.
            RefreshAnswer::NotSpent { status: Some(status), code, description, .. } if is_refusal => {
                RefreshAnswer::Refused { code: code.unwrap_or_else(|| status.to_string()), description }
            }
            other => other,
        };
    }
    let object = match strict_json::parse(&answer.body) {
        Some(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let key = secret(&object, "key").filter(|key| key.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    match key {
        Some(key) => {
            let mut set = TokenSet::bare(key);
            set.person = object.get("user_id").filter(|id| id.is_string()).map(|id| json!({ "sub": id }));
            RefreshAnswer::Granted(set)
        }
        None => RefreshAnswer::Ambiguous {
            status: Some(answer.status),
            why: "the answer says success and holds no usable key".into(),
        },
    }
}

/// Redeems a code for a key, once.
pub async fn exchange_for_key(client: &Client, url: &Url, code: &Secret, verifier: &Secret) -> RefreshAnswer {
    read_key(client.send(key_request(url, code, verifier)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_leads_back_with_the_state() {
        let state = State::from_secret(Secret::from("st&1"));
        let page =
            key_page(&Url::parse("https://or.test/auth?x=1").unwrap(), "http://localhost:9/cb", "cc", &state);
        assert_eq!(
            page.as_str(),
            "https://or.test/auth?x=1&callback_url=http%3A%2F%2Flocalhost%3A9%2Fcb%3Fstate%3Dst%25261\
             &code_challenge=cc&code_challenge_method=S256"
        );
    }

    #[test]
    fn keys_and_what_is_none() {
        let read =
            |status, body: &str| read_key(Ok(Answer { status, headers: Vec::new(), body: body.into() }));
        let RefreshAnswer::Granted(set) = read(200, r#"{"key":"sk-or-canary","user_id":"user_1"}"#) else {
            panic!()
        };
        assert_eq!((set.access.expose(), set.refresh.is_none()), ("sk-or-canary", true));
        assert_eq!(set.person, Some(json!({"sub": "user_1"})));
        assert!(!format!("{set:?}").contains("canary"));
        for (status, body) in [(400, "{}"), (403, r#"{"error":{"code":403,"message":"Invalid code"}}"#)] {
            assert!(matches!(read(status, body), RefreshAnswer::Refused { .. }), "{status}");
        }
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"key":""}"#,
            r#"{"key":"a b"}"#,
            r#"{"key":7}"#,
            r#"{"key":"a","key":"b"}"#,
        ] {
            assert!(matches!(read(200, body), RefreshAnswer::Ambiguous { .. }), "{body}");
        }
        assert!(matches!(read(500, ""), RefreshAnswer::NotSpent { .. }));
    }
}

//! What some vendors make of a login: a key for good, as OpenRouter does, or short tokens of a long one, as GitHub does for
//! Copilot.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::{Secret, TokenHash};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::authorize::{Code, sign_in_as};
use crate::faults::On;
use crate::http::{Request, Response};
use crate::log::{Kind, Seen};
use crate::model::KeyKind;
use crate::state::{Shared, State};
use crate::token::{Endpoint, given};

/// GET /auth: leads back to `callback_url` with a code. It knows neither clients nor `state`.
pub(crate) fn key_page(shared: &Shared, state: &mut State, request: &Request) -> Response {
    let now = shared.now(state);
    let mut seen = Seen::new(now, Kind::Authorize);
    let params = request.query().unwrap_or_default();
    let callback = given(&params, "callback_url").and_then(|text| url::Url::parse(text).ok());
    let challenge = given(&params, "code_challenge");
    let response = match (callback, challenge) {
        (Some(mut callback), Some(challenge)) => {
            let user = sign_in_as(state);
            seen.user = Some(user.subject.clone());
            let text = format!("sandbox-code-{}", state.minter.unique());
            callback.query_pairs_mut().append_pair("code", &text);
            let code = Code {
                client: String::new(),
                redirect_uri: String::new(),
                challenge: challenge.to_owned(),
                scope: String::new(),
                nonce: None,
                user,
                expires: now.plus(std::time::Duration::from_secs(600)),
                used: None,
            };
            state.codes.insert(text, code);
            Response::found(callback.as_str())
        }
        _ => Response::page(400, "<h1>callback_url and code_challenge are needed.</h1>"),
    };
    seen.status = Some(response.status);
    state.log.push(seen);
    response
}

/// POST /api/v1/auth/keys: a code and its verifier for a key.
pub(crate) fn key(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Key);
    if let Some(answer) = endpoint.fault_before(On::Key) {
        return answer;
    }
    let params = request.params().unwrap_or_default();
    let no = |status: u16, why: &str| {
        Response::json(status, json!({ "error": { "code": status, "message": why } }).to_string())
    };
    if given(&params, "code_challenge_method") != Some("S256") {
        return endpoint.finish(no(400, "Invalid code_challenge_method"));
    }
    let code = given(&params, "code").and_then(|code| endpoint.state.codes.remove(code));
    let verifier = given(&params, "code_verifier").unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let Some(code) = code.filter(|code| code.challenge == challenge) else {
        return endpoint.finish(no(403, "Invalid code or code_verifier"));
    };
    let key = format!("sandbox-key-{}", endpoint.state.minter.unique());
    let hash = TokenHash::of(&Secret::from(key.as_str()));
    endpoint.state.keys.insert(hash, (KeyKind::Bearer, code.user.account.clone()));
    endpoint.seen.user = Some(code.user.subject.clone());
    let mut good = Map::new();
    good.insert("key".into(), key.into());
    if endpoint.state.policy.keys_name_users {
        good.insert("user_id".into(), code.user.subject.into());
    }
    endpoint.finish_good(On::Key, good)
}

/// GET /copilot_internal/v2/token: a short token for a long one.
pub(crate) fn access(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Access);
    let hash = request.bearer().map(|token| endpoint.note(token));
    if let Some(answer) = endpoint.fault_before(On::Access) {
        return answer;
    }
    let now = endpoint.now;
    let user = hash.and_then(|hash| endpoint.state.tokens.bearer(&hash, now).cloned());
    let family = endpoint.seen.family;
    let (Some(user), Some(family)) = (user, family) else {
        let body = json!({ "message": "Bad credentials" });
        return endpoint.finish(Response::json(401, body.to_string()));
    };
    let expires = now.plus(endpoint.state.policy.access_lifetime);
    let ends = expires.0.div_euclid(1000);
    let token = format!("tid={};exp={ends};proxy-ep=proxy.sandbox.test", endpoint.state.minter.unique());
    let hash = TokenHash::of(&Secret::from(token.as_str()));
    endpoint.state.tokens.add_access(hash, family, user, expires);
    let mut good = Map::new();
    good.insert("token".into(), token.into());
    good.insert("expires_at".into(), ends.into());
    good.insert("refresh_in".into(), 1_500.into());
    endpoint.finish_good(On::Access, good)
}

/// GET /user: who the long token belongs to, as GitHub says it.
pub(crate) fn user(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Api);
    let hash = request.bearer().map(|token| endpoint.note(token));
    let now = endpoint.now;
    let user = hash.and_then(|hash| endpoint.state.tokens.bearer(&hash, now).cloned());
    let Some(user) = user else {
        return endpoint.finish(Response::json(401, json!({ "message": "Bad credentials" }).to_string()));
    };
    let id = user.subject.bytes().fold(1_u64, |id, byte| id * 31 % 1_000_003 + u64::from(byte));
    let body = json!({ "id": id, "login": user.subject, "email": null });
    endpoint.finish(Response::json(200, body.to_string()))
}

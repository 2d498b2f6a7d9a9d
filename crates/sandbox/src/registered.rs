//! "Sign in with ChatGPT": a page that registers the program anew for each person, and a token endpoint that wants to know what
//! the tokens are for.

use crate::answer::Answer;
use crate::authorize::decide;
use crate::http::{Params, Request, Response};
use crate::log::{Kind, Seen};
use crate::policy::{Registers, User};
use crate::state::{Shared, State};
use crate::token::{Endpoint, given, token as any_token};

/// As which a program asks that is not registered yet.
const NEW: &str = "dynamic_agent_client";
/// What the ids begin with.
pub(crate) const PREFIX: &str = "oaiapp_";
/// What lets a login be used for models.
pub(crate) const USE: &str = "chatgpt.tokens.use.direct";

/// A registered client.
pub(crate) struct Client {
    /// Whose it is.
    pub(crate) subject: String,
}

/// GET /api/accounts/authorize
pub(crate) fn authorize(shared: &Shared, state: &mut State, request: &Request) -> Response {
    let now = shared.now(state);
    let mut seen = Seen::new(now, Kind::Authorize);
    let response = match request.query() {
        Ok(params) => match complaint(shared, state, &params) {
            None => decide(shared, state, &params, now, &mut seen, Some(register)),
            Some(why) => Response::page(400, &format!("<h1>Error</h1><p>{why}</p>")),
        },
        Err(why) => Response::page(400, &format!("<h1>Error</h1><p>{why}</p>")),
    };
    seen.status = Some(response.status);
    state.log.push(seen);
    response
}

/// What is wrong with the request, whoever it is that signs in.
fn complaint(shared: &Shared, state: &State, params: &Params) -> Option<&'static str> {
    let client = given(params, "client_id").unwrap_or_default();
    let host = given(params, "ext_agent_host_id").unwrap_or_default();
    let is_new = client == NEW;
    if !is_new && !state.clients.contains_key(client) {
        return Some("no such client");
    }
    if is_new != given(params, "agent_name_hint").is_some() {
        return Some("agent_name_hint belongs to the first request, and to no other");
    }
    if !["urn:uuid:", "urn:ietf:params:oauth:jwk-thumbprint:", "did:key:"]
        .iter()
        .any(|form| host.starts_with(form))
    {
        return Some("ext_agent_host_id is missing");
    }
    if !given(params, "redirect_uri").is_some_and(|uri| uri.starts_with("http://127.0.0.1:")) {
        return Some("redirect_uri is not on 127.0.0.1");
    }
    if given(params, "nonce").is_none() {
        return Some("nonce is missing");
    }
    (!is_for_models(shared, params)).then_some("resource is missing")
}

fn is_for_models(shared: &Shared, params: &Params) -> bool {
    given(params, "resource").is_some_and(|url| url == format!("{}/v1", shared.origin))
}

fn register(
    state: &mut State,
    params: &Params,
    user: &User,
) -> Result<(String, Option<String>), &'static str> {
    let asked = given(params, "client_id").unwrap_or_default();
    let how = state.policy.registers;
    if asked == NEW {
        let id = format!("{PREFIX}{}", state.minter.unique());
        state.clients.insert(id.clone(), Client { subject: user.subject.clone() });
        return Ok((id.clone(), Some(id).filter(|_| how != Registers::Silently)));
    }
    let is_theirs = state.clients.get(asked).is_some_and(|client| client.subject == user.subject);
    if !is_theirs && how != Registers::ForAnybody {
        return Err("this client is somebody else's");
    }
    let named = match how {
        Registers::Always => Some(asked.to_owned()),
        Registers::Another => Some(format!("{PREFIX}another")),
        _ => None,
    };
    Ok((asked.to_owned(), named))
}

/// POST /api/accounts/oauth/token
pub(crate) fn token(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let params = request.params().unwrap_or_default();
    if !is_for_models(shared, &params) || given(&params, "scope").is_some() {
        let mut endpoint = Endpoint::new(shared, state, Kind::Other);
        return endpoint.refuse(400, "invalid_target", "resource is missing, or scope is there");
    }
    any_token(shared, state, request)
}

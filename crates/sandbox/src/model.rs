//! The model APIs: Anthropic's Messages, OpenAI's Responses on two routes, Chat Completions.
//!
//! Each answer says whose credential it was given for, so that a test sees which account served which request.

mod dialect;
mod faults;
mod gate;
mod keys;
mod usage;

use std::collections::BTreeMap;

use coderclaw_types::{Secret, TokenHash};
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Delivery};
use crate::http::{Request, Response};
use crate::log::{Kind, Seen};
use crate::state::{Shared, State};

use dialect::Wire;
pub use faults::ModelFault;
pub(crate) use faults::{End, ModelFaults, Stream};
pub use gate::StreamGate;
pub(crate) use gate::{StreamPhase, may_go};
use keys::Denied;
pub use keys::KeyKind;
pub(crate) use keys::Keys;
pub use usage::used_percent;

/// Headers that a test may ask about. None of them holds a secret.
const SHOWN: &[&str] = &["accept", "anthropic-beta", "anthropic-version", "chatgpt-account-id", "user-agent"];

/// What a request to a model API was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelCall {
    /// `POST` or `GET`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The account that the credential belongs to; `None` where it was refused.
    pub account: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// Some of the headers.
    pub headers: BTreeMap<String, String>,
    /// The name of the header that carried the credential.
    pub credential_in: Option<&'static str>,
    /// The client left before its stream had ended, as far as a server can see.
    pub left: bool,
}

/// The answer to a request of a model API; `None` where the path is none.
pub(crate) fn model(shared: &Shared, state: &mut State, request: &Request) -> Option<Answer> {
    let (wire, is_list) = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/v1/messages") => (Wire::Anthropic, false),
        ("POST", "/company/v1/messages") => (Wire::Anthropic, false),
        ("GET", "/company/v1/models") => (Wire::Anthropic, true),
        ("POST", "/v1/responses") => (Wire::Responses, false),
        ("POST", "/backend-api/codex/responses") => (Wire::Codex, false),
        ("POST", "/v1/chat/completions") => (Wire::Chat, false),
        ("GET", "/backend-api/codex/models" | "/backend-api/wham/usage") => (Wire::Codex, true),
        ("GET", "/api/oauth/usage") => (Wire::Anthropic, true),
        (method, path) if usage::is_of_a_plan(method, path) => (Wire::Chat, true),
        ("GET", "/v1/models") if request.header("anthropic-version").is_some() => (Wire::Anthropic, true),
        ("GET", "/v1/models") => (Wire::Chat, true),
        _ => return None,
    };
    let now = shared.now(state);
    let mut seen = Seen::new(now, Kind::Model);
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut call = ModelCall {
        method: request.method.clone(),
        path: request.path.clone(),
        account: None,
        model: body["model"].as_str().map(str::to_owned),
        headers: SHOWN
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), request.header(name)?.to_owned())))
            .collect(),
        credential_in: None,
        left: false,
    };
    let held = keys::credential(request);
    if let Some((place, secret)) = held {
        let hash = TokenHash::of(&Secret::from(secret));
        seen.family = state.tokens.family_of(&hash);
        seen.token = Some(hash);
        call.credential_in = Some(place);
    }
    let judged = keys::judge(state, request, held, wire, now);
    if let Ok(account) = &judged {
        call.account = Some(account.clone());
    }
    // A fault may be for everybody, also for those whose credential is no good.
    let fault = state.model_faults.take(call.account.as_deref(), !is_list);
    seen.fault = fault.as_ref().map(ModelFault::name);
    let answer = match (&judged, &fault) {
        (_, Some(fault)) if fault.instead() => fault.reply(wire, now).into(),
        (Err(denied), _) => refuse(wire, denied).into(),
        (Ok(_), _) if request.path == "/api/oauth/usage" && keys::may_not_look(state, held) => {
            dialect::error(
                wire,
                403,
                "permission_error",
                "OAuth token does not meet scope requirement user:profile",
            )
            .into()
        }
        (Ok(_), _) if !may_use(state, seen.family) => {
            dialect::error(wire, 403, "chatpass_v2_scope_not_authorized", "the plan may not be used").into()
        }
        (Ok(account), _) if usage::is_usage(&request.path) => {
            usage::usage(&request.path, account, now).into()
        }
        (Ok(account), _) if is_list => models(wire, request, account).into(),
        (Ok(account), fault) => match dialect::complaint(plan_wire(state, wire, seen.family), request, &body)
        {
            Some(complaint) => complaint.into(),
            None => reply(state, wire, account, &body, fault.as_ref(), now),
        },
    };
    seen.status = Some(answer.response.status);
    seen.model = Some(call);
    state.log.push(seen);
    Some(answer)
}

/// The route of plans is as narrow as the one of ChatGPT's own.
fn plan_wire(state: &State, wire: Wire, family: Option<crate::tokens::FamilyId>) -> Wire {
    let client = family.and_then(|id| state.tokens.family(id)).and_then(|one| one.client.as_deref());
    match client {
        Some(client) if wire == Wire::Responses && client.starts_with(crate::registered::PREFIX) => {
            Wire::Codex
        }
        _ => wire,
    }
}

/// A login that was registered for one person says whether their plan may be used.
fn may_use(state: &State, family: Option<crate::tokens::FamilyId>) -> bool {
    let family = family.and_then(|id| state.tokens.family(id));
    let is_registered = family.is_some_and(|one| {
        one.client.as_ref().is_some_and(|client| client.starts_with(crate::registered::PREFIX))
    });
    !is_registered
        || family.is_some_and(|one| one.scope.split_whitespace().any(|scope| scope == crate::registered::USE))
}

fn reply(
    state: &mut State,
    wire: Wire,
    account: &str,
    body: &Value,
    fault: Option<&ModelFault>,
    now: coderclaw_types::Millis,
) -> Answer {
    let model = body["model"].as_str().unwrap_or("none");
    let said = dialect::last_words(body);
    let text = format!("{account} {model}: {said}");
    if body["stream"] != json!(true) {
        return Response::json(200, dialect::whole(wire, model, &text).to_string()).into();
    }
    let mut chunks = dialect::events(wire, model, &text);
    let end = fault.map_or(End::Whole, |fault| fault.spoil(wire, &mut chunks, now));
    // The entry of this request comes right after this.
    let gate = gate::taken(state);
    let stream = Stream { chunks, end, gate, entry: state.log.len() };
    Answer { delivery: Delivery::Stream(stream), ..Response::event_stream(account).into() }
}

fn refuse(wire: Wire, denied: &Denied) -> Response {
    let (status, kind, message) = match denied {
        Denied::Missing => (401, "authentication_error", "no credential was sent"),
        Denied::Invalid if wire == Wire::Anthropic => (401, "authentication_error", "invalid bearer token"),
        Denied::Invalid => (401, "invalid_api_key", "Incorrect API key provided."),
        Denied::Ended if wire == Wire::Anthropic => (
            401,
            "authentication_error",
            "OAuth token has expired. Please obtain a new token or refresh your existing token.",
        ),
        Denied::Ended => (401, "token_expired", "Provided authentication token is expired."),
        Denied::NoBeta => (401, "authentication_error", "OAuth authentication is currently not supported."),
        Denied::OtherAccount => {
            let body = json!({ "detail": "The account does not match the token." });
            return Response::json(403, body.to_string());
        }
    };
    dialect::error(wire, status, kind, message)
}

fn models(wire: Wire, request: &Request, account: &str) -> Response {
    let body = match wire {
        // Codex CLI wants two dozen more fields of each model, and is content with none of them.
        Wire::Codex if request.query().is_ok_and(|query| query.contains_key("client_version")) => {
            json!({ "models": [] })
        }
        Wire::Codex => {
            json!({ "models": [{ "slug": "sandbox-model", "display_name": account, "visibility": "list" }] })
        }
        _ => json!({ "data": [{ "id": "sandbox-model", "type": "model", "owned_by": account }] }),
    };
    Response::json(200, body.to_string())
}

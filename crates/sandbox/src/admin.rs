//! What another process may read and set, if the server was started for that.

use coderclaw_types::{Secret, TokenHash};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::{Fault, On};
use crate::http::{Request, Response};
use crate::log::Counts;
use crate::model::{KeyKind, ModelFault};
use crate::policy::{Policy, User};
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default = "refresh")]
    on: On,
    fault: Fault,
    #[serde(default = "once")]
    times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelScript {
    account: Option<String>,
    fault: ModelFault,
    #[serde(default = "once")]
    times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    kind: KeyKind,
    secret: String,
    account: String,
}

fn refresh() -> On {
    On::Refresh
}

fn once() -> usize {
    1
}

/// `GET /admin/log`, `POST /admin/policy` (the keys to change), `POST /admin/script` (`{"on", "fault", "times"}`),
/// `POST /admin/user` (somebody who signs in from now on), `POST /admin/model` (`{"account", "fault", "times"}`),
/// `POST /admin/key` (`{"kind", "secret", "account"}`).
pub(crate) fn admin(state: &mut State, request: &Request) -> Response {
    let result = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/admin/log") => Ok(json!({ "counts": Counts::of(&state.log), "log": state.log })),
        ("GET", "/admin/policy") => Ok(json!(state.policy)),
        ("POST", "/admin/policy") => patched(&state.policy, &request.body).map(|policy| {
            state.policy = policy;
            json!(state.policy)
        }),
        ("POST", "/admin/script") => serde_json::from_slice(&request.body).map_err(|e| e.to_string()).map(
            |Script { on, fault, times }| {
                let name = fault.name();
                // Waiting faults are entries in memory; no test needs more than this many.
                let times = times.min(10_000);
                state.faults.push(on, fault, times);
                json!({ "fault": name, "times": times })
            },
        ),
        ("POST", "/admin/user") => {
            serde_json::from_slice::<User>(&request.body).map_err(|e| e.to_string()).map(|user| {
                state.signs_in = Some(user.email.clone());
                state.users.retain(|u| u.email != user.email);
                state.users.push(user);
                json!({ "users": state.users.len() })
            })
        }
        ("POST", "/admin/model") => serde_json::from_slice(&request.body).map_err(|e| e.to_string()).map(
            |ModelScript { account, fault, times }| {
                let name = fault.name();
                state.model_faults.push(account.as_deref(), &fault, times.min(10_000));
                json!({ "fault": name, "times": times })
            },
        ),
        ("POST", "/admin/key") => serde_json::from_slice(&request.body).map_err(|e| e.to_string()).map(
            |Key { kind, secret, account }| {
                state.keys.insert(TokenHash::of(&Secret::from(secret)), (kind, account));
                json!({ "keys": state.keys.len() })
            },
        ),
        _ => return Response::json(404, r#"{"error":"no such page"}"#.to_owned()),
    };
    match result {
        Ok(value) => Response::json(200, value.to_string()),
        Err(why) => Response::json(400, json!({ "error": why }).to_string()),
    }
}

/// The policy with the keys of this JSON object replaced.
fn patched(policy: &Policy, patch: &[u8]) -> Result<Policy, String> {
    let patch: serde_json::Map<String, Value> = serde_json::from_slice(patch).map_err(|e| e.to_string())?;
    let mut all = json!(policy);
    for (key, value) in patch {
        all[key] = value;
    }
    serde_json::from_value(all).map_err(|e| e.to_string())
}

//! Logins by a code that is typed in elsewhere: RFC 8628's, and those in the dialect of OpenAI's servers.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::Millis;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::authorize::{Code, sign_in_as};
use crate::faults::On;
use crate::http::{Request, Response};
use crate::log::Kind;
use crate::policy::User;
use crate::state::{Shared, State};
use crate::token::{Endpoint, given};

/// How long an authorization code can be exchanged.
const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// What the person has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Yes(User),
    No,
}

/// A code that waits to be typed in.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) user_code: String,
    pub(crate) client: String,
    pub(crate) scope: String,
    /// Of the request, where it had one.
    pub(crate) challenge: Option<String>,
    pub(crate) expires: Millis,
    pub(crate) said: Said,
    /// Tokens have been handed out.
    pub(crate) used: bool,
}

/// POST /oauth/device (RFC 8628 section 3.1)
pub(crate) fn begin(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Device);
    if let Some(answer) = endpoint.fault_before(On::Device) {
        return answer;
    }
    let params = match request.params() {
        Ok(params) => params,
        Err(why) => return endpoint.refuse(400, "invalid_request", why),
    };
    if endpoint.state.policy.device_off {
        return endpoint.refuse(400, "unauthorized_client", "this client gets no device codes");
    }
    let Some(client) = given(&params, "client_id") else {
        return endpoint.refuse(401, "invalid_client", "client_id is missing");
    };
    let scope = given(&params, "scope").unwrap_or_default().to_owned();
    let challenge = given(&params, "code_challenge").map(str::to_owned);
    let (handle, user_code) = endpoint.new_code(client, scope, challenge);
    let page = format!("{}/device", shared.origin);
    let mut good = Map::new();
    good.insert("device_code".into(), handle.into());
    good.insert("user_code".into(), user_code.as_str().into());
    good.insert("verification_uri".into(), page.as_str().into());
    good.insert("verification_uri_complete".into(), format!("{page}?user_code={user_code}").into());
    good.insert("expires_in".into(), endpoint.state.policy.device_lifetime.as_secs().into());
    if let Some(interval) = endpoint.state.policy.device_interval {
        good.insert("interval".into(), interval.into());
    }
    endpoint.finish_good(On::Device, good)
}

/// POST /api/accounts/deviceauth/usercode
pub(crate) fn begin_openai(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Device);
    if let Some(answer) = endpoint.fault_before(On::Device) {
        return answer;
    }
    if endpoint.state.policy.device_off {
        return endpoint.finish(Response::json(404, json!({ "detail": "Not Found" }).to_string()));
    }
    let client = request.params().ok().and_then(|params| given(&params, "client_id").map(str::to_owned));
    let Some(client) = client else {
        return endpoint.refuse(400, "invalid_request", "client_id is missing");
    };
    let scope = "openid profile email offline_access".to_owned();
    let (handle, user_code) = endpoint.new_code(&client, scope, None);
    let mut good = Map::new();
    good.insert("device_auth_id".into(), handle.into());
    good.insert("user_code".into(), user_code.into());
    if let Some(interval) = endpoint.state.policy.device_interval {
        // A number in quotes, as the real one sends it.
        good.insert("interval".into(), interval.to_string().into());
    }
    endpoint.finish_good(On::Device, good)
}

/// POST /api/accounts/deviceauth/token: 403 means "not yet", and what comes in the end is a code and its verifier.
pub(crate) fn poll_openai(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Poll);
    if let Some(answer) = endpoint.fault_before(On::Poll) {
        return answer;
    }
    let params = request.params().unwrap_or_default();
    let now = endpoint.now;
    let found = given(&params, "device_auth_id").and_then(|id| endpoint.state.devices.get_mut(id));
    let found = found.filter(|one| given(&params, "user_code") == Some(&one.user_code) && now < one.expires);
    let Some(device) = found else {
        return endpoint.finish(Response::json(404, json!({ "detail": "Not Found" }).to_string()));
    };
    let Said::Yes(user) = device.said.clone() else {
        let body = json!({ "error": { "message": "not yet", "code": "deviceauth_authorization_unknown" } });
        return endpoint.finish(Response::json(403, body.to_string()));
    };
    device.used = true;
    let (client, scope) = (device.client.clone(), device.scope.clone());
    endpoint.seen.user = Some(user.subject.clone());
    let verifier = format!("sandbox-verifier-{}-{}", endpoint.state.minter.unique(), "v".repeat(43));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let text = format!("sandbox-code-{}", endpoint.state.minter.unique());
    let code = Code {
        client,
        redirect_uri: format!("{}/deviceauth/callback", shared.origin),
        challenge: challenge.clone(),
        scope,
        nonce: None,
        user,
        expires: now.plus(CODE_LIFETIME),
        used: None,
    };
    endpoint.state.codes.insert(text.clone(), code);
    let mut good = Map::new();
    good.insert("authorization_code".into(), text.into());
    good.insert("code_challenge".into(), challenge.into());
    good.insert("code_verifier".into(), verifier.into());
    endpoint.finish_good(On::Poll, good)
}

/// GET /device and /codex/device: whoever comes with a code has typed it in and says yes.
pub(crate) fn page(state: &mut State, request: &Request) -> Response {
    let code = request.query().ok().and_then(|params| params.get("user_code").cloned());
    match code {
        None => Response::page(200, "<h1>Which code?</h1>"),
        Some(code) if say(state, &code, true) => Response::page(200, "<h1>Done.</h1>"),
        Some(_) => Response::page(400, "<h1>No such code.</h1>"),
    }
}

/// The person types in a code, and says yes or no. False where no such code waits.
pub(crate) fn say(state: &mut State, user_code: &str, yes: bool) -> bool {
    let user = sign_in_as(state);
    let found = state.devices.values_mut().find(|one| one.user_code == user_code && !one.used);
    let Some(device) = found else { return false };
    device.said = if yes { Said::Yes(user) } else { Said::No };
    true
}

impl Endpoint<'_> {
    fn new_code(&mut self, client: &str, scope: String, challenge: Option<String>) -> (String, String) {
        let handle = format!("sandbox-device-{}", self.state.minter.unique());
        let n = self.state.devices.len() + 1;
        let device = Device {
            user_code: format!("SBOX-{n:04}"),
            client: client.to_owned(),
            scope,
            challenge,
            expires: self.now.plus(self.state.policy.device_lifetime),
            said: Said::Nothing,
            used: false,
        };
        let user_code = device.user_code.clone();
        self.state.devices.insert(handle.clone(), device);
        (handle, user_code)
    }

    /// A question at the token endpoint (RFC 8628 section 3.4).
    pub(crate) fn poll(&mut self, params: &crate::http::Params) -> Answer {
        if let Some(answer) = self.fault_before(On::Poll) {
            return answer;
        }
        let handle = given(params, "device_code").unwrap_or_default().to_owned();
        let found = self.state.devices.get(&handle).cloned();
        let Some(device) = found.filter(|one| given(params, "client_id") == Some(&one.client)) else {
            return self.refuse(400, "invalid_grant", "no such device code");
        };
        let verifier = given(params, "code_verifier").unwrap_or_default();
        let fits = device
            .challenge
            .as_deref()
            .is_none_or(|challenge| challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())));
        match device.said {
            _ if device.used || !fits => self.refuse(400, "invalid_grant", "the device code is not good"),
            Said::No => self.refuse(400, "access_denied", "the person said no"),
            _ if self.now >= device.expires => {
                self.refuse(400, "expired_token", "the device code is expired")
            }
            Said::Nothing => self.refuse(400, "authorization_pending", "not yet"),
            Said::Yes(user) => {
                let fault = self.state.faults.take(On::Poll);
                if let Some(device) = self.state.devices.get_mut(&handle) {
                    device.used = true;
                }
                self.seen.user = Some(user.subject.clone());
                self.grant(user, device.client, device.scope, fault.as_ref())
            }
        }
    }

    /// The answer that all went well, spoiled as the next fault wants it.
    pub(crate) fn finish_good(&mut self, on: On, good: Map<String, Value>) -> Answer {
        match self.state.faults.take(on) {
            Some(fault) => {
                let body = fault.spoil(good);
                self.finish_with(&fault, Response::json(200, body))
            }
            None => self.finish(Response::json(200, Value::Object(good).to_string())),
        }
    }
}

//! The token endpoint, the revocation endpoint, and the one API call.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::{Millis, Secret, TokenHash};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::answer::{Answer, Delivery};
use crate::dates::rfc3339;
use crate::faults::{Fault, On, Reply};
use crate::http::{Params, Request, Response};
use crate::jwt::Claims;
use crate::log::{Kind, Seen};
use crate::policy::{EarliestForm, ErrorStyle, IdTokens, Policy, User};
use crate::state::{GatePhase, Shared, State};
use crate::tokens::{Accepted, Family, FamilyId, Refusal};

/// The fresh tokens of a family, minted and noted.
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) id_token: String,
    pub(crate) expires_in: i64,
    expires: Millis,
}

pub(crate) struct Endpoint<'a> {
    shared: &'a Shared,
    pub(crate) state: &'a mut State,
    pub(crate) now: Millis,
    pub(crate) seen: Seen,
    /// Who asks.
    client: Option<String>,
}

/// POST /oauth/token
pub(crate) fn token(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Other);
    let params = match request.params() {
        Ok(params) => params,
        Err(why) => return endpoint.refuse(400, "invalid_request", why),
    };
    match params.get("grant_type").map(String::as_str) {
        Some("authorization_code") => {
            endpoint.seen.kind = Kind::Exchange;
            endpoint.exchange(&params)
        }
        Some("refresh_token") => {
            endpoint.seen.kind = Kind::Refresh;
            endpoint.refresh(&params)
        }
        Some("urn:ietf:params:oauth:grant-type:device_code") => {
            endpoint.seen.kind = Kind::Poll;
            endpoint.poll(&params)
        }
        Some(_) => endpoint.refuse(400, "unsupported_grant_type", "no such grant_type"),
        None => endpoint.refuse(400, "invalid_request", "grant_type is missing"),
    }
}

/// POST /oauth/revoke (RFC 7009, and the same as JSON)
pub(crate) fn revoke(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Revoke);
    let params = match request.params() {
        Ok(params) => params,
        Err(why) => return endpoint.refuse(400, "invalid_request", why),
    };
    let Some(token) = given(&params, "token") else {
        return endpoint.refuse(400, "invalid_request", "token is missing");
    };
    let hash = endpoint.note(token);
    if let Some(answer) = endpoint.fault_before(On::Revoke) {
        return answer;
    }
    endpoint.state.tokens.revoke(&hash);
    match endpoint.state.faults.take(On::Revoke) {
        Some(fault) => endpoint.finish_with(&fault, Response::empty(200)),
        None => endpoint.finish(Response::empty(200)),
    }
}

/// GET /api/whoami: what the bearer's token is good for.
pub(crate) fn whoami(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Api);
    let hash = request.bearer().map(|token| endpoint.note(token));
    let user = hash.and_then(|hash| endpoint.state.tokens.bearer(&hash, endpoint.now).cloned());
    let Some(user) = user else {
        let reply = Reply::error_object(401, "token_expired");
        return endpoint.finish_canned(&reply);
    };
    let body =
        json!({ "sub": user.subject, "email": user.email, "account": user.account, "plan": user.plan });
    endpoint.finish(Response::json(200, body.to_string()))
}

/// /oauth/userinfo (OpenID Connect Core section 5.3): whose a live access token is.
pub(crate) fn userinfo(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Api);
    let hash = request.bearer().map(|token| endpoint.note(token));
    let user = hash.and_then(|hash| endpoint.state.tokens.bearer(&hash, endpoint.now).cloned());
    let Some(user) = user else {
        // RFC 6750 section 3: without a token no error is named.
        let why = if hash.is_some() { ", error=\"invalid_token\"" } else { "" };
        let challenge = format!("Bearer realm=\"sandbox\"{why}");
        return endpoint.finish(Response::empty(401).with("WWW-Authenticate", challenge));
    };
    let body = json!({ "sub": user.subject, "email": user.email, "email_verified": true });
    endpoint.finish(Response::json(200, body.to_string()))
}

/// GET /oauth/jwks (RFC 7517)
pub(crate) fn jwks(shared: &Shared, state: &mut State) -> Answer {
    let mut endpoint = Endpoint::new(shared, state, Kind::Keys);
    if let Some(answer) = endpoint.fault_before(On::Keys) {
        return answer;
    }
    let keys = endpoint.state.signer.jwks();
    match endpoint.state.faults.take(On::Keys) {
        Some(fault) => endpoint.finish_with(&fault, Response::json(200, keys)),
        None => endpoint.finish(Response::json(200, keys)),
    }
}

pub(crate) fn given<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

impl<'a> Endpoint<'a> {
    pub(crate) fn new(shared: &'a Shared, state: &'a mut State, kind: Kind) -> Self {
        let now = shared.now(state);
        Self { shared, state, now, seen: Seen::new(now, kind), client: None }
    }

    /// Notes whose token came.
    pub(crate) fn note(&mut self, token: &str) -> TokenHash {
        let hash = TokenHash::of(&Secret::from(token));
        self.seen.token = Some(hash);
        if let Some(id) = self.state.tokens.family_of(&hash) {
            self.belongs_to(id);
        }
        hash
    }

    fn belongs_to(&mut self, id: FamilyId) {
        self.seen.family = Some(id);
        self.seen.user = self.state.tokens.family(id).map(|f| f.user.subject.clone());
    }

    fn exchange(&mut self, params: &Params) -> Answer {
        if let Some(answer) = self.fault_before(On::Exchange) {
            return answer;
        }
        let Some(client) = given(params, "client_id") else {
            return self.refuse(401, "invalid_client", "client_id is missing");
        };
        let found = given(params, "code").and_then(|text| Some((text, self.state.codes.get(text)?.clone())));
        let Some((text, code)) = found else {
            return self.refuse(400, "invalid_grant", "no such code");
        };
        self.seen.user = Some(code.user.subject.clone());
        if let Some(family) = code.used {
            // A code that comes twice has been seen by a stranger (RFC 6749 section 4.1.2).
            self.belongs_to(family);
            self.state.tokens.end(family);
            return self.refuse(400, "invalid_grant", "the code has been used");
        }
        if self.now >= code.expires || code.client != client {
            return self.refuse(400, "invalid_grant", "the code is not good for this client now");
        }
        if given(params, "redirect_uri") != Some(&code.redirect_uri) {
            return self.refuse(400, "invalid_grant", "redirect_uri is not the one of the authorization");
        }
        let verifier = given(params, "code_verifier").unwrap_or_default();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        if !(43..=128).contains(&verifier.len()) || challenge != code.challenge {
            return self.refuse(400, "invalid_grant", "the code verifier does not fit");
        }
        let fault = self.state.faults.take(On::Exchange);
        let family = Family {
            user: code.user.clone(),
            client: Some(code.client.clone()),
            scope: code.scope.clone(),
            nonce: code.nonce.clone(),
            ended: false,
        };
        let (id, refresh) = self.begin(family);
        if let Some(code) = self.state.codes.get_mut(text) {
            code.used = Some(id);
        }
        self.belongs_to(id);
        self.issue(id, Some(&refresh), fault.as_ref())
    }

    fn begin(&mut self, family: Family) -> (FamilyId, String) {
        let refresh = self.state.minter.refresh_token();
        let hash = TokenHash::of(&Secret::from(refresh.as_str()));
        (self.state.tokens.begin(family, hash, self.now, &self.state.policy), refresh)
    }

    /// Tokens for somebody who has typed in a code.
    pub(crate) fn grant(
        &mut self,
        user: User,
        client: String,
        scope: String,
        fault: Option<&Fault>,
    ) -> Answer {
        let family = Family { user, client: Some(client), scope, nonce: None, ended: false };
        let (id, refresh) = self.begin(family.clone());
        self.belongs_to(id);
        if !self.state.policy.bare_tokens {
            return self.issue(id, Some(&refresh), fault);
        }
        let token = format!("sandbox-long-{}", self.state.minter.unique());
        let hash = TokenHash::of(&Secret::from(token.as_str()));
        let ends = self.now.plus(std::time::Duration::from_secs(3_650 * 86_400));
        self.state.tokens.add_access(hash, id, family.user, ends);
        let body = json!({ "access_token": token, "token_type": "bearer", "scope": family.scope });
        self.finish(Response::json(200, body.to_string()))
    }

    fn refresh(&mut self, params: &Params) -> Answer {
        let sent = params.get("refresh_token").map(String::as_str);
        let hash = sent.filter(|sent| !sent.is_empty()).map(|sent| self.note(sent));
        self.client = given(params, "client_id").map(str::to_owned);
        self.seen.reused = hash.is_some_and(|hash| self.state.tokens.is_spent(&hash));
        if let Some(answer) = self.fault_before(On::Refresh) {
            return answer;
        }
        let Some(client) = given(params, "client_id") else {
            return self.refuse(401, "invalid_client", "client_id is missing");
        };
        let Some(hash) = hash else {
            let why = if sent.is_some() {
                "Invalid 'refresh_token': empty string"
            } else {
                "refresh_token is missing"
            };
            return self.refuse(400, "invalid_request", why);
        };
        if self.widens(params) {
            return self.refuse(400, "invalid_scope", "more than was granted");
        }
        let keeps = self.state.faults.peek(On::Refresh) == Some(&Fault::NoRefreshToken);
        let policy = Policy { rotates: self.state.policy.rotates && !keeps, ..self.state.policy.clone() };
        let next = self.state.minter.refresh_token();
        let next_hash = TokenHash::of(&Secret::from(next.as_str()));
        match self.state.tokens.refresh(&hash, next_hash, client, self.now, &policy) {
            Err(refusal) => {
                self.seen.refusal = Some(refusal);
                let reply = refusal_reply(refusal, policy.errors);
                self.finish_canned(&reply)
            }
            Ok(accepted) => {
                let fault = self.state.faults.take(On::Refresh);
                self.seen.rotated = matches!(accepted, Accepted::Rotated(_));
                match accepted {
                    Accepted::Rotated(id) | Accepted::Again(id) => {
                        self.issue(id, Some(&next), fault.as_ref())
                    }
                    Accepted::Kept(id) => self.issue(id, None, fault.as_ref()),
                }
            }
        }
    }

    /// Whether a refresh asks for a scope that its family does not have (RFC 6749 section 6).
    fn widens(&self, params: &Params) -> bool {
        let family = self.seen.family.and_then(|id| self.state.tokens.family(id));
        let (Some(asked), Some(family)) = (given(params, "scope"), family) else {
            return false;
        };
        let granted: Vec<_> = family.scope.split_whitespace().collect();
        asked.split_whitespace().any(|scope| !granted.contains(&scope))
    }

    /// The success answer for this family, spoiled as the fault wants it.
    fn issue(&mut self, id: FamilyId, refresh: Option<&str>, fault: Option<&Fault>) -> Answer {
        let Some(mut family) = self.state.tokens.family(id).cloned() else {
            return self.refuse(500, "server_error", "no such family");
        };
        // Whoever refreshes what nobody asked for is who it is for.
        family.client = family.client.or_else(|| self.client.clone());
        let user = match fault {
            Some(Fault::OtherAccount) => User::named("stranger"),
            _ => family.user.clone(),
        };
        let pair = mint(self.shared, self.state, id, &family, user);
        let mut good = Map::new();
        if self.state.policy.id_tokens != IdTokens::Absent {
            good.insert("id_token".into(), pair.id_token.into());
        }
        good.insert("access_token".into(), pair.access.into());
        if let Some(refresh) = refresh {
            good.insert("refresh_token".into(), refresh.into());
        }
        good.insert("token_type".into(), "Bearer".into());
        good.insert("expires_in".into(), pair.expires_in.into());
        good.insert("scope".into(), family.scope.into());
        if let Some(rule) = self.state.policy.earliest_refresh {
            let at = pair.expires.minus(rule.before_expiry);
            let secs = at.0.div_euclid(1000);
            let value = match rule.form {
                EarliestForm::Number => json!(secs),
                EarliestForm::NumericString => json!(secs.to_string()),
                EarliestForm::Rfc3339 => json!(rfc3339(at)),
                EarliestForm::Null => Value::Null,
            };
            good.insert("earliest_refresh_at".into(), value);
        }
        match fault {
            Some(fault) => {
                let body = fault.spoil(good);
                self.finish_with(fault, Response::json(200, body))
            }
            None => self.finish(Response::json(200, Value::Object(good).to_string())),
        }
    }

    /// A fault that strikes before anything is done.
    pub(crate) fn fault_before(&mut self, request: On) -> Option<Answer> {
        self.state.faults.peek(request).filter(|fault| !fault.after_success())?;
        let fault = self.state.faults.take(request)?;
        Some(self.finish_with(&fault, Response::empty(200)))
    }

    pub(crate) fn finish_with(&mut self, fault: &Fault, response: Response) -> Answer {
        self.seen.fault = Some(fault.name());
        let (response, delivery) = match fault {
            Fault::DropBeforeRead | Fault::DropBeforeRotate | Fault::RotateThenDrop => {
                (response, Delivery::Drop)
            }
            Fault::HangBeforeRotate => (response, Delivery::Hang),
            Fault::Reply(reply) | Fault::RotateThenReply(reply) => {
                (Response::canned(reply, self.now), Delivery::Whole)
            }
            Fault::RotateThenHalfBody => (response, Delivery::Half),
            Fault::RotateThenDelay(span) => (response, Delivery::Delayed(*span)),
            Fault::SlowBody(pause) => (response, Delivery::Slow(*pause)),
            _ => (response, Delivery::Whole),
        };
        let answer = self.finish(response);
        if matches!(delivery, Delivery::Drop | Delivery::Hang)
            && let Some(last) = self.state.log.last_mut()
        {
            last.status = None;
        }
        Answer { delivery, ..answer }
    }

    fn finish_canned(&mut self, reply: &Reply) -> Answer {
        self.finish(Response::canned(reply, self.now))
    }

    pub(crate) fn refuse(&mut self, status: u16, error: &str, why: &str) -> Answer {
        let body = json!({ "error": error, "error_description": why });
        self.finish(Response::json(status, body.to_string()))
    }

    /// Writes the log entry. From here on nothing but the delivery is left.
    pub(crate) fn finish(&mut self, response: Response) -> Answer {
        self.seen.status = Some(response.status);
        self.state.log.push(self.seen.clone());
        let held = (self.seen.kind == Kind::Refresh).then(|| {
            let armed = self.state.gates.iter_mut().find(|(_, phase)| **phase == GatePhase::Armed)?;
            *armed.1 = GatePhase::Held;
            Some(*armed.0)
        });
        Answer { gate: held.flatten(), ..response.into() }
    }
}

/// Mints an access and an id token for a family, which speak of `user`.
pub(crate) fn mint(shared: &Shared, state: &mut State, id: FamilyId, family: &Family, user: User) -> Pair {
    let now = shared.now(state);
    let lifetime = i64::try_from(state.policy.access_lifetime.as_secs()).unwrap_or(i64::MAX);
    let claims = Claims {
        issuer: &shared.origin,
        client: family.client.as_deref().unwrap_or("sandbox-client"),
        user: &user,
        scope: &family.scope,
        nonce: family.nonce.as_deref(),
        now,
        lifetime,
    };
    let access = claims.access_token(&state.minter.unique());
    let jti = state.minter.unique();
    let id_token = claims.id_token(&jti, state.policy.id_tokens, &state.signer, &state.foreign);
    let expires = now.plus(state.policy.access_lifetime);
    let hash = TokenHash::of(&Secret::from(access.as_str()));
    state.tokens.add_access(hash, id, user, expires);
    Pair { access, id_token, expires_in: lifetime, expires }
}

fn refusal_reply(refusal: Refusal, style: ErrorStyle) -> Reply {
    match (style, refusal) {
        (ErrorStyle::Rfc6749, _) | (_, Refusal::TooEarly | Refusal::WrongClient) => {
            Reply::error("invalid_grant")
        }
        (_, Refusal::Reused) => Reply::error("refresh_token_reused"),
        (_, Refusal::Revoked) => Reply::error("refresh_token_invalidated"),
        (_, Refusal::Expired) => Reply::error("refresh_token_expired"),
        (_, Refusal::Unknown) => Reply::error("token_expired"),
    }
}

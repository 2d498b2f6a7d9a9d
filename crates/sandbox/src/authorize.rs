//! The page on which a person would sign in. Here nobody has to: the request, or the test, says who it is.

use std::time::Duration;

use coderclaw_types::Millis;
use url::Url;

use crate::http::{Params, Request, Response, escaped};
use crate::log::{Kind, Seen};
use crate::policy::User;
use crate::state::{Shared, State};
use crate::tokens::FamilyId;

/// How long a code can be exchanged: the longest that RFC 6749 section 4.1.2 recommends.
const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// An authorization code.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) user: User,
    pub(crate) expires: Millis,
    /// The family that it was exchanged for.
    pub(crate) used: Option<FamilyId>,
}

/// See [`decide`].
pub(crate) type Register = fn(&mut State, &Params, &User) -> Result<(String, Option<String>), &'static str>;

enum Sign<'a> {
    In(User),
    Choose,
    Nobody(&'a str),
}

/// GET /oauth/authorize
pub(crate) fn authorize(shared: &Shared, state: &mut State, request: &Request) -> Response {
    let now = shared.now(state);
    let mut seen = Seen::new(now, Kind::Authorize);
    let response = match request.query() {
        Ok(params) => decide(shared, state, &params, now, &mut seen, None),
        Err(why) => Response::page(400, &format!("<h1>Error</h1><p>{why}</p>")),
    };
    seen.status = Some(response.status);
    state.log.push(seen);
    response
}

/// `registers` is what a page that registers clients does about them, once it is known who signs in: the client that the
/// code is for, and what the answer says of it.
pub(crate) fn decide(
    shared: &Shared,
    state: &mut State,
    params: &Params,
    now: Millis,
    seen: &mut Seen,
    registers: Option<Register>,
) -> Response {
    let get = |name: &str| params.get(name).map(String::as_str).filter(|v| !v.is_empty());
    // Until the client and its address are known to be sound, nothing may be sent there (RFC 6749 section 4.1.2.1).
    let (Some(client), Some(redirect_uri)) = (get("client_id"), get("redirect_uri")) else {
        return Response::page(400, "<h1>Error</h1><p>client_id and redirect_uri are needed.</p>");
    };
    let Some(target) = loopback(redirect_uri) else {
        return Response::page(400, "<h1>Error</h1><p>redirect_uri is not registered.</p>");
    };
    let back = |state: &State, pairs: &[(&str, &str)]| {
        let mut target = target.clone();
        target.query_pairs_mut().extend_pairs(pairs);
        if let Some(value) = get("state") {
            target.query_pairs_mut().append_pair("state", value);
        }
        if state.policy.send_iss {
            target.query_pairs_mut().append_pair("iss", &shared.origin);
        }
        Response::found(target.as_str())
    };
    let refuse =
        |state: &State, error: &str, why: &str| back(state, &[("error", error), ("error_description", why)]);

    if get("response_type") != Some("code") {
        return refuse(state, "unsupported_response_type", "only response_type=code");
    }
    let challenge = get("code_challenge").unwrap_or_default();
    if challenge.len() != 43 || get("code_challenge_method") != Some("S256") {
        return refuse(state, "invalid_request", "PKCE with S256 is required");
    }
    if let Some((error, why)) = state.denials.front() {
        let response = refuse(state, error, why);
        state.denials.pop_front();
        return response;
    }
    let user = match sign_in(state, get("user").or(get("login_hint"))) {
        Sign::In(user) => user,
        Sign::Nobody(email) => {
            return refuse(state, "access_denied", &format!("nobody here is called {email}"));
        }
        Sign::Choose => return chooser(state, params),
    };
    seen.user = Some(user.subject.clone());
    let (client, named) = match registers {
        None => (client.to_owned(), None),
        Some(register) => match register(state, params, &user) {
            Ok(registered) => registered,
            Err(why) => return refuse(state, "access_denied", why),
        },
    };
    let asked = get("scope").unwrap_or_default();
    let code = Code {
        client,
        redirect_uri: redirect_uri.to_owned(),
        challenge: challenge.to_owned(),
        scope: state.policy.granted_scope.clone().unwrap_or_else(|| asked.to_owned()),
        nonce: get("nonce").map(str::to_owned),
        user,
        expires: now.plus(CODE_LIFETIME),
        used: None,
    };
    let text = format!("sandbox-code-{}", state.minter.unique());
    let mut pairs = vec![("code", text.as_str())];
    pairs.extend(named.as_deref().map(|named| ("client_id", named)));
    let response = back(state, &pairs);
    state.codes.insert(text, code);
    response
}

/// A redirect address that a native program may use: plain HTTP to this machine, any port (RFC 8252 section 7.3).
fn loopback(redirect_uri: &str) -> Option<Url> {
    let url = Url::parse(redirect_uri).ok()?;
    let host = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    (host && url.scheme() == "http" && url.fragment().is_none()).then_some(url)
}

fn sign_in<'a>(state: &'a State, named: Option<&'a str>) -> Sign<'a> {
    match named.or(state.signs_in.as_deref()) {
        Some(email) => match state.users.iter().find(|u| u.email == email) {
            Some(user) => Sign::In(user.clone()),
            None => Sign::Nobody(email),
        },
        None => match state.users.as_slice() {
            [] => Sign::In(User::named("user-1")),
            [only] => Sign::In(only.clone()),
            _ => Sign::Choose,
        },
    }
}

/// Who signs in where no request names anybody and no page asks.
pub(crate) fn sign_in_as(state: &State) -> User {
    match sign_in(state, None) {
        Sign::In(user) => user,
        Sign::Choose | Sign::Nobody(_) => User::named("user-1"),
    }
}

/// The same request once more per person, each link naming one.
fn chooser(state: &State, params: &Params) -> Response {
    let mut page = "<h1>Who signs in?</h1><ul>".to_owned();
    for user in &state.users {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(params).append_pair("user", &user.email);
        let (query, email) = (escaped(&query.finish()), escaped(&user.email));
        page.push_str(&format!("\n<li><a href=\"/oauth/authorize?{query}\">{email}</a>"));
    }
    Response::page(200, &(page + "\n</ul>"))
}

//! A login by a code that is typed in on another device: RFC 8628, and the dialect of OpenAI's servers.
//!
//! Requests and answers are pure functions; [`wait`] is the loop, and knows how long to wait between two
//! questions.

mod pace;
mod read;
#[cfg(test)]
mod tests;

use std::time::Duration;

use coderclaw_http::{Body, Client, HeaderText, Request, Url};
use coderclaw_types::Secret;
use url::form_urlencoded::Serializer;

pub use self::pace::{Pace, wait};
pub(crate) use self::read::{read_code, read_poll};
use crate::endpoint::{Encoding, TokenEndpoint};
use crate::pkce::Pkce;
use crate::token_set::TokenSet;

/// The grant's name at a token endpoint (RFC 8628 section 3.4).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Where one client's device logins begin and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceEndpoint {
    /// Where a code is asked for.
    pub start: Url,
    /// Where tokens come from.
    pub token: TokenEndpoint,
    /// What is asked for; none: the provider's default.
    pub scopes: Vec<String>,
    /// How the two speak.
    pub dialect: Dialect,
}

/// How a device login is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 8628.
    Standard {
        /// With PKCE, which the standard does not have.
        pkce: bool,
    },
    /// OpenAI's: everything is JSON, 403 and 404 mean "not yet", and what comes in the end is an authorization code.
    OpenAi {
        /// Where it is asked whether the code has been typed in.
        poll: Url,
        /// The page on which it is typed in.
        page: Url,
        /// What the exchange names as `redirect_uri`.
        redirect: String,
    },
}

/// A code that waits to be typed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    /// What the person types, fit to be shown.
    pub user_code: String,
    /// Where.
    pub page: Url,
    /// The same page with the code in its address, where the server has one.
    pub complete: Option<Url>,
    /// The time between two questions.
    pub interval: Duration,
    /// How long the code is good for.
    pub lifetime: Duration,
    /// What the server knows the login by. Whoever has it gets the tokens.
    pub handle: Secret,
}

/// Why there is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    /// The provider gives none to this client or this account.
    #[error("{0}")]
    Off(String),
    /// Something went wrong on the way, or at the server.
    #[error("{0}")]
    Failed(String),
}

/// What came of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollAnswer {
    /// Tokens.
    Granted(Box<TokenSet>),
    /// An authorization code and its verifier, to be exchanged (OpenAI).
    Code {
        /// The code.
        code: Secret,
        /// The verifier of its challenge. The server has made both.
        verifier: Secret,
    },
    /// The code has not been typed in yet.
    Pending,
    /// The same, and the server is asked too often.
    SlowDown {
        /// The time between two questions from now on, where the answer says so.
        interval: Option<Duration>,
    },
    /// Nobody knows: no answer, or one from somebody in between. The next question may be answered.
    Trouble(String),
    /// The person said no.
    Denied(String),
    /// The code was not typed in in time.
    Expired,
    /// Anything else ends the login.
    Failed(String),
}

/// Asks for a code. `pkce` counts only where the dialect wants it.
pub(crate) fn code_request(endpoint: &DeviceEndpoint, pkce: &Pkce) -> Request {
    let client = ("client_id", endpoint.token.client_id.as_str());
    let scope = endpoint.scopes.join(" ");
    let challenge = pkce.challenge();
    match endpoint.dialect {
        Dialect::OpenAi { .. } => post(&endpoint.start, Encoding::Json, &[client]),
        Dialect::Standard { pkce } => {
            let mut pairs = vec![client];
            if !scope.is_empty() {
                pairs.push(("scope", &scope));
            }
            if pkce {
                pairs.push(("code_challenge", &challenge));
                pairs.push(("code_challenge_method", "S256"));
            }
            post(&endpoint.start, Encoding::Form, &pairs)
        }
    }
}

/// Asks whether `code` has been typed in.
pub(crate) fn poll_request(endpoint: &DeviceEndpoint, code: &DeviceCode, pkce: &Pkce) -> Request {
    let handle = code.handle.expose();
    match &endpoint.dialect {
        Dialect::OpenAi { poll, .. } => {
            post(poll, Encoding::Json, &[("device_auth_id", handle), ("user_code", &code.user_code)])
        }
        Dialect::Standard { pkce: wanted } => {
            let mut pairs = vec![("grant_type", GRANT), ("device_code", handle)];
            if *wanted {
                pairs.push(("code_verifier", pkce.verifier().expose()));
            }
            endpoint.token.post(&pairs)
        }
    }
}

/// Asks for a code, once.
///
/// # Errors
/// Where none came.
pub async fn ask_for_code(
    client: &Client,
    endpoint: &DeviceEndpoint,
    pkce: &Pkce,
) -> Result<DeviceCode, NoCode> {
    read_code(endpoint, client.send(code_request(endpoint, pkce)).await)
}

/// Asks once whether `code` has been typed in. Who asks again keeps a [`Pace`].
pub async fn ask_about_code(
    client: &Client,
    endpoint: &DeviceEndpoint,
    code: &DeviceCode,
    pkce: &Pkce,
) -> PollAnswer {
    read_poll(endpoint, client.send(poll_request(endpoint, code, pkce)).await)
}

/// Waits until `code` has been typed in, asking as often as the server wants it.
pub async fn wait_for_code(
    client: &Client,
    endpoint: &DeviceEndpoint,
    code: &DeviceCode,
    pkce: &Pkce,
) -> PollAnswer {
    wait(code, async || ask_about_code(client, endpoint, code, pkce).await).await
}

fn post(url: &Url, encoding: Encoding, pairs: &[(&str, &str)]) -> Request {
    let body = match encoding {
        Encoding::Form => Body {
            content_type: "application/x-www-form-urlencoded",
            bytes: Secret::from(Serializer::new(String::new()).extend_pairs(pairs).finish()),
        },
        Encoding::Json => {
            let members = pairs.iter().map(|&(name, value)| (name.to_owned(), value.into()));
            let object = serde_json::Value::Object(members.collect());
            Body { content_type: "application/json", bytes: Secret::from(object.to_string()) }
        }
    };
    Request::post(url.clone(), body).header("accept", HeaderText::Plain("application/json".to_owned()))
}

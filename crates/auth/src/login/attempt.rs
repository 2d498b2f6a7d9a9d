//! One attempt to log in: its request, and what its answer is exchanged for.

use coderclaw_http::Url;
use coderclaw_oauth::{
    AuthorizationRequest, Pkce, RefreshAnswer, State, TokenEndpoint, TokenSet, exchange, exchange_for_key,
    key_page,
};
use coderclaw_providers::MethodKind;
use coderclaw_types::Secret;

use super::brought::Proof;
use super::device::client;
use super::error::LoginError;
use super::registered::Registered;
use super::way::{BrowserWay, Way};
use crate::context::Auth;

/// The secrets of one attempt.
pub(super) struct Attempt {
    pub(super) pkce: Pkce,
    pub(super) state: State,
    pub(super) redirect_uri: String,
    /// For a login of which the client is registered for each person.
    pub(super) registered: Option<Registered>,
}

impl Attempt {
    pub(super) fn new(redirect_uri: String, registered: Option<Registered>) -> Result<Self, LoginError> {
        Ok(Self { pkce: Pkce::generate()?, state: State::generate()?, redirect_uri, registered })
    }

    /// The page to open.
    pub(super) fn url(&self, browser: &BrowserWay<'_>) -> Url {
        let way = &browser.way;
        if way.method.method == MethodKind::OAuthKey {
            let challenge = self.pkce.challenge();
            return key_page(&browser.authorize_url, &self.redirect_uri, &challenge, &self.state);
        }
        let pairs = way.method.authorize_params.iter();
        let own = [self.nonce(way).map(|nonce| ("nonce", nonce)), resource(way)];
        let own = own.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
        let registered = self.registered.as_ref();
        let client_id = registered.and_then(|one| one.client_id.as_ref());
        AuthorizationRequest {
            authorize_url: browser.authorize_url.clone(),
            client_id: client_id.unwrap_or(&way.endpoint.token.client_id).clone(),
            redirect_uri: self.redirect_uri.clone(),
            scopes: way.method.scopes.iter().map(ToString::to_string).collect(),
            extra: own
                .chain(registered.map(Registered::parameters).unwrap_or_default())
                .chain(pairs.map(|(name, value)| (name.to_string(), value.to_string())))
                .collect(),
            challenge: self.pkce.challenge(),
            state: self.state.clone(),
        }
        .url()
    }

    /// What has to come back in the id_token, where those are checked.
    pub(super) fn nonce(&self, way: &Way<'_>) -> Option<String> {
        way.checks_id_tokens().then(|| self.pkce.nonce())
    }

    /// What the answer has to say, where anything is known beforehand.
    pub(super) fn proof(&self, way: &Way<'_>) -> Proof {
        let (subject, email) = match &self.registered {
            Some(one) => (one.subject.clone(), one.email.clone()),
            None => (None, None),
        };
        Proof { nonce: self.nonce(way), subject, email }
    }

    /// The answer does not say which client it is for, and has to.
    pub(super) fn needs_address(&self, named: Option<&str>) -> bool {
        named.is_none() && self.registered.as_ref().is_some_and(|one| one.client_id.is_none())
    }

    /// Redeems the code, once. `named` is the client that the answer names.
    pub(super) async fn redeem(
        &self,
        auth: &Auth,
        browser: &BrowserWay<'_>,
        code: &Secret,
        named: Option<&str>,
    ) -> Result<RefreshAnswer, LoginError> {
        let client = client(auth)?;
        let (token, verifier) = (&browser.way.endpoint.token, self.pkce.verifier());
        if let Some(registered) = &self.registered {
            let client_id = registered.answered(named, &token.client_id)?;
            if registered.client_id.is_none() {
                auth.note_client(&browser.way, &client_id)?;
            }
            let token = TokenEndpoint { client_id: client_id.clone(), ..token.clone() };
            return Ok(match exchange(&client, &token, code, verifier, &self.redirect_uri).await {
                RefreshAnswer::Granted(set) => {
                    RefreshAnswer::Granted(TokenSet { client_id: Some(client_id), ..set })
                }
                other => other,
            });
        }
        Ok(match browser.way.method.method {
            MethodKind::OAuthKey => exchange_for_key(&client, &token.url, code, verifier).await,
            _ => exchange(&client, token, code, verifier, &self.redirect_uri).await,
        })
    }
}

/// RFC 8707 section 2.1.
fn resource(way: &Way<'_>) -> Option<(&'static str, String)> {
    way.method.resource.as_deref().map(|url| ("resource", url.to_owned()))
}

/// RFC 9207 section 2.4, for an answer that came by the browser: where the issuer says that it names itself, one that names
/// nobody is not from there. What is typed may be the bare code.
pub(super) fn check_callback(iss: Option<&str>, way: &BrowserWay<'_>) -> Result<(), LoginError> {
    if iss.is_none() && way.answers_name_issuer {
        return Err(LoginError::Denied("the answer does not say which issuer it comes from".into()));
    }
    check_issuer(iss, way)
}

/// RFC 9207 section 2.4: an answer that names another issuer ends the login. Its state and code have been in the hands of a
/// server that was not asked, so there is nothing left to wait for.
pub(super) fn check_issuer(iss: Option<&str>, way: &BrowserWay<'_>) -> Result<(), LoginError> {
    match (iss, way.way.method.issuer.as_deref()) {
        (Some(iss), Some(issuer)) if iss != issuer => {
            let iss = coderclaw_oauth::for_people(iss).unwrap_or_default();
            Err(LoginError::Denied(format!("the answer comes from {iss}, not from {issuer}")))
        }
        _ => Ok(()),
    }
}

/// What the exchange said, where it did not bring tokens.
pub(super) fn in_words(answer: RefreshAnswer) -> String {
    let words = |text: Option<String>| text.map(|text| format!(": {text}")).unwrap_or_default();
    match answer {
        RefreshAnswer::Granted(_) => "it was".into(),
        RefreshAnswer::Refused { code, description } => format!("{code}{}", words(description)),
        RefreshAnswer::NotSpent { status, code, description, .. } => {
            let status = status.map_or_else(|| "an answer".into(), |status| format!("status {status}"));
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("{status}{code}{}", words(description))
        }
        RefreshAnswer::Ambiguous { why, .. } => why,
        RefreshAnswer::Offline { detail, .. } => detail,
    }
}

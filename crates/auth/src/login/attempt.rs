//! One attempt to log in: its request, and what its answer is exchanged for.

use std::borrow::Cow;
use std::time::Duration;

use coderclaw_http::{Client, Limits, Url};
use coderclaw_oauth::{AuthorizationRequest, Identity, Pkce, RefreshAnswer, State, exchange};
use coderclaw_providers::{AuthMethod, Manifest, MethodKind, Plugin};
use coderclaw_types::Secret;

use super::error::LoginError;
use crate::context::Auth;
use crate::discovered::Discovered;
use crate::grant::Endpoint;

/// In an address to which no browser can come back: with providers that allow any port, one is as good as another.
const ANY_PORT: u16 = 51_455;

/// What the manifest says about the login.
pub(super) struct Way<'a> {
    pub(super) manifest: &'a Manifest,
    /// The method as the manifest has it.
    pub(super) own: &'a AuthMethod,
    /// The same, with the URLs that its issuer names where the manifest does not.
    pub(super) method: Cow<'a, AuthMethod>,
    pub(super) endpoint: Endpoint,
    /// Who it is, where somebody says so besides the tokens.
    pub(super) said: Option<Identity>,
    answers_name_issuer: bool,
    authorize_url: Url,
    redirect: Url,
}

impl<'a> Way<'a> {
    /// Asks the issuer where the manifest names no URLs. Must not be called from within an async runtime.
    pub(super) fn of(auth: &Auth, manifest: &'a Manifest) -> Result<Self, LoginError> {
        let no_method = || LoginError::NoMethod { provider: manifest.name.to_string() };
        let own = manifest.auth(MethodKind::OAuth).ok_or_else(no_method)?;
        let Discovered { method, answers_name_issuer } = auth.discovered(own)?;
        let endpoint = Endpoint::of(&method).ok_or_else(no_method)?;
        let url = |text: Option<&str>| text.and_then(|text| Url::parse(text).ok()).ok_or_else(no_method);
        let authorize_url = url(method.authorize_url.as_deref())?;
        let redirect = url(Some(method.redirect.as_deref().unwrap_or("http://127.0.0.1/callback")))?;
        let said = None;
        Ok(Self { manifest, own, method, endpoint, said, answers_name_issuer, authorize_url, redirect })
    }

    /// For what the program of a plugin has brought, which says whose it is.
    pub(super) fn of_plugin(
        manifest: &'a Manifest,
        own: &'a AuthMethod,
        plugin: &Plugin,
        identity: Identity,
    ) -> Option<Self> {
        let endpoint = Endpoint::of_plugin(manifest, own, plugin)?;
        let (authorize_url, redirect) = (endpoint.token.url.clone(), endpoint.token.url.clone());
        let (method, said) = (Cow::Borrowed(own), Some(identity));
        Some(Self {
            manifest,
            own,
            method,
            endpoint,
            said,
            answers_name_issuer: false,
            authorize_url,
            redirect,
        })
    }

    /// The browser comes back to this machine, not to a page of the vendor's that shows the code.
    pub(super) fn comes_back(&self) -> bool {
        self.redirect.scheme() == "http"
    }

    pub(super) fn host(&self) -> &str {
        self.redirect.host_str().unwrap_or("127.0.0.1")
    }

    pub(super) fn path(&self) -> &str {
        self.redirect.path()
    }

    /// For a login without a listener: the address that the browser ends at, and cannot load.
    pub(super) fn redirect_without_listener(&self) -> String {
        if !self.comes_back() {
            return self.method.redirect.as_deref().unwrap_or_default().to_owned();
        }
        let port = self.method.redirect_ports.first().copied().unwrap_or(ANY_PORT);
        format!("http://{}:{port}{}", self.host(), self.path())
    }
}

/// The secrets of one attempt.
pub(super) struct Attempt {
    pub(super) pkce: Pkce,
    pub(super) state: State,
    pub(super) redirect_uri: String,
}

impl Attempt {
    pub(super) fn new(redirect_uri: String) -> Result<Self, LoginError> {
        Ok(Self { pkce: Pkce::generate()?, state: State::generate()?, redirect_uri })
    }

    /// The page to open.
    pub(super) fn url(&self, way: &Way<'_>) -> Url {
        let pairs = way.method.authorize_params.iter();
        AuthorizationRequest {
            authorize_url: way.authorize_url.clone(),
            client_id: way.endpoint.token.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            scopes: way.method.scopes.iter().map(ToString::to_string).collect(),
            extra: pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            challenge: self.pkce.challenge(),
            state: self.state.clone(),
        }
        .url()
    }

    /// Redeems the code, once.
    pub(super) async fn redeem(
        &self,
        auth: &Auth,
        way: &Way<'_>,
        code: &Secret,
    ) -> Result<RefreshAnswer, LoginError> {
        let limits = Limits { connect: Duration::from_secs(10), total: Duration::from_secs(30) };
        let client = Client::new(&auth.network(), limits).map_err(|e| LoginError::Local(e.to_string()))?;
        Ok(exchange(&client, &way.endpoint.token, code, self.pkce.verifier(), &self.redirect_uri).await)
    }
}

/// RFC 9207 section 2.4, for an answer that came by the browser: where the issuer says that it names itself, one that names
/// nobody is not from there. What is typed may be the bare code.
pub(super) fn check_callback(iss: Option<&str>, way: &Way<'_>) -> Result<(), LoginError> {
    if iss.is_none() && way.answers_name_issuer {
        return Err(LoginError::Denied("the answer does not say which issuer it comes from".into()));
    }
    check_issuer(iss, way)
}

/// RFC 9207 section 2.4: an answer that names another issuer ends the login. Its state and code have been in the hands of a
/// server that was not asked, so there is nothing left to wait for.
pub(super) fn check_issuer(iss: Option<&str>, way: &Way<'_>) -> Result<(), LoginError> {
    match (iss, way.method.issuer.as_deref()) {
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

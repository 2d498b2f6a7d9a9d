//! What the manifest says about a login: by which doors one gets in.

use std::borrow::Cow;

use coderclaw_http::Url;
use coderclaw_oauth::Identity;
use coderclaw_oauth::device::{DeviceEndpoint, Dialect};
use coderclaw_providers::{AuthMethod, DeviceDialect, Manifest, MethodKind, Plugin, endpoint_origin};

use super::Door;
use super::error::LoginError;
use crate::context::Auth;
use crate::discovered::Discovered;
use crate::grant::{Endpoint, wants_id_token};

/// In an address to which no browser can come back: with providers that allow any port, one is as good as another.
const ANY_PORT: u16 = 51_455;

/// One method of a provider, with its URLs.
pub(super) struct Way<'a> {
    pub(super) manifest: &'a Manifest,
    /// The method as the manifest has it.
    pub(super) own: Cow<'a, AuthMethod>,
    /// The same, with the URLs that its issuer names where the manifest does not.
    pub(super) method: AuthMethod,
    pub(super) endpoint: Endpoint,
    /// Who it is, where somebody says so besides the tokens.
    pub(super) said: Option<Identity>,
}

/// A login in a browser.
pub(super) struct BrowserWay<'a> {
    pub(super) way: Way<'a>,
    pub(super) answers_name_issuer: bool,
    pub(super) authorize_url: Url,
    redirect: Url,
}

/// A login by a code that is typed in elsewhere.
pub(super) struct DeviceWay<'a> {
    pub(super) way: Way<'a>,
    pub(super) device: DeviceEndpoint,
}

/// The doors that are open, and which of them.
pub(super) struct Doors<'a> {
    pub(super) browser: Option<BrowserWay<'a>>,
    pub(super) device: Option<DeviceWay<'a>>,
}

impl<'a> Doors<'a> {
    /// Asks the issuer where the manifest names no URLs. Must not be called from within an async runtime.
    pub(super) fn of(auth: &Auth, manifest: &'a Manifest, door: Door) -> Result<Self, LoginError> {
        // Where codes are refused, the browser takes over.
        let browser = BrowserWay::of(auth, manifest, door);
        let device = if matches!(door, Door::Browser | Door::Registered) {
            Ok(None)
        } else {
            DeviceWay::of(auth, manifest)
        };
        let (browser, device) = match door {
            Door::Device => (browser.unwrap_or(None), device?),
            _ => (browser?, device.unwrap_or(None)),
        };
        // Unasked, a code is only had from where the tokens come from: who points one of the two elsewhere means both.
        let device = device.filter(|device| door == Door::Device || browser.is_none() || device.is_at_home());
        let wanted = match door {
            Door::Any => browser.is_some() || device.is_some(),
            Door::Browser | Door::Registered => browser.is_some(),
            Door::Device => device.is_some(),
        };
        if wanted { Ok(Self { browser, device }) } else { Err(LoginError::no_method(manifest, door)) }
    }
}

impl<'a> Way<'a> {
    fn of(auth: &Auth, manifest: &'a Manifest, own: Cow<'a, AuthMethod>) -> Result<(Self, bool), LoginError> {
        if own.client_id.is_none() && own.own_client {
            return Err(LoginError::NoClient { provider: manifest.id.to_string(), method: own.method });
        }
        let Discovered { method, answers_name_issuer } = auth.discovered(&own)?;
        let method = method.into_owned();
        let endpoint = Endpoint::of(&method).ok_or_else(|| LoginError::no_method(manifest, Door::Any))?;
        Ok((Self { manifest, own, method, endpoint, said: None }, answers_name_issuer))
    }

    /// The issuer is named, so that an id_token has to come from there.
    pub(super) fn checks_id_tokens(&self) -> bool {
        wants_id_token(&self.method)
    }

    /// For what the program of a plugin has brought, which says whose it is.
    pub(super) fn of_plugin(
        manifest: &'a Manifest,
        own: &'a AuthMethod,
        plugin: &Plugin,
        identity: Identity,
    ) -> Option<Self> {
        let endpoint = Endpoint::of_plugin(manifest, own, plugin)?;
        let (method, said) = (own.clone(), Some(identity));
        Some(Self { manifest, own: Cow::Borrowed(own), method, endpoint, said })
    }
}

impl<'a> BrowserWay<'a> {
    fn of(auth: &Auth, manifest: &'a Manifest, door: Door) -> Result<Option<Self>, LoginError> {
        let own = match door {
            Door::Registered => manifest.auth(MethodKind::Siwc),
            _ => manifest.auth(MethodKind::OAuth).or_else(|| manifest.auth(MethodKind::OAuthKey)),
        };
        let Some(own) = own else { return Ok(None) };
        let (way, answers_name_issuer) = Way::of(auth, manifest, Cow::Borrowed(own))?;
        let no_method = || LoginError::no_method(manifest, door);
        let url = |text: Option<&str>| text.and_then(|text| Url::parse(text).ok()).ok_or_else(no_method);
        let authorize_url = url(way.method.authorize_url.as_deref())?;
        let redirect = url(Some(way.method.redirect.as_deref().unwrap_or("http://127.0.0.1/callback")))?;
        Ok(Some(Self { way, answers_name_issuer, authorize_url, redirect }))
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
            return self.way.method.redirect.as_deref().unwrap_or_default().to_owned();
        }
        let port = self.way.method.redirect_ports.first().copied().unwrap_or(ANY_PORT);
        format!("http://{}:{port}{}", self.host(), self.path())
    }
}

impl<'a> DeviceWay<'a> {
    fn of(auth: &Auth, manifest: &'a Manifest) -> Result<Option<Self>, LoginError> {
        let Some(own) = manifest.device_login() else { return Ok(None) };
        let (way, _) = Way::of(auth, manifest, Cow::Owned(own))?;
        let method = &way.method;
        let url = |text: Option<&str>| text.and_then(|text| Url::parse(text).ok());
        let parts = (url(method.device_url.as_deref()), url(method.device_poll_url.as_deref()));
        let (Some(start), poll) = parts else {
            return Err(LoginError::no_method(manifest, Door::Device));
        };
        let dialect = match (method.device_dialect, poll, url(method.device_page.as_deref())) {
            (DeviceDialect::Standard, ..) => Dialect::Standard { pkce: method.device_pkce },
            (DeviceDialect::OpenAi, Some(poll), Some(page)) => {
                let redirect = method.device_redirect.as_deref().unwrap_or_default().to_owned();
                Dialect::OpenAi { poll, page, redirect }
            }
            (DeviceDialect::OpenAi, ..) => return Err(LoginError::no_method(manifest, Door::Device)),
        };
        let scopes = method.scopes.iter().map(ToString::to_string).collect();
        let device = DeviceEndpoint { start, token: way.endpoint.token.clone(), scopes, dialect };
        Ok(Some(Self { way, device }))
    }

    /// Codes and tokens come from one place, or from the places that one issuer has named.
    fn is_at_home(&self) -> bool {
        let start = endpoint_origin(self.device.start.as_str()).ok();
        let named = self.way.own.device_url.is_none() && self.way.own.token_url.is_none();
        named || start.as_deref() == Some(self.way.endpoint.origin.as_str())
    }
}

//! What is known about a provider.
//!
//! The same types serve the built-in tables, where everything is borrowed from the binary, and files that were read
//! at run time. The build script compiles this file too: what it parses is what it writes down as tables.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use crate::words::{ApiKind, Billing, DeviceDialect, MethodKind, PluginCall, Revoke, TokenRequest};

/// Text from the binary or from a file.
pub type Text = Cow<'static, str>;
/// A list from the binary or from a file.
pub type List<T> = Cow<'static, [T]>;
/// A table of names and values, sorted by name.
pub type Pairs = List<(Text, Text)>;

/// A service that one can log in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The canonical id: lower case.
    pub id: Text,
    /// What people call it.
    pub name: Text,
    /// Other ids that mean this provider.
    pub aliases: List<Text>,
    /// Environment variables that may hold a credential, the first one that is set wins.
    pub env: List<Text>,
    /// The model that is used where nobody has chosen one, without the provider's id before it.
    pub default_model: Option<Text>,
    /// How a credential is used, unless its method says otherwise.
    pub api: Api,
    /// Variables for child programs; values may hold `{token}` and `{accountId}`. See [`Manifest::lend_env`].
    pub lend: Pairs,
    /// The ways to log in, preferred first. Never empty.
    pub auth: List<AuthMethod>,
    /// Who says all this.
    pub source: Source,
    /// What else the folder of a plugin brings.
    pub plugin: Option<Box<Plugin>>,
}

/// A folder that brings a provider, and perhaps a program that does for it what data cannot say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plugin {
    /// The folder. The program runs in it.
    pub folder: PathBuf,
    /// As its author counts.
    pub version: Option<String>,
    /// In one line.
    pub description: Option<String>,
    /// The program and its arguments; empty where the plugin is data only. A program with a slash in its name is in
    /// the folder, any other is looked for in `PATH`.
    pub command: Vec<String>,
    /// What the program takes over.
    pub does: Vec<PluginCall>,
}

impl Plugin {
    /// Whether the program takes this over.
    pub fn does(&self, call: PluginCall) -> bool {
        self.does.contains(&call)
    }
}

/// How a credential is used on the model API. What is `None` in a method's own table is as in the provider's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Api {
    /// The dialect.
    pub kind: Option<ApiKind>,
    /// What the dialect's path is appended to, version segment included, without a slash at the end.
    pub base_url: Option<Text>,
    /// The header that carries the credential, lower case: `authorization` (also where it is `None`) sends
    /// `Bearer` and the credential (RFC 6750 section 2.1), any other name the bare credential.
    pub header: Option<Text>,
    /// Further headers, names in lower case; values may hold `{accountId}`.
    pub headers: Pairs,
    /// The path below `base_url` of the cheapest GET that needs the credential.
    pub probe: Option<Text>,
}

/// One way to log in to a provider, and how to renew what it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthMethod {
    /// Which way.
    pub method: MethodKind,
    /// Who pays for what is done with the credential.
    pub billing: Billing,
    /// The authorization server. Discovery (RFC 8414) fills in the URLs that are `None` here.
    pub issuer: Option<Text>,
    /// Where the browser is sent (RFC 6749 section 3.1).
    pub authorize_url: Option<Text>,
    /// Where codes and refresh tokens are redeemed (RFC 6749 section 3.2).
    pub token_url: Option<Text>,
    /// Where tokens are revoked (RFC 7009).
    pub revoke_url: Option<Text>,
    /// What a revocation takes with it. `grant` where the manifest does not say: the answer that costs least if wrong.
    pub revoke: Revoke,
    /// Where the issuer shows the keys that it signs id_tokens with (RFC 7517).
    pub jwks_url: Option<Text>,
    /// The public client id.
    pub client_id: Option<Text>,
    /// Whoever uses this registers a client of their own and names it in a file; until then `client_id` is `None`.
    pub own_client: bool,
    /// What some vendors give out with a public client's id and want back. It protects nothing (RFC 8252 section 8.5).
    pub client_secret: Option<ClientSecret>,
    /// The scopes to ask for.
    pub scopes: List<Text>,
    /// The scopes without which a login is of no use.
    pub required_scopes: List<Text>,
    /// The scopes without which a login is kept, and lent to nobody.
    pub use_scopes: List<Text>,
    /// What the tokens are for (RFC 8707): goes into every request for tokens.
    pub resource: Option<Text>,
    /// The redirect URL; a loopback one has no port here.
    pub redirect: Option<Text>,
    /// The registered loopback ports, tried in this order; empty: any free port (RFC 8252 section 7.3).
    pub redirect_ports: List<u16>,
    /// Further parameters of the authorization request.
    pub authorize_params: Pairs,
    /// How token requests are written.
    pub token_request: TokenRequest,
    /// How a revocation is written, where not as the token requests are.
    pub revoke_request: Option<TokenRequest>,
    /// Whether a refresh spends the refresh token. `true` where the manifest does not say.
    pub rotates: bool,
    /// How long an access token lives where neither the answer nor the token says.
    pub default_lifetime: Option<Duration>,
    /// Where the tokens say whose they are.
    pub identity: Identity,
    /// Where a device login begins (RFC 8628 section 3.1).
    pub device_url: Option<Text>,
    /// How it is spoken.
    pub device_dialect: DeviceDialect,
    /// Where it is asked whether the code has been typed in, where not at the token endpoint.
    pub device_poll_url: Option<Text>,
    /// The page on which the code is typed in, where the answer does not name it.
    pub device_page: Option<Text>,
    /// What is named as `redirect_uri` where a code is exchanged that a device login has brought. Nobody is sent there.
    pub device_redirect: Option<Text>,
    /// Whether the server wants PKCE with a device login, against RFC 8628.
    pub device_pkce: bool,
    /// What a person can do where the provider gives out no codes.
    pub device_off: Option<Text>,
    /// Where short access tokens are made of the long-lived one that the login brings: a GET with it as bearer.
    pub access_url: Option<Text>,
    /// Where an access token says whose it is, where it does not say so itself.
    pub userinfo_url: Option<Text>,
    /// Nobody has tried this against the vendor; it follows what is written about it.
    pub untested: bool,
    /// The regular expression that a pasted credential matches. See [`AuthMethod::accepts`].
    pub pattern: Option<Text>,
    /// What differs from the provider's [`Manifest::api`].
    pub api: Api,
    /// What comes on top of the provider's [`Manifest::lend`].
    pub lend: Pairs,
    /// Who named the token endpoint. A changed one is only to be trusted from the person's own file.
    pub token_source: Source,
}

/// JSON pointers (RFC 6901) into the claims of a login's tokens: all of a list are tried in the access token, then
/// all in the id_token; the first text that is there wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The person.
    pub subject: List<Text>,
    /// The e-mail address.
    pub email: List<Text>,
    /// The account or workspace, which is what `{accountId}` stands for.
    pub account: List<Text>,
    /// What is subscribed to, to be shown after a login.
    pub plan: List<Text>,
    /// What the person is called there, for the id of a profile without an e-mail address.
    pub name: List<Text>,
}

/// A public client's "secret". No formatting shows it, all the same.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(Text);

impl ClientSecret {
    /// Takes it in.
    pub(crate) fn new(text: Text) -> Self {
        Self(text)
    }

    /// What goes to the token endpoint.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[client secret]")
    }
}

/// Where something in a manifest comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From this program.
    Builtin,
    /// From a file of the person's own.
    UserFile(PathBuf),
    /// From the plugin in this folder.
    Plugin(PathBuf),
}

impl Manifest {
    /// The device login. One that names neither an issuer nor a token endpoint is the browser login by another door: what
    /// it does not say is as there.
    pub fn device_login(&self) -> Option<AuthMethod> {
        let all = &self.auth;
        let own = all.iter().find(|one| one.method == MethodKind::DeviceCode)?;
        let base = all.iter().find(|one| one.method == MethodKind::OAuth);
        Some(match base.filter(|_| own.is_another_door()) {
            Some(base) => own.over(base),
            None => own.clone(),
        })
    }
}

impl AuthMethod {
    /// Whether this is a device login at the token endpoint of another method.
    pub(crate) fn is_another_door(&self) -> bool {
        self.method == MethodKind::DeviceCode && self.issuer.is_none() && self.token_url.is_none()
    }

    /// This device login, with what it leaves out taken from `base`.
    fn over(&self, base: &Self) -> Self {
        let list =
            |own: &List<Text>, base: &List<Text>| if own.is_empty() { base.clone() } else { own.clone() };
        Self {
            method: self.method,
            billing: self.billing,
            client_id: self.client_id.clone().or_else(|| base.client_id.clone()),
            client_secret: self.client_secret.clone().or_else(|| base.client_secret.clone()),
            scopes: list(&self.scopes, &base.scopes),
            required_scopes: list(&self.required_scopes, &base.required_scopes),
            redirect: None,
            redirect_ports: List::default(),
            authorize_params: Pairs::default(),
            device_url: self.device_url.clone(),
            device_dialect: self.device_dialect,
            device_poll_url: self.device_poll_url.clone(),
            device_page: self.device_page.clone(),
            device_redirect: self.device_redirect.clone(),
            device_pkce: self.device_pkce,
            device_off: self.device_off.clone(),
            untested: self.untested,
            api: self.api.clone(),
            lend: self.lend.clone(),
            ..base.clone()
        }
    }

    /// A method about which nothing else is said.
    pub(crate) fn new(method: MethodKind, source: Source) -> Self {
        Self {
            method,
            billing: method.makes().usual_billing(),
            issuer: None,
            authorize_url: None,
            token_url: None,
            revoke_url: None,
            revoke: Revoke::Grant,
            jwks_url: None,
            client_id: None,
            own_client: false,
            client_secret: None,
            scopes: List::default(),
            required_scopes: List::default(),
            use_scopes: List::default(),
            resource: None,
            redirect: None,
            redirect_ports: List::default(),
            authorize_params: Pairs::default(),
            token_request: TokenRequest::Form,
            revoke_request: None,
            rotates: true,
            default_lifetime: None,
            identity: Identity::default(),
            device_url: None,
            device_dialect: DeviceDialect::Standard,
            device_poll_url: None,
            device_page: None,
            device_redirect: None,
            device_pkce: false,
            device_off: None,
            access_url: None,
            userinfo_url: None,
            untested: false,
            pattern: None,
            api: Api::default(),
            lend: Pairs::default(),
            token_source: source,
        }
    }
}

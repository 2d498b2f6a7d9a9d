//! What is known about a provider.
//!
//! The same types serve the built-in tables, where everything is borrowed from the binary, and files that were read
//! at run time. The build script compiles this file too: what it parses is what it writes down as tables.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use crate::words::{ApiKind, Billing, MethodKind, PluginCall, Revoke, TokenRequest};

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
    /// The public client id.
    pub client_id: Option<Text>,
    /// The scopes to ask for.
    pub scopes: List<Text>,
    /// The scopes without which a login is of no use.
    pub required_scopes: List<Text>,
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

impl AuthMethod {
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
            client_id: None,
            scopes: List::default(),
            required_scopes: List::default(),
            redirect: None,
            redirect_ports: List::default(),
            authorize_params: Pairs::default(),
            token_request: TokenRequest::Form,
            revoke_request: None,
            rotates: true,
            default_lifetime: None,
            identity: Identity::default(),
            device_url: None,
            pattern: None,
            api: Api::default(),
            lend: Pairs::default(),
            token_source: source,
        }
    }
}

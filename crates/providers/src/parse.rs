//! From a manifest's text to what it says, and no more than that: a key that is not there stays unsaid, since the
//! file may change another provider.
//!
//! The build script compiles this file too, so that a built-in manifest and a person's own are read by one parser.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::checked::{
    BaseUrl, Endpoint, EnvName, EnvValue, HeaderName, HeaderValue, Id, Line, Path, Pattern, Pointers, Port,
    Redirect, Scope, Span,
};
use crate::words::{ApiKind, Billing, DeviceDialect, MethodKind, PluginCall, Revoke, TokenRequest};

/// What is wrong with a manifest, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The byte that it begins at; `None`: it is about the file as a whole.
    pub(crate) offset: Option<usize>,
    /// What is wrong.
    pub(crate) message: String,
}

impl Fault {
    /// A fault in that part of the text.
    pub(crate) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { offset: Some(span.start), message: message.into() }
    }

    /// Line and column of the fault, both from 1, the column in characters.
    pub(crate) fn position(&self, text: &str) -> (usize, Option<usize>) {
        let Some(before) = self.offset.and_then(|offset| text.get(..offset)) else {
            return (1, None);
        };
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        (before.matches('\n').count() + 1, Some(column))
    }
}

/// What one file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patch {
    pub(crate) id: Option<Spanned<Id>>,
    pub(crate) extends: Option<Spanned<Line>>,
    pub(crate) name: Option<Line>,
    pub(crate) aliases: Option<Spanned<Vec<Id>>>,
    pub(crate) env: Option<Vec<EnvName>>,
    pub(crate) default_model: Option<Line>,
    #[serde(default)]
    pub(crate) api: ApiPatch,
    #[serde(default)]
    pub(crate) lend: LendPatch,
    #[serde(default)]
    pub(crate) auth: Vec<AuthPatch>,
    pub(crate) plugin: Option<Spanned<PluginPatch>>,
}

/// `[plugin]`, which only a plugin's own file has.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PluginPatch {
    pub(crate) version: Option<Line>,
    pub(crate) description: Option<Line>,
    #[serde(default)]
    pub(crate) command: Vec<Line>,
    #[serde(default)]
    pub(crate) does: Vec<PluginCall>,
}

/// `[api]` and `[auth.api]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiPatch {
    pub(crate) kind: Option<ApiKind>,
    pub(crate) base_url: Option<BaseUrl>,
    pub(crate) header: Option<HeaderName>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<HeaderName, HeaderValue>,
    pub(crate) probe: Option<Path>,
}

/// `[lend]` and `[auth.lend]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LendPatch {
    #[serde(default)]
    pub(crate) env: BTreeMap<EnvName, EnvValue>,
}

/// One `[[auth]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthPatch {
    pub(crate) method: Spanned<MethodKind>,
    pub(crate) billing: Option<Billing>,
    pub(crate) issuer: Option<Endpoint>,
    pub(crate) authorize_url: Option<Endpoint>,
    pub(crate) token_url: Option<Endpoint>,
    pub(crate) revoke_url: Option<Endpoint>,
    pub(crate) revoke: Option<Revoke>,
    pub(crate) jwks_url: Option<Endpoint>,
    pub(crate) client_id: Option<Line>,
    pub(crate) own_client: Option<bool>,
    pub(crate) client_secret: Option<Line>,
    pub(crate) scopes: Option<Vec<Scope>>,
    pub(crate) required_scopes: Option<Vec<Scope>>,
    pub(crate) use_scopes: Option<Vec<Scope>>,
    pub(crate) resource: Option<Endpoint>,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) redirect_ports: Option<Vec<Port>>,
    #[serde(default)]
    pub(crate) authorize_params: BTreeMap<Line, Line>,
    pub(crate) token_request: Option<TokenRequest>,
    pub(crate) revoke_request: Option<TokenRequest>,
    pub(crate) rotates: Option<bool>,
    pub(crate) default_lifetime: Option<Span>,
    #[serde(default)]
    pub(crate) identity: IdentityPatch,
    pub(crate) device_url: Option<Endpoint>,
    pub(crate) device_dialect: Option<DeviceDialect>,
    pub(crate) device_poll_url: Option<Endpoint>,
    pub(crate) device_page: Option<Endpoint>,
    pub(crate) device_redirect: Option<Endpoint>,
    pub(crate) device_pkce: Option<bool>,
    pub(crate) device_off: Option<Line>,
    pub(crate) access_url: Option<Endpoint>,
    pub(crate) userinfo_url: Option<Endpoint>,
    pub(crate) untested: Option<bool>,
    pub(crate) pattern: Option<Pattern>,
    #[serde(default)]
    pub(crate) disabled: bool,
    #[serde(default)]
    pub(crate) api: ApiPatch,
    #[serde(default)]
    pub(crate) lend: LendPatch,
}

/// `identity` of a method.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityPatch {
    pub(crate) subject: Option<Pointers>,
    pub(crate) email: Option<Pointers>,
    pub(crate) account: Option<Pointers>,
    pub(crate) plan: Option<Pointers>,
    pub(crate) name: Option<Pointers>,
}

/// Reads the text of a manifest.
pub(crate) fn parse(text: &str) -> Result<Patch, Fault> {
    let patch: Patch = toml::from_str(text).map_err(|error| Fault {
        offset: error.span().map(|span| span.start),
        message: plain(error.message()),
    })?;
    if patch.id.is_none() && patch.extends.is_none() {
        let message = "an id is missing (or extends, to change a provider that exists)".to_owned();
        return Err(Fault { offset: None, message });
    }
    for (i, one) in patch.auth.iter().enumerate() {
        let method = one.method.get_ref();
        if patch.auth[..i].iter().any(|other| other.method.get_ref() == method) {
            return Err(Fault::at(one.method.span(), format!("a second [[auth]] with method \"{method}\"")));
        }
    }
    Ok(patch)
}

/// The parser's message in the words of a manifest. A text of a wrong type is not repeated: nobody knows what was
/// pasted there.
fn plain(message: &str) -> String {
    if let Some((_, wanted)) =
        message.strip_prefix("invalid type: string ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        return format!("a text cannot stand here, expected {wanted}");
    }
    let said = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("unknown variant", "unknown word"),
    ];
    said.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replacen(theirs, ours, 1))
}

//! Which grant an OAuth entry belongs to, and where it is refreshed.

use std::time::Duration;

use coderclaw_http::Url;
use coderclaw_oauth::{AccessEndpoint, Encoding, IdentityPointers, TokenEndpoint, jwt};
use coderclaw_providers::{
    AuthMethod, CredentialKind, Manifest, MethodKind, Plugin, PluginCall, Source, TokenRequest,
};
use coderclaw_store::{Entry, OAuthEntry, StoreSnapshot};
use coderclaw_types::{GrantId, Millis, ProfileId, Secret, TokenHash};

use crate::context::Auth;
use crate::discovered;
use crate::freshness::Life;

/// In the place of a token endpoint's origin, for logins that the program of a plugin refreshes.
pub(crate) const PLUGIN_SCHEME: &str = "plugin";

/// Where one client refreshes one provider's logins.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) token: TokenEndpoint,
    pub(crate) origin: String,
    pub(crate) rotates: bool,
    pub(crate) default_lifetime: Duration,
    pub(crate) identity: IdentityPointers,
    /// Access tokens are not refreshed, but made there of the long-lived token that stands in the refresh token's place.
    pub(crate) access: Option<AccessEndpoint>,
    /// The token endpoint is named by the user's own file, so it may differ from where the login came from.
    pub(crate) named_by_user: bool,
    /// The plugin whose program refreshes, instead of a request.
    pub(crate) plugin: Option<Box<Plugin>>,
    /// The scopes without which its logins are kept and lent to nobody.
    pub(crate) use_scopes: Vec<String>,
    /// The issuer that id_tokens have to come from; `None` where none is named.
    pub(crate) id_tokens_from: Option<String>,
    /// The issuer that named the token endpoint when the login asked it; `None` where the manifest names one.
    pub(crate) issuer: Option<String>,
}

impl Endpoint {
    /// The token endpoint that `method` names; `None` where it names none.
    pub(crate) fn of(method: &AuthMethod) -> Option<Self> {
        let url = method.token_url.as_deref()?.parse().ok()?;
        Some(Self::at(url, method.token_origin()?, method))
    }

    /// Where `entry` is refreshed: at the endpoint that `method` names, else at the one that the login discovered.
    pub(crate) fn of_entry(method: &AuthMethod, entry: &OAuthEntry) -> Option<Self> {
        if method.token_url.is_some() {
            return Self::of(method);
        }
        let issuer = method.issuer.as_deref()?;
        let (url, origin) = discovered::remembered(entry)?;
        let endpoint = Self::at(url, origin, method);
        Some(Self { named_by_user: false, issuer: Some(issuer.to_owned()), ..endpoint })
    }

    fn at(url: Url, origin: String, method: &AuthMethod) -> Self {
        let secret = method.client_secret.as_ref().map(|secret| ("client_secret", secret.expose()));
        let extra = secret.into_iter().chain(method.resource.as_deref().map(|url| ("resource", url)));
        let texts = |list: &[std::borrow::Cow<'static, str>]| list.iter().map(ToString::to_string).collect();
        Self {
            token: TokenEndpoint {
                url,
                client_id: method.client_id.as_deref().unwrap_or_default().to_owned(),
                encoding: encoding(method.token_request),
                extra: extra.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            },
            origin,
            rotates: method.rotates,
            default_lifetime: method.default_lifetime.unwrap_or(Duration::from_secs(3600)),
            identity: IdentityPointers {
                subject: texts(&method.identity.subject),
                email: texts(&method.identity.email),
                account: texts(&method.identity.account),
                plan: texts(&method.identity.plan),
                name: texts(&method.identity.name),
                opaque_access: method.method == MethodKind::Siwc,
            },
            access: access(method),
            named_by_user: matches!(method.token_source, Source::UserFile(_)),
            use_scopes: texts(&method.use_scopes),
            id_tokens_from: method.issuer.as_deref().map(str::to_owned),
            issuer: None,
            plugin: None,
        }
    }

    /// The program of a plugin that refreshes the logins which it has brought; `None` where it does not.
    pub(crate) fn of_plugin(manifest: &Manifest, method: &AuthMethod, plugin: &Plugin) -> Option<Self> {
        if !plugin.does(PluginCall::Refresh) {
            return None;
        }
        // No request goes there; the name keeps its tokens apart from those of every token endpoint.
        let origin = format!("{PLUGIN_SCHEME}:{}", manifest.id);
        let endpoint = Self::at(origin.parse().ok()?, origin, method);
        Some(Self { named_by_user: false, plugin: Some(Box::new(plugin.clone())), ..endpoint })
    }

    /// Where `entry` is refreshed.
    pub(crate) fn of_provider(manifest: &Manifest, method: &AuthMethod, entry: &OAuthEntry) -> Option<Self> {
        match &manifest.plugin {
            Some(plugin) if plugin.does(PluginCall::Refresh) => Self::of_plugin(manifest, method, plugin),
            _ => Self::of_entry(method, entry),
        }
    }
}

/// Where `method` has access tokens made, with what its API wants to know about who asks.
fn access(method: &AuthMethod) -> Option<AccessEndpoint> {
    let url = method.access_url.as_deref()?.parse().ok()?;
    let headers = method.api.headers.iter().filter(|(_, value)| !value.contains('{'));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_string()));
    Some(AccessEndpoint { url, headers: headers.collect() })
}

/// A login by this method has to bring an id_token: the issuer that it comes from is named.
pub(crate) fn wants_id_token(method: &AuthMethod) -> bool {
    method.issuer.is_some() && method.scopes.iter().any(|scope| scope == "openid")
}

/// The manifest's word for an encoding, as the protocol's.
pub(crate) fn encoding(request: TokenRequest) -> Encoding {
    match request {
        TokenRequest::Form => Encoding::Form,
        TokenRequest::Json => Encoding::Json,
    }
}

/// An OAuth entry that can be refreshed.
#[derive(Debug, Clone)]
pub(crate) struct Refreshable {
    pub(crate) profile: ProfileId,
    pub(crate) entry: OAuthEntry,
    pub(crate) refresh: Secret,
    pub(crate) token: TokenHash,
    pub(crate) grant: GrantId,
    pub(crate) endpoint: Endpoint,
}

impl Endpoint {
    /// What an entry remembers of the scopes that were granted: nothing, where they decide nothing.
    pub(crate) fn scope_of(&self, granted: Option<&str>) -> Option<String> {
        granted.filter(|_| !self.use_scopes.is_empty()).map(str::to_owned)
    }

    /// The scope that is needed to use a login, and was not granted.
    pub(crate) fn missing_scope(&self, granted: Option<&str>) -> Option<&str> {
        let has = |wanted: &str| granted.is_none_or(|all| all.split_whitespace().any(|one| one == wanted));
        self.use_scopes.iter().map(String::as_str).find(|scope| !has(scope))
    }
}

impl Refreshable {
    /// The entry as something that can be refreshed; `None` without a refresh token or a token endpoint.
    pub(crate) fn of(auth: &Auth, profile: &ProfileId, entry: &OAuthEntry) -> Option<Self> {
        let refresh = entry.refresh.clone()?;
        let provider = auth.canonical(&entry.provider);
        let manifest = auth.registry().get(&provider)?;
        let method = manifest.auth_for(CredentialKind::OAuth)?;
        let mut endpoint = Endpoint::of_provider(manifest, method, entry)?;
        if let Some(client_id) = &entry.client_id {
            endpoint.token.client_id.clone_from(client_id);
        }
        let origin = entry.token_origin.as_deref().unwrap_or(&endpoint.origin);
        let grant = entry.grant.unwrap_or_else(|| GrantId::mint(origin, &endpoint.token.client_id, &refresh));
        Some(Self {
            profile: profile.clone(),
            token: TokenHash::of(&refresh),
            entry: entry.clone(),
            refresh,
            grant,
            endpoint,
        })
    }

    /// All entries of `grant` in one store.
    pub(crate) fn all_in(auth: &Auth, store: &StoreSnapshot, grant: &GrantId) -> Vec<Self> {
        let entries = store.doc.entries().filter_map(|(id, entry)| match entry {
            Entry::OAuth(entry) => Self::of(auth, &id, &entry),
            _ => None,
        });
        entries.filter(|one| one.grant == *grant).collect()
    }

    /// Whether the token may go to the endpoint that the manifest names: the one it came from, or one that the
    /// user's own file names. A discovered one is the issuer's own.
    pub(crate) fn origin_is_trusted(&self) -> bool {
        if let Some(issuer) = &self.endpoint.issuer {
            return discovered::is_trusted(issuer, &self.endpoint.origin, &self.entry);
        }
        self.endpoint.named_by_user
            || self.entry.token_origin.as_ref().is_none_or(|origin| *origin == self.endpoint.origin)
    }
}

/// The life of the entry's access token: as the entry says, else as the token itself says.
pub(crate) fn life(entry: &OAuthEntry) -> Option<Life> {
    if let (Some(expires), Some(issued_at)) = (entry.expires, entry.issued_at) {
        return Some(Life { issued_at: Some(issued_at), expires });
    }
    let claims = entry.access.as_ref().and_then(jwt::claims);
    let claimed = |read: fn(&serde_json::Value) -> Option<Millis>| claims.as_ref().and_then(read);
    let expires = entry.expires.or_else(|| claimed(jwt::exp))?;
    Some(Life { issued_at: entry.issued_at.or_else(|| claimed(jwt::iat)), expires })
}

#[cfg(test)]
pub(crate) mod tests {
    use coderclaw_store::OAuthEntry;
    use coderclaw_types::ProviderId;

    /// A login of which nothing is known but whose it is.
    pub(crate) fn nothing_known(provider: &str) -> OAuthEntry {
        OAuthEntry {
            provider: ProviderId::new(provider),
            access: None,
            refresh: None,
            expires: None,
            issued_at: None,
            earliest_refresh_at: None,
            email: None,
            account_id: None,
            subject: None,
            issuer: None,
            client_id: None,
            scope: None,
            token_origin: None,
            token_url: None,
            revoke_url: None,
            grant: None,
        }
    }
}

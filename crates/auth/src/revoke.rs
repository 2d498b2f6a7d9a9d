//! Telling a provider that tokens have ended (RFC 7009).

use std::time::Duration;

use coderclaw_http::{Client, Limits};
use coderclaw_oauth::{TokenEndpoint, TokenHint, read_revocation, revoke_request};
use coderclaw_providers::{AuthMethod, CredentialKind, MethodKind, PluginCall, Revoke, endpoint_origin};
use coderclaw_store::{OAuthEntry, TokenUpdate};
use coderclaw_types::{ProviderId, Secret};

use crate::context::Auth;
use crate::discovered::{is_trusted, remembered_revocation};
use crate::grant::{Endpoint, PLUGIN_SCHEME, encoding};

/// Nobody waits longer than this for a provider to say goodbye.
const LIMITS: Limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(10) };

/// What became of one token on the provider's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// There was no such token.
    None,
    /// The provider says that it has ended.
    Done,
    /// It was tried. The cause, for people.
    Failed(String),
    /// It was not tried. The reason, for people.
    NotTried(String),
}

/// Where the tokens of an entry are revoked, or why they are not. The second part is what a revocation takes along.
pub(crate) fn target(auth: &Auth, entry: &OAuthEntry) -> Result<(TokenEndpoint, Revoke), String> {
    let provider = auth.canonical(&entry.provider);
    let unknown = || format!("{provider} names no place for it");
    let manifest = auth.registry().get(&provider).ok_or_else(unknown)?;
    let method = manifest.auth_for(CredentialKind::OAuth).ok_or_else(unknown)?;
    let tokens = Endpoint::of_provider(manifest, method, entry).ok_or_else(unknown)?;
    let from = entry.token_origin.as_deref();
    if let Some(plugin) = &tokens.plugin {
        if !plugin.does(PluginCall::Revoke) || from != Some(&tokens.origin) {
            return Err(unknown());
        }
        return Ok((tokens.token, method.revoke));
    }
    let mut endpoint = match &tokens.issuer {
        // All that the manifest names is the issuer: the login knows where that wants its tokens back.
        Some(issuer) => {
            if !is_trusted(issuer, &tokens.origin, entry) {
                return Err("the entry does not say that its endpoints are its issuer's".into());
            }
            let own = method.revoke_url.as_deref();
            let url = own.or_else(|| remembered_revocation(issuer, &tokens.origin, entry));
            at(method, &provider, &tokens, url)?
        }
        None => {
            if !tokens.named_by_user && from.is_some_and(|from| from != tokens.origin) {
                return Err(
                    "the login came from another place than the one that the provider names now".into()
                );
            }
            of_method(method, &provider)?
        }
    };
    if let Some(client_id) = &entry.client_id {
        endpoint.client_id.clone_from(client_id);
    }
    Ok((endpoint, method.revoke))
}

/// The same for tokens that no entry holds any more: by where they came from.
pub(crate) fn target_of(auth: &Auth, tokens: &TokenUpdate) -> Option<TokenEndpoint> {
    let origin = tokens.token_origin.as_ref()?;
    auth.registry().iter().find_map(|manifest| {
        let method = manifest.auth_for(CredentialKind::OAuth)?;
        if method.token_origin().as_ref() != Some(origin) {
            return None;
        }
        let mut endpoint = of_method(method, &ProviderId::new(&manifest.id)).ok()?;
        let client = method.client_id.as_deref().unwrap_or_default();
        let theirs = tokens.client_id.as_deref().unwrap_or(client);
        // Some clients are registered in the course of a login.
        if theirs != client && method.method != MethodKind::Siwc {
            return None;
        }
        endpoint.client_id = theirs.to_owned();
        Some(endpoint)
    })
}

/// Where a method revokes that names its endpoints itself.
fn of_method(method: &AuthMethod, provider: &ProviderId) -> Result<TokenEndpoint, String> {
    let endpoint = Endpoint::of(method).ok_or_else(|| format!("{provider} names no place for it"))?;
    let url = method.revoke_url.as_deref();
    // A token goes where it came from, and nowhere else unless the person's own file says so.
    let is_elsewhere = url.is_some_and(|url| endpoint_origin(url).ok().as_ref() != Some(&endpoint.origin));
    if method.revoke != Revoke::Never && is_elsewhere && !endpoint.named_by_user {
        return Err("the revocation endpoint is at another place than the token endpoint".into());
    }
    at(method, provider, &endpoint, url)
}

/// The place `url`, for tokens of `endpoint`.
pub(crate) fn at(
    method: &AuthMethod,
    provider: &ProviderId,
    endpoint: &Endpoint,
    url: Option<&str>,
) -> Result<TokenEndpoint, String> {
    if method.revoke == Revoke::Never {
        return Err(format!("{provider} has no way to revoke a login"));
    }
    let url =
        url.and_then(|url| url.parse().ok()).ok_or_else(|| format!("{provider} names no place for it"))?;
    let encoding = method.revoke_request.map_or(endpoint.token.encoding, encoding);
    Ok(TokenEndpoint { url, encoding, extra: Vec::new(), ..endpoint.token.clone() })
}

/// Revokes the refresh token, then the access token. Each is tried, whatever becomes of the other.
pub(crate) fn revoke(
    auth: &Auth,
    endpoint: &TokenEndpoint,
    refresh: Option<&Secret>,
    access: Option<&Secret>,
) -> (Revocation, Revocation) {
    if endpoint.url.scheme() == PLUGIN_SCHEME {
        return auth.plugin_revoke(endpoint.url.path(), refresh, access);
    }
    let failed = |e: String| {
        let one = |token: Option<&Secret>| match token {
            Some(_) => Revocation::Failed(e.clone()),
            None => Revocation::None,
        };
        (one(refresh), one(access))
    };
    let client = match Client::new(&auth.network(), LIMITS) {
        Ok(client) => client,
        Err(e) => return failed(e.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(e.to_string()),
    };
    let one = |token: Option<&Secret>, hint| match token {
        None => Revocation::None,
        Some(token) => {
            let request = revoke_request(endpoint, token, hint);
            match read_revocation(runtime.block_on(client.send(request))) {
                Ok(()) => Revocation::Done,
                Err(e) => Revocation::Failed(e.to_string()),
            }
        }
    };
    let done = (one(refresh, TokenHint::Refresh), one(access, TokenHint::Access));
    drop(client);
    // A name look-up that hangs must not hold up the end.
    runtime.shutdown_background();
    done
}

//! Providers of which only the issuer is known: the login asks the issuer for its endpoints (RFC 8414), and the entry
//! keeps the one that refreshes need, so that no refresh depends on a second request.
//!
//! The kept endpoint stands beside the refresh token that would go there. Whoever can read the store has that token
//! already; somebody who can only write it could have the token sent elsewhere, so that an endpoint on a host other than the
//! issuer's counts only while the entry says, in three places, that it came with this login from this issuer.

use std::borrow::Cow;
use std::time::Duration;

use coderclaw_http::{Client, Limits, Url};
use coderclaw_oauth::{DiscoveryError, discover};
use coderclaw_providers::{AuthMethod, MethodKind, endpoint_origin};
use coderclaw_store::{OAuthEntry, TokenUpdate};

use crate::context::Auth;
use crate::login::LoginError;

/// A method whose URLs are known.
#[derive(Debug)]
pub(crate) struct Discovered<'a> {
    pub(crate) method: Cow<'a, AuthMethod>,
    /// An answer to the browser that names no issuer is not from there (RFC 9207 section 2.4).
    pub(crate) answers_name_issuer: bool,
}

impl Auth {
    /// The method with the URLs that its issuer names, where the manifest does not; asks only then. Must not be called
    /// from within an async runtime.
    pub(crate) fn discovered<'a>(&self, method: &'a AuthMethod) -> Result<Discovered<'a>, LoginError> {
        let begin = match method.method {
            MethodKind::DeviceCode => &method.device_url,
            _ => &method.authorize_url,
        };
        let Some(issuer) = &method.issuer else {
            return Ok(Discovered { method: Cow::Borrowed(method), answers_name_issuer: false });
        };
        if method.token_url.is_some() && begin.is_some() {
            return Ok(Discovered { method: Cow::Borrowed(method), answers_name_issuer: false });
        }
        let limits = Limits { connect: Duration::from_secs(10), total: Duration::from_secs(30) };
        let client = Client::new(&self.network(), limits).map_err(|e| LoginError::Local(e.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| LoginError::Local(e.to_string()))?;
        let metadata = runtime.block_on(discover(&client, issuer));
        runtime.shutdown_background();
        let metadata = metadata?;
        if metadata.refuses_s256() {
            return Err(DiscoveryError::NoMetadata("it does not take PKCE with S256".into()).into());
        }
        let mut method = method.clone();
        let fill = |own: &mut Option<Cow<'static, str>>, found: Option<Url>| {
            if own.is_none() {
                *own = found.map(|url| Cow::Owned(url.into()));
            }
        };
        fill(&mut method.authorize_url, Some(metadata.authorization_endpoint));
        fill(&mut method.token_url, Some(metadata.token_endpoint));
        fill(&mut method.revoke_url, metadata.revocation_endpoint);
        fill(&mut method.device_url, metadata.device_authorization_endpoint);
        fill(&mut method.userinfo_url, metadata.userinfo_endpoint);
        fill(&mut method.jwks_url, metadata.jwks_uri);
        if method.scopes.is_empty() {
            method.scopes = usual_scopes(&metadata.scopes_supported).into();
        }
        ask_for_consent(&mut method);
        let answers_name_issuer = metadata.iss_parameter_supported;
        Ok(Discovered { method: Cow::Owned(method), answers_name_issuer })
    }
}

/// What an OpenID provider is asked for, so that a login is known and lasts, where the manifest asks for nothing: so far as the
/// provider `offers` it, if it says.
fn usual_scopes(offers: &[String]) -> Vec<Cow<'static, str>> {
    const USUAL: [&str; 4] = ["openid", "profile", "email", "offline_access"];
    let is_offered = |scope: &&str| offers.is_empty() || offers.iter().any(|offered| offered == scope);
    USUAL.into_iter().filter(is_offered).map(Cow::Borrowed).collect()
}

/// OpenID Connect Core section 11: `offline_access` goes with a consent, and without one there is no refresh token.
fn ask_for_consent(method: &mut AuthMethod) {
    let has_prompt = method.authorize_params.iter().any(|(name, _)| name == "prompt");
    if method.scopes.iter().any(|scope| scope == "offline_access") && !has_prompt {
        method.authorize_params.to_mut().push((Cow::Borrowed("prompt"), Cow::Borrowed("consent")));
    }
}

/// Notes in a login's tokens what its refreshes and its logout need. `own` is the method as the manifest has it, `found`
/// the same with what the issuer named.
pub(crate) fn remember(
    own: &AuthMethod,
    found: &AuthMethod,
    url: &Url,
    tokens: &mut TokenUpdate,
) -> Result<(), LoginError> {
    let (None, Some(issuer)) = (&own.token_url, own.issuer.as_deref()) else {
        return Ok(());
    };
    tokens.token_url = Some(url.to_string());
    if own.revoke_url.is_none() {
        tokens.revoke_url = found.revoke_url.as_deref().map(str::to_owned);
    }
    let claimed = tokens.issuer.get_or_insert_with(|| issuer.to_owned());
    let origin = endpoint_origin(url.as_str()).ok();
    // Better told now than at the first refresh.
    if !came_from(issuer, origin.as_deref(), origin.as_deref(), Some(claimed)) {
        return Err(LoginError::Denied(format!("the tokens come from {claimed}, not from {issuer}")));
    }
    Ok(())
}

/// The token endpoint that the login of `entry` discovered, with its origin.
pub(crate) fn remembered(entry: &OAuthEntry) -> Option<(Url, String)> {
    let url = entry.token_url.as_deref()?;
    Some((url.parse().ok()?, endpoint_origin(url).ok()?))
}

/// The revocation endpoint that the login of `entry` discovered: at the issuer's own host, or beside the token endpoint. What
/// stands there otherwise was not told to a login.
pub(crate) fn remembered_revocation<'a>(
    issuer: &str,
    origin: &str,
    entry: &'a OAuthEntry,
) -> Option<&'a str> {
    let url = entry.revoke_url.as_deref()?;
    let place = endpoint_origin(url).ok()?;
    (place == origin || endpoint_origin(issuer).ok().as_deref() == Some(&place)).then_some(url)
}

/// Whether a discovered endpoint at `origin` may be given the token of `entry` on behalf of `issuer`.
pub(crate) fn is_trusted(issuer: &str, origin: &str, entry: &OAuthEntry) -> bool {
    came_from(issuer, Some(origin), entry.token_origin.as_deref(), entry.issuer.as_deref())
}

fn came_from(
    issuer: &str,
    origin: Option<&str>,
    login_origin: Option<&str>,
    login_issuer: Option<&str>,
) -> bool {
    let own = endpoint_origin(issuer).ok();
    origin.is_some() && origin == login_origin && (origin == own.as_deref() || login_issuer == Some(issuer))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refresh token goes to the issuer's own host, or to where the login from that very issuer was told to go.
    #[test]
    fn a_discovered_endpoint_belongs_to_one_issuer() {
        const I: &str = "https://id.test/t";
        const OWN: Option<&str> = Some("https://id.test");
        const OTHER: Option<&str> = Some("https://tokens.test");
        for (origin, login_origin, login_issuer, trusted) in [
            (OWN, OWN, Some(I), true),
            (OWN, OWN, Some("https://sts.test/claimed"), true),
            (OTHER, OTHER, Some(I), true),
            (OTHER, OTHER, Some("https://id.test/t/"), false),
            (OTHER, OTHER, None, false),
            (OTHER, OWN, Some(I), false),
            (OTHER, None, Some(I), false),
            (None, None, Some(I), false),
        ] {
            let said = came_from(I, origin, login_origin, login_issuer);
            assert_eq!(said, trusted, "{origin:?} {login_origin:?} {login_issuer:?}");
        }
    }

    #[test]
    fn a_stored_endpoint_is_checked_like_a_manifests() {
        let entry = |url: &str| {
            let text =
                format!(r#"{{"profiles":{{"a:b":{{"type":"oauth","provider":"a","tokenUrl":"{url}"}}}}}}"#);
            let doc = coderclaw_store::AuthProfiles::parse(&text).unwrap();
            let entry = doc.entries().next().unwrap().1;
            match entry {
                coderclaw_store::Entry::OAuth(entry) => *entry,
                other => panic!("{other:?}"),
            }
        };
        for bad in ["http://evil.test/t", "https://u:p@id.test/t", "file:///etc/passwd", "", "id.test"] {
            assert!(remembered(&entry(bad)).is_none(), "{bad}");
        }
        let (url, origin) = remembered(&entry("https://id.test:443/t?x=1")).unwrap();
        assert_eq!((url.path(), origin.as_str()), ("/t", "https://id.test"));
    }
}

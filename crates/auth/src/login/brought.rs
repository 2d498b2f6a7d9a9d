//! Between a provider's yes and the store: what some logins still lack.

use coderclaw_http::Client;
use coderclaw_oauth::{
    BadIdToken, Expected, IdTokenError, RefreshAnswer, TokenSet, check_id_token, for_people, identity_of,
    make_access, userinfo,
};

use super::attempt::in_words;
use super::device::client;
use super::error::LoginError;
use super::registered::check_owner;
use super::way::Way;
use crate::context::Auth;

/// What the tokens have to say, as far as the login knows beforehand.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// What the authorization request sent along.
    pub(super) nonce: Option<String>,
    /// Who alone can log in with the client that asked.
    pub(super) subject: Option<String>,
    pub(super) email: Option<String>,
}

impl Auth {
    /// Checks that it is who the issuer says; asks who it is, where the tokens do not say, and has the first short token made,
    /// where the provider makes such. It has to be as `proof` says.
    pub(super) async fn complete(
        &self,
        way: &Way<'_>,
        mut set: TokenSet,
        proof: &Proof,
    ) -> Result<TokenSet, LoginError> {
        // RFC 6749 section 7.1: what is not understood is not used.
        if !set.token_type.eq_ignore_ascii_case("bearer") {
            let kind = for_people(&set.token_type).unwrap_or_default();
            let why = format!("its tokens are of the kind {kind}, which is not known here");
            return Err(LoginError::Exchange(why));
        }
        let client = client(self)?;
        self.check_id_token(&client, way, &set, proof.nonce.as_deref()).await?;
        let identity = identity_of(&set, &way.endpoint.identity);
        check_owner(proof.subject.as_deref(), proof.email.as_deref(), &identity)?;
        let url = way.method.userinfo_url.as_deref().and_then(|url| url.parse().ok());
        if let Some(url) = url.filter(|_| identity.email.is_none()) {
            set.person = userinfo(&client, url, &set.access).await;
            // OpenID Connect Core section 5.3.2: a page about somebody else is not believed.
            let of_page = TokenSet { id_token: None, access: String::new().into(), ..set.clone() };
            let said = identity_of(&of_page, &way.endpoint.identity).subject;
            if identity.subject.is_some() && said.is_some() && said != identity.subject {
                set.person = None;
            }
        }
        let Some(access) = &way.endpoint.access else { return Ok(set) };
        let now = self.clock().now();
        match make_access(&client, access, &set.access, now).await {
            RefreshAnswer::Granted(made) => {
                Ok(TokenSet { refresh: Some(set.access), person: set.person, ..made })
            }
            other => {
                let why = in_words(other);
                Err(LoginError::Exchange(format!(
                    "the login worked, and it brings no access to the API: {why}"
                )))
            }
        }
    }

    /// An id_token that comes is good, and one comes where `openid` was granted (OpenID Connect Core section 3.1.3.3).
    async fn check_id_token(
        &self,
        client: &Client,
        way: &Way<'_>,
        set: &TokenSet,
        nonce: Option<&str>,
    ) -> Result<(), LoginError> {
        let Some(issuer) = way.endpoint.id_tokens_from.as_deref() else { return Ok(()) };
        let Some(token) = &set.id_token else {
            let asked = || way.method.scopes.iter().any(|scope| scope == "openid");
            let is_due = match &set.scope {
                Some(granted) => granted.split_whitespace().any(|scope| scope == "openid"),
                None => asked(),
            };
            return if is_due { Err(LoginError::IdToken(BadIdToken::Missing)) } else { Ok(()) };
        };
        let jwks = way.method.jwks_url.as_deref().and_then(|url| url.parse().ok());
        let client_id = set.client_id.as_ref().unwrap_or(&way.endpoint.token.client_id);
        // A clock of ours that is wrong refuses nobody.
        let now = set.server_date.unwrap_or_else(|| self.clock().now());
        let expected = Expected { issuer, client_id, nonce, now };
        check_id_token(client, token, jwks.as_ref(), &expected).await.map_err(|error| match error {
            IdTokenError::Bad(bad) => LoginError::IdToken(bad),
            IdTokenError::NoKeys(why) => LoginError::NoKeys { issuer: issuer.to_owned(), why },
        })
    }
}

//! Between a provider's yes and the store: what some logins still lack.

use coderclaw_oauth::{RefreshAnswer, TokenSet, identity_of, make_access, userinfo};

use super::attempt::in_words;
use super::device::client;
use super::error::LoginError;
use super::way::Way;
use crate::context::Auth;

impl Auth {
    /// Asks who it is, where the tokens do not say, and has the first short token made, where the provider makes such.
    pub(super) async fn complete(&self, way: &Way<'_>, mut set: TokenSet) -> Result<TokenSet, LoginError> {
        let client = client(self)?;
        let identity = identity_of(&set, &way.endpoint.identity);
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
}

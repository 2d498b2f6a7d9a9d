//! A login that is not kept is live at the provider, and nobody holds it: it is handed back.

use std::time::Duration;

use coderclaw_http::{Client, Limits};
use coderclaw_oauth::{TokenHint, TokenSet, identity_of, read_revocation, revoke_request};
use coderclaw_providers::{Revoke, endpoint_origin};
use coderclaw_store::{Entry, read_auth_store};
use coderclaw_types::ProviderId;

use super::error::LoginError;
use super::way::Way;
use crate::context::Auth;
use crate::revoke::at;

/// A person waits for the refusal, not for this.
const LIMIT: Duration = Duration::from_secs(3);

impl Auth {
    /// Revokes the tokens of a login that was refused for who or what it is, best effort, and says in the error what became
    /// of them. Other errors are passed on: there the login may be on the disk, or is worth another look.
    pub(super) async fn give_back(&self, way: &Way<'_>, set: &TokenSet, error: LoginError) -> LoginError {
        let is_refused = matches!(
            error,
            LoginError::MissingScope { .. }
                | LoginError::OtherIdentity { .. }
                | LoginError::IdTaken { .. }
                | LoginError::IdToken(_)
                | LoginError::NoKeys { .. }
        );
        if !is_refused {
            return error;
        }
        let fate = match self.hand_back(way, set).await {
            Ok(()) => "the provider has ended it again".to_owned(),
            Err(why) => format!("at the provider it stays open ({why})"),
        };
        LoginError::GivenBack { error: Box::new(error), fate }
    }

    async fn hand_back(&self, way: &Way<'_>, set: &TokenSet) -> Result<(), String> {
        let provider = ProviderId::new(&way.manifest.id);
        let method = &way.method;
        let url = method.revoke_url.as_deref();
        let mut place = at(method, &provider, &way.endpoint, url)?;
        if let Some(client_id) = &set.client_id {
            place.client_id.clone_from(client_id);
        }
        if method.revoke != Revoke::Token {
            return Err(format!("{provider} would end other logins with it"));
        }
        // As for a logout: a token goes where it came from, unless the person's own file says otherwise.
        let origin = url.and_then(|url| endpoint_origin(url).ok());
        let issuer = method.issuer.as_deref().and_then(|issuer| endpoint_origin(issuer).ok());
        let is_at_home =
            origin.as_ref() == Some(&way.endpoint.origin) || (origin.is_some() && origin == issuer);
        if !is_at_home && !way.endpoint.named_by_user {
            return Err("it would have to be revoked at another place".into());
        }
        if let Some(other) = self.may_share(way, &provider, set)? {
            return Err(format!("{other} may depend on it"));
        }
        let revoked = async {
            let limits = Limits { connect: LIMIT, total: LIMIT };
            let client = Client::new(&self.network(), limits).map_err(|e| e.to_string())?;
            // The access token ends by itself, and on most servers with the refresh token.
            let tokens = [(set.refresh.as_ref(), TokenHint::Refresh), (Some(&set.access), TokenHint::Access)];
            for (token, hint) in tokens.into_iter().filter_map(|(token, hint)| Some((token?, hint))) {
                let answer = client.send(revoke_request(&place, token, hint)).await;
                read_revocation(answer).map_err(|e| e.to_string())?;
            }
            Ok(())
        };
        let timed = tokio::time::timeout(LIMIT, revoked).await;
        timed.unwrap_or_else(|_| Err("the provider did not answer in time".into()))
    }

    /// A profile that the server may have put on the same grant: one of the same person, or of nobody knows whom.
    fn may_share(
        &self,
        way: &Way<'_>,
        provider: &ProviderId,
        set: &TokenSet,
    ) -> Result<Option<String>, String> {
        let new = identity_of(set, &way.endpoint.identity);
        let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        let agents = self.state().agents(self.config()).map_err(|e| e.to_string())?;
        for agent in agents {
            let Ok(store) = read_auth_store(&agent.store()) else {
                return Ok(Some(format!("a login of agent {}, whose store cannot be read,", agent.agent)));
            };
            for (id, entry) in store.doc.entries() {
                let Entry::OAuth(entry) = entry else { continue };
                let is_other = differ(&entry.subject, &new.subject) || differ(&entry.email, &new.email);
                if self.canonical(&entry.provider) == *provider && !is_other {
                    return Ok(Some(format!("{id} of agent {}", agent.agent)));
                }
            }
        }
        Ok(None)
    }
}

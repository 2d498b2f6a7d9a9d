//! The address that the browser opens.

use coderclaw_http::Url;

use crate::pkce::State;

/// A request for an authorization code (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    /// The provider's page. Parameters that it already has are kept.
    pub authorize_url: Url,
    /// The public client's id.
    pub client_id: String,
    /// Where the browser is sent back to; the exchange repeats the same text.
    pub redirect_uri: String,
    /// What is asked for; none: the provider's default.
    pub scopes: Vec<String>,
    /// What this provider wants besides.
    pub extra: Vec<(String, String)>,
    /// From [`crate::Pkce::challenge`].
    pub challenge: String,
    /// Binds the callback to this request.
    pub state: State,
}

impl AuthorizationRequest {
    /// The address. No parameter occurs twice (RFC 6749 section 3.1): the protocol's own win over `extra`, and those over
    /// what the page's address has.
    pub fn url(&self) -> Url {
        let scope = self.scopes.join(" ");
        let mut own = vec![
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("code_challenge", &self.challenge),
            ("code_challenge_method", "S256"),
            ("state", self.state.secret().expose()),
        ];
        if !scope.is_empty() {
            own.push(("scope", &scope));
        }
        for (name, value) in &self.extra {
            if own.iter().all(|(taken, _)| taken != name) {
                own.push((name, value));
            }
        }
        let mut url = self.authorize_url.clone();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let kept = pairs.iter().filter(|(name, _)| own.iter().all(|(taken, _)| taken != name));
        url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(&own);
        url
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_types::Secret;

    use super::*;

    fn request(url: &str) -> AuthorizationRequest {
        AuthorizationRequest {
            authorize_url: Url::parse(url).unwrap(),
            client_id: "app test".into(),
            redirect_uri: "http://127.0.0.1:1455/auth/callback".into(),
            scopes: vec!["openid".into(), "offline_access".into()],
            extra: vec![("prompt".into(), "login".into()), ("state".into(), "evil".into())],
            challenge: "cc".into(),
            state: State::from_secret(Secret::from("st&1")),
        }
    }

    #[test]
    fn every_parameter_once() {
        let url = request("https://id.test/authorize?audience=a%20b&client_id=other&prompt=none").url();
        assert_eq!(
            url.as_str(),
            "https://id.test/authorize?audience=a+b&response_type=code&client_id=app+test\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A1455%2Fauth%2Fcallback&code_challenge=cc\
             &code_challenge_method=S256&state=st%261&scope=openid+offline_access&prompt=login"
        );
    }

    #[test]
    fn no_scope_no_parameter() {
        let mut request = request("https://id.test/authorize");
        request.scopes.clear();
        let url = request.url();
        assert!(url.query_pairs().all(|(name, _)| name != "scope"));
    }
}

//! What is said to the token endpoint.

use coderclaw_http::{Body, HeaderText, Request, Url};
use coderclaw_types::Secret;
use url::form_urlencoded::Serializer;

/// How a request's parameters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As the standard has it (RFC 6749 appendix B).
    Form,
    /// As one JSON object, which some providers want.
    Json,
}

/// A token endpoint, or a revocation endpoint, as seen by one public client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// Where.
    pub url: Url,
    /// The client's id; empty: none is sent.
    pub client_id: String,
    /// How the parameters are written.
    pub encoding: Encoding,
    /// Parameters besides, such as `resource` (RFC 8707). They never replace the protocol's own.
    pub extra: Vec<(String, String)>,
}

/// What kind of token is revoked (RFC 7009 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenHint {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

/// Code and verifier for tokens (RFC 6749 section 4.1.3). `redirect_uri` is the text that the authorization request had.
pub fn exchange_request(
    endpoint: &TokenEndpoint,
    code: &Secret,
    verifier: &Secret,
    redirect_uri: &str,
) -> Request {
    endpoint.post(&[
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.expose()),
    ])
}

/// A refresh token for new tokens (RFC 6749 section 6). No scope is sent: the granted one stays.
pub fn refresh_request(endpoint: &TokenEndpoint, refresh: &Secret) -> Request {
    endpoint.post(&[("grant_type", "refresh_token"), ("refresh_token", refresh.expose())])
}

/// The end of a token (RFC 7009 section 2.1).
pub fn revoke_request(endpoint: &TokenEndpoint, token: &Secret, hint: TokenHint) -> Request {
    let hint = match hint {
        TokenHint::Access => "access_token",
        TokenHint::Refresh => "refresh_token",
    };
    endpoint.post(&[("token", token.expose()), ("token_type_hint", hint)])
}

impl TokenEndpoint {
    pub(crate) fn post(&self, own: &[(&str, &str)]) -> Request {
        let mut pairs = own.to_vec();
        if !self.client_id.is_empty() {
            pairs.push(("client_id", &self.client_id));
        }
        for (name, value) in &self.extra {
            if pairs.iter().all(|(taken, _)| taken != name) {
                pairs.push((name, value));
            }
        }
        let body = match self.encoding {
            Encoding::Form => Body {
                content_type: "application/x-www-form-urlencoded",
                bytes: Secret::from(Serializer::new(String::new()).extend_pairs(pairs).finish()),
            },
            Encoding::Json => {
                Body { content_type: "application/json", bytes: Secret::from(json_object(&pairs)) }
            }
        };
        Request::post(self.url.clone(), body)
            .header("accept", HeaderText::Plain("application/json".to_owned()))
    }
}

fn json_object(pairs: &[(&str, &str)]) -> String {
    let members = pairs.iter().map(|&(name, value)| (name.to_owned(), value.into()));
    serde_json::Value::Object(members.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(encoding: Encoding) -> TokenEndpoint {
        TokenEndpoint {
            url: Url::parse("https://id.test/token").unwrap(),
            client_id: "app".into(),
            encoding,
            extra: vec![("resource".into(), "https://api.test/v1".into()), ("code".into(), "evil".into())],
        }
    }

    fn body(request: &Request) -> &str {
        request.body.as_ref().unwrap().bytes.expose()
    }

    #[test]
    fn the_three_requests() {
        let (code, verifier) = (Secret::from("c/1+&="), Secret::from("cv"));
        let form = endpoint(Encoding::Form);
        let exchange = exchange_request(&form, &code, &verifier, "http://127.0.0.1:1/cb");
        assert_eq!(
            body(&exchange),
            "grant_type=authorization_code&code=c%2F1%2B%26%3D&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcb\
             &code_verifier=cv&client_id=app&resource=https%3A%2F%2Fapi.test%2Fv1"
        );
        let json = TokenEndpoint { extra: Vec::new(), ..endpoint(Encoding::Json) };
        let refresh = refresh_request(&json, &Secret::from("rt-\"1\""));
        assert_eq!(
            body(&refresh),
            r#"{"grant_type":"refresh_token","refresh_token":"rt-\"1\"","client_id":"app"}"#
        );
        assert_eq!(refresh.body.as_ref().unwrap().content_type, "application/json");
        let revoke = revoke_request(&json, &Secret::from("rt"), TokenHint::Refresh);
        assert_eq!(body(&revoke), r#"{"token":"rt","token_type_hint":"refresh_token","client_id":"app"}"#);
        let nobody = TokenEndpoint { client_id: String::new(), encoding: Encoding::Form, ..json };
        let revoke = revoke_request(&nobody, &Secret::from("at"), TokenHint::Access);
        assert_eq!(body(&revoke), "token=at&token_type_hint=access_token");
    }

    proptest! {
        /// Whatever a token is made of arrives as it was.
        #[test]
        fn both_encodings_round_trip(token in ".*", id in ".+") {
            for encoding in [Encoding::Form, Encoding::Json] {
                let endpoint = TokenEndpoint { client_id: id.clone(), ..endpoint(encoding) };
                let request = refresh_request(&endpoint, &Secret::from(token.as_str()));
                let text = body(&request);
                let pairs: Vec<(String, String)> = match encoding {
                    Encoding::Form => url::form_urlencoded::parse(text.as_bytes()).into_owned().collect(),
                    Encoding::Json => serde_json::from_str::<indexed::Pairs>(text).unwrap().0,
                };
                let get = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                prop_assert_eq!(get("refresh_token"), Some(token.clone()));
                prop_assert_eq!(get("client_id"), Some(id.clone()));
                prop_assert_eq!(get("code"), Some("evil".to_owned()));
            }
        }
    }

    mod indexed {
        pub(super) struct Pairs(pub(super) Vec<(String, String)>);

        impl<'de> serde::Deserialize<'de> for Pairs {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let object = serde_json::Map::deserialize(deserializer)?;
                let pairs = object.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()));
                Ok(Self(pairs.collect()))
            }
        }
    }
}

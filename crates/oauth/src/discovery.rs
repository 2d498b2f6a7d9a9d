//! What an authorization server says about itself (RFC 8414; OpenID Connect Discovery 1.0).

use coderclaw_http::{Answer, Client, HeaderText, Request, SendError, Url};
use serde_json::Value;

use crate::strict_json;

/// An authorization server's own description, so far as a login needs it. Every URL in it may be trusted with a secret as
/// far as the issuer itself may: it came from there, over `https` or from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Where the browser is sent.
    pub authorization_endpoint: Url,
    /// Where codes and refresh tokens are redeemed.
    pub token_endpoint: Url,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// Where a device login begins (RFC 8628).
    pub device_authorization_endpoint: Option<Url>,
    /// The keys that id_tokens are signed with.
    pub jwks_uri: Option<Url>,
    /// Where an access token says whose it is.
    pub userinfo_endpoint: Option<Url>,
    /// The PKCE methods; empty where the server does not say (RFC 8414 section 2).
    pub code_challenge_methods_supported: Vec<String>,
    /// The scopes; empty where the server does not say.
    pub scopes_supported: Vec<String>,
    /// Every answer to the browser names the issuer, so that one without is not from there (RFC 9207 section 2.4).
    pub iss_parameter_supported: bool,
}

impl Metadata {
    /// Whether the server is known not to take S256 (RFC 7636 section 4.2). A server that lists no methods may take it.
    pub fn refuses_s256(&self) -> bool {
        let methods = &self.code_challenge_methods_supported;
        !methods.is_empty() && !methods.iter().any(|method| method == "S256")
    }
}

/// Why nothing is known about an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The issuer is no URL that could be asked.
    #[error("the issuer is not an https URL without query and fragment")]
    BadIssuer,
    /// It could not be asked.
    #[error("the issuer cannot be asked: {0}")]
    Send(#[from] SendError),
    /// What is there is no description of a server.
    #[error("the issuer does not describe itself: {0}")]
    NoMetadata(String),
    /// The description is another server's (RFC 8414 section 3.3): one of the two is an impostor.
    #[error("the description found there is for another issuer, {0}")]
    OtherIssuer(String),
    /// An endpoint is missing, or its URL must not be trusted with a secret.
    #[error("the issuer's `{key}` {problem}")]
    BadEndpoint {
        /// Which one.
        key: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Where an issuer may describe itself, in the order in which to look.
///
/// RFC 8414 section 3.1 puts its name between host and path, OpenID Connect Discovery 1.0 section 4 puts its own behind the
/// path. Empty where the issuer is not a URL that RFC 8414 section 2 allows.
pub(crate) fn well_known_urls(issuer: &str) -> Vec<Url> {
    let Some(base) = trusted(issuer).filter(|url| url.query().is_none()) else {
        return Vec::new();
    };
    let path = base.path().trim_end_matches('/').to_owned();
    let paths = [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ];
    let with = |path: String| {
        let mut url = base.clone();
        url.set_path(&path);
        url
    };
    paths.map(with).into()
}

/// Reads an answer from one of [`well_known_urls`].
///
/// # Errors
/// [`DiscoveryError::NoMetadata`] where it is something else, so that the next place is worth a look; any other error is
/// about this very issuer and ends the search.
pub(crate) fn read_metadata(answer: &Answer, issuer: &str) -> Result<Metadata, DiscoveryError> {
    if answer.status != 200 {
        return Err(DiscoveryError::NoMetadata(format!("the answer was {}", answer.status)));
    }
    // Some servers show a page of theirs under every path.
    let Some(Value::Object(object)) = strict_json::parse(&answer.body) else {
        return Err(DiscoveryError::NoMetadata("the answer is not a JSON object".into()));
    };
    let Some(own) = object.get("issuer").and_then(Value::as_str) else {
        return Err(DiscoveryError::NoMetadata("the answer names no issuer".into()));
    };
    // Code point by code point: a slash more is another issuer.
    if own != issuer {
        return Err(DiscoveryError::OtherIssuer(crate::for_people(own).unwrap_or_default()));
    }
    let optional = |key: &'static str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str().and_then(trusted) {
            Some(url) => Ok(Some(url)),
            None => Err(DiscoveryError::BadEndpoint {
                key,
                problem: "is not an https URL, nor http on this machine's 127.0.0.1",
            }),
        },
    };
    let needed = |key| optional(key)?.ok_or(DiscoveryError::BadEndpoint { key, problem: "is missing" });
    let words = |key: &str| {
        let list = object.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(Metadata {
        authorization_endpoint: needed("authorization_endpoint")?,
        token_endpoint: needed("token_endpoint")?,
        revocation_endpoint: optional("revocation_endpoint")?,
        device_authorization_endpoint: optional("device_authorization_endpoint")?,
        jwks_uri: optional("jwks_uri")?,
        userinfo_endpoint: optional("userinfo_endpoint")?,
        code_challenge_methods_supported: words("code_challenge_methods_supported"),
        scopes_supported: words("scopes_supported"),
        iss_parameter_supported: object.get("authorization_response_iss_parameter_supported")
            == Some(&Value::Bool(true)),
    })
}

/// Asks an issuer about itself.
///
/// # Errors
/// Where it cannot be asked, says nothing, or says what must not be believed.
pub async fn discover(client: &Client, issuer: &str) -> Result<Metadata, DiscoveryError> {
    let mut result = Err(DiscoveryError::BadIssuer);
    for url in well_known_urls(issuer) {
        let request = Request::get(url).header("accept", HeaderText::Plain("application/json".to_owned()));
        result = read_metadata(&client.send(request).await?, issuer);
        if !matches!(result, Err(DiscoveryError::NoMetadata(_))) {
            break;
        }
    }
    result
}

/// The URL, where a secret may be sent to it: `https`, or plain `http` to a loopback address in digits (RFC 8252 section
/// 8.3), with no user name and no fragment.
pub(crate) fn trusted(text: &str) -> Option<Url> {
    // The URL parser forgives white space, control characters and backslashes; other programs read them differently.
    if !text.chars().all(|c| c.is_ascii_graphic() && c != '\\') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let safe = match url.scheme() {
        "https" => url.host_str().is_some(),
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]")),
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (safe && plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.test/tenant";

    fn described() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.test/tenant/auth",
            "token_endpoint": "https://tokens.test/tenant/token",
            "jwks_uri": "https://id.test/tenant/jwks",
            "revocation_endpoint": null,
            "code_challenge_methods_supported": ["plain", "S256"],
            "unknown": {"is": "ignored"},
        })
    }

    fn read(status: u16, body: &str) -> Result<Metadata, DiscoveryError> {
        let answer = Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        read_metadata(&answer, ISSUER)
    }

    fn with(key: &str, value: Value) -> Result<Metadata, DiscoveryError> {
        let mut object = described();
        object[key] = value;
        read(200, &object.to_string())
    }

    #[test]
    fn the_two_places_are_where_the_two_standards_say() {
        let of = |issuer| well_known_urls(issuer).iter().map(ToString::to_string).collect::<Vec<_>>();
        // RFC 8414 section 3.1 and OpenID Connect Discovery section 4.1 have these very examples.
        assert_eq!(
            of("https://example.com/issuer1"),
            [
                "https://example.com/.well-known/oauth-authorization-server/issuer1",
                "https://example.com/issuer1/.well-known/openid-configuration",
            ]
        );
        let plain = [
            "https://example.com/.well-known/oauth-authorization-server",
            "https://example.com/.well-known/openid-configuration",
        ];
        assert_eq!(of("https://example.com"), plain);
        assert_eq!(of("https://example.com/"), plain);
        assert_eq!(of("http://127.0.0.1:9/a/").len(), 2);
        for bad in [
            "",
            "example.com",
            "http://id.test",
            "http://localhost:9",
            "https://id.test?x=1",
            "https://u@id.test",
        ] {
            assert!(well_known_urls(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_description_is_read() {
        let metadata = read(200, &described().to_string()).unwrap();
        assert_eq!(metadata.token_endpoint.as_str(), "https://tokens.test/tenant/token");
        assert_eq!(metadata.jwks_uri.as_ref().map(Url::as_str), Some("https://id.test/tenant/jwks"));
        assert_eq!((&metadata.revocation_endpoint, &metadata.userinfo_endpoint), (&None, &None));
        assert!(!metadata.refuses_s256() && !metadata.iss_parameter_supported);
        let required = with("authorization_response_iss_parameter_supported", json!(true)).unwrap();
        assert!(required.iss_parameter_supported);
        assert!(with("code_challenge_methods_supported", json!(["plain"])).unwrap().refuses_s256());
        assert!(!with("code_challenge_methods_supported", Value::Null).unwrap().refuses_s256());
    }

    /// RFC 8414 section 3.3: whoever describes another issuer is not believed in anything.
    #[test]
    fn another_issuers_description_is_refused() {
        for other in
            ["https://id.test/tenant/", "https://ID.test/tenant", "https://id.test", "https://evil.test"]
        {
            let said = with("issuer", json!(other)).unwrap_err();
            assert_eq!(said, DiscoveryError::OtherIssuer(other.into()));
        }
        for none in [Value::Null, json!(7), json!(["https://id.test/tenant"])] {
            assert!(matches!(with("issuer", none), Err(DiscoveryError::NoMetadata(_))));
        }
        let twice = format!("{{\"issuer\":\"https://evil.test\",{}", &described().to_string()[1..]);
        assert!(matches!(read(200, &twice), Err(DiscoveryError::NoMetadata(_))));
    }

    #[test]
    fn endpoints_are_https_or_on_this_machine() {
        for key in ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "userinfo_endpoint"] {
            for bad in [
                "http://id.test/t",
                "http://localhost/t",
                "ftp://id.test/t",
                "https://u:p@id.test/t",
                "https://id.test/t#f",
                "https://id.test\\@evil.test/t",
                " https://id.test/t",
                "javascript:alert(1)",
                "/t",
                "",
            ] {
                let said = with(key, json!(bad)).unwrap_err().to_string();
                assert!(said.contains(key), "{bad}: {said}");
            }
            assert!(with(key, json!("http://127.0.0.1:9/t")).is_ok());
        }
        let said = with("token_endpoint", Value::Null).unwrap_err();
        assert_eq!(said, DiscoveryError::BadEndpoint { key: "token_endpoint", problem: "is missing" });
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reader(status: u16, body in ".*", key in "[a-z_]{1,30}", text in ".*") {
            drop(read(status, &body));
            drop(with(&key, json!(text)));
            prop_assert!(well_known_urls(&text).iter().all(|url| trusted(url.as_str()).is_some()));
        }
    }
}

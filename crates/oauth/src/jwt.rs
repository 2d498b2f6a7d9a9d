//! Reading what a JWT says about itself.
//!
//! Nothing is verified. The tokens came from the token endpoint over TLS, and what they say is only used as a hint: when
//! they end, and whose they are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::{Millis, Secret};
use serde_json::Value;

use crate::strict_json;

/// The claims of a signed JWT (RFC 7519 section 3): an object; `None` for a token of any other kind.
pub fn claims(token: &Secret) -> Option<Value> {
    let mut parts = token.expose().split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    // Padding is forbidden (RFC 7515 section 2), but seen.
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    strict_json::parse(&bytes).filter(Value::is_object)
}

/// When the token ends, by its issuer's clock.
pub fn exp(claims: &Value) -> Option<Millis> {
    numeric_date(claims, "exp")
}

/// When the token was issued, by its issuer's clock.
pub fn iat(claims: &Value) -> Option<Millis> {
    numeric_date(claims, "iat")
}

/// Seconds, maybe with a fraction (RFC 7519 section 2).
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn numeric_date(claims: &Value, name: &str) -> Option<Millis> {
    let secs = claims.get(name)?.as_f64()?;
    (secs > 0.0).then(|| Millis::from_secs(secs as i64))
}

#[cfg(test)]
pub(crate) fn unsigned(claims: &Value) -> Secret {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"none","typ":"JWT"}"#);
    Secret::from(format!("{header}.{}.c2ln", part(&claims.to_string())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// RFC 7519 section 3.1's example.
    #[test]
    fn rfc_vector() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
             .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
             .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let claims = claims(&Secret::from(token)).unwrap();
        assert_eq!(claims["iss"], "joe");
        assert_eq!(exp(&claims), Some(Millis(1_300_819_380_000)));
        assert_eq!(iat(&claims), None);
    }

    #[test]
    fn base64url_with_dashes_and_padding() {
        let token = unsigned(&json!({"name": "ÿþ>?~ üöä", "iat": 1.5e9}));
        assert!(token.expose().contains(['-', '_']), "the payload needs the other alphabet");
        let read = claims(&token).unwrap();
        assert_eq!(iat(&read), Some(Millis(1_500_000_000_000)));
        let padded = token.expose().replacen(".c2ln", "==.c2ln", 1);
        assert_eq!(claims(&Secret::from(padded)), Some(read));
    }

    #[test]
    fn what_is_no_jwt() {
        for bad in ["", "opaque", "a.b", "a.b.c", "a.b.c.d.e", "e30.W10.x", "..", "sk-ant-oat01-x"] {
            assert_eq!(claims(&Secret::from(bad)), None, "{bad}");
        }
        for odd in [json!({"exp": "1"}), json!({"exp": -1}), json!({"exp": null}), json!({})] {
            assert_eq!(exp(&odd), None, "{odd}");
        }
        assert_eq!(exp(&json!({"exp": 1e300})), Some(Millis(i64::MAX)));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,80}") {
            claims(&Secret::from(text));
        }
    }
}

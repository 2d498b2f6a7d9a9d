//! Whether an id_token proves who has logged in (OpenID Connect Core sections 3.1.3.7 and 12.2).
//!
//! After a login all of it is checked, the signature included where the issuer shows its keys. After a refresh only what the
//! token says is compared: it came from the token endpoint over TLS, which section 3.1.3.7 lets stand in for the signature,
//! and no refresh token is risked for the sake of a second request.

use coderclaw_http::{Client, HeaderText, Request, Url};
use coderclaw_types::{Millis, Secret};
use serde_json::Value;

use crate::jwks::Keys;
use crate::jwt;
use crate::words::for_people;

/// By how much clocks may differ, in milliseconds.
const SKEW: i64 = 60_000;
/// An id_token of a login that has just been made is younger than this.
const OLDEST: i64 = 24 * 3_600_000;

/// What the token should say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who it should come from, letter by letter.
    pub issuer: &'a str,
    /// For which client.
    pub client_id: &'a str,
    /// What the authorization request sent along; `None` where it sent nothing.
    pub nonce: Option<&'a str>,
    /// The time by the server's clock, as far as it is known.
    pub now: Millis,
}

/// Why it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIdToken {
    /// `openid` was granted, and no token came.
    #[error("there is none")]
    Missing,
    /// It is no JWT.
    #[error("it cannot be read")]
    Unreadable,
    /// It is not signed, or in a way that does not count here.
    #[error("it is not signed in a way that counts")]
    Unsigned,
    /// The issuer does not show the key.
    #[error("it is signed with a key that the issuer does not show")]
    UnknownKey,
    /// The key that it names has not signed it.
    #[error("its signature is wrong")]
    Forged,
    /// It comes from somebody else.
    #[error("it comes from {0}, not from the issuer that was asked")]
    Issuer(String),
    /// It is for another client.
    #[error("it was made for another client")]
    Audience,
    /// It is not the answer to this request.
    #[error("it is not the answer to this login (nonce)")]
    Nonce,
    /// It has ended, or is from another time altogether.
    #[error("it is not valid at this time")]
    Time,
    /// It does not say who.
    #[error("it does not say who has logged in")]
    Nobody,
}

/// Why an id_token was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is no good.
    #[error(transparent)]
    Bad(#[from] BadIdToken),
    /// Nobody can tell: the issuer does not hand out its keys.
    #[error("{0}")]
    NoKeys(String),
}

/// Checks the token of a login. `jwks` is where the issuer shows its keys; without it TLS stands in for the signature.
///
/// The keys are asked for twice at most: once more where the token names a key that is not among them, since it may have come
/// a moment ago, and where the first answer was lost, since a person would have to log in again.
///
/// # Errors
/// Where the token is no good, or its signature cannot be checked.
pub async fn check_id_token(
    client: &Client,
    token: &Secret,
    jwks: Option<&Url>,
    expected: &Expected<'_>,
) -> Result<(), IdTokenError> {
    let claims = jwt::claims(token).ok_or(BadIdToken::Unreadable)?;
    check_claims(&claims, expected)?;
    let Some(jwks) = jwks else { return Ok(()) };
    let mut result = Err(BadIdToken::UnknownKey.into());
    for _ in 0..2 {
        result = match keys(client, jwks).await {
            Ok(keys) => keys.check(token).map_err(IdTokenError::Bad),
            Err(why) => Err(IdTokenError::NoKeys(why)),
        };
        if !matches!(result, Err(IdTokenError::NoKeys(_) | IdTokenError::Bad(BadIdToken::UnknownKey))) {
            break;
        }
    }
    result
}

async fn keys(client: &Client, jwks: &Url) -> Result<Keys, String> {
    let request =
        Request::get(jwks.clone()).header("accept", HeaderText::Plain("application/json".to_owned()));
    Keys::read(&client.send(request).await.map_err(|e| e.to_string())?)
}

/// Checks what the token of a login says.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_claims(claims: &Value, expected: &Expected<'_>) -> Result<(), BadIdToken> {
    check_refreshed(claims, expected.issuer, expected.client_id)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if expected.nonce.is_some_and(|nonce| text("nonce") != Some(nonce)) {
        return Err(BadIdToken::Nonce);
    }
    let (Some(ends), Some(issued)) = (jwt::exp(claims), jwt::iat(claims)) else {
        return Err(BadIdToken::Time);
    };
    let age = expected.now.0.saturating_sub(issued.0);
    let is_over = expected.now.0.saturating_sub(ends.0) >= SKEW;
    if is_over || !(-SKEW..=OLDEST).contains(&age) || ends < issued {
        return Err(BadIdToken::Time);
    }
    match text("sub") {
        Some(subject) if !subject.trim().is_empty() => Ok(()),
        _ => Err(BadIdToken::Nobody),
    }
}

/// Checks what the token of a refresh says of where it comes from and for whom. Whose it is is compared with what is stored.
///
/// # Errors
/// [`BadIdToken::Issuer`], [`BadIdToken::Audience`].
pub fn check_refreshed(claims: &Value, issuer: &str, client_id: &str) -> Result<(), BadIdToken> {
    match claims.get("iss").and_then(Value::as_str) {
        Some(own) if own == issuer => {}
        other => {
            let other = other.and_then(for_people).unwrap_or_else(|| "nobody".to_owned());
            return Err(BadIdToken::Issuer(other));
        }
    }
    let party = claims.get("azp");
    let is_for_us = match claims.get("aud") {
        Some(Value::String(one)) => one == client_id,
        Some(Value::Array(all)) => {
            // Of several, one has to be named as the one that asked.
            all.iter().any(|one| one == client_id) && (all.len() == 1 || party.is_some())
        }
        _ => false,
    };
    if is_for_us && party.is_none_or(|party| party == client_id) {
        return Ok(());
    }
    Err(BadIdToken::Audience)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn expected(nonce: Option<&'static str>) -> Expected<'static> {
        Expected { issuer: "https://id.test/t", client_id: "me", nonce, now: Millis::from_secs(NOW) }
    }

    fn good() -> Value {
        json!({
            "iss": "https://id.test/t", "aud": "me", "sub": "s-1", "iat": NOW - 2, "exp": NOW + 3600, "nonce": "n-1",
        })
    }

    fn with(changes: Value) -> Result<(), BadIdToken> {
        let mut claims = good();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().shift_remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        check_claims(&claims, &expected(Some("n-1")))
    }

    /// OpenID Connect Core 3.1.3.7, rules 2 to 5 and 9 to 11: issuer, audience, authorized party, times, nonce.
    #[test]
    fn each_rule_of_an_id_token() {
        use BadIdToken::{Audience, Nobody, Nonce, Time};
        let from = |text: &str| Err(BadIdToken::Issuer(text.into()));
        for (changes, said) in [
            (json!({}), Ok(())),
            (json!({"iss": "https://id.test/t/"}), from("https://id.test/t/")),
            (json!({"iss": "https://ID.test/t"}), from("https://ID.test/t")),
            (json!({"iss": null}), from("nobody")),
            (json!({"iss": ["https://id.test/t"]}), from("nobody")),
            (json!({"aud": ["me"]}), Ok(())),
            (json!({"aud": ["me"], "azp": "me"}), Ok(())),
            (json!({"aud": ["you", "me"], "azp": "me"}), Ok(())),
            (json!({"aud": ["you", "me"]}), Err(Audience)),
            (json!({"aud": ["you", "me"], "azp": "you"}), Err(Audience)),
            (json!({"aud": "me", "azp": "you"}), Err(Audience)),
            (json!({"aud": "me", "azp": 7}), Err(Audience)),
            (json!({"aud": "you"}), Err(Audience)),
            (json!({"aud": "ME"}), Err(Audience)),
            (json!({"aud": []}), Err(Audience)),
            (json!({"aud": {"me": "me"}}), Err(Audience)),
            (json!({"aud": null}), Err(Audience)),
            (json!({"nonce": "n-2"}), Err(Nonce)),
            (json!({"nonce": null}), Err(Nonce)),
            (json!({"nonce": ["n-1"]}), Err(Nonce)),
            (json!({"exp": NOW - 59, "iat": NOW - 3_600}), Ok(())),
            (json!({"exp": NOW - 60, "iat": NOW - 3_600}), Err(Time)),
            (json!({"exp": null}), Err(Time)),
            (json!({"exp": "2999-01-01"}), Err(Time)),
            (json!({"exp": NOW + 5, "iat": NOW + 6}), Err(Time)),
            (json!({"iat": NOW + 60}), Ok(())),
            (json!({"iat": NOW + 61}), Err(Time)),
            (json!({"iat": NOW - 86_400}), Ok(())),
            (json!({"iat": NOW - 86_401}), Err(Time)),
            (json!({"iat": null}), Err(Time)),
            (json!({"iat": -1}), Err(Time)),
            (json!({"sub": null}), Err(Nobody)),
            (json!({"sub": " "}), Err(Nobody)),
            (json!({"sub": 7}), Err(Nobody)),
        ] {
            assert_eq!(with(changes.clone()), said, "{changes}");
        }
        // Where none was sent, none is asked for.
        assert_eq!(check_claims(&good(), &expected(None)), Ok(()));
    }

    /// OpenID Connect Core 12.2: neither times nor nonce of a refreshed token count, so that an old one holds nobody up.
    #[test]
    fn a_refreshed_token_is_compared_only() {
        let check = |claims: &Value| check_refreshed(claims, "https://id.test/t", "me");
        let mut claims = good();
        (claims["exp"], claims["iat"], claims["nonce"]) = (json!(1), json!(1), json!("other"));
        assert_eq!(check(&claims), Ok(()));
        claims["aud"] = json!("you");
        assert_eq!(check(&claims), Err(BadIdToken::Audience));
        claims["iss"] = json!("\u{1b}[31mevil");
        let said = check(&claims).unwrap_err().to_string();
        assert!(!said.contains('\u{1b}') && said.contains("evil"), "{said}");
    }

    proptest! {
        #[test]
        fn no_claims_break_it(name in "iss|aud|azp|exp|iat|nonce|sub", text in ".*", number: f64) {
            let mut claims = good();
            for value in [json!(text), json!(number), json!([text, number])] {
                claims[&name] = value;
                drop(check_claims(&claims, &expected(Some("n-1"))));
            }
        }
    }
}

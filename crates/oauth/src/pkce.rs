//! The two random values of a login, which have nothing to do with each other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::{Secret, sha256_parts};
use sha2::{Digest, Sha256};

/// The operating system gave no random bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system gives no random numbers: {0}")]
pub struct NoRandom(String);

/// A text that is not 43 to 128 characters of `A-Z a-z 0-9 - . _ ~` (RFC 7636 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code verifier: 43 to 128 unreserved characters are wanted")]
pub struct BadVerifier;

/// Proof that who redeems the code is who asked for it (RFC 7636). Always S256.
#[derive(Debug, Clone)]
pub struct Pkce {
    verifier: Secret,
}

impl Pkce {
    /// A new one: 32 random bytes, 43 characters (RFC 7636 section 4.1).
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn generate() -> Result<Self, NoRandom> {
        random_text().map(|verifier| Self { verifier })
    }

    /// One that was made earlier: a login may begin in one process and end in another.
    ///
    /// # Errors
    /// Where the text cannot be a verifier.
    pub fn from_verifier(verifier: Secret) -> Result<Self, BadVerifier> {
        let text = verifier.expose().as_bytes();
        let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if !(43..=128).contains(&text.len()) || !text.iter().all(unreserved) {
            return Err(BadVerifier);
        }
        Ok(Self { verifier })
    }

    /// Goes to the token endpoint, and nowhere else.
    pub fn verifier(&self) -> &Secret {
        &self.verifier
    }

    /// Goes into the authorization URL: base64url of SHA-256 of the verifier (RFC 7636 section 4.2).
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose().as_bytes()))
    }

    /// Goes into the authorization URL and comes back in the id_token (OpenID Connect Core section 15.5.2): nobody can guess
    /// it, and who has the verifier can tell it again.
    pub fn nonce(&self) -> String {
        let verifier = self.verifier.expose().as_bytes();
        URL_SAFE_NO_PAD.encode(sha256_parts("coderclaw login nonce", &[verifier]))
    }
}

/// What binds a callback to its request (RFC 6749 section 10.12).
#[derive(Debug, Clone)]
pub struct State(Secret);

impl State {
    /// A new one: 32 random bytes.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn generate() -> Result<Self, NoRandom> {
        random_text().map(Self)
    }

    /// One that was made earlier.
    pub fn from_secret(state: Secret) -> Self {
        Self(state)
    }

    /// The value for the authorization URL.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// Whether `given` is this state, in constant time. A blank state matches nothing.
    pub fn matches(&self, given: &str) -> bool {
        !self.0.is_blank() && self.0 == Secret::from(given)
    }
}

fn random_text() -> Result<Secret, NoRandom> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| NoRandom(e.to_string()))?;
    Ok(Secret::from(URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn rfc_vector() {
        let verifier = Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let pkce = Pkce::from_verifier(verifier).unwrap();
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        // The challenge is public; the nonce is something else, and the same each time.
        assert_eq!((pkce.nonce().len(), pkce.nonce()), (43, pkce.clone().nonce()));
        assert_ne!(pkce.nonce(), pkce.challenge());
    }

    #[test]
    fn values_are_long_distinct_and_well_formed() {
        let (a, b) = (Pkce::generate().unwrap(), Pkce::generate().unwrap());
        let state = State::generate().unwrap();
        assert_ne!(a.verifier(), b.verifier());
        assert_ne!(a.verifier(), state.secret());
        assert_eq!((a.verifier().expose().len(), state.secret().expose().len()), (43, 43));
        assert!(Pkce::from_verifier(a.verifier().clone()).is_ok());
    }

    #[test]
    fn bad_verifiers() {
        for bad in ["", &"a".repeat(42), &"a".repeat(129), &"é".repeat(43), &format!("{}=", "a".repeat(43))]
        {
            assert!(Pkce::from_verifier(Secret::from(bad)).is_err(), "{bad}");
        }
    }

    /// E7: only the very state matches.
    #[test]
    fn e7_states() {
        let state = State::from_secret(Secret::from("abc"));
        assert!(state.matches("abc"));
        for wrong in ["", "ab", "abcd", "ABC", " abc", "abc "] {
            assert!(!state.matches(wrong), "{wrong:?}");
        }
        assert!(!State::from_secret(Secret::from("")).matches(""));
    }
}

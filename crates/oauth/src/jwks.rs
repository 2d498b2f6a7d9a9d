//! The keys that an issuer signs with (RFC 7517), and whether one of them has signed.
//!
//! The crate `jsonwebtoken` reads heads and keys; the arithmetic is ring's, which TLS uses here too.

use coderclaw_http::Answer;
use coderclaw_types::Secret;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use ring::error::Unspecified;
use ring::signature as known;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::id_token::BadIdToken;
use crate::strict_json;

/// What counts as a signature: all that ring can check. Neither `none`, nor anything made with a shared secret: a public
/// client has none, and nobody's public key may be taken for one (RFC 8725 section 3.1).
const ALLOWED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// An issuer's public keys.
#[derive(Debug, Clone)]
pub struct Keys(Vec<Jwk>);

impl Keys {
    /// Reads the answer of a `jwks_uri`. Keys of a kind that is not known here are passed over.
    ///
    /// # Errors
    /// What came instead of a set of keys, for people.
    pub fn read(answer: &Answer) -> Result<Self, String> {
        if answer.status != 200 {
            return Err(format!("the answer was {}", answer.status));
        }
        let set = strict_json::parse(&answer.body);
        let keys = set.as_ref().and_then(|set| set.get("keys")).and_then(Value::as_array);
        let keys = keys.ok_or("the answer is no set of keys")?;
        Ok(Self(keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).collect()))
    }

    /// Whether one of these keys has signed the token. What the token says is another question.
    ///
    /// # Errors
    /// [`BadIdToken::Unsigned`] where there is no signature that could count, [`BadIdToken::UnknownKey`] where the key is
    /// not among these, [`BadIdToken::Forged`] where it is, and has not signed this.
    pub fn check(&self, token: &Secret) -> Result<(), BadIdToken> {
        let head = decode_header(token.expose()).map_err(|_| BadIdToken::Unsigned)?;
        // What is critical has to be understood (RFC 7515 section 4.1.11), and no extension is.
        if !ALLOWED.contains(&head.alg) || head.crit.is_some() {
            return Err(BadIdToken::Unsigned);
        }
        let is_named = |key: &&Jwk| match (&head.kid, &key.common.key_id) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        let mut fitting = self.0.iter().filter(is_named).filter(|key| fits(key, head.alg)).peekable();
        if fitting.peek().is_none() {
            return Err(BadIdToken::UnknownKey);
        }
        // Whatever another part of the program has chosen is as good.
        PROVIDER.install_default().ok();
        let mut validation = Validation::new(head.alg);
        // The claims are judged elsewhere, by a clock that a test can set.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let has_signed = |key: &Jwk| {
            let key = DecodingKey::from_jwk(key);
            key.is_ok_and(|key| decode::<IgnoredAny>(token.expose(), &key, &validation).is_ok())
        };
        if fitting.any(has_signed) { Ok(()) } else { Err(BadIdToken::Forged) }
    }
}

/// Whether the key is one for this algorithm, and for signatures at all.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let signs = common.public_key_use.as_ref().is_none_or(|one| *one == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let is_for = common.key_algorithm.is_none_or(|one| one == KeyAlgorithm::from(algorithm));
    let is_kind = match &key.algorithm {
        AlgorithmParameters::RSA(_) => {
            !matches!(algorithm, Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA)
        }
        AlgorithmParameters::EllipticCurve(curve) => match algorithm {
            Algorithm::ES256 => curve.curve == EllipticCurve::P256,
            Algorithm::ES384 => curve.curve == EllipticCurve::P384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(pair) => {
            algorithm == Algorithm::EdDSA && pair.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    signs && is_for && is_kind
}

/// Nothing is signed here, and no key is made.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        Ok(Box::new(Ring { algorithm: *algorithm, key: key.kind().clone() }) as Box<dyn JwtVerifier>)
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Ring {
    algorithm: Algorithm,
    key: DecodingKeyKind,
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let rsa = |how: &'static known::RsaParameters| match &self.key {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                // Some issuers write a sign byte before a number that has none (RFC 7518 section 6.3.1.1 forbids it).
                let n = n.strip_prefix(&[0]).unwrap_or(n);
                known::RsaPublicKeyComponents { n, e }.verify(how, message, signed)
            }
            DecodingKeyKind::SecretOrDer(_) => Err(Unspecified),
        };
        let point = |how: &'static dyn known::VerificationAlgorithm| match &self.key {
            DecodingKeyKind::SecretOrDer(key) => {
                known::UnparsedPublicKey::new(how, key).verify(message, signed)
            }
            DecodingKeyKind::RsaModulusExponent { .. } => Err(Unspecified),
        };
        match self.algorithm {
            Algorithm::RS256 => rsa(&known::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => rsa(&known::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => rsa(&known::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => rsa(&known::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => rsa(&known::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => rsa(&known::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => point(&known::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => point(&known::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => point(&known::ED25519),
            _ => Err(Unspecified),
        }
        .map_err(|_| signature::Error::new())
    }
}

#[cfg(test)]
mod tests;

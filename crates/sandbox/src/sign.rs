//! The key that id tokens are signed with, and what a client needs to check that (RFC 7515, 7517, 7518 section 3.4).

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// One key, made when the server starts and gone with it.
pub(crate) struct Signer {
    pair: EcdsaKeyPair,
    kid: String,
    random: SystemRandom,
}

impl Signer {
    /// A new key under this name.
    pub(crate) fn generate(kid: String) -> io::Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let failed = || io::Error::other("no key can be made");
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| failed())?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).map_err(|_| failed())?;
        Ok(Self { pair, kid, random })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// The claims as a signed JWT that names the key `kid`.
    pub(crate) fn jwt(&self, kid: &str, claims: &Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "kid": kid, "typ": "JWT"}).to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        // Without randomness there is no signature; a client then refuses the token, as it should.
        let signature = self.pair.sign(&self.random, signed.as_bytes());
        let signature = signature.map(|signature| URL_SAFE_NO_PAD.encode(signature)).unwrap_or_default();
        format!("{signed}.{signature}")
    }

    /// The JWK Set with the public half.
    pub(crate) fn jwks(&self) -> String {
        // An uncompressed point (SEC 1 section 2.3.3): 4, then both coordinates of 32 bytes.
        let point = self.pair.public_key().as_ref();
        let coordinate = |at: usize| URL_SAFE_NO_PAD.encode(point.get(at..at + 32).unwrap_or_default());
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": coordinate(1), "y": coordinate(33),
        });
        json!({ "keys": [key] }).to_string()
    }
}

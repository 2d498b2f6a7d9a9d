//! Names for secrets that show nothing of them.

use std::fmt;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;

use crate::Secret;

/// SHA-256 over `domain` and `parts`, each preceded by its length, so that no two lists of parts run together.
pub fn sha256_parts(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: 64 lower-case hex digits are wanted")]
pub struct InvalidHash;

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub fn bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// From 32 bytes that were made by [`Self::bytes`].
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidHash;

            fn from_str(text: &str) -> Result<Self, InvalidHash> {
                let digits = text.as_bytes();
                if digits.len() != 64 {
                    return Err(InvalidHash);
                }
                let mut bytes = [0; 32];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
                }
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidHash;

            fn try_from(text: String) -> Result<Self, InvalidHash> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(hash: $name) -> String {
                format!("{hash}")
            }
        }
    };
}

fn nibble(digit: u8) -> Result<u8, InvalidHash> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(InvalidHash),
    }
}

hash_type! {
    /// One refresh token through its rotations.
    ///
    /// Minted once, from the token that the first committed refresh spends, and never computed again. Two copies of
    /// one token have the same id before and after; a new login has a new one. It names the grant's lock and journal.
    GrantId
}

hash_type! {
    /// What stands for a token in a journal, a ledger or an outcome.
    TokenHash
}

impl GrantId {
    /// The id of the grant that `refresh` belongs to at the token endpoint with this origin, for this client.
    pub fn mint(origin: &str, client_id: &str, refresh: &Secret) -> Self {
        Self(sha256_parts(
            "coderclaw grant v1",
            &[origin.as_bytes(), client_id.as_bytes(), refresh.expose().as_bytes()],
        ))
    }
}

impl TokenHash {
    /// The hash of an access or refresh token.
    pub fn of(token: &Secret) -> Self {
        Self(sha256_parts("coderclaw token v1", &[token.expose().as_bytes()]))
    }

    /// Whether this is the hash of `token`; takes as long for a near miss as for any other.
    pub fn is_of(&self, token: &Secret) -> bool {
        self.0.ct_eq(&Self::of(token).0).into()
    }
}

/// The key of this state dir's [`Fingerprint`]s.
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// From the 32 bytes of the key file.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(***)")
    }
}

/// Twelve hex digits that tell two secrets apart on a screen and say nothing about either: SipHash-2-4 under a key that
/// stays in the state dir. A status shows one for each profile, and tokens are long: a hash for long inputs would be a
/// sixth of what it costs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of `secret` under `key`.
    pub fn of(key: &FingerprintKey, secret: &Secret) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&key.0[..16]);
        let mut hasher = SipHasher24::new_with_key(&half);
        hasher.write(secret.expose().as_bytes());
        let bytes = hasher.finish().to_be_bytes();
        Self(bytes[..6].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// One that was written down before; `None` where the text is none.
    pub fn stored(text: &str) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 12 && text.as_bytes().iter().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A2: the lock's name depends only on the grant, is bounded, and cannot collide by concatenation.
    #[test]
    fn a2_grant_ids_do_not_collide_by_concatenation() {
        let token = Secret::from("rt");
        let a = GrantId::mint("https://a", "bc", &token);
        assert_ne!(a, GrantId::mint("https://ab", "c", &token));
        assert_ne!(a, GrantId::mint("https://a", "b", &Secret::from("crt")));
        assert_eq!(a, GrantId::mint("https://a", "bc", &Secret::from("rt")));
        assert_eq!(a.to_string().len(), 64);
        assert_ne!(a.bytes(), TokenHash::of(&token).bytes());
    }

    #[test]
    fn hashes_survive_text_and_json() {
        let hash = TokenHash::of(&Secret::from("x"));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<TokenHash>(&json).unwrap(), hash);
        for bad in ["", "xyz", &"A".repeat(64), &"0".repeat(63), "é"] {
            assert!(bad.parse::<TokenHash>().is_err());
        }
    }

    /// G2: a fingerprint is keyed and holds no character of the token on purpose.
    #[test]
    fn g2_fingerprints_are_keyed() {
        let token = Secret::from("sk-ant-oat01-canary");
        let one = Fingerprint::of(&FingerprintKey::from_bytes([1; 32]), &token);
        let two = Fingerprint::of(&FingerprintKey::from_bytes([2; 32]), &token);
        assert_eq!(Fingerprint::stored(one.as_str()), Some(one.clone()));
        assert!(
            ["", "0123456789aB", "0123456789a", token.expose()]
                .iter()
                .all(|text| Fingerprint::stored(text).is_none())
        );
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 12);
    }
}

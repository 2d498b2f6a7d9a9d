//! The one type that may hold a token, a key or a code verifier.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A piece of text that must never be printed.
///
/// There is no `Display` and no `Serialize`: code that writes a secret has to say [`Secret::expose`], which is easy
/// to find. `Debug` prints a fixed mask, with no hint of the length. The memory is wiped on drop.
///
/// ```
/// use coderclaw_types::Secret;
/// let token = Secret::from("rt-1");
/// assert_eq!(format!("{token:?}"), "Secret(***)");
/// assert_eq!(token.expose(), "rt-1");
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// The text itself, for the wire or for a file that is meant to hold it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True where nothing but white space is held: such a value is never stored nor sent.
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into_boxed_str())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Compared in constant time, since a secret may be what a stranger is guessing at.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G1, G2: no formatting of a secret shows any of it.
    #[test]
    fn no_formatting_shows_a_secret() {
        let secret = Secret::from("sk-ant-oat01-canary");
        for text in [format!("{secret:?}"), format!("{secret:#?}"), format!("{:?}", Some(&secret))] {
            assert!(!text.contains("canary") && !text.contains("sk-"), "{text}");
        }
    }

    #[test]
    fn reads_from_json_and_compares() {
        let secret: Secret = serde_json::from_str("\"a\"").unwrap();
        assert_eq!(secret, Secret::from("a"));
        assert_ne!(secret, Secret::from("ab"));
        assert!(Secret::from(" \n").is_blank());
    }
}

//! The built-in providers, as the build script wrote them down from `manifests/*.toml`.

use std::borrow::Cow;
use std::time::Duration;

use crate::manifest::{Api, AuthMethod, Identity, Manifest, Source};
use crate::words::{ApiKind, Billing, DeviceDialect, MethodKind, Revoke, TokenRequest};

// `BUILT_IN: [Manifest; N]`, sorted by id.
include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The built-in provider with this very id.
pub(crate) fn built_in(id: &str) -> Option<&'static Manifest> {
    let at = BUILT_IN.binary_search_by(|one| (*one.id).cmp(id)).ok()?;
    BUILT_IN.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::apply;
    use crate::parse::parse;

    /// What is compiled in is what its TOML says when it is read today.
    #[test]
    fn tables_equal_their_texts() {
        let mut seen = 0;
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let parsed = apply(parse(&text).unwrap(), None, &Source::Builtin).unwrap();
            assert_eq!(built_in(&parsed.id), Some(&parsed), "{}", path.display());
            seen += 1;
        }
        assert_eq!(seen, BUILT_IN.len());
    }

    /// Nothing of a table is on the heap.
    #[test]
    fn tables_are_borrowed() {
        for one in &BUILT_IN {
            assert!(matches!(one.id, Cow::Borrowed(_)) && matches!(one.auth, Cow::Borrowed(_)));
            assert!(one.auth.iter().all(|auth| matches!(auth.scopes, Cow::Borrowed(_))));
        }
    }

    #[test]
    fn look_up_by_binary_search_finds_each() {
        assert!(BUILT_IN.is_sorted_by(|a, b| a.id < b.id));
        for one in &BUILT_IN {
            assert_eq!(built_in(&one.id), Some(one));
        }
        assert_eq!(built_in(""), None);
        assert_eq!(built_in("zzz"), None);
    }
}

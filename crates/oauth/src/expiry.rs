//! When an access token ends, by our own clock.

use std::time::Duration;

use coderclaw_types::Millis;

use crate::jwt;
use crate::token_set::{LONGEST_SECS, TokenSet};

/// The life of an access token by the local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// When it ends.
    pub expires: Millis,
    /// When the answer with it came in.
    pub issued_at: Millis,
}

/// From the answer's lifetime, counted from its receipt; else from the token's own `exp`, corrected by the difference
/// between the server's clock and ours; else the provider's usual lifetime. The result is always after `received_at`,
/// as long as `default_lifetime` is not zero: an old expiry is never kept, since that would mean a refresh for every request.
pub fn expiry(tokens: &TokenSet, received_at: Millis, default_lifetime: Duration) -> Expiry {
    let after = |secs: i64| Millis(received_at.0.saturating_add(secs.saturating_mul(1000)));
    let said = tokens.expires_in.map(after);
    let expires = said.or_else(|| {
        let exp = jwt::exp(&jwt::claims(&tokens.access)?)?;
        let local = tokens.local_time(exp, received_at);
        (local > received_at && local <= after(LONGEST_SECS)).then_some(local)
    });
    Expiry { expires: expires.unwrap_or_else(|| received_at.plus(default_lifetime)), issued_at: received_at }
}

#[cfg(test)]
mod tests {
    use coderclaw_types::Secret;
    use serde_json::json;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Millis = Millis(1_800_000_000_000);

    fn tokens(expires_in: Option<i64>, exp: Option<i64>, server_ahead_ms: Option<i64>) -> TokenSet {
        let access = exp.map_or_else(|| Secret::from("opaque"), |exp| jwt::unsigned(&json!({"exp": exp})));
        let server_date = server_ahead_ms.map(|ahead| Millis(NOW.0 + ahead));
        TokenSet { expires_in, server_date, ..TokenSet::bare(access) }
    }

    /// A13: the expiry always comes from this answer, and a wrong clock on either side does not matter.
    #[test]
    fn a13_sources_in_order() {
        let now = NOW.0 / 1000;
        let table = [
            (tokens(Some(60), Some(now + 500), None), 60),
            (tokens(None, Some(now + 500), None), 500),
            // The server's clock is ten minutes ahead, or behind: the token lives 500 s all the same.
            (tokens(None, Some(now + 600 + 500), Some(600_000)), 500),
            (tokens(None, Some(now - 600 + 500), Some(-600_000)), 500),
            // Already over, or absurd: the default.
            (tokens(None, Some(now - 1), None), 3600),
            (tokens(None, Some(now), None), 3600),
            (tokens(None, Some(1), Some(0)), 3600),
            (tokens(None, Some(i64::MAX), Some(0)), 3600),
            (tokens(None, None, Some(0)), 3600),
        ];
        for (tokens, secs) in table {
            let expiry = expiry(&tokens, NOW, HOUR);
            assert_eq!(expiry.expires, NOW.plus(Duration::from_secs(secs)), "{tokens:?}");
            assert_eq!(expiry.issued_at, NOW);
        }
    }
}

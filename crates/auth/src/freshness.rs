//! Is a token good enough, and if not, why? Pure: what is known about the token in, a reason out.

use std::time::Duration;

use coderclaw_types::{Millis, TokenHash};

/// No token is refreshed earlier than this before its end (or a tenth of its life, where that is less).
const WIDEST_MARGIN: Duration = Duration::from_secs(5 * 60);

/// The life of an access token by the local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) issued_at: Option<Millis>,
    pub(crate) expires: Millis,
}

/// What a look at a token's life says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// More is left than the margin and than what was asked for.
    Fresh,
    /// It works, and should be renewed: the margin has begun.
    Due,
    /// It works for less time than was asked for.
    TooShort,
    /// It has ended.
    Expired,
}

impl Life {
    /// Looks at the token at `now`. `salt` is the refresh token's hash: it widens the margin by up to a tenth, so that the
    /// tokens of many accounts do not all fall due in the same second, while all askers of one token agree.
    pub(crate) fn freshness(&self, now: Millis, min_validity: Duration, salt: &TokenHash) -> Freshness {
        let left = self.expires.since(now);
        if left.is_zero() {
            return Freshness::Expired;
        }
        if left <= self.margin(salt) {
            return Freshness::Due;
        }
        if left < min_validity { Freshness::TooShort } else { Freshness::Fresh }
    }

    /// When it falls due.
    pub(crate) fn due_at(&self, salt: &TokenHash) -> Millis {
        self.expires.minus(self.margin(salt))
    }

    fn margin(&self, salt: &TokenHash) -> Duration {
        let whole = self.issued_at.map_or(WIDEST_MARGIN * 10, |issued| self.expires.since(issued));
        let margin = WIDEST_MARGIN.min(whole / 10);
        margin + margin * u32::from(salt.bytes()[0]) / 2550
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_types::Secret;

    use super::*;

    fn at(life: Duration, left: Duration) -> Freshness {
        let issued = Millis(1_000_000);
        let life = Life { issued_at: Some(issued), expires: issued.plus(life) };
        life.freshness(life.expires.minus(left), Duration::ZERO, &TokenHash::of(&Secret::from("t")))
    }

    /// A7: the margin is the smaller of five minutes and a tenth of the life, and jitter only widens it, a little.
    #[test]
    fn a7_margins() {
        let secs = Duration::from_secs;
        let table = [
            (secs(300), secs(60), Freshness::Fresh),
            (secs(300), secs(34), Freshness::Fresh),
            (secs(300), secs(30), Freshness::Due),
            (secs(864_000), secs(331), Freshness::Fresh),
            (secs(864_000), secs(300), Freshness::Due),
            (secs(10), Duration::from_millis(1_101), Freshness::Fresh),
            (secs(10), secs(1), Freshness::Due),
            (secs(10), Duration::ZERO, Freshness::Expired),
        ];
        for (life, left, expected) in table {
            assert_eq!(at(life, left), expected, "{life:?} {left:?}");
        }
        for n in 0..200 {
            let salt = TokenHash::of(&Secret::from(format!("{n}")));
            let life = Life { issued_at: None, expires: Millis(10_000_000) };
            let margin = life.margin(&salt);
            assert!(margin >= WIDEST_MARGIN && margin <= WIDEST_MARGIN * 11 / 10, "{margin:?}");
        }
    }

    #[test]
    fn a_wish_for_more_time_is_told_from_need() {
        let life = Life { issued_at: Some(Millis(0)), expires: Millis(3_600_000) };
        let salt = TokenHash::of(&Secret::from("t"));
        let hour = Duration::from_secs(3600);
        assert_eq!(life.freshness(Millis(60_000), hour, &salt), Freshness::TooShort);
        assert_eq!(life.freshness(Millis(0), hour, &salt), Freshness::Fresh);
        assert_eq!(life.freshness(Millis(3_500_000), hour, &salt), Freshness::Due);
    }
}

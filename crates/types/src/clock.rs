//! Time as the files and the JSON output have it: whole milliseconds since the epoch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, as in `expires` of `auth-profiles.json`.
///
/// OAuth's `expires_in` and a JWT's `exp` are seconds; [`Millis::from_secs`] is the one way from there to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// From Unix seconds, as in a JWT's `exp` (RFC 7519 section 2, NumericDate). Saturates.
    pub fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// From an HTTP-date in the form that RFC 9110 section 5.6.7 prefers: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let time = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
        Some(Self(time.as_millisecond()))
    }

    /// From an RFC 3339 time.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let time: Timestamp = text.trim().parse().ok()?;
        Some(Self(time.as_millisecond()))
    }

    /// This instant and `span` more. Saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant less `span`. Saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` to this instant; zero where it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// What time it is, as a value: the system's clock in the binary, a fixed or moving one in a test.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// A clock that asks `now` each time.
    pub fn from_fn(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// A clock that stands still.
    pub fn fixed(at: Millis) -> Self {
        Self::from_fn(move || at)
    }

    /// The present.
    pub fn now(&self) -> Millis {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let (http, rfc) = (Millis::from_http_date, Millis::from_rfc3339);
        // RFC 9110 section 5.6.7's example.
        assert_eq!(http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Millis(784_111_777_000)));
        assert_eq!(rfc("1994-11-06T08:49:37Z"), Some(Millis(784_111_777_000)));
        assert_eq!(rfc("1994-11-06T09:49:37.5+01:00"), Some(Millis(784_111_777_500)));
        for bad in ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT", "0"] {
            assert_eq!((http(bad), rfc(bad)), (None, None), "{bad}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Millis::from_secs(i64::MAX), Millis(i64::MAX));
        assert_eq!(Millis(i64::MAX).plus(Duration::from_secs(1)), Millis(i64::MAX));
        assert_eq!(Millis(5).since(Millis(9)), Duration::ZERO);
        assert_eq!(Millis(9).since(Millis(5)), Duration::from_millis(4));
        assert_eq!(Millis(9).minus(Duration::from_millis(4)), Millis(5));
    }
}

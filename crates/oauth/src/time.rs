//! Times as servers write them.

use coderclaw_types::Millis;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// An HTTP-date in the form that RFC 9110 section 5.6.7 prefers: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(text: &str) -> Option<Millis> {
    let time = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Millis(time.as_millisecond()))
}

/// An RFC 3339 time.
pub(crate) fn rfc3339(text: &str) -> Option<Millis> {
    let time: Timestamp = text.trim().parse().ok()?;
    Some(Millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // RFC 9110 section 5.6.7's example.
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Millis(784_111_777_000)));
        assert_eq!(rfc3339("1994-11-06T08:49:37Z"), Some(Millis(784_111_777_000)));
        assert_eq!(rfc3339("1994-11-06T09:49:37.5+01:00"), Some(Millis(784_111_777_500)));
        for bad in ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT", "0"] {
            assert_eq!((http_date(bad), rfc3339(bad)), (None, None), "{bad}");
        }
    }
}

//! Spans of time, as people read them.

use std::time::Duration;

use crate::Millis;

/// `in 59 min`, `in 3 h`, `4 days ago`.
pub fn when(at: Millis, now: Millis) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { format!("{} ago", span(now.since(at))) }
}

/// A duration in its largest fitting unit, rounded down.
pub fn span(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        7_200..=172_799 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let now = Millis(1_000_000_000);
        assert_eq!(when(Millis(now.0 + 59 * 60_000), now), "in 59 min");
        assert_eq!(when(Millis(now.0 - 3 * 86_400_000), now), "3 days ago");
        assert_eq!(when(now, now), "0 s ago");
    }
}

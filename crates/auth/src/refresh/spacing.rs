//! How long a token endpoint is left alone after a failure.

use std::time::Duration;

const LADDER: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
];
const LONGEST: Duration = Duration::from_secs(3600);

/// The pause after `failures` in a row (1 is the first), give or take a fifth; the server's own wish wins, up to an
/// hour. `dice` is any random byte.
pub(crate) fn spacing(failures: u32, retry_after: Option<Duration>, dice: u8) -> Duration {
    if let Some(wish) = retry_after {
        return wish.min(LONGEST);
    }
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(LADDER.len() - 1);
    LADDER[step] * (800 + u32::from(dice) * 400 / 255) / 1000
}

/// A random byte; a fixed one where the system has none, since only jitter depends on it.
pub(crate) fn dice() -> u8 {
    let mut byte = [128];
    match getrandom::fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_and_its_jitter() {
        let millis = |failures, dice| spacing(failures, None, dice).as_millis();
        assert_eq!([millis(1, 0), millis(1, 255)], [1_600, 2_400]);
        assert_eq!([millis(2, 0), millis(3, 255)], [8_000, 72_000]);
        assert_eq!(millis(5, 0), 720_000);
        assert_eq!(millis(u32::MAX, 255), 1_080_000);
        assert_eq!(spacing(1, Some(Duration::from_secs(7)), 0), Duration::from_secs(7));
        assert_eq!(spacing(1, Some(Duration::from_secs(99_999)), 0), LONGEST);
    }
}

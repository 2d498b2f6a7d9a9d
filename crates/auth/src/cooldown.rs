//! When a profile is set aside, and for how long. The numbers are the original's.

use std::time::Duration;

use coderclaw_store::{CooldownSettings, UsageStats};
use coderclaw_types::{Code, Millis, ProviderId};

const HOUR: f64 = 3_600_000.0;
/// What `cooldownReason` says of a subscription whose limit is reached.
pub(crate) const USAGE_LIMIT: &str = "usage_limit";
/// A cooldown that a provider names may last as long as its longest usage window, a month.
const LONGEST_COOLDOWN: Duration = Duration::from_secs(31 * 24 * 3600);

/// What went wrong with a request of this account. The names are the original's, which has more: a malformed request or a
/// lost network touches no profile here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CooldownReason {
    /// Token or key not accepted.
    Auth,
    /// Too many requests for this account.
    RateLimit,
    /// Credit used up.
    Billing,
}

impl CooldownReason {
    /// As it stands in `failureCounts`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::RateLimit => "rate_limit",
            Self::Billing => "billing",
        }
    }
}

/// Until when the profile is set aside, and whether it is cooling, at its usage limit, or disabled; `None` where it may be used.
///
/// An end further away than anything could have put it there has passed: the clock was wrong when it was written.
pub(crate) fn unusable_until(
    usage: &UsageStats,
    settings: &CooldownSettings,
    now: Millis,
) -> Option<(Code, Millis)> {
    let longest_disabled = hours(settings.billing_max_hours.max(24.0)).max(LONGEST_COOLDOWN);
    let ahead =
        |until: Option<Millis>, longest: Duration| until.filter(|t| *t > now && *t <= now.plus(longest));
    let why = match usage.cooldown_reason.as_deref() {
        Some(USAGE_LIMIT) => Code::UsageLimit,
        _ => Code::Cooldown,
    };
    let cooling = ahead(usage.cooldown_until, LONGEST_COOLDOWN).map(|t| (why, t));
    let disabled = ahead(usage.disabled_until, longest_disabled).map(|t| (Code::Disabled, t));
    [cooling, disabled].into_iter().flatten().max_by_key(|(_, until)| *until)
}

/// The usage after one more failure at `now`.
///
/// Counting starts anew after a window without failures, and also once the last cooldown has ended: a blip after a
/// recovery is a first failure again. What the file still says about an ended cooldown does not count.
#[must_use]
pub(crate) fn mark_failure(
    usage: &UsageStats,
    reason: CooldownReason,
    provider: &ProviderId,
    settings: &CooldownSettings,
    now: Millis,
) -> UsageStats {
    let mut next = usage.clone();
    let window = hours(settings.failure_window_hours);
    let window_over = usage.last_failure_at.is_some_and(|last| now.since(last) > window);
    let ends = [usage.cooldown_until, usage.disabled_until];
    let was_set_aside = ends.iter().flatten().next().is_some();
    let served = was_set_aside && ends.iter().flatten().all(|end| *end <= now);
    if window_over || served {
        next.error_count = 0;
        next.failure_counts.clear();
    }
    if served {
        next.cooldown_until = None;
        next.cooldown_reason = None;
        next.disabled_until = None;
        next.disabled_reason = None;
    }
    next.error_count = next.error_count.saturating_add(1);
    let name = reason.as_str();
    let of_reason = match next.failure_counts.iter_mut().find(|(counted, _)| counted == name) {
        Some((_, count)) => {
            *count = count.saturating_add(1);
            *count
        }
        None => {
            next.failure_counts.push((name.into(), 1));
            1
        }
    };
    next.last_failure_at = Some(now);
    if reason == CooldownReason::Billing {
        let base = settings.by_provider.iter().find(|(p, _)| p == provider).map(|(_, hours)| *hours);
        let base = (base.unwrap_or(settings.billing_backoff_hours) * HOUR).max(60_000.0);
        let longest = (settings.billing_max_hours * HOUR).max(base);
        let doubled = base * f64::from(1u32 << (of_reason - 1).min(10));
        next.disabled_until = Some(now.plus(hours(doubled.min(longest) / HOUR)));
        next.disabled_reason = Some(name.into());
    } else {
        let minutes = 5u64.pow((next.error_count - 1).min(3)).min(60);
        next.cooldown_until = Some(now.plus(Duration::from_secs(minutes * 60)));
    }
    next
}

fn hours(hours: f64) -> Duration {
    Duration::try_from_secs_f64(hours * 3600.0).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000_000_000);
    const MINUTE: i64 = 60_000;

    fn fail(usage: &UsageStats, reason: CooldownReason, now: Millis) -> UsageStats {
        let provider = ProviderId::new("acme");
        mark_failure(usage, reason, &provider, &CooldownSettings::default(), now)
    }

    #[test]
    fn the_ladder_of_a_running_series() {
        let mut usage = UsageStats::default();
        for minutes in [1, 5, 25, 60, 60, 60] {
            usage = fail(&usage, CooldownReason::RateLimit, NOW);
            assert_eq!(usage.cooldown_until, Some(Millis(NOW.0 + minutes * MINUTE)));
        }
        assert_eq!(usage.failure_counts, [("rate_limit".into(), 6)]);
    }

    /// D1: after a cooldown has been served, the next failure is a first one again.
    #[test]
    fn d1_the_ladder_starts_again_after_a_window() {
        let once = fail(&fail(&UsageStats::default(), CooldownReason::Auth, NOW), CooldownReason::Auth, NOW);
        assert_eq!(once.error_count, 2);
        let later = NOW.plus(Duration::from_secs(301));
        let again = fail(&once, CooldownReason::Auth, later);
        assert_eq!((again.error_count, again.cooldown_until), (1, Some(Millis(later.0 + MINUTE))));
        let mut quiet = once.clone();
        quiet.cooldown_until = None;
        let next_day = NOW.plus(Duration::from_secs(24 * 3600 + 1));
        assert_eq!(fail(&quiet, CooldownReason::Auth, next_day).error_count, 1);
        assert_eq!(
            fail(&quiet, CooldownReason::Auth, NOW.plus(Duration::from_secs(24 * 3600))).error_count,
            3
        );
    }

    #[test]
    fn billing_disables_for_hours() {
        let mut usage = UsageStats::default();
        for hours in [5, 10, 20, 24, 24] {
            usage = fail(&usage, CooldownReason::Billing, NOW);
            assert_eq!(usage.disabled_until, Some(Millis(NOW.0 + hours * 60 * MINUTE)));
        }
        assert_eq!(usage.disabled_reason.as_deref(), Some("billing"));
        let settings = CooldownSettings {
            by_provider: vec![(ProviderId::new("acme"), 30.0)],
            ..CooldownSettings::default()
        };
        let own = mark_failure(
            &UsageStats::default(),
            CooldownReason::Billing,
            &ProviderId::new("acme"),
            &settings,
            NOW,
        );
        assert_eq!(
            own.disabled_until,
            Some(Millis(NOW.0 + 30 * 60 * MINUTE)),
            "the maximum is at least the base"
        );
    }

    #[test]
    fn the_later_of_two_ends_counts_and_impossible_ones_have_passed() {
        let settings = CooldownSettings::default();
        let at = |ms: i64| Some(Millis(NOW.0 + ms));
        let table = [
            (at(5), None, Some((Code::Cooldown, 5))),
            (at(5), at(9), Some((Code::Disabled, 9))),
            (at(9), at(5), Some((Code::Cooldown, 9))),
            (at(0), at(-1), None),
            (at(400 * 24 * 60 * MINUTE), None, None),
            (None, None, None),
        ];
        let at_limit = UsageStats {
            cooldown_until: at(5),
            cooldown_reason: Some(USAGE_LIMIT.into()),
            ..UsageStats::default()
        };
        assert_eq!(unusable_until(&at_limit, &settings, NOW), Some((Code::UsageLimit, Millis(NOW.0 + 5))));
        for (cooldown_until, disabled_until, expected) in table {
            let usage = UsageStats { cooldown_until, disabled_until, ..UsageStats::default() };
            let got = unusable_until(&usage, &settings, NOW).map(|(code, t)| (code, t.0 - NOW.0));
            assert_eq!(got, expected);
        }
    }
}

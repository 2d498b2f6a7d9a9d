//! Asking by hand whether a code has been typed in, and not more often than the provider allows.

use std::time::Duration;

use coderclaw_oauth::device::{Pace, PollAnswer};
use coderclaw_store::AgentPaths;
use coderclaw_types::Millis;

use super::LoggedIn;

/// What came of one try to finish a login.
#[derive(Debug)]
pub enum Tried {
    /// It is stored.
    Done(AgentPaths, Box<LoggedIn>),
    /// It goes on waiting for its code to be typed in.
    NotYet(NotYet),
}

/// Why a login by a code is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotYet {
    /// The provider says that nobody has typed in the code.
    NotTypedIn,
    /// It was not asked again.
    TooSoon {
        /// The time that it wants between two questions by now.
        pause: Duration,
        /// What is left of it, in whole seconds.
        left: Duration,
    },
    /// It was asked, and nobody knows.
    Unknown {
        /// The cause.
        why: String,
        /// The time until the next question.
        pause: Duration,
    },
}

/// The questions about one code so far. Whoever asks more than once keeps them, and asks one after the other.
#[derive(Debug, Clone, Default)]
pub struct Questions(Option<Last>);

#[derive(Debug, Clone)]
struct Last {
    pace: Pace,
    at: Millis,
}

impl Questions {
    /// Where the provider has to be left alone for now. A clock that was set back makes nobody wait.
    pub(super) fn too_soon(&self, now: Millis) -> Option<NotYet> {
        let last = self.0.as_ref().filter(|last| last.at <= now)?;
        let pause = last.pace.pause();
        let left = pause.checked_sub(now.since(last.at)).filter(|left| !left.is_zero())?;
        Some(NotYet::TooSoon {
            pause,
            left: Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0)),
        })
    }

    /// Notes what a question brought, and says where that is not the end.
    pub(super) fn after(&mut self, answer: &PollAnswer, interval: Duration, now: Millis) -> Option<NotYet> {
        let mut pace = self.0.as_ref().map_or_else(|| Pace::new(interval), |last| last.pace);
        pace.after(answer);
        self.0 = Some(Last { pace, at: now });
        match answer {
            PollAnswer::Pending | PollAnswer::SlowDown { .. } => Some(NotYet::NotTypedIn),
            PollAnswer::Trouble(why) => Some(NotYet::Unknown { why: why.clone(), pause: pace.pause() }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Duration = Duration::from_secs(5);

    fn too_soon(pause: u64, left: u64) -> Option<NotYet> {
        let secs = Duration::from_secs;
        Some(NotYet::TooSoon { pause: secs(pause), left: secs(left) })
    }

    /// E10: however often a person asks, the provider is asked at its own pace, which `slow_down` and a lost network
    /// stretch.
    #[test]
    fn e10_a_question_by_hand_keeps_the_pace() {
        let mut asked = Questions::default();
        assert_eq!(asked.too_soon(Millis(0)), None, "the first is asked at once");
        assert_eq!(asked.after(&PollAnswer::Pending, FIVE, Millis(1_000)), Some(NotYet::NotTypedIn));
        assert_eq!(asked.too_soon(Millis(1_000)), too_soon(5, 5));
        assert_eq!(asked.too_soon(Millis(5_999)), too_soon(5, 1), "rounded up: pressed then, it is asked");
        assert_eq!(asked.too_soon(Millis(6_000)), None);
        assert_eq!(asked.too_soon(Millis(999)), None, "the clock was set back");
        let slower = PollAnswer::SlowDown { interval: None };
        assert_eq!(asked.after(&slower, FIVE, Millis(6_000)), Some(NotYet::NotTypedIn));
        assert_eq!(asked.too_soon(Millis(15_999)), too_soon(10, 1));
        asked.after(&PollAnswer::Pending, FIVE, Millis(16_000));
        assert_eq!(asked.too_soon(Millis(16_000)), too_soon(10, 10), "for good");
        let away = PollAnswer::Trouble("away".into());
        let unknown = NotYet::Unknown { why: "away".into(), pause: Duration::from_secs(20) };
        assert_eq!(asked.after(&away, FIVE, Millis(26_000)), Some(unknown));
        assert_eq!(asked.too_soon(Millis(27_000)), too_soon(20, 19));
    }

    #[test]
    fn what_ends_it_is_no_not_yet() {
        for answer in
            [PollAnswer::Expired, PollAnswer::Denied("no".into()), PollAnswer::Failed("broken".into())]
        {
            assert_eq!(Questions::default().after(&answer, FIVE, Millis(0)), None, "{answer:?}");
        }
    }
}

//! How often the server is asked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{DeviceCode, PollAnswer};

/// What `slow_down` adds, for good (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// However long the trouble lasts, a person who has typed in the code is not made to wait longer.
const LONGEST: Duration = Duration::from_secs(60);

/// The time until the next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    /// Doublings since the last answer (RFC 8628 section 3.5: exponential backoff after a timeout).
    doubled: u32,
}

impl Pace {
    /// As the server asked for.
    pub fn new(interval: Duration) -> Self {
        Self { interval, doubled: 0 }
    }

    /// How long to wait now.
    pub fn pause(&self) -> Duration {
        let longer = self.interval.saturating_mul(1 << self.doubled.min(6));
        longer.min(LONGEST).max(self.interval)
    }

    /// Notes what came of a question.
    pub fn after(&mut self, answer: &PollAnswer) {
        match answer {
            PollAnswer::Trouble(_) => self.doubled = self.doubled.saturating_add(1),
            PollAnswer::SlowDown { interval } => {
                self.doubled = 0;
                self.interval = interval.unwrap_or_default().max(self.interval.saturating_add(SLOWER));
            }
            _ => self.doubled = 0,
        }
    }
}

/// Asks until there is an answer or the code has ended; the last question falls on the code's last moment. Needs a tokio
/// runtime with time.
pub async fn wait(code: &DeviceCode, mut ask: impl AsyncFnMut() -> PollAnswer) -> PollAnswer {
    let end = Instant::now() + code.lifetime;
    let mut pace = Pace::new(code.interval);
    let mut trouble = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // What was in the way to the very end is the reason.
            return trouble.map_or(PollAnswer::Expired, PollAnswer::Failed);
        }
        sleep(pace.pause().min(left)).await;
        let answer = ask().await;
        pace.after(&answer);
        match answer {
            PollAnswer::Pending | PollAnswer::SlowDown { .. } => trouble = None,
            PollAnswer::Trouble(why) => trouble = Some(why),
            answered => return answered,
        }
    }
}

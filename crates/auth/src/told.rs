//! What every screen says of a profile, in the same words: the terminal's and the browser's.

use std::time::Duration;

use coderclaw_types::{Code, Millis, span, when};

use crate::explain::{Explanation, Winner};
use crate::status::{AgentStatus, ProfileStatus};

/// The end of something that lasted for months is announced from here on: nobody remembers the day.
const A_MONTH: Duration = Duration::from_secs(30 * 86_400);

/// How a profile stands, at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It works.
    Good,
    /// It works for now, or will again.
    Middling,
    /// It needs somebody.
    Bad,
}

/// Why somebody should do something about a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// One line.
    pub why: String,
    /// It works, and another token of its kind has to be pasted before it ends; else its state says what helps.
    pub ends: bool,
}

impl ProfileStatus {
    /// Its id, and the e-mail where the id does not have it.
    pub fn label(&self) -> String {
        match &self.email {
            Some(email) if !self.id.as_str().contains(email.as_str()) => format!("{} ({email})", self.id),
            _ => self.id.to_string(),
        }
    }

    /// How it stands, at a glance.
    pub fn tone(&self) -> Tone {
        match (self.state, self.status) {
            (_, "expired" | "missing") => Tone::Bad,
            (Code::Ok | Code::RefreshDue, _) => Tone::Good,
            _ => Tone::Middling,
        }
    }

    /// How much of its credential's life is left, from 0 to 100. `None` where it has ended, or nobody knows how long it was.
    pub fn percent_left(&self, now: Millis) -> Option<f64> {
        let (issued, expires) = (self.issued_at?, self.expires_at?);
        let whole = expires.since(issued).as_secs_f64();
        let left = expires.since(now).as_secs_f64();
        // A clock that was set back since leaves no more than the whole.
        (left > 0.0 && whole > 0.0).then(|| (100.0 * left / whole).min(100.0))
    }

    /// What is known about it, its state first. `local` writes a time in the reader's zone.
    pub fn facts(&self, is_hidden: bool, now: Millis, local: impl Fn(Millis) -> String) -> Vec<String> {
        let mut facts = vec![self.state.to_string()];
        if self.is_pending {
            facts.push("not imported yet".into());
        }
        if is_hidden {
            facts.push("not in the order".into());
        }
        match self.expires_at {
            Some(at) if at > now => facts.push(format!("ends {}", when(at, now))),
            Some(at) => facts.push(format!("ended {}", when(at, now))),
            None => {}
        }
        if self.refreshable
            && !matches!(self.state, Code::NeedsLogin | Code::Interrupted | Code::NeedsConsent)
        {
            facts.push("renews itself".into());
        }
        if let Some(until) = self.until.filter(|until| *until > now) {
            facts.push(format!("until {}", local(until)));
        }
        if let Some(owner) = &self.owner {
            facts.push(format!("agent {owner}'s"));
        }
        if let Some(fingerprint) = &self.fingerprint {
            facts.push(format!("#{fingerprint}"));
        }
        facts
    }

    /// Why somebody should do something about it. `is_used`: it is the one that the resolver would lend.
    pub fn call(&self, is_used: bool, now: Millis) -> Option<Call> {
        let calls = matches!(self.status, "expired" | "missing" | "expiring")
            || (is_used && self.state == Code::Offline);
        if calls {
            return Some(Call { why: self.state.meaning().to_owned(), ends: false });
        }
        let at = self.expires_at.filter(|at| *at > now && at.since(now) <= A_MONTH)?;
        (self.kind == "token" && self.provider.is_some())
            .then(|| Call { why: format!("it ends {} and cannot be renewed", when(at, now)), ends: true })
    }
}

impl AgentStatus {
    /// What is to be said of this machine's clock.
    pub fn clock_line(&self) -> Option<String> {
        let ms = self.clock_ahead?;
        let side = if ms > 0 { "ahead of" } else { "behind" };
        let span = span(Duration::from_millis(ms.unsigned_abs()));
        Some(format!(
            "This machine's clock was {span} {side} the provider's at the last refresh. Tokens are timed by when they came, \
             so they are good; set the clock all the same."
        ))
    }
}

impl Explanation {
    /// Whether this is the profile that would be lent.
    pub fn uses(&self, profile: &ProfileStatus) -> bool {
        self.winner.as_ref().and_then(|winner: &Winner| winner.profile_id.as_ref()) == Some(&profile.id)
    }

    /// Whether the order in force leaves the profile out.
    pub fn hides(&self, profile: &ProfileStatus) -> bool {
        let seen = self.candidates.iter().find(|one| one.profile_id.as_ref() == Some(&profile.id));
        seen.is_some_and(|one| one.reason == Code::ExcludedByOrder)
    }
}

//! What a logout came to, in words.

use coderclaw_types::{Millis, span};

use crate::logout::LoggedOut;
use crate::revoke::Revocation;

impl LoggedOut {
    /// Until when its access token works elsewhere, where it does.
    pub fn access_works_until(&self) -> Option<Millis> {
        self.works_until.filter(|_| !matches!(self.access, Revocation::Done | Revocation::None))
    }

    /// What the provider knows of it, for how long a token goes on working, and what still speaks of the profile: one
    /// sentence each. `local` writes a time in the reader's zone.
    pub fn sentences(&self, now: Millis, local: impl Fn(Millis) -> String) -> Vec<String> {
        let is_login = self.kind == "oauth";
        let access = match (self.kind.as_str(), is_login) {
            (_, true) => "access token",
            ("api_key", _) => "key",
            _ => "token",
        };
        let mut revoked = Vec::new();
        let mut not = Vec::new();
        for (name, what) in [("refresh token", &self.refresh), (access, &self.access)] {
            match what {
                Revocation::None => {}
                Revocation::Done => revoked.push(name),
                Revocation::Failed(why) | Revocation::NotTried(why) => not.push((name, why.as_str())),
            }
        }
        let mut all = Vec::new();
        if !revoked.is_empty() {
            all.push(format!("Revoked at the provider: {}.", revoked.join(" and ")));
        }
        match not.as_slice() {
            [] => {}
            [(one, why), (two, same)] if why == same => {
                all.push(format!("Not revoked: {one} and {two} ({why})."));
            }
            some => all.extend(some.iter().map(|(name, why)| format!("Not revoked: {name} ({why})."))),
        }
        if let Some(at) = self.access_works_until() {
            all.push(format!(
                "Its {access} works for another {}, until {}, wherever there is a copy of it.",
                span(at.since(now)),
                local(at)
            ));
        } else if !is_login && !matches!(self.access, Revocation::None) {
            all.push(format!("The {access} itself works until it is deleted at the provider."));
        }
        for path in &self.copies {
            all.push(format!("A copy that is not this program's to change: {}", path.display()));
        }
        all
    }
}

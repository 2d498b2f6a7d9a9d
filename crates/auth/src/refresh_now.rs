//! A refresh that somebody asks for: what came of it.

use coderclaw_providers::Manifest;
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, Millis, when};

use crate::context::Auth;
use crate::lease::Lease;
use crate::resolve::{Ask, LeaseError};

/// What an explicit refresh came to.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// What would be lent now.
    pub lease: Lease,
    /// It is another token than before; else the old one was not due, and nothing was sent.
    pub is_new: bool,
    /// The token is due and could not be refreshed, for this reason.
    pub still_due: Option<String>,
}

impl Auth {
    /// Refreshes the login that `ask` means, if it is due.
    ///
    /// # Errors
    /// Where nothing can be lent.
    pub fn refresh_now(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        ask: Ask,
    ) -> Result<Refreshed, LeaseError> {
        let ask = Ask { explicit_refresh: true, ..ask };
        let before = self.explain(agent, manifest, &ask)?.winner;
        let lease = self.lease(agent, manifest, &ask)?;
        let is_new = before.is_none_or(|winner| {
            winner.profile_id == lease.profile && winner.valid_until != lease.valid_until
        });
        let still_due = if is_new { None } else { self.still_due(agent, &lease)? };
        Ok(Refreshed { lease, is_new, still_due })
    }

    /// Why a token that is due and was lent all the same was not refreshed.
    fn still_due(&self, agent: &AgentPaths, lease: &Lease) -> Result<Option<String>, LeaseError> {
        let profiles = self.status(agent)?.profiles;
        let one = profiles.into_iter().find(|one| Some(&one.id) == lease.profile.as_ref());
        Ok(one.filter(|one| one.state == Code::RefreshDue).and_then(|one| one.detail))
    }
}

impl Refreshed {
    /// Whose token it is.
    pub fn whose(&self) -> String {
        self.lease.profile.as_ref().map_or_else(|| self.lease.source.clone(), ToString::to_string)
    }

    /// One line about it. `local` writes a time in the reader's zone.
    pub fn sentence(&self, now: Millis, local: impl Fn(Millis) -> String) -> String {
        let whose = self.whose();
        if let Some(why) = &self.still_due {
            return format!("{whose} was not refreshed: {why}");
        }
        let until = self.lease.valid_until.map_or_else(
            || "no end is known".to_owned(),
            |until| format!("its token ends {} ({})", when(until, now), local(until)),
        );
        if self.is_new {
            format!("Refreshed {whose}; {until}.")
        } else {
            format!("{whose} is not due: {until}. Nothing was sent.")
        }
    }
}

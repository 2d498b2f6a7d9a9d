//! Which profiles are set aside, and ending that by hand.

use coderclaw_store::{AgentPaths, Entry, StateGuard, UsageStats, read_auth_state, read_auth_store};
use coderclaw_types::{Code, Millis, ProfileId};

use crate::context::Auth;
use crate::cooldown::unusable_until;
use crate::edit::EditError;
use crate::events::{Event, Note};

/// A profile that is set aside.
#[derive(Debug, Clone)]
pub struct Cooling {
    /// Which one.
    pub profile: ProfileId,
    /// `cooldown`, `usage_limit` or `disabled`.
    pub reason: Code,
    /// Until when.
    pub until: Millis,
    /// Failures in the present window.
    pub errors: u32,
}

impl Auth {
    /// The profiles of the agent that are set aside now. Looks and changes nothing.
    ///
    /// # Errors
    /// Where the agent's files cannot be read.
    pub fn cooldowns(&self, agent: &AgentPaths) -> Result<Vec<Cooling>, EditError> {
        let (_, usage) = self.read(agent)?;
        let now = self.clock().now();
        let cooling = usage.ids().into_iter().filter_map(|profile| {
            let stats = usage.usage(&profile);
            let (reason, until) = unusable_until(&stats, self.config().cooldowns(), now)?;
            Some(Cooling { profile, reason, until, errors: stats.error_count })
        });
        Ok(cooling.collect())
    }

    /// Ends the cooldown of one profile, or of all, and forgets the failures that led to it. Gives those that had one.
    ///
    /// # Errors
    /// Where there is no such profile, or the file cannot be written.
    pub fn clear_cooldowns(
        &self,
        agent: &AgentPaths,
        profile: Option<&ProfileId>,
    ) -> Result<Vec<ProfileId>, EditError> {
        self.import_first(agent);
        let (store, usage) = self.read(agent)?;
        let ids = match profile {
            Some(id) if store.doc.get(id).is_none() && !usage.ids().contains(id) => {
                return Err(EditError::unknown(self, id, agent, &store.doc));
            }
            Some(id) => vec![id.clone()],
            None => usage.ids(),
        };
        let cleared = self.clear_usage(agent, &ids)?;
        for id in &cleared {
            let provider =
                store.doc.get(id).as_ref().and_then(Entry::provider).map(|one| self.canonical(one));
            self.audit(Note::new(Event::CooldownClear, agent, "cleared").of(provider.as_ref(), id));
        }
        if !cleared.is_empty() {
            self.renew_cache(agent);
        }
        Ok(cleared)
    }

    /// Forgets failures and cooldowns of these profiles. When each was last used stays. Writes only where there are any.
    pub(crate) fn clear_usage(
        &self,
        agent: &AgentPaths,
        ids: &[ProfileId],
    ) -> Result<Vec<ProfileId>, EditError> {
        let has_failures = |stats: &UsageStats| {
            let cleared = UsageStats { last_used: stats.last_used, ..UsageStats::default() };
            *stats != cleared
        };
        let (_, usage) = self.read(agent)?;
        if !ids.iter().any(|id| has_failures(&usage.usage(id))) {
            return Ok(Vec::new());
        }
        let guard = StateGuard::acquire(self.state(), &agent.state())?;
        let store = read_auth_store(&agent.store())?;
        let mut usage = read_auth_state(guard.target(), &store.doc)?;
        let mut cleared = Vec::new();
        for id in ids {
            let stats = usage.usage(id);
            if has_failures(&stats) {
                usage.set_usage(id, &UsageStats { last_used: stats.last_used, ..UsageStats::default() });
                cleared.push(id.clone());
            }
        }
        guard.commit(&usage)?;
        let kept = read_auth_state(guard.target(), &store.doc)?;
        if cleared.iter().any(|id| has_failures(&kept.usage(id))) {
            return Err(EditError::NotKept { store: guard.target().display().to_string() });
        }
        Ok(cleared)
    }
}

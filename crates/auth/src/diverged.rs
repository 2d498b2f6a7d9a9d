//! Two entries that were one login once, it seems, before another program refreshed one of them.

use coderclaw_store::{AgentPaths, Entry, read_auth_store};
use coderclaw_types::{AgentId, ProfileId, ProviderId};

use crate::context::Auth;
use crate::grant::{Refreshable, life};

/// A profile whose refresh token may have been spent with a copy of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DivergedCopy {
    /// Whose profile it is.
    pub agent: AgentId,
    /// Of which provider.
    pub provider: ProviderId,
    /// Its id, which is the copy's too.
    pub profile: ProfileId,
    /// The agent that holds the newer one.
    pub newer: AgentId,
}

impl Auth {
    /// The profiles of one id and one account in two agents' stores that hold different refresh tokens, where the older one was
    /// never refreshed here: the original copies whole stores, and refreshes one copy without the other. It cannot be told from
    /// two logins of one person, so this is for a person to judge. With `agent`, only those of that agent. Nothing is
    /// written, and a store that cannot be read counts as empty.
    pub fn diverged_copies(&self, agent: Option<&AgentPaths>) -> Vec<DivergedCopy> {
        let agents = self.state().agents(self.config()).unwrap_or_default();
        let mut all: Vec<(AgentId, Refreshable)> = Vec::new();
        for one in &agents {
            let Ok(store) = read_auth_store(&one.store()) else { continue };
            let entries = store.doc.entries().filter_map(|(id, entry)| match entry {
                Entry::OAuth(entry) => Refreshable::of(self, &id, &entry),
                _ => None,
            });
            all.extend(entries.filter(|one| one.endpoint.rotates).map(|login| (one.agent.clone(), login)));
        }
        let mut found = Vec::new();
        for (agent, older) in all.iter().filter(|(_, login)| login.entry.grant.is_none()) {
            let newer = all.iter().find(|(other, login)| other != agent && is_newer(login, older));
            if let Some((newer, _)) = newer {
                found.push(DivergedCopy {
                    agent: agent.clone(),
                    provider: self.canonical(&older.entry.provider),
                    profile: older.profile.clone(),
                    newer: newer.clone(),
                });
            }
        }
        found.retain(|copy| agent.is_none_or(|wanted| wanted.agent == copy.agent));
        found
    }
}

/// Whether `one` is what a refresh would have made of `older`.
fn is_newer(one: &Refreshable, older: &Refreshable) -> bool {
    let whose = |login: &Refreshable| (login.entry.account_id.clone(), login.entry.email.clone());
    let ends = |login: &Refreshable| life(&login.entry).map(|life| life.expires);
    one.profile == older.profile
        && one.entry.provider == older.entry.provider
        && one.token != older.token
        && whose(one) == whose(older)
        && ends(one) > ends(older)
}

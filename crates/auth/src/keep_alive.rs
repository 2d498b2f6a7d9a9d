//! Logins that nobody asks for are refreshed all the same: a parked account's grant would die before its limit returns.

use coderclaw_store::{AgentPaths, Entry, read_auth_store};
use coderclaw_types::ProfileId;

use crate::context::Auth;
use crate::refresh::ask::Want;
use crate::refresh::{RefreshError, obtain};
use crate::resolve::ResolveError;

/// How one login of an agent stands after [`Auth::keep_alive`].
#[derive(Debug)]
pub struct KeptAlive {
    /// Which one.
    pub profile: ProfileId,
    /// Whether its token is a new one now; or why there is none that works.
    pub renewed: Result<bool, RefreshError>,
}

impl Auth {
    /// Refreshes those of the agent's own logins whose time has come, one after the other, whether anybody uses them,
    /// whether an order names them, and whether they cool. What was refused for good or a moment ago is left alone, as
    /// everywhere; a login that is fresh costs a look at its files.
    ///
    /// # Errors
    /// Where the agent's store cannot be read.
    pub fn keep_alive(&self, agent: &AgentPaths) -> Result<Vec<KeptAlive>, ResolveError> {
        let store = read_auth_store(&agent.store())?;
        let logins = store.doc.entries().filter_map(|(id, entry)| match entry {
            Entry::OAuth(login) if login.refresh.is_some() => Some((id, login.access)),
            _ => None,
        });
        let kept = logins.map(|(profile, before)| {
            let good = obtain(self, agent, &profile, &Want::default());
            let renewed = good.map(|good| good.is_some_and(|good| Some(good.access) != before));
            KeptAlive { profile, renewed }
        });
        Ok(kept.collect())
    }
}

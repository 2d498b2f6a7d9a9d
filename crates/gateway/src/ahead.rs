//! Refreshing ahead of time, parked accounts too, one login after the other.

use std::collections::HashMap;
use std::sync::Arc;

use coderclaw_types::{AgentId, Code, ProfileId};

use crate::gateway::Shared;
use crate::options::Note;

/// What was last said about a login that gets no new token: it is said once.
type Said = HashMap<(AgentId, ProfileId), Code>;

/// Looks after all logins of all agents until the gateway ends. What a look begins goes on in a worker of its own.
pub(crate) async fn look_after(shared: Arc<Shared>) {
    let mut said = Said::new();
    loop {
        let with = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || {
            look(&with, &mut said);
            said
        });
        match looked.await {
            Ok(after) => said = after,
            Err(_) => said = Said::new(),
        }
        tokio::time::sleep(shared.limits.ahead).await;
    }
}

fn look(shared: &Shared, said: &mut Said) {
    let (open, _) = shared.logins.now();
    let agents = match open.auth().state().agents(open.auth().config()) {
        Ok(agents) => agents,
        Err(e) => return shared.tell(Note::event(format!("refreshing ahead: {e}"))),
    };
    for agent in agents {
        let kept = match open.auth().keep_alive(&agent) {
            Ok(kept) => kept,
            Err(e) => {
                shared.tell(Note::detail(format!("refreshing ahead: {e}")));
                continue;
            }
        };
        for one in kept {
            let (name, profile) = (agent.agent.clone(), one.profile);
            match one.renewed {
                Ok(is_new) => {
                    said.remove(&(name, profile.clone()));
                    if is_new {
                        shared.numbers.renewed();
                        shared.tell(Note::event(format!("refreshed {profile} ahead of time")));
                    }
                }
                Err(e) => {
                    if said.insert((name, profile.clone()), e.code()) != Some(e.code()) {
                        shared.tell(Note::event(format!("{profile} [{}]: {e}", e.code())));
                    }
                }
            }
        }
    }
}

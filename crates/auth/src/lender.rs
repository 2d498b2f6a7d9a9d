//! Lending many times a second, for programs that run on: what was lent is lent again while nothing that the decision
//! looked at has changed.
//!
//! It decides nothing: each answer is one that [`Auth::lease`] has given for these very files, told apart by `stat`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, Signature};
use coderclaw_types::{AgentId, Millis, ProfileId, ProviderId};

use crate::context::Auth;
use crate::decide::Decision;
use crate::lease::Lease;
use crate::resolve::{Ask, LeaseError};
use crate::scene::Scene;

/// However still everything stands, the resolver is asked again after this long.
const LONGEST: Duration = Duration::from_secs(10);
/// A file that was written in place within one tick of the kernel's clock looks the same before and after. One that has
/// stood for longer than any tick does not.
const SETTLED: Duration = Duration::from_millis(50);
/// More questions than anybody has. Beyond that, all are asked anew.
const MOST: usize = 10_000;

/// What a decision was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grounds {
    /// The files it looked at; some may be missing.
    pub(crate) files: Vec<PathBuf>,
    /// When time alone may change it.
    pub(crate) until: Option<Millis>,
}

/// What the answer depends on, beside files and time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    agent: AgentId,
    provider: ProviderId,
    session: Option<String>,
    profile: Option<ProfileId>,
}

#[derive(Debug)]
struct Known {
    files: Vec<(PathBuf, Option<Signature>)>,
    /// There once the files have been found unchanged by a look before and one after the decision.
    lease: Option<Lease>,
    until: Millis,
    asked_at: Millis,
}

/// An [`Auth`] that remembers what it lent. Cheap to clone; clones remember together.
#[derive(Debug, Clone)]
pub struct Lender {
    auth: Auth,
    known: Arc<Mutex<HashMap<Question, Known>>>,
}

impl Lender {
    /// A lender that remembers nothing yet.
    pub fn new(auth: Auth) -> Self {
        Self { auth, known: Arc::default() }
    }

    /// What it lends from.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The same as [`Auth::lease`], quicker where nothing has changed.
    ///
    /// # Errors
    /// As [`Auth::lease`].
    pub fn lease(&self, agent: &AgentPaths, manifest: &Manifest, ask: &Ask) -> Result<Lease, LeaseError> {
        if ask.rejected.is_some() || ask.explicit_refresh {
            return self.auth.lease(agent, manifest, ask);
        }
        let question = Question::of(agent, manifest, ask);
        let now = self.auth.clock().now();
        let before = match self.recall(&question, ask, now) {
            Recalled::Lease(lease) => return Ok(*lease),
            Recalled::Unchanged(files) => Some(files),
            Recalled::Nothing => None,
        };
        let mut grounds = None;
        let mut note = |scene: &Scene<'_>, decision: &Decision| grounds = Some(scene.grounds(decision, ask));
        let lease = self.auth.lease_on(agent, manifest, ask, &mut note)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match grounds {
            Some(grounds) => {
                if known.len() >= MOST {
                    known.clear();
                }
                known.insert(question, Known::of(&grounds, &lease, before, now));
            }
            None => drop(known.remove(&question)),
        }
        Ok(lease)
    }

    /// What [`Lender::lease`] would lend, where it is known already: a few calls of `stat`, and no file is read. For a thread
    /// that must not wait.
    pub fn remembered(&self, agent: &AgentPaths, manifest: &Manifest, ask: &Ask) -> Option<Lease> {
        if ask.rejected.is_some() || ask.explicit_refresh {
            return None;
        }
        match self.recall(&Question::of(agent, manifest, ask), ask, self.auth.clock().now()) {
            Recalled::Lease(lease) => Some(*lease),
            Recalled::Unchanged(_) | Recalled::Nothing => None,
        }
    }

    fn recall(&self, question: &Question, ask: &Ask, now: Millis) -> Recalled {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = all.get(question) else { return Recalled::Nothing };
        // A clock that was set back is as good a reason to look as one that has moved on.
        let is_current = known.asked_at <= now && now < known.until;
        if !is_current || known.files.iter().any(|(path, was)| Signature::of(path) != *was) {
            return Recalled::Nothing;
        }
        match &known.lease {
            Some(lease) if lease.valid_until.is_none_or(|until| until.since(now) >= ask.min_validity) => {
                Recalled::Lease(Box::new(Lease { lent_at: now, ..lease.clone() }))
            }
            Some(_) => Recalled::Nothing,
            None => Recalled::Unchanged(known.files.clone()),
        }
    }
}

impl Question {
    fn of(agent: &AgentPaths, manifest: &Manifest, ask: &Ask) -> Self {
        Self {
            agent: agent.agent.clone(),
            provider: ProviderId::new(&manifest.id),
            session: ask.session.clone(),
            profile: ask.profile.clone(),
        }
    }
}

enum Recalled {
    Lease(Box<Lease>),
    /// Not yet known; the files are as they were when it was last asked.
    Unchanged(Vec<(PathBuf, Option<Signature>)>),
    Nothing,
}

impl Known {
    fn of(
        grounds: &Grounds,
        lease: &Lease,
        before: Option<Vec<(PathBuf, Option<Signature>)>>,
        now: Millis,
    ) -> Self {
        let files: Vec<_> = grounds.files.iter().map(|path| (path.clone(), Signature::of(path))).collect();
        let is_settled = files
            .iter()
            .all(|(_, signature)| signature.is_none_or(|file| file.changed_before(now.minus(SETTLED))));
        let lease = (is_settled && before.as_ref() == Some(&files)).then(|| lease.clone());
        let until = grounds.until.map_or(now.plus(LONGEST), |until| until.min(now.plus(LONGEST)));
        Self { files, lease, until, asked_at: now }
    }
}

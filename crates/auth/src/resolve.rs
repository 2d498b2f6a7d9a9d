//! The one resolver: which credential is used for an agent, a provider and a session, and why not the others.

use std::time::Duration;

use coderclaw_providers::{CredentialKind, Manifest, PluginCall};
use coderclaw_store::{AgentPaths, ReadError, read_fingerprint_key};
use coderclaw_types::{AgentId, Code, Fingerprint, Millis, ProfileId, ProviderId, Secret, TokenHash};

use crate::context::Auth;
use crate::decide::{Contender, Decision};
use crate::explain::{Candidate, Explanation};
use crate::lease::Lease;
use crate::moved::Moved;
use crate::reference::Wish;
use crate::refresh::ask::Want;
use crate::refresh::{RefreshError, obtain};
use crate::scene::Scene;
use crate::standing::Readiness;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// For which session: its pin counts.
    pub session: Option<String>,
    /// For which model; only told back.
    pub model: Option<String>,
    /// This profile and no other.
    pub profile: Option<ProfileId>,
    /// The token should work for at least this long.
    pub min_validity: Duration,
    /// The provider has just rejected this access token.
    pub rejected: Option<Secret>,
    /// A person asks for a refresh: the spacing after a failure does not hold them up.
    pub explicit_refresh: bool,
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// No such provider.
    #[error("no provider is called \"{name}\"{}", nearest(near))]
    UnknownProvider {
        /// What was asked for.
        name: String,
        /// The nearest ids.
        near: Vec<String>,
    },
    /// No such agent.
    #[error("no agent is called \"{name}\"; there is {}", known.iter().map(AgentId::as_str).collect::<Vec<_>>().join(", "))]
    UnknownAgent {
        /// What was asked for.
        name: String,
        /// The agents there are.
        known: Vec<AgentId>,
    },
    /// No such profile.
    #[error("agent {agent} has no profile \"{id}\" of {provider}{}", nearest(near))]
    UnknownProfile {
        /// What was asked for.
        id: ProfileId,
        /// Whose store was looked at.
        agent: AgentId,
        /// Of which provider.
        provider: ProviderId,
        /// The ids there are.
        near: Vec<String>,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What stands in the way of a refresh cannot be found out.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
}

fn nearest(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

impl ResolveError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownProvider { .. } => Code::UnknownProvider,
            Self::UnknownAgent { .. } => Code::UnknownAgent,
            Self::UnknownProfile { .. } => Code::UnknownProfile,
            Self::Read(e) => e.code(),
            Self::Refresh(e) => e.code(),
        }
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Nothing could be looked at.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The profile that should be used gives no token.
    #[error("{}: {source}", profile.as_str())]
    Refresh {
        /// Which profile.
        profile: ProfileId,
        /// Whose it is, if not the asking agent's own.
        owner: Option<AgentId>,
        /// Why.
        source: RefreshError,
    },
    /// No profile may be used; the first one that was not merely passed over says why.
    #[error("{}", none_usable(explanation))]
    NoneUsable {
        /// Everything that was looked at.
        explanation: Box<Explanation>,
    },
}

/// The candidate whose state is the reason that nothing can be lent: the first that was not merely passed over.
fn blamed(explanation: &Explanation) -> Option<&Candidate> {
    let passed_over = |candidate: &&Candidate| {
        matches!(candidate.reason, Code::ExcludedByOrder | Code::PinnedElsewhere | Code::MeteredNotAllowed)
    };
    let candidates = &explanation.candidates;
    candidates.iter().find(|candidate| !passed_over(candidate)).or_else(|| candidates.first())
}

fn none_usable(explanation: &Explanation) -> String {
    let provider = &explanation.provider;
    match blamed(explanation) {
        None => format!("agent {} has no login for {provider}", explanation.agent_id),
        Some(Candidate { reason: Code::NotLinked, agent_id: Some(other), .. }) => format!(
            "agent {agent} has no login for {provider}; agent {other} has one, and {agent} is not linked to it",
            agent = explanation.agent_id
        ),
        Some(Candidate { profile_id: None, agent_id: Some(_), detail: Some(detail), .. }) => {
            format!("agent {} has no login for {provider} that works: {detail}", explanation.agent_id)
        }
        Some(first) => {
            let id = first.profile_id.as_ref().map_or("the key", ProfileId::as_str);
            let detail =
                first.detail.as_deref().unwrap_or_else(|| first.reason.meaning().trim_end_matches('.'));
            format!("{id}: {detail}")
        }
    }
}

impl LeaseError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Resolve(e) => e.code(),
            Self::Refresh { source, .. } => source.code(),
            Self::NoneUsable { explanation } => {
                blamed(explanation).map_or(Code::MissingCredential, |first| first.reason)
            }
        }
    }

    /// The profile that the failure is about, where it is about one.
    pub fn profile(&self) -> Option<&ProfileId> {
        match self {
            Self::Resolve(_) => None,
            Self::Refresh { profile, .. } => Some(profile),
            Self::NoneUsable { explanation } => blamed(explanation)?.profile_id.as_ref(),
        }
    }

    /// The agent whose profile the failure is about, if that is not the asking one's own.
    pub fn owner(&self) -> Option<&AgentId> {
        match self {
            Self::Resolve(_) => None,
            Self::Refresh { owner, .. } => owner.as_ref(),
            Self::NoneUsable { explanation } => blamed(explanation)?.agent_id.as_ref(),
        }
    }

    /// The agent that asked, where the failure is about it and another one.
    pub fn asking(&self) -> Option<&AgentId> {
        match self {
            Self::NoneUsable { explanation } => Some(&explanation.agent_id),
            Self::Resolve(_) | Self::Refresh { .. } => None,
        }
    }

    /// Until when it stands, where known.
    pub fn until(&self) -> Option<Millis> {
        match self {
            Self::Resolve(_) => None,
            Self::Refresh { source, .. } => source.until(),
            Self::NoneUsable { explanation } => blamed(explanation)?.until,
        }
    }
}

impl Auth {
    /// Which credential would be used, and why not the others. Looks and changes nothing.
    ///
    /// # Errors
    /// Where the agent's files cannot be read, or a profile that was asked for does not exist.
    pub fn explain(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        ask: &Ask,
    ) -> Result<Explanation, ResolveError> {
        let (scene, _) = Scene::look(self, agent)?;
        Ok(scene.explanation(&scene.decide(manifest, ask)?, ask))
    }

    /// A lease on the credential that [`Auth::explain`] names, refreshed first where it is due.
    ///
    /// A profile whose refresh shows that it needs a login makes way for the next that may be used, in the same call.
    ///
    /// # Errors
    /// Where no credential may be used, or the one to be used gives no token now.
    pub fn lease(&self, agent: &AgentPaths, manifest: &Manifest, ask: &Ask) -> Result<Lease, LeaseError> {
        self.lease_on(agent, manifest, ask, &mut |_, _| ())
    }

    /// The same; `stands` is told where what was lent stands in the files as they are, and the next one who asks would
    /// get it too.
    pub(crate) fn lease_on(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        ask: &Ask,
        stands: &mut dyn FnMut(&Scene<'_>, &Decision),
    ) -> Result<Lease, LeaseError> {
        let mut tried: Vec<ProfileId> = Vec::new();
        let mut needs_login: Option<(ProfileId, RefreshError)> = None;
        let mut has_imported = false;
        loop {
            let scene = Scene::read(self, agent)?;
            // Logins of an older version come before a key of the environment, and only where there is none here.
            if !has_imported && !scene.has_profiles_of(&ProviderId::new(&manifest.id)) {
                has_imported = true;
                self.import_first(agent);
                // Looked at again in any case: somebody else may have imported them just now.
                continue;
            }
            let decision = scene.decide(manifest, ask)?;
            let none = || LeaseError::NoneUsable { explanation: Box::new(scene.explanation(&decision, ask)) };
            let winner = decision.winner().ok_or_else(none)?;
            let Some(id) = winner.candidate.profile_id.clone() else {
                let lent = self.lend_from_elsewhere(&scene, manifest, winner, ask);
                let source = winner.candidate.source.as_deref().unwrap_or_default();
                let lent = lent.map_err(|error| LeaseError::Refresh {
                    profile: ProfileId::stored(source),
                    owner: None,
                    source: error,
                })?;
                return lent.or_else(|| scene.lend(manifest, winner, &winner.standing)).ok_or_else(none);
            };
            let is_first_try = !tried.contains(&id);
            match self.lend_or_refresh(&scene, manifest, winner, &id, ask) {
                Ok(Some(mut lease)) => {
                    if let Err(source) = self.add_plugin_headers(manifest, &mut lease) {
                        let owner = scene.other(winner.whose);
                        return Err(LeaseError::Refresh { profile: id, owner, source });
                    }
                    let moved = needs_login.filter(|(from, _)| *from != id).map(|(from, error)| {
                        Box::new(Moved {
                            provider: lease.provider.clone(),
                            from,
                            to: Some(id),
                            code: error.code(),
                            why: error.to_string(),
                            until: None,
                            at: scene.now(),
                        })
                    });
                    if let Some(moved) = &moved {
                        self.audit_move(agent, moved);
                    }
                    let standing = &winner.standing;
                    let as_it_stands = standing.readiness == Readiness::Now && !standing.unfinished;
                    // Header lines of a program are made for each request.
                    let is_whole = !manifest.plugin.as_ref().is_some_and(|one| one.does(PluginCall::Headers));
                    if tried.is_empty()
                        && is_whole
                        && as_it_stands
                        && standing.secret.as_ref() == Some(&lease.token)
                    {
                        stands(&scene, &decision);
                    }
                    return Ok(Lease { after_rejection: ask.rejected.is_some(), moved, ..lease });
                }
                // The entry changed while we looked: look again, once.
                Ok(None) if is_first_try => {}
                Ok(None) => return Err(none()),
                // What the refresh found out is on record now, and the next profile may serve.
                Err(e) if is_first_try && matches!(e.code(), Code::NeedsLogin | Code::Interrupted) => {
                    needs_login.get_or_insert((id.clone(), e));
                }
                Err(source) => {
                    return Err(LeaseError::Refresh {
                        profile: id,
                        owner: scene.other(winner.whose),
                        source,
                    });
                }
            }
            tried.push(id);
        }
    }

    fn lend_or_refresh(
        &self,
        scene: &Scene<'_>,
        manifest: &Manifest,
        winner: &Contender,
        id: &ProfileId,
        ask: &Ask,
    ) -> Result<Option<Lease>, RefreshError> {
        let standing = &winner.standing;
        if standing.reference.is_some() {
            return self.lend_from_elsewhere(scene, manifest, winner, ask);
        }
        let rejected = ask.rejected.as_ref().map(TokenHash::of);
        let was_rejected = rejected.is_some() && standing.secret.as_ref().map(TokenHash::of) == rejected;
        let left = standing.valid_until.map(|until| until.since(scene.now()));
        let is_too_short = left.is_some_and(|left| left < ask.min_validity);
        let is_login = winner.kind == Some(CredentialKind::OAuth);
        if standing.readiness == Readiness::Now && !was_rejected && !is_too_short && !standing.unfinished {
            return Ok(scene.lend(manifest, winner, standing));
        }
        if !is_login && was_rejected {
            let detail = "the provider rejects it, and it cannot be renewed".into();
            return Err(RefreshError::Denied { code: Code::Rejected, detail, until: None });
        }
        if !is_login {
            return Err(RefreshError::CannotGuarantee { until: standing.valid_until });
        }
        let want = Want { min_validity: ask.min_validity, rejected, explicit: ask.explicit_refresh };
        // In the store it comes from, so that everybody who is linked to it gets the new token.
        let good = obtain(self, &scene.shelf(winner.whose).agent, id, &want)?;
        Ok(good.and_then(|good| scene.lend(manifest, winner, &standing.clone().with_good(&good))))
    }

    /// The secret that the winner refers to, fetched now. `None` where it refers to none.
    fn lend_from_elsewhere(
        &self,
        scene: &Scene<'_>,
        manifest: &Manifest,
        winner: &Contender,
        ask: &Ask,
    ) -> Result<Option<Lease>, RefreshError> {
        let Some(reference) = &winner.standing.reference else { return Ok(None) };
        let wish =
            Wish { min_validity: ask.min_validity, rejected: ask.rejected.as_ref().map(TokenHash::of) };
        let (secret, until) = self.fetch(&ProviderId::new(&manifest.id), reference, &wish)?;
        let mut standing = winner.standing.clone();
        standing.secret = Some(secret);
        standing.valid_until = until.or(standing.valid_until);
        Ok(scene.lend(manifest, winner, &standing))
    }

    /// What identifies a secret on a screen; `None` until the state dir has been written to.
    pub fn fingerprint(&self, secret: &Secret) -> Option<Fingerprint> {
        let key = read_fingerprint_key(self.state()).ok().flatten()?;
        Some(Fingerprint::of(&key, secret))
    }
}

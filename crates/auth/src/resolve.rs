//! The one resolver: which credential is used for an agent, a provider and a session, and why not the others.

use std::time::Duration;

use coderclaw_providers::{Billing, CredentialKind, Manifest};
use coderclaw_store::{
    AgentPaths, AuthProfiles, AuthState, Entry, JournalView, OAuthEntry, OutcomeKind, ReadError,
    StoreSnapshot, read_fingerprint_key,
};
use coderclaw_types::{
    AgentId, Code, Fingerprint, FingerprintKey, Millis, ProfileId, ProviderId, Secret, TokenHash,
};

use crate::context::Auth;
use crate::cooldown::unusable_until;
use crate::explain::{Candidate, Explanation, OrderSource, Verdict, Winner};
use crate::grant::{Refreshable, life};
use crate::lease::Lease;
use crate::order::{Orderable, sequence};
use crate::refresh::ask::{Asked, Good, Moment, Want, ask};
use crate::refresh::{RefreshError, blocker, obtain};
use crate::session::{Pin, read_pin};

/// A credential that cannot renew itself is expiring in its last day.
const LAST_DAY: Duration = Duration::from_secs(24 * 3600);

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
        /// Why.
        source: RefreshError,
    },
    /// No profile may be used; the first one that was considered says why.
    #[error("{}", none_usable(explanation))]
    NoneUsable {
        /// Everything that was looked at.
        explanation: Box<Explanation>,
    },
}

fn none_usable(explanation: &Explanation) -> String {
    let provider = &explanation.provider;
    match explanation.candidates.first() {
        None => format!("agent {} has no login for {provider}", explanation.agent_id),
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
                explanation.candidates.first().map_or(Code::MissingCredential, |first| first.reason)
            }
        }
    }

    /// The profile that the failure is about, where it is about one.
    pub fn profile(&self) -> Option<&ProfileId> {
        match self {
            Self::Resolve(_) => None,
            Self::Refresh { profile, .. } => Some(profile),
            Self::NoneUsable { explanation } => explanation.candidates.first()?.profile_id.as_ref(),
        }
    }

    /// Until when it stands, where known.
    pub fn until(&self) -> Option<Millis> {
        match self {
            Self::Resolve(_) => None,
            Self::Refresh { source, .. } => source.until(),
            Self::NoneUsable { explanation } => explanation.candidates.first()?.until,
        }
    }
}

/// Whether a profile can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// At once.
    Now,
    /// Once it has been refreshed.
    AfterRefresh,
    /// Not now, for a passing reason that is not the account's: the same profile is tried again later.
    Blocked,
    /// Not before something changes.
    Never,
}

/// How one profile stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) readiness: Readiness,
    pub(crate) reason: Code,
    pub(crate) until: Option<Millis>,
    pub(crate) detail: Option<String>,
    /// What is lent, or what would be if it still worked.
    pub(crate) secret: Option<Secret>,
    pub(crate) valid_until: Option<Millis>,
    pub(crate) account_id: Option<String>,
    /// A refresh is answered and not yet in the store.
    unfinished: bool,
}

/// A profile and how it stands.
pub(crate) struct Stands {
    pub(crate) id: ProfileId,
    pub(crate) entry: Entry,
    pub(crate) standing: Standing,
}

impl Standing {
    fn new(readiness: Readiness, reason: Code) -> Self {
        Self {
            readiness,
            reason,
            until: None,
            detail: None,
            secret: None,
            valid_until: None,
            account_id: None,
            unfinished: false,
        }
    }

    fn with_good(mut self, good: &Good) -> Self {
        self.secret = Some(good.access.clone());
        self.valid_until = good.expires;
        self.account_id.clone_from(&good.account_id);
        self.unfinished = good.unfinished;
        self
    }
}

pub(crate) fn credential_kind(entry: &Entry) -> Option<CredentialKind> {
    match entry {
        Entry::ApiKey(_) => Some(CredentialKind::ApiKey),
        Entry::Token(_) => Some(CredentialKind::Token),
        Entry::OAuth(_) => Some(CredentialKind::OAuth),
        Entry::Unknown { .. } | Entry::Damaged { .. } => None,
    }
}

/// What the resolver looks at, read once.
struct Scene<'a> {
    auth: &'a Auth,
    agent: &'a AgentPaths,
    manifest: &'a Manifest,
    provider: ProviderId,
    store: StoreSnapshot,
    usage: AuthState,
    key: Option<FingerprintKey>,
    now: Millis,
}

/// A candidate and what is needed to lend it.
struct Contender {
    candidate: Candidate,
    kind: Option<CredentialKind>,
    standing: Standing,
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
        let scene = Scene::read(self, agent, manifest)?;
        Ok(scene.decide(ask)?.0)
    }

    /// A lease on the credential that [`Auth::explain`] names, refreshed first where it is due.
    ///
    /// A profile whose refresh shows that it needs a login makes way for the next that may be used, in the same call.
    ///
    /// # Errors
    /// Where no credential may be used, or the one to be used gives no token now.
    pub fn lease(&self, agent: &AgentPaths, manifest: &Manifest, ask: &Ask) -> Result<Lease, LeaseError> {
        let mut tried: Vec<ProfileId> = Vec::new();
        loop {
            let scene = Scene::read(self, agent, manifest)?;
            let (explanation, winner) = scene.decide(ask)?;
            let Some(winner) = winner else {
                return Err(LeaseError::NoneUsable { explanation: Box::new(explanation) });
            };
            let Some(id) = winner.candidate.profile_id.clone() else {
                return scene
                    .lend(&winner)
                    .ok_or(LeaseError::NoneUsable { explanation: Box::new(explanation) });
            };
            let rejected = ask.rejected.as_ref().map(TokenHash::of);
            let was_rejected =
                rejected.is_some() && winner.standing.secret.as_ref().map(TokenHash::of) == rejected;
            if was_rejected && winner.kind != Some(CredentialKind::OAuth) {
                let detail = "the provider rejects it, and it cannot be renewed".into();
                let source = RefreshError::Denied { code: Code::Rejected, detail, until: None };
                return Err(LeaseError::Refresh { profile: id, source });
            }
            let left = winner.standing.valid_until.map(|until| until.since(scene.now));
            let too_short = left.is_some_and(|left| left < ask.min_validity);
            if winner.standing.readiness == Readiness::Now
                && !was_rejected
                && !too_short
                && !winner.standing.unfinished
                && let Some(lease) = scene.lend(&winner)
            {
                return Ok(lease);
            }
            if winner.kind != Some(CredentialKind::OAuth) {
                let source = RefreshError::CannotGuarantee { until: winner.standing.valid_until };
                return Err(LeaseError::Refresh { profile: id, source });
            }
            let want = Want { min_validity: ask.min_validity, rejected, explicit: ask.explicit_refresh };
            match obtain(self, agent, &id, &want) {
                Ok(Some(good)) => {
                    let mut winner = winner;
                    winner.standing = winner.standing.with_good(&good);
                    if let Some(lease) = scene.lend(&winner) {
                        return Ok(lease);
                    }
                }
                // It went away or stopped being a login while we looked: look again.
                Ok(None) => {}
                Err(source) => {
                    let next_may_serve =
                        source.code() == Code::NeedsLogin || source.code() == Code::Interrupted;
                    if !next_may_serve || tried.contains(&id) {
                        return Err(LeaseError::Refresh { profile: id, source });
                    }
                }
            }
            if tried.contains(&id) {
                return Err(LeaseError::NoneUsable { explanation: Box::new(explanation) });
            }
            tried.push(id);
        }
    }

    /// How every profile of the agent stands.
    pub(crate) fn standings(&self, agent: &AgentPaths) -> Result<(StoreSnapshot, Vec<Stands>), ResolveError> {
        let (store, usage) = self.read(agent)?;
        let now = self.clock().now();
        let mut all = Vec::new();
        for (id, entry) in store.doc.entries() {
            let mut standing = standing(self, &store, &id, &entry, now)?;
            set_aside(self, &usage, &id, &mut standing, now);
            all.push(Stands { id, entry, standing });
        }
        Ok((store, all))
    }
}

/// Marks a usable profile that is cooling or disabled.
fn set_aside(auth: &Auth, usage: &AuthState, id: &ProfileId, standing: &mut Standing, now: Millis) {
    let cooling = unusable_until(&usage.usage(id), auth.config().cooldowns(), now);
    if let Some((reason, until)) = cooling
        && standing.readiness != Readiness::Never
    {
        standing.readiness = Readiness::Never;
        standing.reason = reason;
        standing.until = Some(until);
        standing.detail = None;
    }
}

/// How a profile stands by itself, without order, pin and cooldown.
fn standing(
    auth: &Auth,
    store: &StoreSnapshot,
    id: &ProfileId,
    entry: &Entry,
    now: Millis,
) -> Result<Standing, ResolveError> {
    let never = |reason| Standing::new(Readiness::Never, reason);
    let fixed = |secret: &Option<Secret>, is_ref: bool, expires: Option<Millis>, invalid: bool| {
        let Some(secret) = secret.as_ref().filter(|secret| !secret.is_blank()) else {
            return never(if is_ref { Code::UnresolvedRef } else { Code::MissingCredential });
        };
        let mut standing = match expires {
            _ if invalid => never(Code::InvalidExpires),
            Some(at) if at <= now => never(Code::Expired),
            Some(at) if at.since(now) <= LAST_DAY => Standing::new(Readiness::Now, Code::Expiring),
            _ => Standing::new(Readiness::Now, Code::Ok),
        };
        standing.secret = Some(secret.clone());
        standing.valid_until = expires;
        standing
    };
    Ok(match entry {
        Entry::ApiKey(key) => fixed(&key.key, key.is_ref, None, false),
        Entry::Token(token) => fixed(&token.token, token.is_ref, token.expires, token.invalid_expires),
        Entry::OAuth(login) => oauth_standing(auth, store, id, login, now)?,
        Entry::Unknown { kind, .. } => {
            let mut standing = never(Code::MissingCredential);
            standing.detail = Some(format!("this version does not know entries of type \"{kind}\""));
            standing
        }
        Entry::Damaged { why } => {
            let mut standing = never(Code::Corrupt);
            standing.detail = Some(format!("the entry is damaged: {why}"));
            standing
        }
    })
}

fn oauth_standing(
    auth: &Auth,
    store: &StoreSnapshot,
    id: &ProfileId,
    login: &OAuthEntry,
    now: Millis,
) -> Result<Standing, ResolveError> {
    let Some(one) = Refreshable::of(auth, id, login) else {
        return Ok(unrenewable(login, now));
    };
    let journal = JournalView::read(&auth.state().journal(&one.grant))?;
    let network = match journal.outcomes.iter().find_map(|outcome| outcome.network.as_ref()) {
        Some(_) => auth.network().digest(),
        None => String::new(),
    };
    let moment = Moment { now, began_at_seq: None, network: &network };
    let mut asked = ask(&one, &journal, &Want::default(), &moment);
    if let Asked::Wanted { meanwhile } = &asked
        && let Some(why) = blocker(auth, store, &one)?
    {
        asked = Asked::Denied { why, meanwhile: meanwhile.clone() };
    }
    let standing = match asked {
        Asked::Lend(good) => {
            let renewable = journal.outcome_of(&one.token).is_none_or(|o| o.kind != OutcomeKind::Refused);
            let ends_soon = good.expires.is_some_and(|at| at.since(now) <= LAST_DAY);
            let reason = if renewable || !ends_soon { Code::Ok } else { Code::Expiring };
            Standing::new(Readiness::Now, reason).with_good(&good)
        }
        Asked::Wanted { meanwhile: Some(good) } => {
            Standing::new(Readiness::AfterRefresh, Code::RefreshDue).with_good(&good)
        }
        Asked::Wanted { meanwhile: None } => {
            let mut standing = Standing::new(Readiness::AfterRefresh, Code::RefreshDue);
            standing.secret.clone_from(&login.access);
            standing.valid_until = life(login).map(|life| life.expires);
            standing.account_id.clone_from(&login.account_id);
            standing
        }
        Asked::Denied { why, meanwhile: Some(good) } => {
            let reason = if why.terminal { Code::Expiring } else { Code::RefreshDue };
            let mut standing = Standing::new(Readiness::Now, reason).with_good(&good);
            standing.until = why.until;
            standing.detail = Some(why.detail);
            standing
        }
        Asked::Denied { why, meanwhile: None } => {
            let readiness = if why.terminal { Readiness::Never } else { Readiness::Blocked };
            let mut standing = Standing::new(readiness, why.code);
            standing.until = why.until;
            standing.detail = Some(why.detail);
            standing.secret.clone_from(&login.access);
            standing.valid_until = life(login).map(|life| life.expires);
            standing
        }
    };
    Ok(standing)
}

/// A login without a refresh token, or of a provider that has no token endpoint.
fn unrenewable(login: &OAuthEntry, now: Millis) -> Standing {
    let Some(access) = &login.access else {
        return Standing::new(Readiness::Never, Code::MissingCredential);
    };
    let expires = life(login).map(|life| life.expires);
    let mut standing = match expires {
        None => Standing::new(Readiness::Never, Code::InvalidExpires),
        Some(at) if at <= now => Standing::new(Readiness::Never, Code::Expired),
        Some(at) if at.since(now) <= LAST_DAY => Standing::new(Readiness::Now, Code::Expiring),
        Some(_) => Standing::new(Readiness::Now, Code::Ok),
    };
    standing.secret = Some(access.clone());
    standing.valid_until = expires;
    standing.account_id.clone_from(&login.account_id);
    standing
}

impl<'a> Scene<'a> {
    fn read(auth: &'a Auth, agent: &'a AgentPaths, manifest: &'a Manifest) -> Result<Self, ResolveError> {
        let (store, usage) = auth.read(agent)?;
        Ok(Self {
            auth,
            agent,
            manifest,
            provider: ProviderId::new(&manifest.id),
            store,
            usage,
            key: read_fingerprint_key(auth.state())?,
            now: auth.clock().now(),
        })
    }

    fn order(&self) -> (OrderSource, Option<Vec<ProfileId>>) {
        if let Some(order) = self.store.doc.order(&self.provider) {
            return (OrderSource::Store, Some(order));
        }
        match self.auth.config().order(&self.provider) {
            Some(order) => (OrderSource::Config, Some(order.to_vec())),
            None => (OrderSource::None, None),
        }
    }

    /// The decision, and the winner with what is needed to lend it.
    fn decide(&self, ask: &Ask) -> Result<(Explanation, Option<Contender>), ResolveError> {
        let (order_source, order) = self.order();
        let pin = self.pin(ask)?;
        let mut own: Vec<(ProfileId, Entry)> = Vec::new();
        let mut others: Vec<(ProfileId, Entry)> = Vec::new();
        for (id, entry) in self.store.doc.entries() {
            let is_own = entry.provider().is_some_and(|p| self.auth.canonical(p) == self.provider);
            if is_own { own.push((id, entry)) } else { others.push((id, entry)) }
        }
        if let Some(id) = &ask.profile
            && !own.iter().any(|(own, _)| own == id)
        {
            let near = own.iter().map(|(id, _)| id.to_string()).collect();
            let (id, agent, provider) = (id.clone(), self.agent.agent.clone(), self.provider.clone());
            return Err(ResolveError::UnknownProfile { id, agent, provider, near });
        }
        let has_subscription =
            own.iter().any(|(_, entry)| self.billing(entry) == Some(Billing::Subscription));
        let user_pin = pin.as_ref().filter(|pin| pin.by_user).map(|pin| &pin.profile);

        let mut tried = Vec::new();
        let mut cooling = Vec::new();
        let mut rest = Vec::new();
        let mut orderable = Vec::new();
        for (id, entry) in &own {
            let mut contender = self.contender(id, entry)?;
            // A pin holds also while its profile cools.
            if user_pin != Some(id) {
                set_aside(self.auth, &self.usage, id, &mut contender.standing, self.now);
            }
            let excluded = match (&order, user_pin) {
                (_, Some(pinned)) if pinned != id => Some(Code::PinnedElsewhere),
                (Some(order), None) if !order.contains(id) => Some(Code::ExcludedByOrder),
                _ => None,
            };
            if let Some(reason) = excluded {
                let state = contender.standing.reason;
                contender.candidate.reason = reason;
                contender.candidate.detail = (state != Code::Ok).then(|| state.meaning().to_owned());
                rest.push(contender);
                continue;
            }
            let standing = &contender.standing;
            contender.candidate.reason = standing.reason;
            contender.candidate.until = standing.until;
            contender.candidate.detail.clone_from(&standing.detail);
            let is_cooling = matches!(standing.reason, Code::Cooldown | Code::Disabled);
            orderable.push(Orderable {
                id: id.clone(),
                rank: match contender.kind {
                    Some(CredentialKind::OAuth) => 0,
                    Some(CredentialKind::Token) => 1,
                    _ => 2,
                },
                last_used: self.usage.usage(id).last_used,
                cooling_until: standing.until.filter(|_| is_cooling),
            });
            match standing.readiness {
                _ if is_cooling => cooling.push(contender),
                Readiness::Never => rest.push(contender),
                _ => tried.push(contender),
            }
        }
        let preferred = pin.as_ref().map(|pin| &pin.profile);
        let sequence = sequence(&orderable, order.as_deref(), preferred);
        let place = |c: &Contender| {
            let id = c.candidate.profile_id.as_ref();
            sequence.iter().position(|one| Some(one) == id).unwrap_or(usize::MAX)
        };
        tried.sort_by_key(place);
        cooling.sort_by_key(place);

        for contender in &mut tried {
            contender.candidate.verdict = Verdict::Standby;
            let metered = contender.kind.map(|kind| self.manifest.billing(kind)) == Some(Billing::Metered);
            if metered && has_subscription && order.is_none() && user_pin.is_none() {
                contender.candidate.reason = Code::MeteredNotAllowed;
            }
        }
        let winner = tried.iter().position(|c| c.candidate.reason != Code::MeteredNotAllowed);
        if let Some(at) = winner {
            tried[at].candidate.verdict = Verdict::Winner;
        }
        let named = self.named_but_not_ours(order.as_deref(), user_pin, &own, &others);
        let fallback = if own.is_empty() { self.fallback() } else { None };

        let mut contenders: Vec<Contender> = tried;
        contenders.extend(cooling);
        contenders.extend(rest);
        contenders.extend(named);
        let mut winner = winner;
        if let Some(mut fallback) = fallback {
            if user_pin.is_none() {
                fallback.candidate.verdict = Verdict::Winner;
                winner = Some(contenders.len());
            }
            contenders.push(fallback);
        }
        let explanation = Explanation {
            agent_id: self.agent.agent.clone(),
            provider: self.provider.clone(),
            model: ask.model.clone(),
            session: ask.session.clone(),
            order_source,
            winner: winner.map(|at| self.winner(&contenders[at])),
            candidates: contenders.iter().map(|c| c.candidate.clone()).collect(),
        };
        Ok((explanation, winner.map(|at| contenders.swap_remove(at))))
    }

    fn pin(&self, ask: &Ask) -> Result<Option<Pin>, ResolveError> {
        if let Some(profile) = &ask.profile {
            return Ok(Some(Pin { profile: profile.clone(), by_user: true }));
        }
        let Some(session) = &ask.session else {
            return Ok(None);
        };
        Ok(read_pin(&self.agent.sessions(), session)?)
    }

    fn billing(&self, entry: &Entry) -> Option<Billing> {
        credential_kind(entry).map(|kind| self.manifest.billing(kind))
    }

    fn contender(&self, id: &ProfileId, entry: &Entry) -> Result<Contender, ResolveError> {
        let mut standing = standing(self.auth, &self.store, id, entry, self.now)?;
        if let Some(config) = self.auth.config().profile(id) {
            let same_mode =
                config.mode == entry.kind() || (config.mode == "oauth" && entry.kind() == "token");
            let reason = if self.auth.canonical(&config.provider) != self.provider {
                Some(Code::ProviderMismatch)
            } else if !same_mode {
                Some(Code::ModeMismatch)
            } else {
                None
            };
            if let Some(reason) = reason {
                standing = Standing::new(Readiness::Never, reason);
                standing.detail = Some(format!(
                    "the config says {} of {}, the store has {}",
                    config.mode,
                    config.provider,
                    entry.kind()
                ));
            }
        }
        let candidate = Candidate {
            profile_id: Some(id.clone()),
            kind: Some(entry.kind().to_owned()),
            verdict: Verdict::Skipped,
            reason: standing.reason,
            until: None,
            detail: None,
            source: None,
        };
        Ok(Contender { candidate, kind: credential_kind(entry), standing })
    }

    /// Ids that the order or a pin names and that are another provider's, or nobody's.
    fn named_but_not_ours(
        &self,
        order: Option<&[ProfileId]>,
        pin: Option<&ProfileId>,
        own: &[(ProfileId, Entry)],
        others: &[(ProfileId, Entry)],
    ) -> Vec<Contender> {
        let mut named: Vec<Contender> = Vec::new();
        for id in order.unwrap_or_default().iter().chain(pin) {
            let seen = own.iter().any(|(own, _)| own == id)
                || named.iter().any(|one| one.candidate.profile_id.as_ref() == Some(id));
            if seen {
                continue;
            }
            let other = others.iter().find(|(other, _)| other == id);
            let reason = if other.is_some() { Code::ProviderMismatch } else { Code::MissingCredential };
            let candidate = Candidate {
                profile_id: Some(id.clone()),
                kind: other.map(|(_, entry)| entry.kind().to_owned()),
                verdict: Verdict::Skipped,
                reason,
                until: None,
                detail: None,
                source: None,
            };
            named.push(Contender {
                candidate,
                kind: None,
                standing: Standing::new(Readiness::Never, reason),
            });
        }
        named
    }

    /// A key from the environment or the config, which counts only where the agent has no profile of the provider.
    fn fallback(&self) -> Option<Contender> {
        let env = self.manifest.env.iter().find_map(|name| {
            let secret = Secret::from(self.auth.env().get(name)?);
            Some((format!("env:{name}"), self.manifest.env_kind(name), secret))
        });
        let found = env.or_else(|| {
            let key = self.auth.config().api_key(&self.provider)?;
            Some(("config".to_owned(), CredentialKind::ApiKey, key))
        });
        let (source, kind, secret) = found?;
        let mut standing = Standing::new(Readiness::Now, Code::Ok);
        standing.secret = Some(secret);
        let candidate = Candidate {
            profile_id: None,
            kind: Some(kind.as_str().to_owned()),
            verdict: Verdict::Skipped,
            reason: Code::Ok,
            until: None,
            detail: None,
            source: Some(source),
        };
        Some(Contender { candidate, kind: Some(kind), standing })
    }

    fn fingerprint(&self, secret: Option<&Secret>) -> Option<Fingerprint> {
        Some(Fingerprint::of(self.key.as_ref()?, secret?))
    }

    fn winner(&self, contender: &Contender) -> Winner {
        Winner {
            profile_id: contender.candidate.profile_id.clone(),
            source: contender.candidate.source.clone().unwrap_or_else(|| "profile".into()),
            fingerprint: self.fingerprint(contender.standing.secret.as_ref()),
            valid_until: contender.standing.valid_until,
        }
    }

    fn lend(&self, contender: &Contender) -> Option<Lease> {
        let kind = contender.kind?;
        let standing = &contender.standing;
        let token = standing.secret.clone()?;
        let account = standing.account_id.as_deref();
        // The first refresh makes the key, after this scene was read.
        let key = match &self.key {
            Some(_) => None,
            None => read_fingerprint_key(self.auth.state()).ok().flatten(),
        };
        let fingerprint = self.fingerprint(Some(&token));
        Some(Lease {
            provider: self.provider.clone(),
            profile: contender.candidate.profile_id.clone(),
            source: contender.candidate.source.clone().unwrap_or_else(|| "profile".into()),
            kind,
            fingerprint: fingerprint.or_else(|| Some(Fingerprint::of(&key?, &token))),
            headers: self.manifest.request_headers(kind, &token, account),
            env: self.manifest.lend_env(kind, &token, account),
            account_id: standing.account_id.clone(),
            valid_until: standing.valid_until,
            token,
        })
    }
}

/// Whether a store is read-only for us.
pub(crate) fn is_newer(doc: &AuthProfiles) -> bool {
    doc.version() > AuthProfiles::VERSION
}

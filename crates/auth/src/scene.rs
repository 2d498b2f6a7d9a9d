//! What the resolver looks at, read once, and what it decides.

use std::cell::OnceCell;

use coderclaw_providers::{Billing, CredentialKind, Manifest};
use coderclaw_store::{
    AgentPaths, AuthState, Entry, Pin, StoreSnapshot, read_fingerprint_key, read_sessions,
};
use coderclaw_types::{Code, Fingerprint, FingerprintKey, Millis, ProfileId, ProviderId, Secret};

use crate::context::Auth;
use crate::explain::{Candidate, Explanation, OrderSource, Verdict, Winner};
use crate::first_use::{PendingImport, Plan};
use crate::lease::Lease;
use crate::order::{Orderable, sequence};
use crate::resolve::{Ask, ResolveError};
use crate::standing::{Readiness, Standing, credential_kind, set_aside, standing};

/// One agent's store and usage at one moment.
pub(crate) struct Scene<'a> {
    auth: &'a Auth,
    agent: &'a AgentPaths,
    store: StoreSnapshot,
    usage: AuthState,
    key: Option<FingerprintKey>,
    now: Millis,
    seen: Vec<Seen>,
}

/// One entry of the store. How it stands is found out when it is first asked for, since that may mean reading a
/// journal.
pub(crate) struct Seen {
    pub(crate) id: ProfileId,
    pub(crate) entry: Entry,
    pub(crate) provider: Option<ProviderId>,
    /// It stands in a file of an older version, and is taken over when it is first used.
    pub(crate) is_pending: bool,
    standing: OnceCell<Standing>,
    fingerprint: OnceCell<Option<Fingerprint>>,
}

/// A candidate and what is needed to lend it.
pub(crate) struct Contender {
    pub(crate) candidate: Candidate,
    pub(crate) kind: Option<CredentialKind>,
    pub(crate) standing: Standing,
}

/// What was decided for one provider.
pub(crate) struct Decision {
    provider: ProviderId,
    order_source: OrderSource,
    contenders: Vec<Contender>,
    winner: Option<usize>,
}

impl Decision {
    /// The one that is used.
    pub(crate) fn winner(&self) -> Option<&Contender> {
        self.winner.map(|at| &self.contenders[at])
    }
}

/// The question, with what the agent's files say about it.
struct Question {
    provider: ProviderId,
    order: Option<Vec<ProfileId>>,
    user_pin: Option<ProfileId>,
}

impl<'a> Scene<'a> {
    /// Reads the agent's store and usage, once.
    pub(crate) fn read(auth: &'a Auth, agent: &'a AgentPaths) -> Result<Self, ResolveError> {
        let (store, usage) = auth.read(agent)?;
        Self::of(auth, agent, store, usage, &[])
    }

    /// The same with the logins of older versions that the first use would take over, as if it had.
    pub(crate) fn look(auth: &'a Auth, agent: &'a AgentPaths) -> Result<(Self, Plan), ResolveError> {
        let (mut store, usage) = auth.read(agent)?;
        let plan = auth.pending_imports(agent, &store);
        plan.add_to(&mut store.doc);
        let scene = Self::of(auth, agent, store, usage, &plan.taken)?;
        Ok((scene, plan))
    }

    fn of(
        auth: &'a Auth,
        agent: &'a AgentPaths,
        store: StoreSnapshot,
        usage: AuthState,
        pending: &[PendingImport],
    ) -> Result<Self, ResolveError> {
        let seen = store.doc.entries().map(|(id, entry)| {
            let provider = entry.provider().map(|provider| auth.canonical(provider));
            let is_pending = pending.iter().any(|one| one.profile == id);
            Seen { id, entry, provider, is_pending, standing: OnceCell::new(), fingerprint: OnceCell::new() }
        });
        Ok(Self {
            seen: seen.collect(),
            auth,
            agent,
            store,
            usage,
            key: read_fingerprint_key(auth.state())?,
            now: auth.clock().now(),
        })
    }

    pub(crate) fn store(&self) -> &StoreSnapshot {
        &self.store
    }

    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    /// All entries, in store order.
    pub(crate) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Whether the agent has a profile of this provider, in whatever state.
    pub(crate) fn has_profiles_of(&self, provider: &ProviderId) -> bool {
        self.seen.iter().any(|seen| seen.provider.as_ref() == Some(provider))
    }

    /// How an entry stands, cooldowns included.
    pub(crate) fn shown(&self, seen: &Seen) -> Result<Standing, ResolveError> {
        let mut standing = self.standing(seen)?.clone();
        set_aside(self.auth, &self.usage, &seen.id, &mut standing, self.now);
        Ok(standing)
    }

    fn standing<'s>(&self, seen: &'s Seen) -> Result<&'s Standing, ResolveError> {
        if let Some(known) = seen.standing.get() {
            return Ok(known);
        }
        let found = standing(self.auth, &self.store, &seen.id, &seen.entry, self.now)?;
        Ok(seen.standing.get_or_init(|| found))
    }

    /// What identifies the entry's secret; `None` until the state dir has been written to.
    pub(crate) fn fingerprint(&self, seen: &Seen) -> Option<Fingerprint> {
        let secret = seen.standing.get()?.secret.as_ref();
        seen.fingerprint.get_or_init(|| self.fingerprint_of(secret)).clone()
    }

    fn fingerprint_of(&self, secret: Option<&Secret>) -> Option<Fingerprint> {
        Some(Fingerprint::of(self.key.as_ref()?, secret?))
    }

    /// Which credential of `manifest`'s provider is used, and what becomes of the others.
    pub(crate) fn decide(&self, manifest: &Manifest, ask: &Ask) -> Result<Decision, ResolveError> {
        let provider = ProviderId::new(&manifest.id);
        let (order_source, order) = self.order(&provider);
        let pin = self.pin(ask)?;
        let user_pin = pin.as_ref().filter(|pin| pin.by_user).map(|pin| pin.profile.clone());
        let own: Vec<&Seen> =
            self.seen.iter().filter(|seen| seen.provider.as_ref() == Some(&provider)).collect();
        if let Some(id) = &ask.profile
            && !own.iter().any(|own| own.id == *id)
        {
            let near = own.iter().map(|own| own.id.to_string()).collect();
            return Err(ResolveError::UnknownProfile {
                id: id.clone(),
                agent: self.agent.agent.clone(),
                provider,
                near,
            });
        }
        let question = Question { provider, order, user_pin };

        let mut tried = Vec::new();
        let mut cooling = Vec::new();
        let mut rest = Vec::new();
        let mut orderable = Vec::new();
        for &seen in &own {
            let contender = self.contender(&question, seen)?;
            let is_cooling = matches!(contender.candidate.reason, Code::Cooldown | Code::Disabled);
            orderable.push(Orderable {
                id: seen.id.clone(),
                rank: match contender.kind {
                    Some(CredentialKind::OAuth) => 0,
                    Some(CredentialKind::Token) => 1,
                    _ => 2,
                },
                last_used: self.usage.usage(&seen.id).last_used,
                cooling_until: contender.standing.until.filter(|_| is_cooling),
            });
            match contender.standing.readiness {
                _ if is_cooling => cooling.push(contender),
                Readiness::Never => rest.push(contender),
                _ => tried.push(contender),
            }
        }
        let preferred = pin.as_ref().map(|pin| &pin.profile);
        let sequence = sequence(&orderable, question.order.as_deref(), preferred);
        let place = |c: &Contender| {
            let id = c.candidate.profile_id.as_ref();
            sequence.iter().position(|one| Some(one) == id).unwrap_or(usize::MAX)
        };
        tried.sort_by_key(place);
        cooling.sort_by_key(place);

        let consents = question.order.is_some() || question.user_pin.is_some();
        let billing = |kind| manifest.billing(kind);
        let has_subscription =
            own.iter().any(|own| credential_kind(&own.entry).map(billing) == Some(Billing::Subscription));
        for contender in &mut tried {
            contender.candidate.verdict = Verdict::Standby;
            let is_metered = contender.kind.map(billing) == Some(Billing::Metered);
            if is_metered && has_subscription && !consents {
                contender.candidate.reason = Code::MeteredNotAllowed;
            }
        }
        let mut winner = tried.iter().position(|c| c.candidate.reason != Code::MeteredNotAllowed);
        if let Some(at) = winner {
            tried[at].candidate.verdict = Verdict::Winner;
        }
        let mut contenders = tried;
        contenders.extend(cooling);
        contenders.extend(rest);
        contenders.extend(self.named_but_not_ours(&question, &own));
        if own.is_empty()
            && let Some(mut fallback) = self.fallback(manifest, &question.provider)
        {
            if question.user_pin.is_none() {
                fallback.candidate.verdict = Verdict::Winner;
                winner = Some(contenders.len());
            }
            contenders.push(fallback);
        }
        Ok(Decision { provider: question.provider, order_source, contenders, winner })
    }

    /// The decision as it is told.
    pub(crate) fn explanation(&self, decision: &Decision, ask: &Ask) -> Explanation {
        Explanation {
            agent_id: self.agent.agent.clone(),
            provider: decision.provider.clone(),
            model: ask.model.clone(),
            session: ask.session.clone(),
            order_source: decision.order_source,
            winner: decision.winner().map(|winner| self.winner(winner)),
            candidates: decision.contenders.iter().map(|c| c.candidate.clone()).collect(),
        }
    }

    fn winner(&self, contender: &Contender) -> Winner {
        let id = contender.candidate.profile_id.as_ref();
        let fingerprint = match self.seen.iter().find(|seen| Some(&seen.id) == id) {
            Some(seen) => self.fingerprint(seen),
            None => self.fingerprint_of(contender.standing.secret.as_ref()),
        };
        Winner {
            profile_id: contender.candidate.profile_id.clone(),
            source: contender.candidate.source.clone().unwrap_or_else(|| "profile".into()),
            fingerprint,
            valid_until: contender.standing.valid_until,
        }
    }

    /// The winner as a lease on what `standing` holds. `None` where it holds nothing that could be lent.
    pub(crate) fn lend(
        &self,
        manifest: &Manifest,
        contender: &Contender,
        standing: &Standing,
    ) -> Option<Lease> {
        let kind = contender.kind?;
        let token = standing.secret.clone()?;
        let account = standing.account_id.as_deref();
        Some(Lease {
            provider: ProviderId::new(&manifest.id),
            profile: contender.candidate.profile_id.clone(),
            source: contender.candidate.source.clone().unwrap_or_else(|| "profile".into()),
            kind,
            headers: manifest.request_headers(kind, &token, account),
            env: manifest.lend_env(kind, &token, account),
            account_id: standing.account_id.clone(),
            valid_until: standing.valid_until,
            token,
        })
    }

    fn order(&self, provider: &ProviderId) -> (OrderSource, Option<Vec<ProfileId>>) {
        if let Some(order) = self.store.doc.order(provider) {
            return (OrderSource::Store, Some(order));
        }
        match self.auth.config().order(provider) {
            Some(order) => (OrderSource::Config, Some(order.to_vec())),
            None => (OrderSource::None, None),
        }
    }

    fn pin(&self, ask: &Ask) -> Result<Option<Pin>, ResolveError> {
        if let Some(profile) = &ask.profile {
            return Ok(Some(Pin { profile: profile.clone(), by_user: true }));
        }
        let Some(session) = &ask.session else { return Ok(None) };
        Ok(read_sessions(&self.agent.sessions())?.get(session).and_then(|entry| entry.pin()))
    }

    /// One of the provider's own profiles, with what order, pin and config say about it.
    fn contender(&self, question: &Question, seen: &Seen) -> Result<Contender, ResolveError> {
        let mut standing = match self.contradiction(question, seen) {
            Some(contradiction) => contradiction,
            None => self.standing(seen)?.clone(),
        };
        // A pin holds also while its profile cools.
        if question.user_pin.as_ref() != Some(&seen.id) {
            set_aside(self.auth, &self.usage, &seen.id, &mut standing, self.now);
        }
        let mut candidate = Candidate {
            profile_id: Some(seen.id.clone()),
            kind: Some(seen.entry.kind().to_owned()),
            verdict: Verdict::Skipped,
            reason: standing.reason,
            until: standing.until,
            detail: standing.detail.clone(),
            source: None,
        };
        if seen.is_pending {
            candidate.detail.get_or_insert_with(|| "it is imported when it is first used".into());
        }
        let excluded = match (&question.order, &question.user_pin) {
            (_, Some(pinned)) => (*pinned != seen.id).then_some(Code::PinnedElsewhere),
            (Some(order), None) => (!order.contains(&seen.id)).then_some(Code::ExcludedByOrder),
            (None, None) => None,
        };
        if let Some(reason) = excluded {
            candidate.detail = (standing.reason != Code::Ok).then(|| standing.reason.meaning().to_owned());
            candidate.until = None;
            candidate.reason = reason;
            standing.readiness = Readiness::Never;
        }
        Ok(Contender { candidate, kind: credential_kind(&seen.entry), standing })
    }

    /// The config declares the profile as something else than it is.
    fn contradiction(&self, question: &Question, seen: &Seen) -> Option<Standing> {
        let config = self.auth.config().profile(&seen.id)?;
        let kind = seen.entry.kind();
        let is_same = config.mode == kind || (config.mode == "oauth" && kind == "token");
        let reason = if self.auth.canonical(&config.provider) != question.provider {
            Code::ProviderMismatch
        } else if !is_same {
            Code::ModeMismatch
        } else {
            return None;
        };
        let mut standing = Standing::new(Readiness::Never, reason);
        standing.detail =
            Some(format!("the config says {} of {}, the store has {kind}", config.mode, config.provider));
        Some(standing)
    }

    /// Ids that the order or a pin names and that are another provider's, or nobody's.
    fn named_but_not_ours(&self, question: &Question, own: &[&Seen]) -> Vec<Contender> {
        let mut named: Vec<Contender> = Vec::new();
        let order = question.order.as_deref().unwrap_or_default();
        for id in order.iter().chain(&question.user_pin) {
            let known = own.iter().any(|own| own.id == *id)
                || named.iter().any(|one| one.candidate.profile_id.as_ref() == Some(id));
            if known {
                continue;
            }
            let other = self.seen.iter().find(|seen| seen.id == *id);
            let reason = if other.is_some() { Code::ProviderMismatch } else { Code::MissingCredential };
            let candidate = Candidate {
                profile_id: Some(id.clone()),
                kind: other.map(|other| other.entry.kind().to_owned()),
                verdict: Verdict::Skipped,
                reason,
                until: None,
                detail: None,
                source: None,
            };
            let standing = Standing::new(Readiness::Never, reason);
            named.push(Contender { candidate, kind: None, standing });
        }
        named
    }

    /// A key from the environment or the config, which counts only where the agent has no profile of the provider.
    fn fallback(&self, manifest: &Manifest, provider: &ProviderId) -> Option<Contender> {
        let env = manifest.env.iter().find_map(|name| {
            let secret = Secret::from(self.auth.env().get(name)?);
            Some((format!("env:{name}"), manifest.env_kind(name), secret))
        });
        let found = env.or_else(|| {
            let key = self.auth.config().api_key(provider)?;
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
}

//! Which credential is used, and what becomes of the others: the one place that chooses.

use coderclaw_providers::{Billing, CredentialKind, Manifest};
use coderclaw_store::{AgentPaths, Pin, read_sessions};
use coderclaw_types::{AgentId, Code, ProfileId, ProviderId};

use crate::explain::{Candidate, OrderSource, PinSource, Verdict};
use crate::order::{Orderable, sequence};
use crate::resolve::{Ask, ResolveError};
use crate::scene::{Scene, Seen, Whose};
use crate::standing::{Readiness, Standing, credential_kind, is_set_aside, set_aside};

/// A candidate and what is needed to lend it.
pub(crate) struct Contender {
    pub(crate) candidate: Candidate,
    pub(crate) kind: Option<CredentialKind>,
    pub(crate) standing: Standing,
    /// Whose store and usage it is in.
    pub(crate) whose: Whose,
}

impl Contender {
    pub(crate) fn skipped(profile: Option<ProfileId>, kind: Option<String>, reason: Code) -> Self {
        let candidate = Candidate {
            profile_id: profile,
            kind,
            verdict: Verdict::Skipped,
            reason,
            until: None,
            detail: None,
            agent_id: None,
            source: None,
        };
        Self { candidate, kind: None, standing: Standing::new(Readiness::Never, reason), whose: Whose::Own }
    }

    pub(crate) fn of(mut self, agent: AgentId, detail: String) -> Self {
        self.candidate.agent_id = Some(agent);
        self.candidate.detail = Some(detail);
        self
    }
}

/// What was decided for one provider.
pub(crate) struct Decision {
    pub(crate) provider: ProviderId,
    pub(crate) order_source: OrderSource,
    pub(crate) pin_source: Option<PinSource>,
    pub(crate) contenders: Vec<Contender>,
    winner: Option<usize>,
}

impl Decision {
    /// The one that is used.
    pub(crate) fn winner(&self) -> Option<&Contender> {
        self.winner.map(|at| &self.contenders[at])
    }
}

/// The question, with what the agent's files say about it.
pub(crate) struct Question {
    pub(crate) provider: ProviderId,
    /// Of the agent's own profiles.
    pub(crate) own_order: Option<Vec<ProfileId>>,
    /// Of those of the agent that it is linked to.
    linked_order: Option<Vec<ProfileId>>,
    pub(crate) user_pin: Option<ProfileId>,
}

impl Question {
    fn order(&self, whose: Whose) -> Option<&[ProfileId]> {
        match whose {
            Whose::Own => self.own_order.as_deref(),
            Whose::Linked => self.linked_order.as_deref(),
        }
    }
}

/// What the person has said about moving on from a profile.
pub(crate) struct Consent {
    /// There is an order, and writing one is consent.
    pub(crate) has_order: bool,
    /// This one profile is meant.
    pub(crate) is_pinned: bool,
    /// The agent says that a key that is billed per use may follow a subscription.
    pub(crate) may_be_metered: bool,
}

fn is_at_limit(contender: &Contender, id: &ProfileId) -> bool {
    contender.candidate.profile_id.as_ref() == Some(id) && contender.candidate.reason == Code::UsageLimit
}

/// The contenders of one shelf, by what may become of them.
#[derive(Default)]
struct Sorted {
    tried: Vec<Contender>,
    cooling: Vec<Contender>,
    rest: Vec<Contender>,
}

impl Scene<'_> {
    /// Which credential of `manifest`'s provider is used, and what becomes of the others.
    ///
    /// The agent's own profiles come first, in their order; then those of the agent that it is linked to, in theirs.
    pub(crate) fn decide(&self, manifest: &Manifest, ask: &Ask) -> Result<Decision, ResolveError> {
        let provider = ProviderId::new(&manifest.id);
        let of_provider: Vec<&Seen> =
            self.seen().iter().filter(|seen| seen.provider.as_ref() == Some(&provider)).collect();
        if let Some(id) = &ask.profile
            && !of_provider.iter().any(|seen| seen.id == *id)
        {
            let near = of_provider.iter().map(|seen| seen.id.to_string()).collect();
            let agent = self.own.agent.agent.clone();
            return Err(ResolveError::UnknownProfile { id: id.clone(), agent, provider, near });
        }
        let pin = self.pin(ask, &provider)?;
        let (own_source, own_order) = self.order(Whose::Own, &provider);
        let (linked_source, linked_order) = self.order(Whose::Linked, &provider);
        let user_pin = pin.as_ref().filter(|(pin, _)| pin.by_user).map(|(pin, _)| pin.profile.clone());
        let question = Question { provider, own_order, linked_order, user_pin };
        let picked = pin.as_ref().filter(|(pin, _)| !pin.by_user).map(|(pin, _)| &pin.profile);
        // What was picked automatically is kept only where no order says which one it should be.
        let is_ordered = |profile: &&ProfileId| {
            let whose =
                of_provider.iter().find(|seen| seen.id == **profile).map_or(Whose::Own, |seen| seen.whose);
            question.order(whose).is_some()
        };
        let picked = picked.filter(|profile| !is_ordered(profile));
        let preferred = question.user_pin.as_ref().or(picked);

        let shelf_of = |whose| -> Vec<&Seen> {
            of_provider.iter().copied().filter(|seen| seen.whose == whose).collect()
        };
        let (own, theirs) = (shelf_of(Whose::Own), shelf_of(Whose::Linked));
        let mut all = self.sorted(&question, Whose::Own, &own, preferred)?;
        let linked = self.sorted(&question, Whose::Linked, &theirs, preferred)?;
        all.tried.extend(linked.tried);
        all.cooling.extend(linked.cooling);
        all.rest.extend(linked.rest);
        all.cooling.sort_by_key(|contender| contender.standing.until);
        // A session that was given one of the linked profiles keeps it, also beside the agent's own.
        if let Some(at) = all
            .tried
            .iter()
            .position(|one| preferred.is_some() && one.candidate.profile_id.as_ref() == preferred)
        {
            all.tried[..=at].rotate_right(1);
        }
        self.ask_for_consent(manifest, &question, &mut all.tried);

        let mut winner = all.tried.iter().position(|c| c.candidate.reason != Code::MeteredNotAllowed);
        if let Some(picked) = picked
            && let Some(waits) = all.cooling.iter().find(|contender| is_at_limit(contender, picked))
        {
            // A chat whose account has reached its limit waits for it: only an order says that another may take over, or
            // `metered_fallback` that a key may.
            let billing = |one: &Contender| one.kind.map(|kind| manifest.billing(kind));
            let is_subscription = billing(waits) == Some(Billing::Subscription);
            let may = |one: &Contender| {
                self.settings.metered_fallback && is_subscription && billing(one) == Some(Billing::Metered)
            };
            all.tried.iter_mut().filter(|one| !may(one)).for_each(|one| {
                one.candidate.reason = Code::PinnedElsewhere;
            });
            winner = all.tried.iter().position(may);
        }
        if let Some(at) = winner {
            all.tried[at].candidate.verdict = Verdict::Winner;
        }
        let mut contenders = all.tried;
        contenders.extend(all.cooling);
        contenders.extend(all.rest);
        contenders.extend(self.shadowed_ones(&question));
        contenders.extend(self.named_but_not_ours(&question, &of_provider));
        if let Some(broken) = &self.broken_link {
            let nobody = Contender::skipped(None, None, broken.reason);
            contenders.push(nobody.of(broken.target.clone(), broken.detail.clone()));
        } else if of_provider.is_empty() {
            if let Some(mut fallback) = self.fallback(manifest, &question.provider) {
                if question.user_pin.is_none()
                    && matches!(fallback.standing.readiness, Readiness::Now | Readiness::OnDemand)
                {
                    fallback.candidate.verdict = Verdict::Winner;
                    winner = Some(contenders.len());
                }
                contenders.push(fallback);
            } else if self.linked.is_none() {
                contenders.extend(self.elsewhere(&question.provider));
            }
        }
        Ok(Decision {
            provider: question.provider,
            order_source: if own.is_empty() && !theirs.is_empty() { linked_source } else { own_source },
            // What an order overrules did not apply.
            pin_source: pin.as_ref().filter(|_| preferred.is_some()).map(|(_, source)| *source),
            contenders,
            winner,
        })
    }

    /// What the person has said about moving on from a profile of `owner`'s.
    pub(crate) fn consent(
        &self,
        manifest: &Manifest,
        ask: &Ask,
        owner: &AgentPaths,
    ) -> Result<Consent, ResolveError> {
        let provider = ProviderId::new(&manifest.id);
        let whose = if *owner == self.own.agent { Whose::Own } else { Whose::Linked };
        Ok(Consent {
            has_order: self.order(whose, &provider).1.is_some(),
            is_pinned: self.pin(ask, &provider)?.is_some_and(|(pin, _)| pin.by_user),
            may_be_metered: self.settings.metered_fallback,
        })
    }

    fn order(&self, whose: Whose, provider: &ProviderId) -> (OrderSource, Option<Vec<ProfileId>>) {
        if let Some(order) = self.shelf(whose).store.doc.order(provider) {
            return (OrderSource::Store, Some(order));
        }
        match self.auth.config().order(provider) {
            Some(order) => (OrderSource::Config, Some(order.to_vec())),
            None => (OrderSource::None, None),
        }
    }

    /// The pin that counts, and where it comes from: the call, the session's user, the agent, the session itself.
    fn pin(&self, ask: &Ask, provider: &ProviderId) -> Result<Option<(Pin, PinSource)>, ResolveError> {
        let by_user = |profile: &ProfileId| Pin { profile: profile.clone(), by_user: true };
        if let Some(profile) = &ask.profile {
            return Ok(Some((by_user(profile), PinSource::Flag)));
        }
        let session = match &ask.session {
            Some(session) => {
                read_sessions(&self.own.agent.sessions())?.get(session).and_then(|entry| entry.pin())
            }
            None => None,
        };
        if let Some(pin) = session.clone().filter(|pin| pin.by_user) {
            return Ok(Some((pin, PinSource::Session)));
        }
        if let Some(profile) = &self.settings.auth_profile
            && self.provider_of(profile).as_ref() == Some(provider)
        {
            return Ok(Some((by_user(profile), PinSource::Agent)));
        }
        Ok(session.map(|pin| (pin, PinSource::SessionAuto)))
    }

    /// The provider's profiles on one shelf, each where it belongs.
    fn sorted(
        &self,
        question: &Question,
        whose: Whose,
        seen: &[&Seen],
        preferred: Option<&ProfileId>,
    ) -> Result<Sorted, ResolveError> {
        let mut sorted = Sorted::default();
        let mut orderable = Vec::new();
        for &one in seen {
            let contender = self.contender(question, one)?;
            let is_cooling = is_set_aside(contender.candidate.reason);
            orderable.push(Orderable {
                id: one.id.clone(),
                rank: match contender.kind {
                    Some(CredentialKind::OAuth) => 0,
                    Some(CredentialKind::Token) => 1,
                    _ => 2,
                },
                last_used: self.shelf(whose).usage.usage(&one.id).last_used,
                cooling_until: contender.standing.until.filter(|_| is_cooling),
            });
            match contender.standing.readiness {
                _ if is_cooling => sorted.cooling.push(contender),
                Readiness::Never => sorted.rest.push(contender),
                _ => sorted.tried.push(contender),
            }
        }
        let sequence = sequence(&orderable, question.order(whose), preferred);
        sorted.tried.sort_by_key(|contender| {
            let id = contender.candidate.profile_id.as_ref();
            sequence.iter().position(|one| Some(one) == id).unwrap_or(usize::MAX)
        });
        Ok(sorted)
    }

    /// One of the provider's profiles, with what order, pin and config say about it.
    fn contender(&self, question: &Question, seen: &Seen) -> Result<Contender, ResolveError> {
        let mut standing = match self.contradiction(question, seen) {
            Some(contradiction) => contradiction,
            None => self.standing(seen)?.clone(),
        };
        // A pin holds also while its profile cools.
        if question.user_pin.as_ref() != Some(&seen.id) {
            set_aside(self.auth, &self.shelf(seen.whose).usage, &seen.id, &mut standing, self.now());
        }
        let mut candidate = Candidate {
            profile_id: Some(seen.id.clone()),
            kind: Some(seen.entry.kind().to_owned()),
            verdict: Verdict::Skipped,
            reason: standing.reason,
            until: standing.until,
            detail: standing.detail.clone(),
            agent_id: self.other(seen.whose),
            source: None,
        };
        if seen.is_pending {
            candidate.detail.get_or_insert_with(|| "it is imported when it is first used".into());
        }
        let excluded = match (question.order(seen.whose), &question.user_pin) {
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
        Ok(Contender { candidate, kind: credential_kind(&seen.entry), standing, whose: seen.whose })
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

    /// Marks keys that are billed per use and stand behind a subscription, unless somebody said yes to that: with an
    /// order that names them, with a pin, or with `metered_fallback` of the agent.
    ///
    /// The order of the agent that this one is linked to says yes for what is behind that agent's subscription, not
    /// for what is behind this one's.
    fn ask_for_consent(&self, manifest: &Manifest, question: &Question, tried: &mut [Contender]) {
        let billing = |kind| manifest.billing(kind);
        let has_subscription = |whose| {
            let of_provider =
                |seen: &&Seen| seen.whose == whose && seen.provider.as_ref() == Some(&question.provider);
            let mut kinds =
                self.seen().iter().filter(of_provider).filter_map(|seen| credential_kind(&seen.entry));
            kinds.any(|kind| billing(kind) == Billing::Subscription)
        };
        let (own, theirs) = (has_subscription(Whose::Own), has_subscription(Whose::Linked));
        let said_yes = question.user_pin.is_some() || self.settings.metered_fallback;
        for contender in tried {
            contender.candidate.verdict = Verdict::Standby;
            if contender.kind.map(billing) != Some(Billing::Metered) || said_yes {
                continue;
            }
            let ordered = question.order(contender.whose).is_some();
            let is_behind = match contender.whose {
                Whose::Own => own && !ordered,
                Whose::Linked => own || (theirs && !ordered),
            };
            if is_behind {
                contender.candidate.reason = Code::MeteredNotAllowed;
            }
        }
    }
}

//! Writing down what became of a request: under the lock of the usage file, on what is there by then.

use std::time::Duration;

use coderclaw_providers::{Failure, FailureKind, Manifest};
use coderclaw_store::{
    AgentPaths, AuthState, Refused, StateGuard, UsageStats, read_auth_state, read_auth_store,
};
use coderclaw_types::{Millis, ProfileId, ProviderId, TokenHash, redact};

use super::ReportError;
use crate::context::Auth;
use crate::cooldown::{CooldownReason, USAGE_LIMIT, mark_failure, unusable_until};
use crate::lease::Lease;
use crate::resolve::{Ask, LeaseError, ResolveError};
use crate::scene::Scene;
use crate::standing::is_set_aside;

/// `lastUsed` decides whose turn it is, and need not be exact.
const MINUTE: Duration = Duration::from_secs(60);
/// While everything is set aside, one request in this time may see whether it is over already (the original's number).
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Not before this much is left (the original's number).
const PROBE_MARGIN: Duration = Duration::from_secs(120);

impl Auth {
    /// A success ends every block at once. Where there is none, it is noted once a minute.
    pub(super) fn note_success(&self, lease: &Lease) -> Result<(), ReportError> {
        let Some(id) = &lease.profile else { return Ok(()) };
        let now = self.clock().now();
        let (_, usage) = self.read(&lease.owner)?;
        let stats = usage.usage(id);
        let unblocked = UsageStats { last_used: stats.last_used, ..UsageStats::default() };
        let is_recent = stats.last_used.is_some_and(|last| last <= now && now.since(last) < MINUTE);
        if stats == unblocked && is_recent {
            return Ok(());
        }
        self.change_usage(&lease.owner, |state| {
            state.set_usage(id, &UsageStats { last_used: Some(now), ..UsageStats::default() });
            state.set_last_good(&lease.provider, id);
            true
        })?;
        // A token that ends soon is noticed by whoever uses it.
        self.attend(&lease.owner, id);
        Ok(())
    }

    /// Notes a failure of the account or the credential. Until when the profile is set aside.
    pub(super) fn note_failure(
        &self,
        manifest: &Manifest,
        lease: &Lease,
        failure: &Failure,
    ) -> Result<Option<Millis>, ReportError> {
        let Some(id) = &lease.profile else { return Ok(None) };
        let now = self.clock().now();
        let settings = self.config().cooldowns();
        let mut until = None;
        self.change_usage(&lease.owner, |state| {
            let after = self.after_failure(&state.usage(id), manifest, lease, failure, now);
            until = unusable_until(&after, settings, now).map(|(_, until)| until);
            state.set_usage(id, &after);
            true
        })?;
        // Only what speaks against the credential itself can be somebody's business.
        if matches!(failure.kind, FailureKind::Rejected | FailureKind::Revoked | FailureKind::AccountBlocked)
        {
            self.attend(&lease.owner, id);
        }
        Ok(until)
    }

    fn after_failure(
        &self,
        usage: &UsageStats,
        manifest: &Manifest,
        lease: &Lease,
        failure: &Failure,
        now: Millis,
    ) -> UsageStats {
        let reason = match failure.kind {
            // Another token is another matter, and this one will not be better in an hour.
            FailureKind::Rejected | FailureKind::Revoked | FailureKind::AccountBlocked => {
                let refused = Refused {
                    token: TokenHash::of(&lease.token),
                    code: failure.code().as_str().to_owned(),
                    detail: failure.message.as_deref().map(|text| redact(text).into_owned()),
                    at: now,
                };
                return UsageStats { refused: Some(refused), last_failure_at: Some(now), ..usage.clone() };
            }
            FailureKind::Billing => CooldownReason::Billing,
            FailureKind::Unauthorized => CooldownReason::Auth,
            _ => CooldownReason::RateLimit,
        };
        let settings = self.config().cooldowns();
        // Twenty requests that were on their way together have failed once, not twenty times.
        let same_blow = unusable_until(usage, settings, now).is_some()
            && usage.last_failure_at.is_some_and(|last| lease.lent_at < last);
        let provider = ProviderId::new(&manifest.id);
        let mut after = match same_blow {
            true => usage.clone(),
            false => mark_failure(usage, reason, &provider, settings, now),
        };
        if reason == CooldownReason::RateLimit {
            let is_usage = failure.kind == FailureKind::UsageLimit;
            if !same_blow || is_usage {
                after.cooldown_reason = Some(if is_usage { USAGE_LIMIT } else { reason.as_str() }.to_owned());
            }
            // The provider's time and no other; of several that were named in one blow, the last.
            if let Some(reset) = failure.reset {
                let known = usage.cooldown_until.filter(|_| same_blow);
                after.cooldown_until = known.max(Some(reset));
            }
        }
        after
    }

    /// A lease on the profile that recovers first, where all are set aside, the end is near, and nobody else has tried
    /// within half a minute. `None` where it is not our turn. Ask for it only where [`Auth::lease`] gives nothing.
    ///
    /// # Errors
    /// Where the agent's files cannot be read or written, or the profile gives no token.
    pub fn probe_set_aside(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        ask: &Ask,
    ) -> Result<Option<Lease>, LeaseError> {
        let now = self.clock().now();
        let scene = Scene::read(self, agent)?;
        let decision = scene.decide(manifest, ask)?;
        let first = decision.contenders.iter().find(|contender| is_set_aside(contender.candidate.reason));
        let Some(first) = first.filter(|_| decision.winner().is_none()) else { return Ok(None) };
        let owner = &scene.shelf(first.whose).agent;
        let (Some(id), Some(until)) = (&first.candidate.profile_id, first.candidate.until) else {
            return Ok(None);
        };
        if now.plus(PROBE_MARGIN) < until {
            return Ok(None);
        }
        if !self.take_probe(owner, id, now).map_err(|e| LeaseError::Resolve(e.into()))? {
            return Ok(None);
        }
        let only = Ask { profile: Some(id.clone()), rejected: None, ..ask.clone() };
        self.lease(agent, manifest, &only).map(Some)
    }

    /// Whether it is our turn; the next one has to wait then.
    fn take_probe(&self, agent: &AgentPaths, id: &ProfileId, now: Millis) -> Result<bool, ReportError> {
        let mut is_ours = false;
        self.change_usage(agent, |state| {
            let usage = state.usage(id);
            let last = usage.last_probe_at.filter(|last| *last <= now);
            is_ours = last.is_none_or(|last| now.since(last) >= PROBE_INTERVAL);
            if is_ours {
                state.set_usage(id, &UsageStats { last_probe_at: Some(now), ..usage });
            }
            is_ours
        })?;
        Ok(is_ours)
    }

    /// `change` says whether there is anything to write.
    fn change_usage(
        &self,
        agent: &AgentPaths,
        change: impl FnOnce(&mut AuthState) -> bool,
    ) -> Result<(), ReportError> {
        let guard = StateGuard::acquire(self.state(), &agent.state())?;
        let store = read_auth_store(&agent.store())?;
        let mut state = read_auth_state(guard.target(), &store.doc)?;
        if change(&mut state) {
            guard.commit(&state)?;
        }
        Ok(())
    }
}

impl From<ReportError> for ResolveError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Resolve(e) => e,
            ReportError::Read(e) => Self::Read(e),
            ReportError::Lock(e) => Self::Refresh(e.into()),
            ReportError::Write(e) => Self::Refresh(e.into()),
        }
    }
}

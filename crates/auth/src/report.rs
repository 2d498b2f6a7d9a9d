//! What became of a request that a lease was used for, and what its user may do next.
//!
//! The one writer of cooldowns and of `lastUsed`. Only what speaks of an account or of a credential touches a profile:
//! a model's limit, a bad request, a broken service or a lost network does not. Whether another profile may take over
//! is decided by the resolver, after what was found out is on the disk; a move is always told.

mod note;

use std::time::Duration;

use coderclaw_providers::{Billing, Failure, FailureKind, Manifest, Scope};
use coderclaw_store::{AgentPaths, LockError, ReadError, WriteError};
use coderclaw_types::{Code, Millis, ProfileId};

use crate::context::Auth;
use crate::lease::Lease;
use crate::moved::Moved;
use crate::resolve::{Ask, LeaseError, ResolveError};
use crate::scene::Scene;

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// The provider answered as it should.
    Worked,
    /// It did not.
    Failed(&'a Failure),
}

/// What may be done now.
#[derive(Debug, Clone)]
pub enum Next {
    /// Nothing: it worked, and that is noted.
    Nothing,
    /// The request may be sent again with this lease: a new token of the same profile or, where `moved` says so, of
    /// the next one that may be used.
    Retry {
        /// What to use.
        lease: Box<Lease>,
        /// The move to another profile.
        moved: Option<Moved>,
    },
    /// The login is fine and stays. Another model may be asked; the same again only where `again` says so.
    SameLogin {
        /// What it was.
        code: Code,
        /// The same request may work later.
        again: bool,
        /// When, where the provider said so.
        until: Option<Millis>,
    },
    /// No profile may be used until a time; nothing has to be done by hand.
    Pause(Halt),
    /// It does not get better by waiting.
    Stop(Halt),
}

/// Why a request cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// What it was.
    pub code: Code,
    /// Whose login; `None` for a key from the environment or the config.
    pub profile: Option<ProfileId>,
    /// Until when; the earliest moment at which any profile that may be used recovers.
    pub until: Option<Millis>,
    /// One line for people, which names the account.
    pub why: String,
}

impl Next {
    /// How long to wait, where waiting helps and `budget` suffices.
    pub fn wait(&self, now: Millis, budget: Duration) -> Option<Duration> {
        let until = match self {
            Self::Pause(halt) => halt.until?,
            Self::SameLogin { again: true, until, .. } => (*until)?,
            _ => return None,
        };
        Some(until.since(now)).filter(|span| *span <= budget)
    }
}

impl LeaseError {
    /// How long to wait for the first profile to recover, where waiting helps and `budget` suffices.
    pub fn wait(&self, now: Millis, budget: Duration) -> Option<Duration> {
        let passes = crate::standing::is_set_aside(self.code());
        Some(self.until().filter(|_| passes)?.since(now)).filter(|span| *span <= budget)
    }
}

/// Why an outcome could not be noted. Nothing was decided then.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The agent's files cannot be looked at.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The lock of the usage file cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The usage file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ReportError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Resolve(e) => e.code(),
            Self::Read(e) => e.code(),
            Self::Lock(e) => e.code(),
            Self::Write(e) => e.code(),
        }
    }
}

/// One failure, as the steps below pass it on.
struct Case<'a> {
    agent: &'a AgentPaths,
    manifest: &'a Manifest,
    lease: &'a Lease,
    failure: &'a Failure,
    ask: &'a Ask,
}

impl Auth {
    /// Notes how a request with `lease` ended, and says in the same call what may be done. `ask` is what the lease was
    /// asked for with.
    ///
    /// A token that was rejected is refreshed, once, before anything else is thought of. Another profile takes over
    /// only where the person has not pinned this one, and after a limit or a bill only along an order.
    ///
    /// # Errors
    /// Where the agent's files cannot be read, or the outcome cannot be written down.
    pub fn report(
        &self,
        agent: &AgentPaths,
        manifest: &Manifest,
        lease: &Lease,
        outcome: Outcome<'_>,
        ask: &Ask,
    ) -> Result<Next, ReportError> {
        match outcome {
            Outcome::Worked => self.note_success(lease).map(|()| Next::Nothing),
            Outcome::Failed(failure) => self.failed(&Case { agent, manifest, lease, failure, ask }),
        }
    }

    fn failed(&self, case: &Case<'_>) -> Result<Next, ReportError> {
        let Case { lease, failure, .. } = *case;
        let (kind, code) = (failure.kind, failure.code());
        match kind.scope() {
            // A helper may have given a token of somebody who may do less.
            Scope::Request
                if kind == FailureKind::NotPermitted && lease.is_fetched() && !lease.after_rejection =>
            {
                self.renewed(case)
            }
            Scope::Request if kind == FailureKind::NotPermitted => Ok(Next::Stop(case.halt(code, None))),
            Scope::Request => Ok(Next::SameLogin { code, again: false, until: None }),
            Scope::Model | Scope::Service => {
                let again = kind != FailureKind::ModelNotFound;
                Ok(Next::SameLogin { code, again, until: failure.reset })
            }
            Scope::Credential if lease.renews() && !lease.after_rejection => self.renewed(case),
            Scope::Credential | Scope::Account => self.set_aside_and_next(case),
        }
    }

    /// A login whose token was rejected: refreshed, unless somebody else has done so already. The same profile and no
    /// other, whatever the round robin would say by now.
    fn renewed(&self, case: &Case<'_>) -> Result<Next, ReportError> {
        let Case { lease, ask, .. } = *case;
        let again = Ask {
            profile: lease.profile.clone(),
            session: None,
            rejected: Some(lease.token.clone()),
            explicit_refresh: false,
            ..ask.clone()
        };
        match self.lease(case.agent, case.manifest, &again) {
            Ok(new) if new.token != lease.token => Ok(Next::Retry { lease: Box::new(new), moved: None }),
            Ok(_) if case.failure.kind == FailureKind::NotPermitted => {
                Ok(Next::Stop(case.halt(case.failure.code(), None)))
            }
            // It was renewed a moment ago: that does not help.
            Ok(_) => self.set_aside_and_next(case),
            Err(e) => match e.code() {
                Code::Rejected => self.set_aside_and_next(case),
                // The login's own records say so now; there is nothing to add.
                code @ (Code::NeedsLogin
                | Code::Interrupted
                | Code::Revoked
                | Code::Expired
                | Code::MissingCredential
                | Code::UnknownProfile) => self.next(case, code, None),
                // No network, a lock, another worker: nothing is known to be wrong, so nothing moves.
                code => {
                    let why = format!("{}: {e}", case.lease.whose());
                    Ok(Next::Stop(Halt { why, ..case.halt(code, e.until()) }))
                }
            },
        }
    }

    fn set_aside_and_next(&self, case: &Case<'_>) -> Result<Next, ReportError> {
        let until = self.note_failure(case.manifest, case.lease, case.failure)?;
        self.next(case, case.failure.code(), until.or(case.failure.reset))
    }

    /// The next profile that may be used, else until when there is none.
    fn next(&self, case: &Case<'_>, code: Code, until: Option<Millis>) -> Result<Next, ReportError> {
        let Case { agent, manifest, lease, failure, ask } = *case;
        let halt = case.halt(code, until);
        let is_limit = matches!(failure.kind, FailureKind::RateLimit | FailureKind::UsageLimit);
        let no_more = |halt: Halt| if is_limit { Next::Pause(halt) } else { Next::Stop(halt) };
        let consent = Scene::read(self, agent)?.consent(manifest, ask, &lease.owner)?;
        let needs_order = is_limit || failure.kind == FailureKind::Billing;
        let may_move = consent.has_order || consent.may_be_metered || !needs_order;
        let (Some(from), false) = (&lease.profile, consent.is_pinned || !may_move) else {
            return Ok(no_more(halt));
        };
        let again = Ask { rejected: None, explicit_refresh: false, ..ask.clone() };
        let billing = |lease: &Lease| manifest.billing(lease.kind);
        // Without an order: one of the same kind, where no account-level limit stands against that; or a key that is
        // billed per use, where the agent's `metered_fallback` says so.
        let is_allowed = |next: &Lease| match billing(next) {
            Billing::Metered if billing(lease) == Billing::Subscription => consent.may_be_metered,
            kind => kind == billing(lease) && !needs_order,
        };
        match self.lease(agent, manifest, &again) {
            Ok(next) if next.profile.as_ref() == Some(from) => Ok(no_more(halt)),
            Ok(next) if !consent.has_order && !is_allowed(&next) => Ok(no_more(halt)),
            Ok(next) => {
                let moved = Moved {
                    provider: next.provider.clone(),
                    from: from.clone(),
                    to: next.profile.clone(),
                    code,
                    why: failure.to_string(),
                    until: halt.until,
                    at: self.clock().now(),
                };
                self.audit_move(agent, &moved);
                Ok(Next::Retry { lease: Box::new(next), moved: Some(moved) })
            }
            Err(LeaseError::Resolve(e)) => Err(e.into()),
            Err(e) if crate::standing::is_set_aside(e.code()) => {
                let until = [halt.until, e.until()].into_iter().flatten().min();
                let (code, why) = if is_limit { (code, halt.why.clone()) } else { (e.code(), e.to_string()) };
                Ok(Next::Pause(Halt { code, until, why, ..halt }))
            }
            Err(_) => Ok(no_more(halt)),
        }
    }
}

impl Case<'_> {
    fn halt(&self, code: Code, until: Option<Millis>) -> Halt {
        let why = format!("{}: {}", self.lease.whose(), self.failure);
        Halt { code, profile: self.lease.profile.clone(), until, why }
    }
}

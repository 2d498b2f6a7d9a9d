//! How one profile stands by itself: before order, pin and consent have their say.

use std::time::Duration;

use coderclaw_providers::CredentialKind;
use coderclaw_store::{AuthState, Entry, JournalView, OAuthEntry, OutcomeKind, Reference, StoreSnapshot};
use coderclaw_types::{Code, GrantId, Millis, ProfileId, Secret, TokenHash};

use crate::context::Auth;
use crate::cooldown::unusable_until;
use crate::grant::{Refreshable, life};
use crate::refresh::ask::{Asked, Good, Moment, Want};
use crate::refresh::ask_here;
use crate::resolve::ResolveError;

/// A credential that cannot renew itself is expiring in its last day.
const LAST_DAY: Duration = Duration::from_secs(24 * 3600);

/// Whether a profile can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// At once.
    Now,
    /// Once it has been refreshed.
    AfterRefresh,
    /// Once the secret has been fetched from where it is kept.
    OnDemand,
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
    /// Where the secret is kept, if not here.
    pub(crate) reference: Option<Box<Reference>>,
    /// A refresh would be made, and the secret works until then.
    pub(crate) works: bool,
    /// A refresh is answered and not yet in the store.
    pub(crate) unfinished: bool,
    /// When time alone makes it stand otherwise, where that is not `until`.
    pub(crate) changes_at: Option<Millis>,
    /// The grant whose journal was read for it.
    pub(crate) grant: Option<GrantId>,
    /// When it was last refreshed, and by how many milliseconds our clock was ahead of the server's then.
    pub(crate) clock: Option<(Millis, i64)>,
}

impl Standing {
    pub(crate) fn new(readiness: Readiness, reason: Code) -> Self {
        Self {
            readiness,
            reason,
            until: None,
            detail: None,
            secret: None,
            valid_until: None,
            account_id: None,
            reference: None,
            works: false,
            unfinished: false,
            changes_at: None,
            grant: None,
            clock: None,
        }
    }

    pub(crate) fn with_good(mut self, good: &Good) -> Self {
        self.works = true;
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

/// Set aside until a time.
pub(crate) fn is_set_aside(reason: Code) -> bool {
    matches!(reason, Code::Cooldown | Code::UsageLimit | Code::Disabled)
}

/// Marks a usable profile that is cooling or disabled, or whose very token the provider refuses.
pub(crate) fn set_aside(
    auth: &Auth,
    usage: &AuthState,
    id: &ProfileId,
    standing: &mut Standing,
    now: Millis,
) {
    let usage = usage.usage(id);
    if let Some(refused) = &usage.refused
        // A login that is due gets another token first.
        && standing.readiness == Readiness::Now
        && standing.secret.as_ref().map(TokenHash::of) == Some(refused.token)
    {
        standing.readiness = Readiness::Never;
        standing.reason = Code::from_text(&refused.code).unwrap_or(Code::Rejected);
        standing.detail.clone_from(&refused.detail);
        standing.until = None;
        return;
    }
    let cooling = unusable_until(&usage, auth.config().cooldowns(), now);
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
pub(crate) fn standing(
    auth: &Auth,
    store: &StoreSnapshot,
    id: &ProfileId,
    entry: &Entry,
    now: Millis,
) -> Result<Standing, ResolveError> {
    let never = |reason| Standing::new(Readiness::Never, reason);
    type Kept = Option<Result<Reference, String>>;
    let fixed = |secret: &Option<Secret>, kept: &Kept, expires: Option<Millis>, invalid: bool| {
        let Some(secret) = secret.as_ref().filter(|secret| !secret.is_blank()) else {
            return match (kept, entry.provider()) {
                (Some(kept), Some(provider)) => auth.look_at_reference(&auth.canonical(provider), kept, now),
                _ => never(Code::MissingCredential),
            };
        };
        let mut standing = match expires {
            _ if invalid => never(Code::InvalidExpires),
            Some(at) if at <= now => never(Code::Expired),
            Some(at) if at.since(now) <= LAST_DAY => Standing::new(Readiness::Now, Code::Expiring),
            _ => Standing::new(Readiness::Now, Code::Ok),
        };
        standing.secret = Some(secret.clone());
        standing.valid_until = expires;
        standing.changes_at = expires;
        standing
    };
    Ok(match entry {
        Entry::ApiKey(key) => fixed(&key.key, &key.reference, None, false),
        Entry::Token(token) => fixed(&token.token, &token.reference, token.expires, token.invalid_expires),
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
    // Looked at first: its owner has to allow more, and until then nothing is worth a refresh.
    if let Some(scope) = one.endpoint.missing_scope(login.scope.as_deref()) {
        let mut standing = Standing::new(Readiness::Never, Code::NeedsConsent);
        standing.detail = Some(format!("the login does not include {scope}"));
        standing.valid_until = life(login).map(|life| life.expires);
        return Ok(standing);
    }
    let journal = JournalView::read(&auth.state().journal(&one.grant))?;
    let network = match journal.outcomes.iter().find_map(|outcome| outcome.network.as_ref()) {
        Some(_) => auth.network().digest(),
        None => String::new(),
    };
    let moment = Moment { now, began: None, network: &network };
    let asked = ask_here(auth, store, &one, &journal, &Want::default(), &moment)?;
    let mut standing = match asked {
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
    let refreshed = journal.outcomes.iter().rev().find(|outcome| outcome.kind == OutcomeKind::Refreshed);
    let turns = life(login).map(|life| [life.due_at(&one.token), life.expires]);
    standing.changes_at = turns.into_iter().flatten().filter(|at| *at > now).min();
    standing.grant = Some(one.grant);
    standing.clock = refreshed.map(|outcome| (outcome.at, outcome.clock_ahead.unwrap_or(0)));
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
    standing.changes_at = expires;
    standing.account_id.clone_from(&login.account_id);
    standing
}

//! `settle`: finish what was begun, then see whether a request is still needed, and whether it is allowed.

use coderclaw_store::{
    AgentPaths, Entry, Journal, Ledger, Outcome, OutcomeKind, Pending, StoreGuard, TokenUpdate, WorkerLock,
    read_auth_store,
};
use coderclaw_types::{Code, Millis, ProfileId, TokenHash};

use crate::context::Auth;
use crate::grant::{Refreshable, life};

use super::RefreshError;
use super::apply::{self, Learned};
use super::ask::{Asked, Moment, Want};
use super::asker::ask_here;
use super::spacing::{dice, spacing};

/// A refresh that is to be made, with everything it needs.
pub(super) struct Due<'lock> {
    pub(super) agent: AgentPaths,
    pub(super) one: Refreshable,
    pub(super) journal: Journal<'lock>,
    /// What the answer says of our clock; see [`Outcome::clock_ahead`].
    pub(super) clock_ahead: Option<i64>,
}

impl Due<'_> {
    /// The counters of this token so far: failures in a row, and how many of them may have spent it.
    pub(super) fn counts(&self) -> (u32, u32) {
        self.journal.view().outcome_of(&self.one.token).map_or((0, 0), |o| (o.failures, o.ambiguous))
    }
}

/// What is left to do; `None` where nothing is: somebody else has done it, or nothing may be sent.
pub(super) fn settle<'lock>(
    auth: &Auth,
    lock: &'lock WorkerLock,
    agent: &AgentPaths,
    profile: &ProfileId,
    want: &Want,
) -> Result<Option<Due<'lock>>, RefreshError> {
    let mut journal = Journal::open(auth.state(), lock)?;
    match journal.view().pending.clone() {
        Some(Pending::Answer { spent, tokens } | Pending::Applied { spent, tokens }) => {
            apply::apply_and_finish(auth, lock, &mut journal, &spent, &tokens, Learned::default())?;
        }
        Some(Pending::Sending { token, at, ambiguous, failures }) => {
            let outcome = cut_off(auth, &journal, agent, profile, token, at, ambiguous, failures)?;
            journal.finish(auth.state(), outcome)?;
        }
        Some(Pending::Prepared) | None => {}
    }
    let store = read_auth_store(&agent.store())?;
    let Some(Entry::OAuth(entry)) = store.doc.get(profile) else {
        return Ok(None);
    };
    let Some(one) = Refreshable::of(auth, profile, &entry) else {
        return Ok(None);
    };
    if one.grant != lock.grant() {
        return Ok(None);
    }
    let ledger = Ledger::load(lock)?;
    if one.endpoint.rotates && ledger.is_spent(&one.token) {
        adopt(auth, &mut journal, &ledger, agent, &one)?;
        return Ok(None);
    }
    let network = auth.network().digest();
    let moment = Moment { now: auth.clock().now(), began: None, network: &network };
    let Asked::Wanted { .. } = ask_here(auth, &store, &one, journal.view(), want, &moment)? else {
        return Ok(None);
    };
    if one.endpoint.rotates && is_doubtful(auth, &ledger, &one)? {
        let mut outcome = doubtful(auth, &journal, &one);
        (outcome.failures, outcome.ambiguous) =
            journal.view().outcome_of(&one.token).map_or((0, 0), |o| (o.failures, o.ambiguous));
        journal.finish(auth.state(), outcome)?;
        return Ok(None);
    }
    Ok(Some(Due { agent: agent.clone(), one, journal, clock_ahead: None }))
}

/// Whether another entry of the grant holds a newer token that none of ours has seen come: the original has refreshed a
/// clone, so that this token is spent, and nobody here can tell. Sending it could end the login for both.
fn is_doubtful(auth: &Auth, ledger: &Ledger, one: &Refreshable) -> Result<bool, RefreshError> {
    let ends = |one: &Refreshable| life(&one.entry).map(|life| life.expires);
    for agent in auth.state().agents(auth.config())? {
        let Ok(store) = read_auth_store(&agent.store()) else { continue };
        let is_newer = |other: &Refreshable| {
            other.token != one.token
                && !ledger.chain(&other.token).contains(&one.token)
                && ends(other).zip(ends(one)).is_none_or(|(other, one)| other > one)
        };
        if Refreshable::all_in(auth, &store, &one.grant).iter().any(is_newer) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Nothing is sent until the other entry, or this one, holds something else; the other one is looked at again now and
/// then.
fn doubtful(auth: &Auth, journal: &Journal<'_>, one: &Refreshable) -> Outcome {
    let (seq, now) = (journal.view().next_seq(), auth.clock().now());
    let mut outcome = Outcome::new(seq, OutcomeKind::Blocked, one.token, now, Code::NeedsLogin);
    outcome.next_attempt_at = Some(now.plus(spacing(u32::MAX, None, dice())));
    outcome.detail =
        "another program has refreshed a copy of this login in another agent's store, and this copy may be \
                      spent; it is not sent"
            .into();
    outcome
}

/// The outcome of a request whose sender died: nobody knows.
#[expect(clippy::too_many_arguments, reason = "the fields of one journal record")]
fn cut_off(
    auth: &Auth,
    journal: &Journal<'_>,
    agent: &AgentPaths,
    profile: &ProfileId,
    token: TokenHash,
    at: Millis,
    ambiguous: u32,
    failures: u32,
) -> Result<Outcome, RefreshError> {
    let store = read_auth_store(&agent.store())?;
    let expires = match store.doc.get(profile) {
        Some(Entry::OAuth(entry)) => life(&entry).map(|life| life.expires),
        _ => None,
    };
    let next = after_ambiguity(auth, expires, at, failures + 1);
    let seq = journal.view().next_seq();
    let mut outcome = Outcome::new(seq, OutcomeKind::Ambiguous, token, at, Code::Offline);
    outcome.next_attempt_at = Some(next);
    outcome.failures = failures + 1;
    outcome.ambiguous = ambiguous + 1;
    outcome.detail = "a refresh was cut off before its answer was recorded".into();
    Ok(outcome)
}

/// When a token that may be spent is tried again: not while the old access token works.
pub(super) fn after_ambiguity(auth: &Auth, expires: Option<Millis>, at: Millis, failures: u32) -> Millis {
    let spaced = at.plus(spacing(failures, None, dice()));
    match expires {
        Some(expires) if expires > auth.clock().now() => expires.max(spaced),
        _ => spaced,
    }
}

/// The entry holds a token that was spent: it was restored from an older copy. Its successor is taken over from an
/// entry of the same grant that holds it, or from the orphan of a refresh that found no entry; else only a login
/// helps.
fn adopt(
    auth: &Auth,
    journal: &mut Journal<'_>,
    ledger: &Ledger,
    agent: &AgentPaths,
    one: &Refreshable,
) -> Result<(), RefreshError> {
    let chain = ledger.chain(&one.token);
    let place = |token: &TokenHash| chain.iter().position(|one| one == token);
    let orphan = journal.view().orphan.as_deref();
    let mut best = orphan.and_then(|tokens| Some((place(&TokenHash::of(&tokens.refresh))?, tokens.clone())));
    for other in auth.state().agents(auth.config())? {
        let Ok(store) = read_auth_store(&other.store()) else {
            continue;
        };
        for sibling in Refreshable::all_in(auth, &store, &one.grant) {
            if let Some(at) = place(&sibling.token)
                && best.as_ref().is_none_or(|(best_at, _)| at > *best_at)
                && let Some(tokens) = tokens_of(&sibling)
            {
                best = Some((at, tokens));
            }
        }
    }
    let (seq, now) = (journal.view().next_seq(), auth.clock().now());
    let mut outcome = Outcome::new(seq, OutcomeKind::Refused, one.token, now, Code::NeedsLogin);
    outcome.detail =
        "the store was restored from an older copy, and its refresh token has been used since".into();
    if let Some((_, tokens)) = best {
        let guard = StoreGuard::acquire(auth.state(), &agent.store())?;
        let mut doc = guard.read()?.doc;
        let holds = |doc: &coderclaw_store::AuthProfiles| match doc.get(&one.profile) {
            Some(Entry::OAuth(entry)) => entry.refresh.as_ref().map(TokenHash::of) == Some(one.token),
            _ => false,
        };
        if holds(&doc) && doc.refresh_entry(&one.profile, &tokens) {
            guard.commit(&doc)?;
        }
        outcome.kind = OutcomeKind::Adopted;
        outcome.code = Code::Ok;
        outcome.detail = "taken over from another store of the same login".into();
    }
    journal.finish(auth.state(), outcome)?;
    Ok(())
}

/// The tokens of an entry, as they would stand in another one.
fn tokens_of(one: &Refreshable) -> Option<TokenUpdate> {
    let entry = &one.entry;
    let life = life(entry)?;
    let mut tokens = TokenUpdate::new(
        entry.access.clone()?,
        one.refresh.clone(),
        life.expires,
        life.issued_at.unwrap_or_default(),
    );
    tokens.earliest_refresh_at = entry.earliest_refresh_at;
    tokens.account_id.clone_from(&entry.account_id);
    tokens.email.clone_from(&entry.email);
    tokens.subject.clone_from(&entry.subject);
    tokens.issuer.clone_from(&entry.issuer);
    tokens.client_id.clone_from(&entry.client_id);
    tokens.scope.clone_from(&entry.scope);
    tokens.token_origin.clone_from(&entry.token_origin);
    tokens.token_url.clone_from(&entry.token_url);
    tokens.revoke_url.clone_from(&entry.revoke_url);
    tokens.grant = Some(one.grant);
    Some(tokens)
}

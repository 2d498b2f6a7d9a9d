//! `sending` and `answer`: one request, and what its answer means.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coderclaw_http::{Client, Limits};
use coderclaw_oauth::{
    Identity, RefreshAnswer, TokenSet, check_refreshed, expiry, jwt, make_access, read_identity,
    refresh_request, send,
};
use coderclaw_providers::Plugin;
use coderclaw_store::{Entry, OriginalGuard, Outcome, OutcomeKind, Record, TokenUpdate, read_auth_store};
use coderclaw_types::{Code, Millis, TokenHash, redact};

use crate::context::Auth;
use crate::grant::{Refreshable, life};
use crate::identity::same_person;

use super::RefreshError;
use super::ask::Want;
use super::settle::{Due, after_ambiguity};
use super::spacing::{dice, spacing};
use super::worker::fault;

/// Clocks that differ by more milliseconds are worth a word.
const SKEW: u64 = 120_000;

/// Sends the refresh token once and records what comes. `Some` with the spent token and the new ones, once these are
/// durable.
pub(super) fn exchange(
    auth: &Auth,
    due: &mut Due<'_>,
    original: &OriginalGuard,
    want: &Want,
    asked_to_end: &AtomicBool,
) -> Result<Option<(TokenHash, TokenUpdate)>, RefreshError> {
    let internal = |detail: String| RefreshError::WorkerFailed { detail };
    // What may fail comes before the record that says something was sent.
    let sender = Sender::prepare(auth, &due.one).map_err(internal)?;

    let (failures, ambiguous) = due.counts();
    let token = due.one.token;
    if asked_to_end.load(Ordering::Relaxed) {
        return Err(internal("it was asked to end before anything was sent".into()));
    }
    original.renew()?;
    due.journal.append(Record::Sending { token, at: auth.clock().now(), ambiguous, failures })?;
    fault("refresh.sending")?;
    let (answer, said) = sender.send(auth, &due.one);
    fault("refresh.sent")?;
    let now = auth.clock().now();
    let tokens = match answer {
        RefreshAnswer::Granted(set) => set,
        other => {
            let outcome = outcome_of(auth, due, want, other, now);
            due.journal.finish(auth.state(), outcome)?;
            return Ok(None);
        }
    };
    due.clock_ahead = tokens.server_date.map(|date| now.0.saturating_sub(date.0));
    // Seconds of a `Date` and of the way here say nothing.
    due.clock_ahead = due.clock_ahead.filter(|ahead| ahead.unsigned_abs() > SKEW);
    let (tokens, why_not) = update(&due.one, &tokens, said, now);
    if let Some(why_not) = why_not {
        // Not this profile's: kept for rescue, never lent under this name.
        due.journal.append(Record::Orphan { tokens: Box::new(tokens) })?;
        let mut outcome = blank(due, OutcomeKind::Refused, now);
        outcome.code = Code::NeedsLogin;
        outcome.detail = why_not;
        due.journal.finish(auth.state(), outcome)?;
        return Ok(None);
    }
    // From here the new tokens are on the disk. Where the journal fails after all, the stores take them: they are
    // as durable, and nothing else in this process knows the tokens.
    let recorded = due.journal.append(Record::Answer { spent: token, tokens: Box::new(tokens.clone()) });
    if let Err(e) = recorded
        && !super::apply::rescue(auth, &due.one.grant, &token, &tokens)
    {
        return Err(e.into());
    }
    Ok(Some((token, tokens)))
}

/// The way in which a refresh token goes out.
enum Sender {
    /// As a request to the token endpoint.
    Request(Box<Client>, tokio::runtime::Runtime),
    /// Through the program of a plugin.
    Plugin(Box<Plugin>),
}

impl Sender {
    fn prepare(auth: &Auth, one: &Refreshable) -> Result<Self, String> {
        if let Some(plugin) = &one.endpoint.plugin {
            return Ok(Self::Plugin(plugin.clone()));
        }
        let limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(20) };
        let client = Client::new(&auth.network(), limits).map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self::Request(Box::new(client), runtime.map_err(|e| e.to_string())?))
    }

    /// Sends it once. Whose the new tokens are is said by a plugin; else the tokens say it.
    fn send(self, auth: &Auth, one: &Refreshable) -> (RefreshAnswer, Option<Identity>) {
        match self {
            Self::Request(client, runtime) => {
                let answer = runtime.block_on(async {
                    match &one.endpoint.access {
                        Some(access) => make_access(&client, access, &one.refresh, auth.clock().now()).await,
                        None => send(&client, refresh_request(&one.endpoint.token, &one.refresh)).await,
                    }
                });
                // A name look-up that hangs must not hold up the end.
                runtime.shutdown_background();
                (answer, None)
            }
            Self::Plugin(plugin) => auth.plugin_refresh(&plugin, one),
        }
    }
}

/// What the entry is to hold, and why it may not hold it: it is another person's, or another client's.
fn update(
    one: &Refreshable,
    set: &TokenSet,
    said: Option<Identity>,
    now: Millis,
) -> (TokenUpdate, Option<String>) {
    let life = expiry(set, now, one.endpoint.default_lifetime);
    let refresh = set.refresh.clone().unwrap_or_else(|| one.refresh.clone());
    let mut tokens = TokenUpdate::new(set.access.clone(), refresh, life.expires, life.issued_at);
    let read = || read_identity(&set.access, set.id_token.as_ref(), &one.endpoint.identity);
    let identity = said.unwrap_or_else(read);
    let why_not = if same_person(&one.entry, &identity) {
        of_another_login(one, set)
    } else {
        Some("the provider answered with the tokens of another person".to_owned())
    };
    tokens.earliest_refresh_at = set.earliest_refresh_at.map(|at| set.local_time(at, now));
    tokens.account_id = identity.account.or_else(|| one.entry.account_id.clone());
    tokens.email = one.entry.email.clone().or(identity.email);
    tokens.subject = one.entry.subject.clone().or(identity.subject);
    tokens.issuer = one.entry.issuer.clone().or(identity.issuer);
    tokens.client_id = Some(one.endpoint.token.client_id.clone());
    tokens.scope = one.endpoint.scope_of(set.scope.as_deref()).or_else(|| one.entry.scope.clone());
    tokens.token_origin = Some(one.endpoint.origin.clone());
    tokens.token_url.clone_from(&one.entry.token_url);
    tokens.revoke_url.clone_from(&one.entry.revoke_url);
    tokens.grant = Some(one.grant);
    (tokens, why_not)
}

/// Whether an id_token came that is for another login than this one. One that cannot be read says nothing; the keys of the
/// issuer are not asked for, since a token that the server has rotated must not depend on a second request.
fn of_another_login(one: &Refreshable, set: &TokenSet) -> Option<String> {
    let issuer = one.endpoint.id_tokens_from.as_deref()?;
    let claims = jwt::claims(set.id_token.as_ref()?)?;
    let wrong = check_refreshed(&claims, issuer, &one.endpoint.token.client_id).err()?;
    Some(format!("the provider answered with an id_token that is not for this login: {wrong}"))
}

fn blank(due: &Due<'_>, kind: OutcomeKind, now: Millis) -> Outcome {
    let (failures, ambiguous) = due.counts();
    let seq = due.journal.view().next_seq();
    let mut outcome = Outcome::new(seq, kind, due.one.token, now, Code::Offline);
    (outcome.failures, outcome.ambiguous) = (failures + 1, ambiguous);
    outcome
}

/// What an answer without tokens means for everybody who asks about this token.
fn outcome_of(auth: &Auth, due: &Due<'_>, want: &Want, answer: RefreshAnswer, now: Millis) -> Outcome {
    let origin = &due.one.endpoint.origin;
    let mut outcome = blank(due, OutcomeKind::NotSpent, now);
    outcome.rejected = want.rejected;
    let words =
        |description: Option<String>| description.map(|d| format!(": {}", redact(&d))).unwrap_or_default();
    match answer {
        RefreshAnswer::Granted(_) => {}
        RefreshAnswer::Refused { code, description } => {
            outcome.kind = OutcomeKind::Refused;
            (outcome.code, outcome.detail) = if outcome.ambiguous > 0 {
                let detail = format!("an earlier answer of {origin} was lost, and now it says {code}");
                (Code::Interrupted, detail)
            } else {
                (Code::NeedsLogin, format!("{origin} says {code}{}", words(description)))
            };
        }
        RefreshAnswer::NotSpent { status, code, description, retry_after, rate_limited } => {
            outcome.rate_limited = rate_limited;
            outcome.next_attempt_at = Some(now.plus(spacing(outcome.failures, retry_after, dice())));
            let status = status.map_or_else(String::new, |status| format!(" {status}"));
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            outcome.detail = format!("{origin} answered{status}{code}{}", words(description));
        }
        RefreshAnswer::Ambiguous { why, .. } => {
            outcome.kind = OutcomeKind::Ambiguous;
            outcome.ambiguous += 1;
            let expires = life(&due.one.entry).map(|life| life.expires);
            outcome.next_attempt_at = Some(after_ambiguity(auth, expires, now, outcome.failures));
            outcome.detail = format!("the answer of {origin} was lost: {why}");
        }
        RefreshAnswer::Offline { detail, .. } => {
            outcome.next_attempt_at = Some(now.plus(spacing(outcome.failures, None, dice())));
            outcome.network = Some(auth.network().digest());
            outcome.detail = format!("{origin} cannot be reached: {detail}");
        }
    }
    if outcome.kind == OutcomeKind::Refused && somebody_was_first(due) {
        outcome.kind = OutcomeKind::Adopted;
        outcome.code = Code::Ok;
        outcome.detail = "another program had refreshed this login".into();
    }
    outcome
}

/// Whether the entry has got other tokens while we asked: a login, or another program's refresh.
fn somebody_was_first(due: &Due<'_>) -> bool {
    let Ok(store) = read_auth_store(&due.agent.store()) else { return false };
    match store.doc.get(&due.one.profile) {
        Some(Entry::OAuth(entry)) => entry.refresh.as_ref().map(TokenHash::of) != Some(due.one.token),
        _ => false,
    }
}

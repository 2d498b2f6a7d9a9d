//! The asker's side: `lock`, hand the lock over, watch, adopt.

use std::time::{Duration, Instant};

use coderclaw_store::{
    AgentPaths, AuthProfiles, Entry, GrantGuard, Holder, JournalView, StoreOwner, StoreSnapshot,
    fingerprint_key, read_auth_store, store_owner,
};
use coderclaw_types::{Code, Millis, ProfileId, TokenHash};

use crate::context::Auth;
use crate::grant::Refreshable;

use super::RefreshError;
use super::ask::{Asked, Began, Denial, Good, Moment, Want, ask};
use super::worker::{Job, Started, fault, start};

/// How long anybody waits for anybody.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// A worker that goes on after the answer is given this long to end before its asker does.
const FAREWELL: Duration = Duration::from_millis(500);

/// What one look at the store and the journal says.
enum Look {
    /// The entry is gone, or is no login any more.
    Gone,
    /// It cannot be refreshed by us.
    Fixed,
    Known {
        one: Box<Refreshable>,
        asked: Asked,
        seq: u64,
    },
}

/// Another program's file holds this very refresh token, which is about to be used up.
fn warn_of_sharing(auth: &Auth, one: &Refreshable) {
    if let Some((program, path)) = auth.program_with(&one.token) {
        auth.note(format!(
            "{} is {}'s own login as well ({}), which will have to be logged in again there; a new login here would be this \
             program's alone: coderclaw models auth login --provider {}",
            one.profile.as_str(),
            program.name(),
            path.display(),
            one.entry.provider
        ));
    }
}

/// A token for the login `profile` of `agent`, refreshed if that is wanted and possible.
///
/// # Errors
/// Where there is none that works.
pub(crate) fn obtain(
    auth: &Auth,
    agent: &AgentPaths,
    profile: &ProfileId,
    want: &Want,
) -> Result<Option<Good>, RefreshError> {
    let network = auth.network().digest();
    let began = Instant::now();
    let began_at = auth.clock().now();
    let mut from = None;
    let mut first_token = None;
    let mut workers: Vec<Started> = Vec::new();
    let mut pause = FIRST_PAUSE;
    let mut looked_again = false;
    let result = loop {
        let look = look(auth, agent, profile, want, &network, from)?;
        let (one, asked) = match look {
            Look::Gone | Look::Fixed => break Ok(None),
            Look::Known { one, asked, seq } => {
                from.get_or_insert(Began { seq, at: began_at });
                (one, asked)
            }
        };
        let meanwhile = match asked {
            Asked::Lend(good) => {
                // Where nobody is at it any more, the worker died: another one brings it into the store.
                if good.unfinished
                    && workers.is_empty()
                    && let Ok(Some(guard)) = GrantGuard::try_acquire(auth.state(), &one.grant)
                {
                    workers.extend(start(auth, guard, Job::new(auth, agent, &one, want)).ok());
                }
                break Ok(Some(good));
            }
            // Somebody forced a refresh, perhaps between our look at the store and the one at the journal.
            Asked::Denied { why, .. } if why.code == Code::Rejected && !looked_again => {
                looked_again = true;
                continue;
            }
            Asked::Denied { why, meanwhile } => {
                break settle_for(meanwhile, want, Some(why), auth.clock().now());
            }
            Asked::Wanted { meanwhile } => meanwhile,
        };
        // What was issued while we waited, for us or for somebody else, is as good as it gets.
        let first_token = first_token.get_or_insert_with(|| one.entry.access.as_ref().map(TokenHash::of));
        if let Some(good) = &meanwhile {
            let is_new = Some(TokenHash::of(&good.access)) != *first_token;
            let is_ours = !workers.is_empty() && good.issued_at.is_some_and(|issued| issued >= began_at);
            if is_new || is_ours {
                break settle_for(meanwhile, want, None, auth.clock().now());
            }
        }
        if began.elapsed() >= PATIENCE {
            if meanwhile.is_some() {
                break settle_for(meanwhile, want, None, auth.clock().now());
            }
            let holder = Holder::read(&GrantGuard::path(auth.state(), &one.grant)).to_string();
            break Err(RefreshError::InProgress { holder, secs: began.elapsed().as_secs() });
        }
        // A worker whose outcome could not be written down says it with its exit status.
        if let Some(code) = workers.last_mut().and_then(Started::failure) {
            let detail = code.meaning().to_owned();
            let why = Denial { code, detail, until: None, terminal: false };
            break settle_for(meanwhile, want, Some(why), auth.clock().now());
        }
        match GrantGuard::try_acquire(auth.state(), &one.grant) {
            Ok(Some(guard)) => {
                // The last holder may have finished between our look and the lock.
                let again = self::look(auth, agent, profile, want, &network, from)?;
                let Look::Known { one: now, asked: Asked::Wanted { .. }, .. } = again else {
                    continue;
                };
                if now.grant != one.grant {
                    continue;
                }
                if workers.len() == 2 {
                    let detail = workers.last_mut().map(Started::describe).unwrap_or_default();
                    if meanwhile.is_some() {
                        break settle_for(meanwhile, want, None, auth.clock().now());
                    }
                    break Err(RefreshError::WorkerFailed { detail });
                }
                fault("asker.locked")?;
                if workers.is_empty() {
                    warn_of_sharing(auth, &now);
                }
                let job = Job::new(auth, agent, &now, want);
                workers.push(start(auth, guard, job)?);
                fault("asker.handed")?;
                pause = FIRST_PAUSE;
            }
            Ok(None) => {}
            // Where not even a lock can be made, a token that still works is lent all the same.
            Err(e) => {
                if meanwhile.is_some() {
                    break settle_for(meanwhile, want, None, auth.clock().now());
                }
                break Err(e.into());
            }
        }
        wait_for_change(auth, agent, &one, &mut pause);
    };
    for worker in workers {
        worker.farewell(FAREWELL);
    }
    result
}

/// Waits until the store or the journal changes, or for one pause, whichever comes first.
fn wait_for_change(auth: &Auth, agent: &AgentPaths, one: &Refreshable, pause: &mut Duration) {
    let before = GrantGuard::watch(auth.state(), &agent.store(), &one.grant);
    let until = Instant::now() + *pause;
    while Instant::now() < until {
        std::thread::sleep(FIRST_PAUSE);
        if GrantGuard::watch(auth.state(), &agent.store(), &one.grant) != before {
            *pause = FIRST_PAUSE;
            return;
        }
    }
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

fn settle_for(
    meanwhile: Option<Good>,
    want: &Want,
    why: Option<Denial>,
    now: Millis,
) -> Result<Option<Good>, RefreshError> {
    match (meanwhile, why) {
        (Some(good), _) if good.expires.is_none_or(|end| end.since(now) >= want.min_validity) => {
            Ok(Some(good))
        }
        (Some(good), _) => Err(RefreshError::CannotGuarantee { until: good.expires }),
        (None, Some(why)) => {
            Err(RefreshError::Denied { code: why.code, detail: why.detail, until: why.until })
        }
        (None, None) => Ok(None),
    }
}

fn look(
    auth: &Auth,
    agent: &AgentPaths,
    profile: &ProfileId,
    want: &Want,
    network: &str,
    began: Option<Began>,
) -> Result<Look, RefreshError> {
    let store = read_auth_store(&agent.store())?;
    let Some(Entry::OAuth(entry)) = store.doc.get(profile) else {
        return Ok(Look::Gone);
    };
    let Some(one) = Refreshable::of(auth, profile, &entry) else {
        return Ok(Look::Fixed);
    };
    let journal = JournalView::read(&auth.state().journal(&one.grant))?;
    let moment = Moment { now: auth.clock().now(), began, network };
    let asked = ask_here(auth, &store, &one, &journal, want, &moment)?;
    let seq = journal.next_seq() - 1;
    Ok(Look::Known { one: Box::new(one), asked, seq })
}

/// [`ask`], and whether a refresh that is wanted can be made from here at all. Looks and askers both go through this.
pub(crate) fn ask_here(
    auth: &Auth,
    store: &StoreSnapshot,
    one: &Refreshable,
    journal: &JournalView,
    want: &Want,
    moment: &Moment<'_>,
) -> Result<Asked, RefreshError> {
    let asked = ask(one, journal, want, moment);
    let Asked::Wanted { meanwhile } = asked else { return Ok(asked) };
    Ok(match blocker(auth, store, one)? {
        Some(why) => Asked::Denied { why, meanwhile },
        None => Asked::Wanted { meanwhile },
    })
}

/// What keeps us from refreshing this login whatever its token looks like.
fn blocker(auth: &Auth, store: &StoreSnapshot, one: &Refreshable) -> Result<Option<Denial>, RefreshError> {
    let denied = |code, detail| Ok(Some(Denial { code, detail, until: None, terminal: false }));
    if store.doc.version() > AuthProfiles::VERSION {
        return denied(
            Code::UnsupportedVersion,
            format!("{} has version {}", store.path.display(), store.doc.version()),
        );
    }
    if !one.origin_is_trusted() {
        let from = one.entry.token_origin.as_deref().unwrap_or_default();
        let now = one.endpoint.issuer.as_ref().unwrap_or(&one.endpoint.origin);
        return denied(
            Code::ProviderMismatch,
            format!("this login came from {from}, and the provider now names {now}"),
        );
    }
    if let StoreOwner::Foreign(owner) = store_owner(auth.state(), &store.path)? {
        return denied(
            Code::ForeignStore,
            format!("{} is refreshed by the state dir {}", store.path.display(), owner.display()),
        );
    }
    if let Err(e) = auth.state().check_owner() {
        return denied(e.code(), e.to_string());
    }
    Ok(None)
}

/// Makes the fingerprint key on the first write; a failure shows as fingerprints that stay empty.
pub(super) fn ensure_fingerprint_key(auth: &Auth) {
    drop(fingerprint_key(auth.state()));
}

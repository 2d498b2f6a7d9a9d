//! Whether a request may go out, and with what: all that is decided before it is sent.

use coderclaw_auth::{Ask, Halt, Lease, LeaseError, Next, Outcome, ReportError};
use coderclaw_providers::Manifest;
use coderclaw_store::{AgentPaths, GatewayKey};
use coderclaw_types::{AgentId, Code, Millis};
use http::HeaderMap;

use crate::gateway::Shared;
use crate::logins::Open;
use crate::options::{Note, Trouble};
use crate::refusal::{Refusal, Shape};
use crate::route::{Route, destination, route};

/// A request that may go out.
pub(crate) struct Case {
    pub(crate) open: Open,
    agent: AgentPaths,
    pub(crate) manifest: Manifest,
    /// What its path says behind the provider.
    pub(crate) rest: String,
    ask: Ask,
    pub(crate) key: GatewayKey,
    pub(crate) shape: Shape,
}

impl Case {
    /// Where the request goes, and for whom; who asks is known. Reads no file that has not been read.
    fn of(
        shared: &Shared,
        open: Open,
        key: GatewayKey,
        headers: &HeaderMap,
        path: &str,
        shape: Shape,
    ) -> Result<Self, (Refusal, Shape)> {
        let agent = open.auth().agent(key.agent.as_ref().map(AgentId::as_str));
        let agent = agent.map_err(|e| {
            let about = Trouble { code: e.code(), manifest: None, profile: None, agent: None, other: None };
            (refusal(shared, shape, &about, &e.to_string(), None), shape)
        })?;
        let (manifest, rest) =
            destination(open.auth(), &agent, &key, headers, path, shape).map_err(|e| (e, shape))?;
        let (shape, manifest, rest) = (Shape::of(manifest.api.kind), manifest.clone(), rest.to_owned());
        let ask = Ask { profile: key.profile.clone(), ..Ask::default() };
        Ok(Self { open, agent, manifest, rest, ask, key, shape })
    }

    /// One line in the audit trail for each token that each key is lent.
    pub(crate) fn write_down(&self, shared: &Shared, lease: &Lease) {
        let key = &self.key.id;
        if !lease.is_keyless() && shared.noted.is_first_loan(key, lease) {
            self.open.auth().audit_lend(lease, &format!("gateway key {key}"));
        }
    }

    /// Tells `Auth` what came of the request with this lease. What may be done next.
    pub(crate) fn report(&self, lease: &Lease, outcome: Outcome<'_>) -> Result<Next, ReportError> {
        self.open.auth().report(&self.agent, &self.manifest, lease, outcome, &self.ask)
    }

    /// Why it does not go out again, as an answer.
    pub(crate) fn halted(&self, shared: &Shared, halt: &Halt) -> Refusal {
        let about = Trouble {
            code: halt.code,
            manifest: Some(&self.manifest),
            profile: halt.profile.as_ref(),
            agent: self.key.agent.as_ref(),
            other: None,
        };
        refusal(shared, self.shape, &about, &halt.why, halt.until)
    }
}

/// What `/metrics` and a provider's request have in common: a key that counts.
pub(crate) enum Admitted {
    Metrics,
    Lent(Box<Case>, Box<Lease>),
}

/// The same as [`admit`], for the many requests that change nothing: no file is read, so that no other thread has to be
/// waited for. `None` where there is more to do, or anything to be said.
pub(crate) fn admit_at_once(
    shared: &Shared,
    headers: &HeaderMap,
    path: &str,
    shape: Shape,
) -> Option<Admitted> {
    let open = shared.logins.current()?;
    let key = shared.keys.check(open.auth().state(), headers, shape, shared.clock.now()).ok()?;
    let Route::Named(..) = route(path) else { return None };
    let case = Case::of(shared, open, key, headers, path, shape).ok()?;
    let lease = case.open.lender.remembered(&case.agent, &case.manifest, &case.ask)?;
    if !lease.is_keyless() && !shared.noted.knows_loan(&case.key.id, &lease) {
        return None;
    }
    Some(Admitted::Lent(Box::new(case), Box::new(lease)))
}

/// Who it is, where it goes, and the lease: everything that reads files, in one go.
pub(crate) fn admit(
    shared: &Shared,
    headers: &HeaderMap,
    path: &str,
    shape: Shape,
) -> Result<Admitted, (Refusal, Shape)> {
    let (open, trouble) = shared.logins.now();
    if let Some(trouble) = trouble {
        shared.tell(Note::event(format!("the config before the last change stays in use: {trouble}")));
    }
    let key = shared.keys.check(open.auth().state(), headers, shape, shared.clock.now());
    let key = key.map_err(|e| (e, shape))?;
    if path == "/metrics" {
        return Ok(Admitted::Metrics);
    }
    let case = Case::of(shared, open, key, headers, path, shape)?;
    let lease = case.open.lender.lease(&case.agent, &case.manifest, &case.ask);
    let lease = lease.map_err(|e| (not_lent(shared, &case, &e), case.shape))?;
    shared.tell_all(case.open.auth().take_notes());
    case.write_down(shared, &lease);
    if let Some(moved) = &lease.moved {
        shared.tell(Note::moved(&case.key, moved));
    }
    Ok(Admitted::Lent(Box::new(case), Box::new(lease)))
}

/// Why no login is lent, as an answer.
fn not_lent(shared: &Shared, case: &Case, error: &LeaseError) -> Refusal {
    let agent = match error.code() {
        Code::NotLinked | Code::LinkBroken => error.asking(),
        _ => error.owner().or(case.key.agent.as_ref()),
    };
    let about = Trouble {
        code: error.code(),
        manifest: Some(&case.manifest),
        profile: error.profile(),
        agent,
        other: error.owner(),
    };
    refusal(shared, case.shape, &about, &error.to_string(), error.until())
}

fn refusal(shared: &Shared, shape: Shape, about: &Trouble<'_>, why: &str, until: Option<Millis>) -> Refusal {
    let command = (shared.next_command)(about);
    Refusal::of_login(shape, about.code, why, until, &command, shared.clock.now())
}

//! One request: with what it goes out, and with what it goes out again.
//!
//! The answer that the client gets is the provider's, to the byte, or one of ours; never half of each. So everything
//! that may be tried again is tried before the first byte of an answer goes back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use coderclaw_auth::{Ask, Auth, Halt, Lease, LeaseError, Next, Outcome, ReportError};
use coderclaw_http::{RelayRequest, Relayed, SendError};
use coderclaw_providers::{ApiKind, Failure, Manifest, Scope, read_event_failure, read_failure};
use coderclaw_store::{AgentPaths, GatewayKey};
use coderclaw_types::{Code, Millis, ProfileId, for_people};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::gateway::Shared;
use crate::heads::{outgoing, strip_hop_by_hop};
use crate::keep::Kept;
use crate::logins::Open;
use crate::options::{Note, Trouble};
use crate::refusal::{Refusal, Shape};
use crate::route::{Route, address, destination, route};
use crate::unpack::{self, Unpacker};
use crate::within::{self, Watch};
use crate::{console, guard, status};

/// No request is sent more often; one that would be is going in circles.
const MOST_SENDINGS: u32 = 8;

/// A request that may go out.
struct Case {
    open: Open,
    agent: AgentPaths,
    manifest: Manifest,
    rest: String,
    ask: Ask,
    key: GatewayKey,
    shape: Shape,
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
        let agent = open.auth().agent(key.agent.as_ref().map(coderclaw_types::AgentId::as_str));
        let agent = agent.map_err(|e| {
            let about = Trouble { code: e.code(), manifest: None, profile: None, agent: None, other: None };
            let command = (shared.next_command)(&about);
            (Refusal::of_login(shape, e.code(), &e.to_string(), None, &command, shared.clock.now()), shape)
        })?;
        let (manifest, rest) =
            destination(open.auth(), &agent, &key, headers, path, shape).map_err(|e| (e, shape))?;
        let (shape, manifest, rest) = (Shape::of(manifest.api.kind), manifest.clone(), rest.to_owned());
        let ask = Ask { profile: key.profile.clone(), ..Ask::default() };
        Ok(Self { open, agent, manifest, rest, ask, key, shape })
    }
}

/// What `/metrics` and a provider's request have in common: a key that counts.
enum Admitted {
    Metrics,
    Lent(Box<Case>, Box<Lease>),
}

/// Answers one request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let shape = Shape::guess(head.uri.path(), &head.headers);
    // What says two things about where a body ends is read in one way here and passed on in no way at all: whatever else
    // came over this connection is not looked at.
    let is_chunked = head.headers.contains_key(http::header::TRANSFER_ENCODING);
    let mut response = match Box::pin(serve(&shared, &head, body, shape)).await {
        Ok(response) => response,
        Err((refusal, shape)) => {
            let refusal = refusal.heard_by(&head.headers);
            shared.numbers.refused(refusal.code);
            shared.tell(Note::event(format!(
                "refused [{}] {}: {}",
                refusal.code,
                refusal.status(),
                refusal.message()
            )));
            refusal.answer(shape, shared.clock.now())
        }
    };
    if is_chunked {
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn serve(
    shared: &Arc<Shared>,
    head: &Parts,
    body: Incoming,
    shape: Shape,
) -> Result<Response<Answer>, (Refusal, Shape)> {
    if console::is_for(head.uri.path()) {
        return console::answer(shared, head, body).await.map_err(|refusal| (refusal, shape));
    }
    let is_health = head.uri.path() == "/healthz";
    let check = if is_health { guard::check_health } else { guard::check };
    check(head, shared.port, shared.shown().as_deref()).map_err(|refusal| (refusal.closing(), shape))?;
    if is_health {
        return Ok(status::health(shared));
    }
    let admitted = match admit_at_once(shared, &head.headers, head.uri.path(), shape) {
        Some(admitted) => admitted,
        None => {
            let (with, headers, path) =
                (Arc::clone(shared), head.headers.clone(), head.uri.path().to_owned());
            aside(move || admit(&with, &headers, &path, shape)).await.map_err(|e| (e, shape))??
        }
    };
    match admitted {
        Admitted::Metrics => Ok(status::metrics(shared)),
        Admitted::Lent(case, lease) => {
            let shape = case.shape;
            let case = Arc::new(*case);
            // On the heap, and gone with the answer's head: a connection lives longer, and there are many.
            Box::pin(pass(shared, &case, head, body, *lease)).await.map_err(|refusal| (refusal, shape))
        }
    }
}

/// The same as [`admit`], for the many requests that change nothing: no file is read, so that no other thread has to be
/// waited for. `None` where there is more to do, or anything to be said.
fn admit_at_once(shared: &Shared, headers: &HeaderMap, path: &str, shape: Shape) -> Option<Admitted> {
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
fn admit(
    shared: &Shared,
    headers: &HeaderMap,
    path: &str,
    shape: Shape,
) -> Result<Admitted, (Refusal, Shape)> {
    let now = shared.clock.now();
    let (open, trouble) = shared.logins.now();
    if let Some(trouble) = trouble {
        shared.tell(Note::event(format!("the config before the last change stays in use: {trouble}")));
    }
    let key = shared.keys.check(open.auth().state(), headers, shape, now).map_err(|e| (e, shape))?;
    if path == "/metrics" {
        return Ok(Admitted::Metrics);
    }
    let case = Case::of(shared, open, key, headers, path, shape)?;
    let (auth, manifest, key) = (case.open.auth(), &case.manifest, &case.key);
    let lease = case.open.lender.lease(&case.agent, manifest, &case.ask).map_err(|e| {
        let refusal = of_lease(shared, case.shape, manifest, key, &e, now);
        (refusal, case.shape)
    })?;
    shared.tell_all(auth.take_notes());
    lent(shared, auth, key, &lease);
    if let Some(moved) = &lease.moved {
        shared.tell(Note::event(moved_line(key, moved)));
    }
    Ok(Admitted::Lent(Box::new(case), Box::new(lease)))
}

/// Sends it, and sends it again where `Auth::report` has something better to send it with.
async fn pass(
    shared: &Arc<Shared>,
    case: &Arc<Case>,
    head: &Parts,
    body: Incoming,
    mut lease: Lease,
) -> Result<Response<Answer>, Refusal> {
    let began = Instant::now();
    let kept = Kept::new(body, shared.limits.keep, shared.limits.body);
    for sending in 1.. {
        let mut relayed = match send(case, head, &kept, &lease).await? {
            Ok(relayed) => relayed,
            Err(_) if kept.is_late() => {
                let message = "CoderClaw: the request's body stopped in the middle";
                return Err(Refusal::new(408, Code::GatewayRefused, message).closing());
            }
            Err(e) => return Err(Refusal::new(502, Code::Unreachable, format!("CoderClaw: {e}"))),
        };
        let status = relayed.status.as_u16();
        let told = || {
            let whose = lease.profile.as_ref().map_or(lease.source.as_str(), ProfileId::as_str);
            let path = for_people(&case.rest).unwrap_or_default();
            let ms = began.elapsed().as_millis();
            shared.numbers.request(&case.manifest.id, status);
            let (id, key) = (&case.manifest.id, &case.key.id);
            shared.tell(Note::detail(format!("{id} {} {path} {status} {whose} {key} {ms} ms", head.method)));
        };
        if status < 400 {
            told();
            let noting = note_success(shared, case, &lease);
            let mut response = Response::new(());
            *response.status_mut() = relayed.status;
            *response.headers_mut() = std::mem::take(&mut relayed.headers);
            strip_hop_by_hop(response.headers_mut());
            let reader = within::reader(response.headers());
            let watch = reader.map(|reader| watch(shared, case, &lease, noting, reader));
            return Ok(response.map(|()| Answer::passed(relayed, shared.numbers.open(), watch)));
        }
        let (response, failure) = failed(shared, case, relayed).await;
        let next = report(shared, case, &lease, &failure).await?;
        match next {
            Ok(Next::Retry { lease: other, moved }) if sending < MOST_SENDINGS && kept.can_go() => {
                shared.numbers.again(&case.manifest.id);
                match &moved {
                    Some(moved) => shared.tell(Note::event(moved_line(&case.key, moved))),
                    None => shared.tell(Note::event(format!(
                        "{}: a token was rejected and is refreshed; the request goes out again",
                        other.profile.as_ref().map_or("a key", ProfileId::as_str)
                    ))),
                }
                shared.noted.forget(&lease);
                lease = *other;
                continue;
            }
            Ok(Next::Pause(halt)) if status != 429 => return Err(of_halt(shared, case, &halt)),
            // The provider's own words would make the client try for minutes, or name no way out.
            Ok(Next::Stop(halt)) if failure.kind.scope() == Scope::Credential => {
                return Err(of_halt(shared, case, &halt));
            }
            Ok(_) => {}
            Err(e) => shared.tell(Note::event(format!("a failure could not be noted: {e}"))),
        }
        shared.noted.forget(&lease);
        told();
        return Ok(response);
    }
    Err(Refusal::new(502, Code::Internal, "CoderClaw: the request went in circles"))
}

async fn send(
    case: &Case,
    head: &Parts,
    kept: &Kept,
    lease: &Lease,
) -> Result<Result<Relayed, SendError>, Refusal> {
    let api = case.manifest.api(lease.kind);
    let url = address(api.base_url.as_deref(), &case.rest, &head.uri)?;
    let headers = outgoing(&head.headers, &case.manifest, lease).ok_or_else(|| {
        Refusal::new(500, Code::Internal, "CoderClaw: the credential cannot be sent in a header")
    })?;
    let request = RelayRequest { method: head.method.clone(), url, headers, body: kept.body() };
    Ok(case.open.relay.open(request).await)
}

/// The answer as it goes to the client, and what it means.
async fn failed(shared: &Shared, case: &Case, relayed: Relayed) -> (Response<Answer>, Failure) {
    let mut response = Response::new(());
    *response.status_mut() = relayed.status;
    *response.headers_mut() = relayed.headers.clone();
    let lines: Vec<(String, String)> = relayed
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let status = relayed.status.as_u16();
    let (answer, words) = Answer::peeked(relayed, shared.numbers.open()).await;
    let words = unpack::words(response.headers(), &words);
    let kind = case.manifest.api.kind.unwrap_or(ApiKind::OpenAiChat);
    let failure = read_failure(kind, status, &lines, &words, shared.clock.now());
    strip_hop_by_hop(response.headers_mut());
    (response.map(|()| answer), failure)
}

async fn report(
    shared: &Arc<Shared>,
    case: &Arc<Case>,
    lease: &Lease,
    failure: &Failure,
) -> Result<Result<Next, ReportError>, Refusal> {
    let (shared, case) = (Arc::clone(shared), Arc::clone(case));
    let (lease, failure) = (lease.clone(), failure.clone());
    aside(move || {
        let auth = case.open.auth();
        let outcome = Outcome::Failed(&failure);
        let next = auth.report(&case.agent, &case.manifest, &lease, outcome, &case.ask)?;
        if let Next::Retry { lease, .. } = &next {
            lent(&shared, auth, &case.key, lease);
        }
        Ok(next)
    })
    .await
}

/// One line in the audit trail for each token that each key is lent.
fn lent(shared: &Shared, auth: &Auth, key: &GatewayKey, lease: &Lease) {
    if !lease.is_keyless() && shared.noted.is_first_loan(&key.id, lease) {
        auth.audit_lend(lease, &format!("gateway key {}", key.id));
    }
}

/// Tells `Auth` of a failure in the middle of the answer, beside the stream. The request is the client's to send again:
/// it has seen the beginning.
fn watch(
    shared: &Arc<Shared>,
    case: &Arc<Case>,
    lease: &Lease,
    noting: Option<JoinHandle<()>>,
    reader: Unpacker,
) -> Watch {
    let (shared, case, lease) = (Arc::clone(shared), Arc::clone(case), lease.clone());
    Watch::new(reader, move |data| {
        let report = move || {
            let failure = read_event_failure(&data, shared.clock.now());
            shared.noted.forget(&lease);
            let whose = lease.profile.as_ref().map_or(lease.source.as_str(), ProfileId::as_str);
            shared.tell(Note::event(format!(
                "{whose} [{}] in the middle of an answer: {failure}",
                failure.code()
            )));
            let Case { agent, manifest, ask, .. } = &*case;
            match case.open.auth().report(agent, manifest, &lease, Outcome::Failed(&failure), ask) {
                Ok(Next::Retry { moved: Some(moved), .. }) => {
                    shared.tell(Note::event(moved_line(&case.key, &moved)));
                }
                Ok(_) => {}
                Err(e) => shared.tell(Note::event(format!("a failure could not be noted: {e}"))),
            }
        };
        tokio::spawn(async move {
            // The good beginning comes first in the books too: it would end what the failure begins.
            if let Some(noting) = noting {
                let _ended = noting.await;
            }
            tokio::task::spawn_blocking(report);
        });
    })
}

/// Writes a success down, beside the answer that is on its way already.
fn note_success(shared: &Arc<Shared>, case: &Arc<Case>, lease: &Lease) -> Option<JoinHandle<()>> {
    if !shared.noted.is_due(lease) {
        return None;
    }
    let (shared, case, lease) = (Arc::clone(shared), Arc::clone(case), lease.clone());
    Some(tokio::task::spawn_blocking(move || {
        let Case { agent, manifest, ask, .. } = &*case;
        if let Err(e) = case.open.auth().report(agent, manifest, &lease, Outcome::Worked, ask) {
            shared.tell(Note::event(format!("a success could not be noted: {e}")));
        }
    }))
}

fn of_lease(
    shared: &Shared,
    shape: Shape,
    manifest: &Manifest,
    key: &GatewayKey,
    error: &LeaseError,
    now: Millis,
) -> Refusal {
    let agent = match error.code() {
        Code::NotLinked | Code::LinkBroken => error.asking(),
        _ => error.owner().or(key.agent.as_ref()),
    };
    let command = (shared.next_command)(&Trouble {
        code: error.code(),
        manifest: Some(manifest),
        profile: error.profile(),
        agent,
        other: error.owner(),
    });
    Refusal::of_login(shape, error.code(), &error.to_string(), error.until(), &command, now)
}

fn of_halt(shared: &Shared, case: &Case, halt: &Halt) -> Refusal {
    let command = (shared.next_command)(&Trouble {
        code: halt.code,
        manifest: Some(&case.manifest),
        profile: halt.profile.as_ref(),
        agent: case.key.agent.as_ref(),
        other: None,
    });
    Refusal::of_login(case.shape, halt.code, &halt.why, halt.until, &command, shared.clock.now())
}

fn moved_line(key: &GatewayKey, moved: &coderclaw_auth::Moved) -> String {
    let to = moved.to.as_ref().map_or("a key", ProfileId::as_str);
    format!("{} -> {to} for the key {} [{}]: {}", moved.from, key.id, moved.code, moved.why)
}

/// Runs what blocks on a thread of its own. Where nobody waits for it any more, it ends all the same.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refusal::new(500, Code::Internal, "CoderClaw: something that should not happen did"))
}

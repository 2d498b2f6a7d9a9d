//! One request: with what it goes out, and with what it goes out again.
//!
//! The answer that the client gets is the provider's, to the byte, or one of ours; never half of each. So everything
//! that may be tried again is tried before the first byte of an answer goes back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use coderclaw_auth::{Lease, Next};
use coderclaw_http::{RelayRequest, Relayed, SendError};
use coderclaw_providers::Scope;
use coderclaw_types::{Code, ProfileId, for_people};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::admit::{Admitted, Case, admit, admit_at_once};
use crate::answer::Answer;
use crate::gateway::Shared;
use crate::heads::{outgoing, strip_hop_by_hop};
use crate::keep::Kept;
use crate::options::Note;
use crate::outcome::{failed, note_success, report, watch};
use crate::refusal::{Refusal, Shape};
use crate::route::address;
use crate::{console, guard, status, within};

/// No request is sent more often; one that would be is going in circles.
const MOST_SENDINGS: u32 = 8;

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
            let whose = lease.whose();
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
            let reader = within::reader(response.headers(), &shared.unpacking);
            let watch = reader.map(|reader| watch(shared, case, &lease, noting, reader));
            return Ok(response.map(|()| Answer::passed(relayed, shared.numbers.open(), watch)));
        }
        let (response, failure) = failed(shared, case, relayed).await;
        let next = report(shared, case, &lease, &failure).await?;
        match next {
            Ok(Next::Retry { lease: other, moved }) if sending < MOST_SENDINGS && kept.can_go() => {
                shared.numbers.again(&case.manifest.id);
                match &moved {
                    Some(moved) => shared.tell(Note::moved(&case.key, moved)),
                    None => shared.tell(Note::event(format!(
                        "{}: a token was rejected and is refreshed; the request goes out again",
                        other.profile.as_ref().map_or("a key", ProfileId::as_str)
                    ))),
                }
                shared.noted.forget(&lease);
                lease = *other;
                continue;
            }
            Ok(Next::Pause(halt)) if status != 429 => return Err(case.halted(shared, &halt)),
            // The provider's own words would make the client try for minutes, or name no way out.
            Ok(Next::Stop(halt)) if failure.kind.scope() == Scope::Credential => {
                return Err(case.halted(shared, &halt));
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

/// Runs what blocks on a thread of its own. Where nobody waits for it any more, it ends all the same.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refusal::new(500, Code::Internal, "CoderClaw: something that should not happen did"))
}

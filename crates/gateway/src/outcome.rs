//! What came of a request, as `Auth` is told: of a success, of a failure, and of one in the middle of an answer.

use std::sync::Arc;

use coderclaw_auth::{Lease, Next, Outcome, ReportError};
use coderclaw_http::Relayed;
use coderclaw_providers::{ApiKind, Failure, read_event_failure, read_failure};
use http::Response;
use tokio::task::JoinHandle;

use crate::admit::Case;
use crate::answer::Answer;
use crate::gateway::Shared;
use crate::heads::strip_hop_by_hop;
use crate::lend::aside;
use crate::options::Note;
use crate::refusal::Refusal;
use crate::unpack;
use crate::within::{Reader, Watch};

/// The answer as it goes to the client, and what it means.
pub(crate) async fn failed(shared: &Shared, case: &Case, relayed: Relayed) -> (Response<Answer>, Failure) {
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

/// Tells `Auth` of a failure. What may be done next.
pub(crate) async fn report(
    shared: &Arc<Shared>,
    case: &Arc<Case>,
    lease: &Lease,
    failure: &Failure,
) -> Result<Result<Next, ReportError>, Refusal> {
    let (shared, case) = (Arc::clone(shared), Arc::clone(case));
    let (lease, failure) = (lease.clone(), failure.clone());
    aside(move || {
        let next = case.report(&lease, Outcome::Failed(&failure))?;
        if let Next::Retry { lease, .. } = &next {
            case.write_down(&shared, lease);
        }
        Ok(next)
    })
    .await
}

/// Tells `Auth` of a failure in the middle of the answer, beside the stream. The request is the client's to send again:
/// it has seen the beginning.
pub(crate) fn watch(
    shared: &Arc<Shared>,
    case: &Arc<Case>,
    lease: &Lease,
    noting: Option<JoinHandle<()>>,
    reader: Reader,
) -> Watch {
    let (shared, case, lease) = (Arc::clone(shared), Arc::clone(case), lease.clone());
    Watch::new(reader, move |data| {
        let report = move || {
            let failure = read_event_failure(&data, shared.clock.now());
            shared.noted.forget(&lease);
            let (whose, code) = (lease.whose(), failure.code());
            shared.tell(Note::event(format!("{whose} [{code}] in the middle of an answer: {failure}")));
            match case.report(&lease, Outcome::Failed(&failure)) {
                Ok(Next::Retry { moved: Some(moved), .. }) => shared.tell(Note::moved(&case.key, &moved)),
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
pub(crate) fn note_success(shared: &Arc<Shared>, case: &Arc<Case>, lease: &Lease) -> Option<JoinHandle<()>> {
    if !shared.noted.is_due(lease) {
        return None;
    }
    let (shared, case, lease) = (Arc::clone(shared), Arc::clone(case), lease.clone());
    Some(tokio::task::spawn_blocking(move || {
        if let Err(e) = case.report(&lease, Outcome::Worked) {
            shared.tell(Note::event(format!("a success could not be noted: {e}")));
        }
    }))
}

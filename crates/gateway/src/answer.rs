//! The body of an answer: the gateway's own words, or a provider's as it comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use coderclaw_http::{BODY_LIMIT, Relayed, SendError};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::numbers::Open;
use crate::within::Watch;

/// How long the words of a failed answer are waited for before it is passed on as it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body on its way to the client.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What goes first.
    before: VecDeque<Bytes>,
    /// What follows.
    rest: Option<Relayed>,
    /// What somebody here says as it happens; it ends when they do.
    live: Option<mpsc::Receiver<Bytes>>,
    /// Sees what passes, as long as it wants to.
    watch: Option<Watch>,
    /// How it broke off, and whether what came before is written: a connection that breaks loses what waits.
    broken: Option<(SendError, bool)>,
    /// Counts it while it is on its way.
    _open: Option<Open>,
}

impl Answer {
    pub(crate) fn whole(text: impl Into<Bytes>) -> Self {
        Self { before: VecDeque::from([text.into()]), ..Self::default() }
    }

    /// Parts that come as they are made here.
    pub(crate) fn live(parts: mpsc::Receiver<Bytes>) -> Self {
        Self { live: Some(parts), ..Self::default() }
    }

    pub(crate) fn passed(rest: Relayed, open: Open, watch: Option<Watch>) -> Self {
        Self { rest: Some(rest), watch, _open: Some(open), ..Self::default() }
    }

    /// Reads the words of a failure, as far as they are short and come soon; nothing of them is lost to the client.
    pub(crate) async fn peeked(mut rest: Relayed, open: Open) -> (Self, Vec<u8>) {
        let mut before = VecDeque::new();
        let mut words = Vec::new();
        let mut is_whole = false;
        let read = async {
            while words.len() < BODY_LIMIT {
                match rest.frame().await {
                    Some(Ok(frame)) => {
                        if let Ok(bytes) = frame.into_data() {
                            words.extend_from_slice(&bytes);
                            before.push_back(bytes);
                        }
                    }
                    // An answer that breaks off is passed on broken.
                    Some(Err(_)) => return,
                    None => {
                        is_whole = true;
                        return;
                    }
                }
            }
        };
        // What comes too late follows as it comes.
        let _in_time = tokio::time::timeout(PATIENCE, read).await;
        let rest = (!is_whole).then_some(rest);
        (Self { before, rest, _open: Some(open), ..Self::default() }, words)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        if let Some(bytes) = self.before.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if let Some(live) = &mut self.live {
            return live.poll_recv(context).map(|part| part.map(|bytes| Ok(Frame::data(bytes))));
        }
        let Self { rest, watch, broken, .. } = &mut *self;
        let Some(body) = rest else {
            if let Some((_, is_written)) = broken
                && !std::mem::replace(is_written, true)
            {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(broken.take().map(|(error, _)| Err(error)));
        };
        let end = loop {
            match ready!(Pin::new(&mut *body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    // Trailers speak of the other connection's framing.
                    let Ok(bytes) = frame.into_data() else { continue };
                    if watch.as_mut().is_some_and(|watch| !watch.see(&bytes)) {
                        *watch = None;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Err(e)) => break Some(e),
                None => break None,
            }
        };
        *rest = None;
        *broken = end.map(|error| (error, false));
        self.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        let is_over = self.before.is_empty() && self.live.is_none() && self.broken.is_none();
        is_over && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let before = self.before.iter().map(|bytes| bytes.len() as u64).sum();
        match &self.rest {
            None if self.live.is_some() => SizeHint::default(),
            None => SizeHint::with_exact(before),
            Some(rest) if before == 0 => rest.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

//! The body of an answer: the gateway's own words, or a provider's as it comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use coderclaw_http::{BODY_LIMIT, Relayed, SendError};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

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
    /// Sees what passes.
    watch: Option<Watch>,
    /// What has come and waits for what else is there already.
    gathered: Gathered,
    /// Counts it while it is on its way.
    _open: Option<Open>,
}

impl Answer {
    pub(crate) fn whole(text: impl Into<Bytes>) -> Self {
        Self { before: VecDeque::from([text.into()]), rest: None, _open: None, ..Self::default() }
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

/// Parts that arrive together go on together: each part that is written by itself is a system call here and a wake-up at
/// the client. Nothing waits for what is not there: after a part, everybody else who can run does so once, and that is
/// when the connection to the provider hands over the next part, if it has one.
#[derive(Debug, Default)]
struct Gathered {
    first: Option<Bytes>,
    more: BytesMut,
    /// Set once everybody else who could run has done so; none while nobody is waited for.
    others: Option<Arc<AtomicBool>>,
    /// How the body ended, where that was seen with something still to be passed on.
    end: Option<Option<SendError>>,
}

/// Enough to be worth a call of its own.
const ENOUGH: usize = 16 * 1024;

impl Gathered {
    /// Takes a part; gives all back where that is enough.
    fn add(&mut self, bytes: Bytes) -> Option<Bytes> {
        match &self.first {
            // One alone is not copied.
            None => self.first = Some(bytes),
            Some(first) => {
                if self.more.is_empty() {
                    self.more.extend_from_slice(first);
                }
                self.more.extend_from_slice(&bytes);
            }
        }
        let size = self.more.len().max(self.first.as_ref().map_or(0, Bytes::len));
        if size < ENOUGH { None } else { self.take() }
    }

    fn take(&mut self) -> Option<Bytes> {
        let first = self.first.take()?;
        Some(if self.more.is_empty() { first } else { self.more.split().freeze() })
    }

    /// Has this body polled again after everybody else who can run now. A task at the end of the queue tells when that is:
    /// whoever polls this may do so several times in a row.
    fn wait_for_others(&mut self, context: &Context<'_>) {
        let others = Arc::new(AtomicBool::new(false));
        let (done, waker) = (Arc::clone(&others), context.waker().clone());
        tokio::spawn(async move {
            done.store(true, Ordering::Relaxed);
            waker.wake();
        });
        self.others = Some(others);
    }

    fn is_waiting(&mut self) -> bool {
        let is_waiting = self.others.as_ref().is_some_and(|others| !others.load(Ordering::Relaxed));
        if !is_waiting {
            self.others = None;
        }
        is_waiting
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.end.is_none()
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
        let Self { rest, watch, gathered, .. } = &mut *self;
        if let Some(end) = gathered.end.take() {
            *rest = None;
            return Poll::Ready(end.map(Err));
        }
        if gathered.is_waiting() {
            return Poll::Pending;
        }
        let Some(body) = rest else { return Poll::Ready(None) };
        let end = match Pin::new(body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                // Trailers speak of the other connection's framing.
                let Ok(bytes) = frame.into_data() else {
                    gathered.wait_for_others(context);
                    return Poll::Pending;
                };
                if let Some(watch) = watch {
                    watch.see(&bytes);
                }
                return match gathered.add(bytes) {
                    Some(all) => Poll::Ready(Some(Ok(Frame::data(all)))),
                    None => {
                        gathered.wait_for_others(context);
                        Poll::Pending
                    }
                };
            }
            Poll::Ready(Some(Err(e))) => Some(e),
            Poll::Ready(None) => None,
            Poll::Pending => {
                return match gathered.take() {
                    Some(all) => Poll::Ready(Some(Ok(Frame::data(all)))),
                    None => Poll::Pending,
                };
            }
        };
        match gathered.take() {
            Some(all) => {
                gathered.end = Some(end);
                Poll::Ready(Some(Ok(Frame::data(all))))
            }
            None => {
                *rest = None;
                Poll::Ready(end.map(Err))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_over = self.before.is_empty() && self.gathered.is_empty();
        is_over && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let before = self.before.iter().map(|bytes| bytes.len() as u64).sum();
        match &self.rest {
            None => SizeHint::with_exact(before),
            Some(rest) if before == 0 && self.gathered.is_empty() => rest.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes together goes together, in order, and not beyond what is enough; one part alone is passed on as it is.
    #[test]
    fn parts_are_gathered_in_order() {
        let mut gathered = Gathered::default();
        assert!(gathered.is_empty() && gathered.take().is_none());
        let one = Bytes::from_static(b"one");
        assert!(gathered.add(one.clone()).is_none() && !gathered.is_empty());
        assert_eq!(gathered.take().unwrap().as_ptr(), one.as_ptr(), "not copied");
        for _ in 0..2 {
            for part in ["a", "bc", "", "def"] {
                assert!(gathered.add(Bytes::from_static(part.as_bytes())).is_none());
            }
            assert_eq!(gathered.take().unwrap(), "abcdef");
            assert!(gathered.is_empty());
        }
        let large = Bytes::from(vec![b'x'; ENOUGH]);
        assert_eq!(gathered.add(large.clone()).unwrap().as_ptr(), large.as_ptr());
        assert!(gathered.add(one).is_none());
        assert_eq!(gathered.add(large).unwrap().len(), 3 + ENOUGH);
        assert!(gathered.take().is_none());
    }
}

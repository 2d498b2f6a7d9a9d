//! The body of a request: passed on while it arrives, and kept as far as it is short enough, so that it can be sent again
//! with another login.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coderclaw_http::RelayBody;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

/// A body that may be sent more than once.
#[derive(Debug)]
pub(crate) struct Kept<B = Incoming>(Option<Arc<Mutex<Source<B>>>>);

#[derive(Debug)]
struct Source<B> {
    inner: B,
    /// How long it is, if the client has said so.
    length: Option<u64>,
    /// What has come so far; nothing once it is too long to be kept.
    kept: Vec<Bytes>,
    size: usize,
    limit: usize,
    is_whole: bool,
    /// Who reads now. An earlier reader may still be polled while its connection is taken down.
    reader: u64,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    is_late: bool,
}

/// One sending of it.
struct Reader<B> {
    source: Arc<Mutex<Source<B>>>,
    number: u64,
    at: usize,
}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Kept<B>
where
    B::Error: std::error::Error + Send + Sync + 'static,
{
    /// `limit` is how much is kept, `idle` how long the client may be silent in the middle.
    pub(crate) fn new(inner: B, limit: usize, idle: Duration) -> Self {
        if inner.is_end_stream() {
            return Self(None);
        }
        let length = inner.size_hint().exact();
        Self(Some(Arc::new(Mutex::new(Source {
            inner,
            length,
            kept: Vec::new(),
            size: 0,
            limit,
            is_whole: false,
            reader: 0,
            idle,
            deadline: Box::pin(tokio::time::sleep(idle)),
            is_late: false,
        }))))
    }

    /// The body from its beginning. Ask only where [`Kept::can_go`] says so; an earlier reader gets nothing more.
    pub(crate) fn body(&self) -> Option<RelayBody> {
        let source = self.0.as_ref()?;
        let mut locked = lock(source);
        locked.reader += 1;
        let number = locked.reader;
        drop(locked);
        Some(Box::pin(Reader { source: Arc::clone(source), number, at: 0 }))
    }

    /// Whether its beginning is still there.
    pub(crate) fn can_go(&self) -> bool {
        let Some(source) = &self.0 else { return true };
        let source = lock(source);
        source.size <= source.limit
    }

    /// The client stopped sending in the middle.
    pub(crate) fn is_late(&self) -> bool {
        self.0.as_ref().is_some_and(|source| lock(source).is_late)
    }
}

fn lock<B>(source: &Mutex<Source<B>>) -> MutexGuard<'_, Source<B>> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Body<Data = Bytes> + Unpin> Source<B>
where
    B::Error: std::error::Error + Send + Sync + 'static,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(io::Error::other(e)))),
                Poll::Ready(None) => {
                    self.is_whole = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    std::task::ready!(self.deadline.as_mut().poll(context));
                    self.is_late = true;
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
            };
            self.deadline.as_mut().reset(Instant::now() + self.idle);
            // Trailers speak of this connection's framing.
            let Ok(bytes) = frame.into_data() else { continue };
            self.size += bytes.len();
            if self.size <= self.limit {
                self.kept.push(bytes.clone());
            } else {
                self.kept = Vec::new();
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Reader<B>
where
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let source = Arc::clone(&self.source);
        let mut source = lock(&source);
        if source.reader != self.number {
            return Poll::Ready(Some(Err(io::Error::other("the request is being sent again"))));
        }
        if let Some(bytes) = source.kept.get(self.at).cloned() {
            self.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if source.is_whole {
            return Poll::Ready(None);
        }
        let polled = source.poll(context);
        self.at += 1;
        polled.map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        let source = lock(&self.source);
        source.is_whole && self.at >= source.kept.len()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.source).length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt;

    use super::*;

    /// Parts that arrive one after the other; after the last one nothing comes.
    struct Parts(VecDeque<&'static [u8]>);

    impl Body for Parts {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            if self.0.front() == Some(&&b"silence"[..]) {
                return Poll::Pending;
            }
            match self.0.pop_front() {
                Some(part) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(part))))),
                None => Poll::Ready(None),
            }
        }
    }

    fn kept(parts: &[&'static [u8]], limit: usize) -> Kept<Parts> {
        Kept::new(Parts(parts.iter().copied().collect()), limit, Duration::from_millis(20))
    }

    async fn next(body: &mut RelayBody) -> Option<Result<Bytes, io::ErrorKind>> {
        let frame = body.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap()).map_err(|e| e.kind()))
    }

    async fn all(mut body: RelayBody) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(part) = next(&mut body).await {
            bytes.extend_from_slice(&part.unwrap());
        }
        bytes
    }

    /// Sent again in the middle: the second sending has everything from the beginning, also what the first never saw, and
    /// the first takes nothing away from it.
    #[tokio::test]
    async fn a_second_sending_has_it_all() {
        let kept = kept(&[b"a", b"bc", b"def"], 6);
        let mut first = kept.body().unwrap();
        assert_eq!(next(&mut first).await.unwrap().unwrap(), "a");
        let mut second = kept.body().unwrap();
        assert!(next(&mut first).await.unwrap().is_err(), "it is over for the first");
        assert_eq!(next(&mut second).await.unwrap().unwrap(), "a");
        assert_eq!(next(&mut second).await.unwrap().unwrap(), "bc");
        assert!(kept.can_go());
        assert_eq!(all(kept.body().unwrap()).await, b"abcdef");
        assert_eq!(all(kept.body().unwrap()).await, b"abcdef");
    }

    /// One byte more than is kept: it goes through whole, and only once.
    #[tokio::test]
    async fn too_long_to_be_kept_goes_through_once() {
        let kept = kept(&[b"a", b"bc", b"defg"], 6);
        assert!(kept.can_go());
        assert_eq!(all(kept.body().unwrap()).await, b"abcdefg");
        assert!(!kept.can_go());
    }

    #[tokio::test]
    async fn silence_in_the_middle_is_noticed() {
        let kept = kept(&[b"a", b"silence"], 6);
        let mut body = kept.body().unwrap();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "a");
        assert!(!kept.is_late());
        assert_eq!(next(&mut body).await.unwrap().unwrap_err(), io::ErrorKind::TimedOut);
        assert!(kept.is_late());
    }
}

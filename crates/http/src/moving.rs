//! Whether a request is still on its way: a long one over a slow line takes longer than any silence may.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::relay::RelayBody;

/// When a part of a request was last taken to be sent; at first, now.
#[derive(Clone)]
pub(crate) struct LastMove(Arc<Mutex<Instant>>);

impl LastMove {
    pub(crate) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// The same body, which is taken from here on under our eyes.
    pub(crate) fn watch(&self, body: RelayBody) -> RelayBody {
        Box::pin(Moving { body, last: self.clone() })
    }

    /// What `answer` becomes; `None` where nothing has moved for `limit`.
    pub(crate) async fn or_silence<F: Future>(&self, limit: Duration, answer: F) -> Option<F::Output> {
        let mut answer = pin!(answer);
        loop {
            let left = limit.saturating_sub(self.lock().elapsed());
            if let Ok(answered) = tokio::time::timeout(left, &mut answer).await {
                return Some(answered);
            }
            if left.is_zero() {
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Moving {
    body: RelayBody,
    last: LastMove,
}

impl Body for Moving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = self.body.as_mut().poll_frame(context);
        if polled.is_ready() {
            *self.last.lock() = Instant::now();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

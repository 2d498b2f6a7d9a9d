//! One connection of a relay. It has no task of its own: whoever waits for an answer drives it, so that no part of a stream
//! has to be handed from task to task.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection as Driver, SendRequest, handshake};
use hyper::rt::{Read, Write};

use crate::pool::Place;
use crate::relay::RelayBody;

/// What bytes come and go through. With TLS it is more than a kilobyte, without it next to nothing.
pub(crate) trait Stream: Read + Write + Send + Unpin {}

impl<S: Read + Write + Send + Unpin> Stream for S {}

pub(crate) struct Connection {
    sender: SendRequest<RelayBody>,
    driver: Driver<Box<dyn Stream>, RelayBody>,
    /// The driver has ended, well or badly, and is not asked again.
    is_over: bool,
}

impl Connection {
    pub(crate) async fn new(stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let (sender, driver) = handshake(stream).await?;
        Ok(Self { sender, driver, is_over: false })
    }

    /// Moves everything on that can move: what is to be written goes out, what has come is read.
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.is_over {
            // How it ended is told to whoever waits for the answer or its body.
            self.is_over = Pin::new(&mut self.driver).poll(context).is_ready();
        }
    }

    /// Whether the last answer has come to its end and the other side has not closed.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.is_over && self.sender.is_ready()
    }

    /// Sends one request and waits for the head of its answer. A request of which nothing was written comes back with the
    /// error.
    pub(crate) async fn send(
        &mut self,
        request: Request<RelayBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RelayBody>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|context| {
            self.drive(context);
            answer.as_mut().poll(context)
        })
        .await
    }
}

/// The body of an answer, and the connection that it comes over. Dropped before its end, it closes the connection.
pub(crate) struct Driven {
    body: Incoming,
    connection: Option<(Box<Connection>, Place)>,
}

impl Driven {
    pub(crate) fn new(body: Incoming, connection: Box<Connection>, place: Place) -> Self {
        Self { body, connection: Some((connection, place)) }
    }

    fn give_back(&mut self) {
        if let Some((connection, place)) = self.connection.take() {
            place.keep(connection);
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // Who knows how long a body is does not ask for what follows its last byte.
        if self.body.is_end_stream() {
            self.give_back();
        }
    }
}

impl Body for Driven {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some((connection, _)) = &mut self.connection {
            connection.drive(context);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Err(_))) => self.connection = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
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

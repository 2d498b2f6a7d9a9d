//! One connection of a relay. It has no task of its own: whoever waits for an answer moves it on, so that no part of a stream
//! has to be handed from task to task. And it holds no memory while nothing comes: a gateway has a thousand of them open,
//! most of which wait.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::direct::broken::{Broken, NotHttp};
use crate::direct::framing::Framing;
use crate::direct::head;
use crate::direct::held::Held;
use crate::direct::pool::Place;
use crate::direct::sending::Sending;

/// How much is read at once, and so the longest part that is passed on.
const ONCE: usize = 16 * 1024;

/// What bytes come and go through. With TLS it is more than a kilobyte, without it next to nothing.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket under it.
    fn socket(&self) -> BorrowedFd<'_>;
}

impl Stream for TcpStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Stream for TlsStream<TokioIo<TokioIo<TcpStream>>> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.get_ref().0.inner().inner().as_fd()
    }
}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    held: Held,
    /// Whether another request may follow this one.
    is_kept: bool,
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, held: Held::default(), is_kept: true }
    }

    /// Whether the last answer has come to its end and the other side has neither closed nor said anything since, as far
    /// as the runtime has heard.
    pub(crate) fn is_ready(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut byte = [0];
        let looked = Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte));
        self.is_kept && self.held.is_empty() && looked.is_pending()
    }

    /// The same, asked of the system: the runtime looks at a socket only when it has been told to, and may not have listened
    /// for a while. What was said unasked would be taken for the next answer.
    pub(crate) fn is_ready_now(&mut self) -> bool {
        let is_ready = self.is_ready();
        let peeked = recv(self.stream.socket(), &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        is_ready && peeked == Err(Errno::WOULDBLOCK)
    }

    /// Sends a request and waits for the head of its answer, which may come before all of the request has left.
    pub(crate) async fn ask(&mut self, sending: &mut Sending) -> Result<Response<Framing>, Broken> {
        let mut unsent = None;
        poll_fn(|context| self.poll_ask(sending, &mut unsent, context)).await
    }

    fn poll_ask(
        &mut self,
        sending: &mut Sending,
        unsent: &mut Option<Broken>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<Framing>, Broken>> {
        if unsent.is_none() {
            match sending.poll(&mut *self.stream, context) {
                // Who takes no more of a request may have said why: that is read first, and this is told where it ends.
                Poll::Ready(Err(e @ Broken::Io(_))) => *unsent = Some(e),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        let asked = sending.method();
        loop {
            let broken = match ready!(self.poll_read(context, |bytes| head::read(bytes, asked))) {
                Ok(Some(None)) => continue,
                Ok(Some(Some(head))) => {
                    self.is_kept = head.is_kept;
                    return Poll::Ready(Ok(head.answer));
                }
                Ok(None) => Broken::Cut,
                Err(e) => e,
            };
            return Poll::Ready(Err(unsent.take().unwrap_or(broken)));
        }
    }

    /// The next part of a body, empty where it is over.
    fn poll_body(&mut self, framing: &mut Framing, context: &mut Context<'_>) -> Poll<Result<Bytes, Broken>> {
        if !self.held.is_empty() {
            let data = self.held.read(&[], |bytes| framing.decode(bytes))?;
            if !data.is_empty() {
                return Poll::Ready(Ok(data));
            }
        }
        while !framing.is_over() {
            match ready!(self.poll_read(context, |bytes| framing.decode(bytes)))? {
                Some(data) if data.is_empty() => {}
                Some(data) => return Poll::Ready(Ok(data)),
                None if *framing == Framing::UntilClose => *framing = Framing::Over,
                None => return Poll::Ready(Err(Broken::Cut)),
            }
        }
        Poll::Ready(Ok(Bytes::new()))
    }

    /// Reads once, and lets `reader` have what has come. `None` where the other side has closed.
    fn poll_read<T>(
        &mut self,
        context: &mut Context<'_>,
        reader: impl FnOnce(&[u8]) -> Result<(T, usize), NotHttp>,
    ) -> Poll<Result<Option<T>, Broken>> {
        let mut space = [MaybeUninit::uninit(); ONCE];
        let mut read = ReadBuf::uninit(&mut space);
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_read(context, &mut read)) {
            Ok(()) if read.filled().is_empty() => Ok(None),
            Ok(()) => Ok(Some(self.held.read(read.filled(), reader)?)),
            // So TLS has it where nobody said farewell: anybody in between may have cut.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(Broken::Cut),
            Err(e) => Err(e.into()),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // With TLS, whoever leaves says so (RFC 8446, section 6.1), as far as there is room for it; nobody waits.
        let _said = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}

/// The body of an answer, and the connection that it comes over. Dropped before its end, it closes the connection.
pub(crate) struct Driven {
    framing: Framing,
    connection: Option<(Connection, Place)>,
    /// The rest of the request, where the answer has come before it was needed.
    sending: Option<Box<Sending>>,
}

impl Driven {
    pub(crate) fn new(framing: Framing, connection: Connection, sending: Sending, place: Place) -> Self {
        let sending = (!sending.is_over()).then(|| Box::new(sending));
        Self { framing, connection: Some((connection, place)), sending }
    }

    fn give_back(&mut self) {
        if let Some((connection, place)) = self.connection.take()
            && self.sending.is_none()
        {
            place.keep(connection);
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // Who knows how long a body is does not ask for what follows its last byte.
        if self.framing.is_over() {
            self.give_back();
        }
    }
}

impl Body for Driven {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { framing, connection, sending } = &mut *self;
        let Some((connection, _)) = connection else { return Poll::Ready(None) };
        if let Some(unsent) = sending {
            match unsent.poll(&mut *connection.stream, context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => *sending = None,
                Poll::Ready(Err(_)) => {
                    // The answer is what matters now, and it is under way.
                    *sending = None;
                    connection.is_kept = false;
                }
            }
        }
        match ready!(connection.poll_body(framing, context)) {
            Ok(data) if data.is_empty() => {
                self.give_back();
                Poll::Ready(None)
            }
            Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Err(e) => {
                self.connection = None;
                Poll::Ready(Some(Err(e)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.framing.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Over => SizeHint::with_exact(0),
            Framing::Length(left) => SizeHint::with_exact(left),
            Framing::Chunked(_) | Framing::UntilClose => SizeHint::default(),
        }
    }
}

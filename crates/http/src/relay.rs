//! Requests of other programs on their way out: head and body go as they are, in both directions, bit by bit.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use url::Url;

use crate::client::{WayOut, lost, place, way_out};
use crate::error::{HttpError, LostWhy, NotSentWhy, SendError, root_cause};
use crate::network::Network;

/// How long a connection is kept that nobody uses.
const POOLED: Duration = Duration::from_secs(30);

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayLimits {
    /// For name, connection, proxy and handshake together.
    pub connect: Duration,
    /// For the head of the answer, and between any two parts of its body.
    pub idle: Duration,
}

/// A body that is passed on while it arrives.
pub type RelayBody = Pin<Box<dyn Body<Data = Bytes, Error = std::io::Error> + Send + Sync>>;

/// A request that somebody else wrote.
pub struct RelayRequest {
    /// The method.
    pub method: Method,
    /// Where to; `http` or `https`.
    pub url: Url,
    /// All headers but `Host` and those that speak of one connection only.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<RelayBody>,
}

impl fmt::Debug for RelayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayRequest")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// Sends what it is given and adds nothing. Unlike [`crate::Client`], it keeps connections, since no request of a relay
/// carries what works only once.
#[derive(Debug, Clone)]
pub struct Relay {
    inner: reqwest::Client,
    way: WayOut,
    limits: RelayLimits,
}

impl Relay {
    /// A relay for this network. Reads the system's CAs.
    ///
    /// # Errors
    /// Where TLS cannot be set up at all.
    pub fn new(network: &Network, limits: RelayLimits) -> Result<Self, HttpError> {
        let (way, builder) = way_out(network)?;
        let inner = builder
            .connect_timeout(limits.connect)
            .read_timeout(limits.idle)
            // Shorter than servers keep one, so that a request seldom meets a connection that is being closed.
            .pool_idle_timeout(POOLED)
            .build()
            .map_err(|e| HttpError::Build(root_cause(&e)))?;
        Ok(Self { inner, way, limits })
    }

    /// Sends `request` once and hands over the answer when its head has arrived, whatever its status. Dropping the future
    /// or the answer closes the connection.
    ///
    /// # Errors
    /// [`SendError::NotSent`] only where it is certain that no byte of the request left.
    pub async fn open(&self, request: RelayRequest) -> Result<Relayed, SendError> {
        let place = place(&request.url);
        let not_sent = |why, detail: String| SendError::NotSent { why, detail: format!("{place}: {detail}") };
        if !matches!(request.url.scheme(), "http" | "https") || request.url.host_str().is_none() {
            let detail = format!("cannot speak \"{}\"", request.url.scheme());
            return Err(not_sent(NotSentWhy::Url, detail));
        }
        let proxy = self.way.network.proxy_for(&request.url);
        let proxy = proxy.map_err(|e| not_sent(NotSentWhy::Proxy, e.to_string()))?;
        let mut out = reqwest::Request::new(request.method, request.url);
        *out.headers_mut() = request.headers;
        *out.body_mut() = request.body.map(reqwest::Body::wrap);
        let response =
            self.inner.execute(out).await.map_err(|e| match e.is_timeout() && !e.is_connect() {
                true => {
                    let detail = format!("{place}: no answer for {} s", self.limits.idle.as_secs());
                    SendError::Lost { status: None, why: LostWhy::Timeout, detail }
                }
                false => self.way.classify(&place, proxy.as_ref(), &e),
            })?;
        let status = response.status();
        let headers = response.headers().clone();
        let body: http::Response<reqwest::Body> = response.into();
        Ok(Relayed { place, status, headers, body: body.into_body() })
    }
}

/// An answer whose head has arrived; it is a [`Body`] itself. Dropping it closes the connection.
pub struct Relayed {
    place: String,
    /// The status.
    pub status: StatusCode,
    /// All headers, as they came.
    pub headers: HeaderMap,
    body: reqwest::Body,
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relayed").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_err(|e| lost(&self.place, Some(self.status.as_u16()), &e))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

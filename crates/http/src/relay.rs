//! Requests of other programs on their way out: head and body go as they are, in both directions, bit by bit.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use url::Url;

use crate::client::{WayOut, lost, place, way_out};
use crate::direct::{Direct, Driven, KEPT};
use crate::error::{HttpError, LostWhy, NotSentWhy, SendError, root_cause};
use crate::moving::LastMove;
use crate::network::Network;

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayLimits {
    /// For name, connection, proxy and handshake together.
    pub connect: Duration,
    /// For the head of the answer, from when the last part of the request was taken, and between any two parts of its body.
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
pub struct Relay(Arc<Ways>);

#[derive(Debug)]
struct Ways {
    direct: Direct,
    /// For what goes through a proxy.
    proxied: reqwest::Client,
    way: WayOut,
    limits: RelayLimits,
}

impl Relay {
    /// A relay for this network. Reads the system's CAs.
    ///
    /// # Errors
    /// Where TLS cannot be set up at all.
    pub fn new(network: &Network, limits: RelayLimits) -> Result<Self, HttpError> {
        let (way, tls, builder) = way_out(network)?;
        let proxied = builder
            .connect_timeout(limits.connect)
            .pool_idle_timeout(KEPT)
            .build()
            .map_err(|e| HttpError::Build(root_cause(&e)))?;
        Ok(Self(Arc::new(Ways { direct: Direct::new(tls, limits.connect), proxied, way, limits })))
    }

    /// Sends `request` once and hands over the answer when its head has arrived, whatever its status. Dropping the future
    /// or the answer closes the connection.
    ///
    /// # Errors
    /// [`SendError::NotSent`] only where it is certain that no byte of the request left.
    pub async fn open(&self, mut request: RelayRequest) -> Result<Relayed, SendError> {
        let Ways { direct, proxied, way, limits } = &*self.0;
        let place = place(&request.url);
        let not_sent = |why, detail: String| SendError::NotSent { why, detail: format!("{place}: {detail}") };
        if !matches!(request.url.scheme(), "http" | "https") || request.url.host_str().is_none() {
            let detail = format!("cannot speak \"{}\"", request.url.scheme());
            return Err(not_sent(NotSentWhy::Url, detail));
        }
        let proxy = way.network.proxy_for(&request.url);
        let proxy = proxy.map_err(|e| not_sent(NotSentWhy::Proxy, e.to_string()))?;
        let moved = LastMove::now();
        request.body = request.body.map(|body| moved.watch(body));
        let opened = async {
            if proxy.is_none() {
                let answer = direct.open(request).await.map_err(|e| way.classify_direct(&place, e))?;
                let (head, body) = answer.into_parts();
                return Ok((head.status, head.headers, Coming::Direct(body)));
            }
            let mut out = reqwest::Request::new(request.method, request.url);
            *out.headers_mut() = request.headers;
            *out.body_mut() = request.body.map(reqwest::Body::wrap);
            let answer = proxied.execute(out).await;
            let answer: http::Response<reqwest::Body> =
                answer.map_err(|e| way.classify(&place, proxy.as_ref(), &e))?.into();
            let (head, body) = answer.into_parts();
            Ok((head.status, head.headers, Coming::Proxied(body)))
        };
        // Without a connection, the connector's own limit comes first.
        let opened = moved.or_silence(limits.connect.saturating_add(limits.idle), opened).await;
        let (status, mut headers, body) = opened.unwrap_or_else(|| Err(silent(&place, None, limits.idle)))?;
        // RFC 9112, section 6.3: then it does not count, and whoever gets to see it would believe it.
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        Ok(Relayed { place, status, headers, body, idle: limits.idle, silence: None })
    }
}

/// An answer whose head has arrived; it is a [`Body`] itself. Dropping it closes the connection.
pub struct Relayed {
    place: String,
    /// The status.
    pub status: StatusCode,
    /// All headers as they came, but for a length that does not count.
    pub headers: HeaderMap,
    body: Coming,
    idle: Duration,
    /// Since when nothing has come; none where something just has.
    silence: Option<Pin<Box<Sleep>>>,
}

enum Coming {
    Direct(Driven),
    Proxied(reqwest::Body),
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
        let Self { place, status, body, idle, silence, .. } = &mut *self;
        let lost = |is_timeout, error: &dyn Error| lost(place, Some(status.as_u16()), is_timeout, error);
        let polled = match body {
            Coming::Direct(body) => Pin::new(body).poll_frame(context).map_err(|e| lost(false, &e)),
            Coming::Proxied(body) => Pin::new(body).poll_frame(context).map_err(|e| lost(e.is_timeout(), &e)),
        };
        if polled.is_ready() {
            *silence = None;
            return polled;
        }
        let silence = silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(*idle)));
        ready!(silence.as_mut().poll(context));
        Poll::Ready(Some(Err(silent(place, Some(*status), *idle))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Coming::Direct(body) => body.is_end_stream(),
            Coming::Proxied(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Coming::Direct(body) => body.size_hint(),
            Coming::Proxied(body) => body.size_hint(),
        }
    }
}

fn silent(place: &str, status: Option<StatusCode>, idle: Duration) -> SendError {
    let what = if status.is_some() { "nothing came" } else { "no answer" };
    let detail = format!("{place}: {what} for {} s", idle.as_secs());
    SendError::Lost { status: status.map(|status| status.as_u16()), why: LostWhy::Timeout, detail }
}

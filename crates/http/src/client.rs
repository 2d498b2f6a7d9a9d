//! The client: one request, one answer, nothing twice.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use url::Url;

use crate::direct::Failed;
use crate::error::{HttpError, LostWhy, NotSentWhy, SendError, is_dns, is_io, is_tls, root_cause};
use crate::message::{Answer, HeaderText, Method, Request};
use crate::network::{Network, ProxyChoice};
use crate::stream::Incoming;
use crate::tls;

/// The longest body that is read: 128 KiB. A token endpoint's answer has a few.
pub const BODY_LIMIT: usize = 128 * 1024;

/// A stream takes as long as it takes: a month stands for no limit, since the client wants one.
const NO_LIMIT: Duration = Duration::from_secs(31 * 24 * 3600);

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For name, connection, proxy and handshake together.
    pub connect: Duration,
    /// For everything, from the call to the body's last byte. Where it ends a connect that `connect` would not have
    /// ended, the loss counts as [`SendError::Lost`]: keep it well above `connect`.
    pub total: Duration,
}

/// Sends one request at a time over a connection of its own: HTTP/1.1, no redirects, no retries, no pool, no cookies.
///
/// Building one reads the system's CAs (some milliseconds): build it when it is needed. Sending needs a tokio runtime with
/// time and I/O. A name look-up that hangs stays behind as a blocking task after the time limit.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    way: WayOut,
}

/// What every client shares: which proxy for whom, and whose certificates are trusted.
#[derive(Debug, Clone)]
pub(crate) struct WayOut {
    pub(crate) network: Arc<Network>,
    cas: String,
}

/// HTTP/1.1, no redirects, no retries, no cookies, no decompression, and nothing from the process's environment.
pub(crate) fn way_out(
    network: &Network,
) -> Result<(WayOut, rustls::ClientConfig, reqwest::ClientBuilder), HttpError> {
    let network = Arc::new(network.clone());
    let extra = network.extra_ca().map(tls::certificates).unwrap_or_default();
    let (tls, bundled) = tls::config(&extra)?;
    let cas = match bundled {
        true => format!("the bundled CAs, as {} could not be read", network.ca_source()),
        false => network.ca_source(),
    };
    let for_proxy = Arc::clone(&network);
    let proxy = reqwest::Proxy::custom(move |url| {
        let choice = for_proxy.proxy_for(url).ok().flatten()?;
        Some(choice.url().expose().to_owned())
    });
    #[expect(clippy::disallowed_methods, reason = "this is the one builder")]
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tcp_nodelay(true)
        // Without this, reqwest would ask the process's environment itself.
        .no_proxy()
        .proxy(proxy);
    Ok((WayOut { network, cas }, tls, builder))
}

impl Client {
    /// A client for this network.
    ///
    /// # Errors
    /// Where TLS cannot be set up at all. Missing CAs and bad proxy settings are no such case.
    pub fn new(network: &Network, limits: Limits) -> Result<Self, HttpError> {
        let (way, _, builder) = way_out(network)?;
        let inner = builder
            .user_agent(concat!("coderclaw/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(0)
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            .build()
            .map_err(|e| HttpError::Build(root_cause(&e)))?;
        Ok(Self { inner, way })
    }

    /// Sends `request` once and reads the answer, whatever its status.
    ///
    /// # Errors
    /// [`SendError::NotSent`] only where it is certain that no byte of the request left.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        let (place, proxy, request) = self.prepare(request)?;
        let response =
            self.inner.execute(request).await.map_err(|e| self.way.classify(&place, proxy.as_ref(), &e))?;
        read(&place, response).await
    }

    /// Where a request goes, in words; by which proxy; and the request itself.
    fn prepare(
        &self,
        request: Request,
    ) -> Result<(String, Option<ProxyChoice>, reqwest::Request), SendError> {
        let place = place(&request.url);
        let not_sent = |why, detail: String| SendError::NotSent { why, detail: format!("{place}: {detail}") };
        let proxy = self.way.network.proxy_for(&request.url);
        let proxy = proxy.map_err(|e| not_sent(NotSentWhy::Proxy, e.to_string()))?;
        let request = build(request).map_err(|problem| not_sent(NotSentWhy::Url, problem))?;
        Ok((place, proxy, request))
    }

    /// Sends `request` once and hands over the answer when its head has arrived, whatever its status. [`Limits::total`]
    /// does not count here: only a silence of `idle` ends it, before the head and between any two parts of the body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn open(&self, request: Request, idle: Duration) -> Result<Incoming, SendError> {
        let (place, proxy, mut request) = self.prepare(request)?;
        *request.timeout_mut() = Some(NO_LIMIT);
        // The connector's own limit comes first where there is no connection at all.
        let head = tokio::time::timeout(idle, self.inner.execute(request)).await;
        let response = match head {
            Ok(answered) => answered.map_err(|e| self.way.classify(&place, proxy.as_ref(), &e))?,
            Err(_) => {
                let detail = format!("{place}: no answer for {} s", idle.as_secs());
                return Err(SendError::Lost { status: None, why: LostWhy::Timeout, detail });
            }
        };
        let (status, headers) = head_of(&response);
        Ok(Incoming { place, status, headers, body: response, idle })
    }
}

impl WayOut {
    /// Everything that a connector does (name, socket, proxy, handshake) ends before the request is handed to the
    /// connection; hyper marks its errors as "connect". All others may have come after the first byte.
    pub(crate) fn classify(
        &self,
        place: &str,
        proxy: Option<&ProxyChoice>,
        error: &reqwest::Error,
    ) -> SendError {
        if error.is_builder() {
            let detail = format!("{place}: {}", root_cause(error));
            return SendError::NotSent { why: NotSentWhy::Url, detail };
        }
        if !error.is_connect() {
            return lost(place, None, error.is_timeout(), error);
        }
        self.unconnected(place, proxy, error, error.is_timeout(), error.is_dns())
    }

    /// The same of a request that goes to its server straight.
    pub(crate) fn classify_direct(&self, place: &str, failed: Failed) -> SendError {
        match &failed {
            Failed::Url(cause) => {
                SendError::NotSent { why: NotSentWhy::Url, detail: format!("{place}: {cause}") }
            }
            Failed::Answer(cause) => lost(place, None, false, cause),
            Failed::TooSlow => self.unconnected(place, None, &failed, true, false),
            Failed::Connect(_) => {
                let is_timeout = is_io(&failed, &[ErrorKind::TimedOut]);
                self.unconnected(place, None, &failed, is_timeout, is_dns(&failed))
            }
        }
    }

    fn unconnected(
        &self,
        place: &str,
        proxy: Option<&ProxyChoice>,
        error: &dyn Error,
        is_timeout: bool,
        is_dns: bool,
    ) -> SendError {
        let cause = root_cause(error);
        let through = proxy
            .map_or_else(String::new, |proxy| format!(" through {} ({})", proxy.place(), proxy.variable()));
        let (why, detail) = if is_tls(error) || (proxy.is_none() && is_io(error, &[ErrorKind::UnexpectedEof]))
        {
            (NotSentWhy::Tls, format!("TLS failed: {cause}; trusted are {}", self.cas))
        } else if is_timeout {
            (NotSentWhy::Timeout, "no connection in time".into())
        } else if proxy.is_some() {
            (NotSentWhy::Proxy, cause)
        } else if is_dns {
            (NotSentWhy::Dns, cause)
        } else {
            (NotSentWhy::Connect, cause)
        };
        SendError::NotSent { why, detail: format!("{place}{through}: {detail}") }
    }
}

/// Host and port, which is all of the URL that anybody gets to see.
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn build(request: Request) -> Result<reqwest::Request, String> {
    if !matches!(request.url.scheme(), "http" | "https") || request.url.host_str().is_none() {
        return Err(format!("cannot speak \"{}\"", request.url.scheme()));
    }
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut built = reqwest::Request::new(method, request.url);
    for (name, value) in &request.headers {
        let (text, sensitive) = match value {
            HeaderText::Plain(text) => (text.as_str(), false),
            HeaderText::Secret(secret) => (secret.expose(), true),
        };
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::from_str(text)) else {
            let name: String = name.escape_debug().take(64).collect();
            return Err(format!("the header {name} cannot be sent as it is"));
        };
        value.set_sensitive(sensitive);
        built.headers_mut().append(name, value);
    }
    if let Some(body) = request.body {
        let content_type = HeaderValue::from_str(body.content_type);
        let content_type = content_type.map_err(|_| "the content type cannot be sent as it is")?;
        built.headers_mut().insert(CONTENT_TYPE, content_type);
        *built.body_mut() = Some(body.bytes.expose().to_owned().into());
    }
    Ok(built)
}

fn head_of(response: &reqwest::Response) -> (u16, Vec<(String, String)>) {
    let headers = response.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    (response.status().as_u16(), headers.collect())
}

async fn read(place: &str, mut response: reqwest::Response) -> Result<Answer, SendError> {
    let (status, headers) = head_of(&response);
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_LIMIT => body.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                return Err(SendError::Lost {
                    status: Some(status),
                    why: LostWhy::TooLarge,
                    detail: format!("{place}: the answer is longer than {BODY_LIMIT} bytes"),
                });
            }
            Err(error) => return Err(lost(place, Some(status), error.is_timeout(), &error)),
        }
    }
    Ok(Answer { status, headers, body })
}

pub(crate) fn lost(place: &str, status: Option<u16>, is_timeout: bool, error: &dyn Error) -> SendError {
    let reset = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe];
    let (why, detail) = if is_timeout {
        (LostWhy::Timeout, "no complete answer in time".into())
    } else if is_io(error, &reset) {
        (LostWhy::Reset, root_cause(error))
    } else {
        (LostWhy::Cut, root_cause(error))
    };
    SendError::Lost { status, why, detail: format!("{place}: {detail}") }
}

//! Requests of a relay that go straight to their server, as opposed to through a proxy.
//!
//! hyper's client would do, but for what it holds: two buffers and a queue for each connection, however little comes over
//! it (measured: half of the memory of a gateway with a thousand open streams). Here a connection that waits holds nothing.
//! What is read and refused is the same; a test lets hyper read beside us.

mod broken;
mod connection;
mod framing;
mod head;
mod held;
mod pool;
mod sending;

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::ClientConfig;
use tower_service::Service;
use url::Position;

use crate::direct::broken::Broken;
use crate::direct::connection::{Connection, Stream};
use crate::direct::pool::Pool;
use crate::direct::sending::Sending;
use crate::relay::RelayRequest;

pub(crate) use connection::Driven;
pub use held::{AnswerRead, read_answer};
pub(crate) use pool::KEPT;

/// How long a connection is silent before the system asks whether the other side is still there.
const ALIVE: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The URL is none that can be asked for.
    #[error(transparent)]
    Url(#[from] http::Error),
    /// No connection; nothing has left.
    #[error("no connection")]
    Connect(#[source] Box<dyn StdError + Send + Sync>),
    /// No connection in time; nothing has left.
    #[error("no connection in time")]
    TooSlow,
    /// The request may have left.
    #[error("no answer")]
    Answer(#[source] Broken),
}

/// The name has no address.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NoAddress(io::Error);

/// Keeps connections, since no request of a relay carries what works only once.
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    connector: HttpsConnector<HttpConnector<Names>>,
    connect: Duration,
    pool: Pool,
}

impl Direct {
    pub(crate) fn new(tls: ClientConfig, connect: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Names);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(ALIVE));
        tcp.set_connect_timeout(Some(connect));
        Self { connector: HttpsConnector::from((tcp, tls)), connect, pool: Pool::default() }
    }

    pub(crate) async fn open(&self, request: RelayRequest) -> Result<http::Response<Driven>, Failed> {
        let (name, mut sending) = written(request)?;
        let mut connection = match self.pool.take(&name) {
            Some(connection) => connection,
            None => self.connect(uri(&name)?).await?,
        };
        // Whatever fails from here on may have failed behind the first byte: TLS does not tell.
        let answer = connection.ask(&mut sending).await.map_err(Failed::Answer)?;
        let place = self.pool.place(&name);
        Ok(answer.map(|framing| Driven::new(framing, connection, sending, place)))
    }

    async fn connect(&self, to: Uri) -> Result<Connection, Failed> {
        let connect = async {
            let mut connector = self.connector.clone();
            poll_fn(|context| connector.poll_ready(context)).await.map_err(Failed::Connect)?;
            let stream: Box<dyn Stream> = match connector.call(to).await.map_err(Failed::Connect)? {
                MaybeHttpsStream::Http(stream) => Box::new(stream.into_inner()),
                MaybeHttpsStream::Https(stream) => Box::new(stream.into_inner()),
            };
            Ok(Connection::new(stream))
        };
        tokio::time::timeout(self.connect, connect).await.unwrap_or(Err(Failed::TooSlow))
    }
}

/// Where a request goes, and what goes out. The rest of it is not needed while its answer is waited for.
fn written(request: RelayRequest) -> Result<(Arc<str>, Sending), Failed> {
    let RelayRequest { method, url, headers, body } = request;
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let name = format!("{}://{host}", url.scheme()).into();
    let target = uri(&url[Position::BeforePath..Position::AfterQuery])?;
    Ok((name, Sending::new(method, &target, host, &headers, body)))
}

fn uri(text: &str) -> Result<Uri, Failed> {
    Uri::try_from(text).map_err(|e| Failed::Url(e.into()))
}

/// The system's names, with failures that can be told from others.
#[derive(Debug, Clone)]
struct Names;

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAddress>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(NoAddress)?;
            Ok(found.collect::<Vec<_>>().into_iter())
        })
    }
}

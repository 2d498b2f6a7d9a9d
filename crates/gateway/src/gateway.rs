//! The server: it listens, serves each connection as a task of its own, and drains when it is told to stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coderclaw_auth::{Auth, Call, ProfileStatus};
use coderclaw_http::RelayLimits;
use coderclaw_store::read_gateway_keys;
use coderclaw_types::{Clock, Millis};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::ahead::look_after;
use crate::console::Console;
use crate::gateway_error::GatewayError;
use crate::keys::Keys;
use crate::lend::answer;
use crate::logins::Logins;
use crate::noted::Noted;
use crate::numbers::Numbers;
use crate::options::{Limits, Note, Options, Tell, Trouble};
use crate::socket::{Lent, Listening, listen};
use crate::status::ask_status;
use crate::tls::{Certified, Renewal, Tls};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) port: u16,
    pub(crate) tls: Option<Certified>,
    pub(crate) clock: Clock,
    pub(crate) logins: Logins,
    pub(crate) keys: Keys,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) noted: Noted,
    pub(crate) lent: Lent,
    pub(crate) limits: Limits,
    /// Seats for the compressed streams that are read.
    pub(crate) unpacking: Arc<Semaphore>,
    pub(crate) started_at: Millis,
    pub(crate) next_command: fn(&Trouble<'_>) -> String,
    pub(crate) next_for_profile: fn(&Auth, &ProfileStatus, &Call, Option<&str>) -> String,
    pub(crate) local_time: fn(Millis) -> String,
    pub(crate) console: Console,
    tell: Tell,
}

impl Shared {
    /// What is shown to those who connect over TLS.
    pub(crate) fn shown(&self) -> Option<Arc<Tls>> {
        self.tls.as_ref().map(Certified::shown)
    }

    pub(crate) fn tell(&self, note: Note) {
        (self.tell)(note);
    }

    pub(crate) fn tell_all(&self, notes: Vec<String>) {
        notes.into_iter().for_each(|note| self.tell(Note::event(note)));
    }
}

/// A gateway that listens.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    socket: Option<Listening>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Opens the state dir and listens. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// Where the state dir is not understood, or nobody may listen there.
    pub async fn bind(options: Options) -> Result<Self, GatewayError> {
        let Options { address, tls, socket, env, clock, runner, tell, .. } = options;
        let Options { next_command, next_for_profile, local_time, limits, .. } = options;
        let is_open = !address.ip().is_loopback();
        if is_open && tls.is_none() {
            return Err(GatewayError::NoTls { address });
        }
        let tls = tls.map(Certified::load).transpose()?;
        let relay = RelayLimits { connect: limits.connect, idle: limits.idle };
        let logins = Logins::open(env, clock.clone(), runner, relay)?;
        let state = logins.now().0.auth().state().clone();
        if is_open && read_gateway_keys(&state)?.iter().all(|key| key.has_ended(clock.now())) {
            return Err(GatewayError::NoKeys { address });
        }
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                let other = ask_status(address.port()).await?.map(Box::new);
                return Err(GatewayError::PortTaken { address, other });
            }
            Err(source) => return Err(GatewayError::Listen { address, source }),
        };
        let address = listener.local_addr().map_err(|source| GatewayError::Listen { address, source })?;
        let socket = socket.map(|path| listen(&state, &path)).transpose()?;
        let shared = Arc::new(Shared {
            port: address.port(),
            tls,
            started_at: clock.now(),
            clock,
            logins,
            keys: Keys::default(),
            numbers: Arc::new(Numbers::default()),
            noted: Noted::default(),
            lent: Lent::default(),
            limits,
            unpacking: Arc::new(Semaphore::new(limits.unpacked)),
            next_command,
            next_for_profile,
            local_time,
            console: Console::default(),
            tell,
        });
        Ok(Self { listener, address, socket, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.shared.tls.is_some()
    }

    /// Where the token socket is.
    pub fn socket(&self) -> Option<PathBuf> {
        self.socket.as_ref().map(Listening::path)
    }

    /// Serves until `stop`. Then nobody new is let in, and answers under way are finished, if they end in time. True
    /// where all did.
    pub async fn run(self, stop: impl Future<Output = ()>) -> bool {
        let Self { listener, socket, shared, .. } = self;
        let (ending, ended) = watch::channel(false);
        let lending = socket.map(|socket| tokio::spawn(socket.run(Arc::clone(&shared), ended)));
        let ahead = tokio::spawn(look_after(Arc::clone(&shared)));
        let graceful = GracefulShutdown::new();
        let seats = Arc::new(Semaphore::new(shared.limits.connections));
        let mut stop = std::pin::pin!(stop);
        loop {
            let seat = tokio::select! {
                seat = Arc::clone(&seats).acquire_owned() => seat,
                () = &mut stop => break,
            };
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            let Ok((stream, _)) = stream else {
                // Out of file descriptors, or a connection that is gone already: others go on, and so do we.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let served = connection(Arc::clone(&shared), graceful.watcher(), stream);
            tokio::spawn(async move {
                served.await;
                drop(seat);
            });
        }
        // From now on nobody gets a connection.
        drop(listener);
        ahead.abort();
        shared.console.end();
        ending.send_replace(true);
        let drained = async {
            graceful.shutdown().await;
            if let Some(lending) = lending {
                // A panic in there has ended it as well.
                let _ended = lending.await;
            }
        };
        tokio::time::timeout(shared.limits.drain, drained).await.is_ok()
    }
}

/// One connection. A panic in one of its requests ends this task and nothing else.
async fn connection(shared: Arc<Shared>, watcher: Watcher, stream: TcpStream) {
    // Where it fails, small parts of a stream arrive a little later.
    let _is_quick = stream.set_nodelay(true);
    if shared.tls.is_some() {
        // On the heap: it is large, and most gateways never have one.
        Box::pin(private(shared, watcher, stream)).await;
    } else {
        speak(shared, watcher, stream).await;
    }
}

/// One connection over TLS.
async fn private(shared: Arc<Shared>, watcher: Watcher, stream: TcpStream) {
    let Some(certified) = &shared.tls else { return };
    let (tls, renewal) = certified.renewed();
    match renewal {
        Renewal::None => {}
        Renewal::Done => {
            let until = tls.ends().map(|at| format!(", until {}", (shared.local_time)(at)));
            shared.tell(Note::event(format!("another certificate is shown{}", until.unwrap_or_default())));
        }
        Renewal::Failed(why) => {
            shared.tell(Note::event(format!("the certificate before goes on: {why}")));
        }
    }
    let shaken = tokio::time::timeout(shared.limits.head, tls.acceptor.accept(stream)).await;
    // Who speaks something else than TLS, or nothing, has its connection closed.
    if let Ok(Ok(stream)) = shaken {
        speak(Arc::clone(&shared), watcher, stream).await;
    }
}

async fn speak<S>(shared: Arc<Shared>, watcher: Watcher, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.limits;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(limits.head_bytes);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        answer(shared, request)
    });
    // A client that left, or one that speaks no HTTP: its connection is closed, and there is nobody to tell.
    let _ended = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
}

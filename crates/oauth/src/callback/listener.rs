//! The door.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::serve::{Callback, Expected, WaitError, serve};
use crate::pkce::State;

/// More visitors than this at once wait in the kernel's queue.
const MOST_VISITORS: usize = 128;

/// How often a free port is asked for until one is found that is free in both families.
const TRIES: usize = 16;

/// No port could be had.
#[derive(Debug, thiserror::Error)]
#[error("no port for the login's callback{}: {}", tried(.ports), why(.source))]
pub struct BindError {
    /// The ports that were tried; none: any would have done.
    pub ports: Vec<u16>,
    /// What the last one said.
    pub source: io::Error,
}

fn tried(ports: &[u16]) -> String {
    match ports {
        [] => String::new(),
        ports => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            format!(" (tried {})", ports.join(", "))
        }
    }
}

fn why(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => "another program has it".into(),
        // A port below 1024, or one that the system keeps for itself.
        io::ErrorKind::PermissionDenied => "the system does not let this account have it".into(),
        _ => source.to_string(),
    }
}

/// Listens on 127.0.0.1 and, where this machine has it, on the same port of `::1`; never on any other address. Closed when
/// dropped.
#[derive(Debug)]
pub struct Listener {
    v4: TcpListener,
    v6: Option<TcpListener>,
    port: u16,
    yields: bool,
}

enum Event {
    Came(TcpStream),
    CannotAccept,
    Left(Option<Result<Callback, WaitError>>),
}

impl Listener {
    /// Takes the first of `ports` that is free; with none given, any. A port of which another program holds either family is
    /// not free: `localhost` might lead the browser, and the code, there.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn bind(ports: &[u16]) -> Result<Self, BindError> {
        let candidates = if ports.is_empty() { vec![0; TRIES] } else { ports.to_vec() };
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for port in candidates {
            match Self::bind_one(port).await {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(BindError { ports: ports.to_vec(), source: last })
    }

    async fn bind_one(port: u16) -> io::Result<Self> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = v4.local_addr()?.port();
        let v6 = match TcpListener::bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)).await {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // No IPv6 on this machine: then no browser here asks for it either.
            Err(_) => None,
        };
        Ok(Self { v4, v6, port, yields: false })
    }

    /// Gives way to a Codex CLI that wants the port: it sends `GET /cancel`, reads `Login cancelled`, and tries again. A
    /// browser's request is not heeded, so that no web page can end a login.
    #[must_use]
    pub fn yielding(mut self) -> Self {
        self.yields = true;
        self
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address for the authorization request. `host` is what the provider has registered: `127.0.0.1` (RFC 8252
    /// section 7.3) or `localhost`.
    pub fn redirect_uri(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    /// Waits until a browser comes to `path` with this state, at most for `limit`. Wrong visitors are answered meanwhile; none
    /// of them holds up another.
    ///
    /// # Errors
    /// The provider's refusal, or that nobody came.
    pub async fn wait(&mut self, path: &str, state: &State, limit: Duration) -> Result<Callback, WaitError> {
        let expected = Arc::new(Expected {
            path: path.to_owned(),
            state: state.clone(),
            port: self.port,
            yields: self.yields,
        });
        // Dropped with everybody in it when the wait is over.
        let mut visitors = JoinSet::new();
        let wait = async {
            loop {
                match self.next(&mut visitors).await {
                    Event::Came(stream) => {
                        let expected = Arc::clone(&expected);
                        visitors.spawn(async move {
                            stream.set_nodelay(true).ok();
                            serve(stream, &expected).await
                        });
                    }
                    // Out of file descriptors, perhaps. Others may close theirs.
                    Event::CannotAccept => tokio::time::sleep(Duration::from_millis(50)).await,
                    Event::Left(Some(outcome)) => return outcome,
                    Event::Left(None) => {}
                }
            }
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(Err(WaitError::TimedOut))
    }

    async fn next(&self, visitors: &mut JoinSet<Option<Result<Callback, WaitError>>>) -> Event {
        poll_fn(|cx| {
            if let Poll::Ready(Some(left)) = visitors.poll_join_next(cx) {
                return Poll::Ready(Event::Left(left.ok().flatten()));
            }
            if visitors.len() < MOST_VISITORS {
                for listener in std::iter::once(&self.v4).chain(&self.v6) {
                    match listener.poll_accept(cx) {
                        Poll::Ready(Ok((stream, _))) => return Poll::Ready(Event::Came(stream)),
                        Poll::Ready(Err(_)) => return Poll::Ready(Event::CannotAccept),
                        Poll::Pending => {}
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E1: why there is no port is said in words, whatever the system calls it.
    #[test]
    fn e1_why_there_is_no_port() {
        for (kind, ports, said) in [
            (io::ErrorKind::AddrInUse, vec![1455, 1457], "(tried 1455, 1457): another program has it"),
            (
                io::ErrorKind::PermissionDenied,
                vec![80],
                "(tried 80): the system does not let this account have it",
            ),
            (io::ErrorKind::AddrNotAvailable, vec![], "callback: address not available"),
        ] {
            let said_here = BindError { ports, source: kind.into() }.to_string();
            assert!(said_here.ends_with(said), "{said_here}");
        }
    }
}

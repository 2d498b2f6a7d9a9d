//! The socket's life: made private from birth, one gateway at a time, gone when the gateway ends.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coderclaw_store::{LockError, SocketGuard, StateDir, WriteError};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::connection::{serve, turn_away};
use crate::gateway::Shared;
use crate::gateway_error::GatewayError;

/// Connections that wait to be taken.
const BACKLOG: i32 = 128;
/// The most that a clean end waits for a client to have its answer.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// A token socket on which somebody listens. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: UnixListener,
    guard: SocketGuard,
}

/// Makes the socket at `path`.
pub(crate) fn listen(state: &StateDir, path: &Path) -> Result<Listening, GatewayError> {
    let guard = SocketGuard::acquire(state, path).map_err(|e| match e {
        LockError::Held { holder, .. } => {
            GatewayError::SocketTaken { path: path.to_path_buf(), holder: holder.to_string() }
        }
        e => GatewayError::Socket { path: path.to_path_buf(), detail: e.to_string(), code: e.code() },
    })?;
    let wrong = |e: io::Error| {
        let code = WriteError::Io { path: path.to_path_buf(), source: io::Error::other("") }.code();
        GatewayError::Socket { path: path.to_path_buf(), detail: e.to_string(), code }
    };
    let listener = private_socket(guard.target()).map_err(wrong)?;
    Ok(Listening { listener, guard })
}

/// 0600 before it has a name: a socket's file gets the mode of the socket (Linux), and where it does not, the folder is
/// private anyway.
fn private_socket(path: &Path) -> io::Result<UnixListener> {
    let address = SocketAddrUnix::new(path).map_err(|_| {
        io::Error::other(
            "the path is too long for a socket (107 bytes); name a shorter one with --socket PATH",
        )
    })?;
    let socket: OwnedFd = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}

impl Listening {
    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.guard.target().to_path_buf()
    }

    /// Serves until `stop` says so; then nobody new is let in, and who waits for an answer gets it.
    pub(crate) async fn run(self, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
        let Self { listener, guard } = self;
        let most = u32::try_from(shared.limits.socket_clients).unwrap_or(u32::MAX);
        let seats = Arc::new(Semaphore::new(shared.limits.socket_clients));
        loop {
            let stream: io::Result<(UnixStream, _)> = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Ok((stream, _)) = stream else {
                // Out of file descriptors: others go on, and so do we.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
                tokio::spawn(turn_away(Arc::clone(&shared), stream));
                continue;
            };
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            tokio::spawn(async move {
                serve(shared, stream, stop).await;
                drop(seat);
            });
        }
        drop(listener);
        // While the lock is still held. Where it cannot be taken away, the next gateway does it.
        drop(guard.clear());
        drop(tokio::time::timeout(LAST_ANSWERS, seats.acquire_many(most)).await);
    }
}

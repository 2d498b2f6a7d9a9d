//! What went wrong, told by the one thing that matters to a token that works once: did it leave?

use std::error::Error;
use std::io;

use crate::direct::NoAddress;

/// A client that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The client could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Build(String),
}

/// Why there is no answer. `detail` names host and cause; it never holds a body, a header's value, or more of a URL than its
/// host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No byte of the request left this machine: trying again is free.
    #[error("{detail}")]
    NotSent {
        /// What stood in the way.
        why: NotSentWhy,
        /// For people.
        detail: String,
    },
    /// The request left, or may have left, and no complete answer came back: what the server did is unknown.
    #[error("{detail}")]
    Lost {
        /// The status, where the answer's head arrived.
        status: Option<u16>,
        /// How it was lost.
        why: LostWhy,
        /// For people.
        detail: String,
    },
}

/// What stood in the way of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSentWhy {
    /// The URL or a header cannot be sent.
    Url,
    /// The host's name has no address.
    Dns,
    /// No connection.
    Connect,
    /// No connection in time.
    Timeout,
    /// The handshake failed: a certificate that is not trusted, or no TLS at the other end.
    Tls,
    /// The proxy refused, could not be reached, or its setting makes no sense.
    Proxy,
}

/// How an answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostWhy {
    /// It did not arrive in time.
    Timeout,
    /// The connection was reset.
    Reset,
    /// The connection ended too early, or what came was not HTTP.
    Cut,
    /// The body was longer than allowed.
    TooLarge,
}

/// The last cause: the layers above it only say "error sending request".
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let text: String = root.to_string().chars().filter(|c| !c.is_control()).collect();
    text.chars().take(200).collect()
}

pub(crate) fn is_tls(error: &dyn Error) -> bool {
    any_cause(error, &|cause| cause.is::<rustls::Error>())
}

pub(crate) fn is_dns(error: &dyn Error) -> bool {
    any_cause(error, &|cause| cause.is::<NoAddress>())
}

pub(crate) fn is_io(error: &dyn Error, kinds: &[io::ErrorKind]) -> bool {
    any_cause(error, &|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| kinds.contains(&io.kind()))
    })
}

fn any_cause(error: &dyn Error, holds: &dyn Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if holds(cause) {
            return true;
        }
        // An `io::Error` hides what it was made from: its `source` is already that error's source.
        let hidden = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match hidden {
            Some(hidden) => Some(hidden),
            None => cause.source(),
        };
    }
    false
}

//! What can be wrong with a connection and with what comes over it.

use std::io;

/// Why an answer, or the rest of it, does not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The connection itself.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The other side closed it in the middle of an answer, or before it.
    #[error("the connection was closed before the answer was whole")]
    Cut,
    /// What came. Not a source: by itself it does not say what it is about.
    #[error("what came cannot be read as HTTP/1.1: {0}")]
    NotHttp(NotHttp),
    /// The body of the request. No source either: it would be taken for this connection's.
    #[error("the request's own body broke off: {0}")]
    Body(io::Error),
}

impl From<NotHttp> for Broken {
    fn from(what: NotHttp) -> Self {
        Self::NotHttp(what)
    }
}

/// Why something cannot be read as an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotHttp {
    #[error("{0}")]
    Head(#[from] httparse::Error),
    #[error("a status or a header that cannot be")]
    Field,
    #[error("a head of more than 64 KiB")]
    LongHead,
    #[error("another protocol, which nobody asked for")]
    Switched,
    #[error("two minds about where the body ends")]
    Framing,
    #[error("a chunk without size or end")]
    Chunk,
}

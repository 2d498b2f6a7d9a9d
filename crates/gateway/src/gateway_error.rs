//! Why there is no gateway.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use coderclaw_auth::OpenError;
use coderclaw_http::HttpError;
use coderclaw_store::GatewayKeysError;
use coderclaw_types::Code;

use crate::logins::LoginsError;
use crate::status::GatewayStatus;
use crate::tls::TlsError;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Others on the network would read along.
    #[error(
        "{address} is not loopback, and others on the network come in over TLS only: name --tls-cert FILE and --tls-key FILE"
    )]
    NoTls {
        /// What was asked for.
        address: SocketAddr,
    },
    /// Others on the network would be let in without a key, or nobody at all.
    #[error(
        "{address} is not loopback, and others on the network come in with a key only: there is none that counts"
    )]
    NoKeys {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The keys are not understood.
    #[error(transparent)]
    Keys(#[from] GatewayKeysError),
    /// Certificate and key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Somebody else listens there.
    #[error("{}", taken(address, other))]
    PortTaken {
        /// Where.
        address: SocketAddr,
        /// Who, if it is one of ours.
        other: Option<Box<GatewayStatus>>,
    },
    /// The system does not let us listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another gateway of this state dir has the token socket.
    #[error("another gateway has the token socket {} ({holder})", path.display())]
    SocketTaken {
        /// Which socket.
        path: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// The token socket cannot be made.
    #[error("the token socket {} cannot be made: {detail}", path.display())]
    Socket {
        /// Which socket.
        path: PathBuf,
        /// Why.
        detail: String,
        /// The code of that.
        code: Code,
    },
    /// The state dir is not understood.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no way out to the network.
    #[error(transparent)]
    Http(#[from] HttpError),
}

fn taken(address: &SocketAddr, other: &Option<Box<GatewayStatus>>) -> String {
    match other {
        Some(other) => format!("a CoderClaw gateway is running on {address} already (process {})", other.pid),
        None => format!("another program listens on {address}; choose another port with --port"),
    }
}

impl GatewayError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::NoTls { .. } | Self::Tls(_) => Code::Usage,
            Self::NoKeys { .. } => Code::GatewayKeyRefused,
            Self::Keys(e) => e.code(),
            Self::PortTaken { .. } => Code::PortTaken,
            Self::Listen { .. } => Code::NotStarted,
            Self::SocketTaken { .. } => Code::SocketTaken,
            Self::Socket { code, .. } => *code,
            Self::Open(e) => e.code(),
            Self::Http(_) => Code::Offline,
        }
    }
}

impl From<LoginsError> for GatewayError {
    fn from(error: LoginsError) -> Self {
        match error {
            LoginsError::Open(e) => Self::Open(e),
            LoginsError::Http(e) => Self::Http(e),
        }
    }
}

//! What a gateway is made from: where it listens, how much of anything it takes, and whom it tells.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coderclaw_auth::{Auth, Call, Moved, ProfileStatus, Runner};
use coderclaw_providers::Manifest;
use coderclaw_store::GatewayKey;
use coderclaw_types::{AgentId, Clock, Code, Env, Millis, ProfileId};

use crate::tls::TlsFiles;

/// Something that happened, for whoever runs the gateway: one line, without any secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// One of many: only where somebody wants to see everything.
    pub is_detail: bool,
    /// The line.
    pub text: String,
}

impl Note {
    pub(crate) fn event(text: String) -> Self {
        Self { is_detail: false, text }
    }

    pub(crate) fn detail(text: String) -> Self {
        Self { is_detail: true, text }
    }

    /// Another account took over for the holder of a key.
    pub(crate) fn moved(key: &GatewayKey, moved: &Moved) -> Self {
        let to = moved.to.as_ref().map_or("a key", ProfileId::as_str);
        Self::event(format!("{} -> {to} for the key {} [{}]: {}", moved.from, key.id, moved.code, moved.why))
    }
}

/// Takes notes. Called from many tasks at once.
pub type Tell = Arc<dyn Fn(Note) + Send + Sync>;

/// A code and what it is about: all that a next command needs.
#[derive(Debug)]
pub struct Trouble<'a> {
    /// What it is.
    pub code: Code,
    /// Of which provider.
    pub manifest: Option<&'a Manifest>,
    /// Which profile.
    pub profile: Option<&'a ProfileId>,
    /// Whose.
    pub agent: Option<&'a AgentId>,
    /// The other agent that it is about.
    pub other: Option<&'a AgentId>,
}

/// How much of anything, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the head of a request, from its first byte or from the end of the last request.
    pub head: Duration,
    /// Bytes of a head.
    pub head_bytes: usize,
    /// How long a client may be silent in the middle of a body.
    pub body: Duration,
    /// How much of a body is kept to be sent again.
    pub keep: usize,
    /// For a connection to a provider.
    pub connect: Duration,
    /// How long a provider may be silent. A model may think for minutes before it says a word.
    pub idle: Duration,
    /// How long answers under way may take after the end was asked for.
    pub drain: Duration,
    /// Between two looks at logins that may be due.
    pub ahead: Duration,
    /// Compressed streams that are read for a failure in their middle, at a time: each holds what its packer may look back
    /// to, up to some megabytes. Others pass unread.
    pub unpacked: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Clients of the token socket at a time.
    pub socket_clients: usize,
    /// How long a client of the token socket may be silent between two lines.
    pub socket_idle: Duration,
    /// Bytes of a line on the token socket.
    pub line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            body: Duration::from_secs(60),
            keep: 32 * 1024 * 1024,
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(300),
            drain: Duration::from_secs(30),
            ahead: Duration::from_secs(15),
            unpacked: 64,
            connections: 4096,
            socket_clients: 256,
            socket_idle: Duration::from_secs(600),
            line_bytes: 64 * 1024,
        }
    }
}

/// What a gateway is made from.
pub struct Options {
    /// Where it listens; port 0 takes a free one. Anything but loopback takes `tls`, and a key that somebody has.
    pub address: SocketAddr,
    /// What is shown to those who connect; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where the token socket is made; `None`: there is none.
    pub socket: Option<PathBuf>,
    /// The captured environment.
    pub env: Env,
    /// The clock.
    pub clock: Clock,
    /// How refreshes are run.
    pub runner: Runner,
    /// Who takes notes.
    pub tell: Tell,
    /// The command that a person types next, for answers that a person reads.
    pub next_command: fn(&Trouble<'_>) -> String,
    /// The command that does what a profile calls for, as the status has it; for an agent, where it has to be named.
    pub next_for_profile: fn(&Auth, &ProfileStatus, &Call, Option<&str>) -> String,
    /// A time as the person reads it, in their zone.
    pub local_time: fn(Millis) -> String,
    /// How much, and for how long.
    pub limits: Limits,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

//! The token socket: borrowing without HTTP, for sandboxes, other languages and other hosts.
//!
//! A Unix socket that only its owner can reach, and one JSON object a line, as described in `docs/token-socket.md`. Who
//! says a key of the gateway gets what that key is for, and nobody gets anything without one: a socket is mounted into
//! sandboxes and forwarded over SSH, so that being able to reach it says little.

pub(crate) mod client;
mod connection;
mod lent;
mod listen;
mod serve;
pub(crate) mod wire;

pub(crate) use lent::Lent;
pub(crate) use listen::{Listening, listen};

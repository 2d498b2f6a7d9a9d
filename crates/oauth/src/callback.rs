//! Waiting for the browser on a loopback address (RFC 8252 section 7.3).
//!
//! The [`Listener`] is open only while a login waits. Whoever talks to it, only a request with the right path and the right
//! state ends the wait; everybody else gets an error page and costs nobody time. The browser's page is held back in a
//! [`Reply`] until the caller knows whether the credential is safe on disk.

mod listener;
mod page;
mod query;
mod reply;
mod request;
mod serve;

pub use listener::{BindError, Listener};
pub use query::{BadQuery, Redirected, read_query};
pub use reply::Reply;
pub use serve::{Callback, WaitError};

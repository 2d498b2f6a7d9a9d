//! CoderClaw's one way out.
//!
//! A [`Client`] sends one small request and hands back one small answer. It repeats nothing, follows nothing and
//! keeps no connection, because the request may carry a refresh token that works once. What it adds to an ordinary
//! client is the certainty in [`SendError`]: either no byte of the request left, or nobody can know.
//!
//! An answer that arrives bit by bit, as a model's does, is an [`Incoming`]. Requests of other programs, which pass
//! through unread, go out by a [`Relay`].
//!
//! Nothing is global and nothing is read from the process: proxies and CAs come from a [`Network`], which is made from
//! the captured environment.

mod client;
mod direct;
mod error;
mod message;
mod moving;
mod network;
mod no_proxy;
mod relay;
mod stream;
mod tls;

pub use client::{BODY_LIMIT, Client, Limits};
pub use direct::{AnswerRead, read_answer};
pub use error::{HttpError, LostWhy, NotSentWhy, SendError};
pub use message::{Answer, Body, HeaderText, Method, Request};
pub use network::{BadProxy, Network, ProxyChoice};
pub use relay::{Relay, RelayBody, RelayLimits, RelayRequest, Relayed};
pub use stream::Incoming;
pub use url::Url;

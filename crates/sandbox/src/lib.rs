//! An OAuth authorization server on loopback, with a switch for everything that can go wrong at a token endpoint.
//!
//! It is equipment for tests and for `coderclaw demo`: tokens look fake, people sign in without a
//! password. What it is strict about is what a client can get wrong: PKCE, single-use codes, rotation, and the reuse of
//! a spent refresh token, which by default ends the whole family.
//!
//! Beside it stand the model APIs that such tokens are for, and their own ways of failing ([`ModelFault`]).
//!
//! It speaks HTTP/1.1 over plain sockets, one thread and one request per connection, because a tame HTTP library would
//! not let it stop in the middle of a body. What it did is in [`Sandbox::log`], recorded in the same step in which it
//! happened, so a test never has to guess whether a token was spent before a connection broke.
//!
//! ```
//! use coderclaw_sandbox::{Options, Sandbox};
//! use coderclaw_types::{Clock, Millis};
//!
//! let sandbox = Sandbox::start(Options::new(Clock::fixed(Millis::from_secs(1_700_000_000))))?;
//! let grant = sandbox.grant("user-1");
//! assert!(sandbox.is_live(&grant.refresh));
//! assert_eq!(sandbox.counts().refreshes, 0);
//! # Ok::<(), std::io::Error>(())
//! ```

mod admin;
mod answer;
mod authorize;
mod browser;
mod dates;
mod device;
mod faults;
mod gate;
mod http;
mod jwt;
mod log;
mod made;
mod model;
mod policy;
mod registered;
mod sandbox;
mod server;
mod sign;
mod state;
mod token;
mod tokens;

pub use browser::{BrowserPage, browse};
pub use faults::{Body, ExpiresIn, Fault, On, Reply, RetryAfter};
pub use gate::Gate;
pub use log::{Counts, Kind, Seen};
pub use model::{KeyKind, ModelCall, ModelFault, StreamGate, used_percent};
pub use policy::{Earliest, EarliestForm, Enforced, ErrorStyle, IdTokens, Policy, Registers, Reuse, User};
pub use sandbox::{Grant, Options, Sandbox};
pub use tokens::{FamilyId, Refusal};

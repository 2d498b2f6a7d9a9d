//! The gateway: other programs send their requests to it as they would to a provider, and it puts in the login.
//!
//! It is a reverse proxy on loopback that changes nothing but the credential. Which one goes in, the resolver says anew
//! for each request; what a failure means for it, `Auth::report` says. So a new order, a login or a logout counts at the
//! next request, and a token that the provider rejects is refreshed once and the request sent again, as long as the
//! client has not seen a byte of an answer.
//!
//! Two duties compete in here. Whoever runs it must see what happens, and nobody may see a secret: what is told
//! ([`Note`]) names keys by their public ids and providers by theirs, and never holds a header, a query or a body.
//!
//! A request passes, in this order: `guard` (who may not at all), `keys` (who it is), `route` (where it goes),
//! `admit` (with what), `heads` (what of its head goes along), `outcome` (what came of it); `lend` sends it, and again where
//! that helps. What comes over the token socket is `socket`'s, which asks the same resolver and keeps to the same keys. What
//! a person's browser asks for is `console`'s.

mod admit;
mod ahead;
mod answer;
mod console;
mod gateway;
mod gateway_error;
mod guard;
mod heads;
mod keep;
mod keys;
mod lend;
mod logins;
mod noted;
mod numbers;
mod options;
mod outcome;
mod refusal;
mod route;
mod socket;
mod status;
mod tls;
mod unpack;
mod vet;
mod within;

pub use gateway::Gateway;
pub use gateway_error::GatewayError;
pub use options::{Limits, Note, Options, Tell, Trouble};
pub use socket::client::{SocketError, TokenSocket};
pub use socket::wire::{
    Advice, BorrowedLease, Complaint, LendRequest, ListedProfile, ListedProvider, Listing, Pair,
    ReportRequest, VERSIONS, Welcome,
};
pub use status::{GatewayStatus, ask_status};
pub use tls::{TlsError, TlsFiles};
pub use vet::{Vetted, vet};
pub use within::failure_within;

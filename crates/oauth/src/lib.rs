//! The protocol of a login with OAuth 2: authorization code with PKCE over a loopback redirect, device codes, refresh, revoke.
//!
//! Requests are built and answers are read by pure functions. Few places touch a socket: [`send`], [`discover`] and their
//! like hand requests to `coderclaw-http`, and [`callback::Listener`] waits for the browser. Nothing here knows providers,
//! files, the clock or the environment; the caller fills in plain structs.

mod access;
mod answer;
mod authorize;
pub mod callback;
pub mod device;
mod discovery;
mod endpoint;
mod expiry;
mod id_token;
mod identity;
mod jwks;
pub mod jwt;
mod key;
mod paste;
mod pkce;
mod send;
mod strict_json;
mod token_set;
mod words;

pub use access::{AccessEndpoint, access_request, make_access, read_access, userinfo};
pub use answer::{RefreshAnswer, RevokeFailed, read_answer, read_revocation};
pub use authorize::AuthorizationRequest;
pub use discovery::{DiscoveryError, Metadata, discover, read_metadata, well_known_urls};
pub use endpoint::{Encoding, TokenEndpoint, TokenHint, exchange_request, refresh_request, revoke_request};
pub use expiry::{Expiry, expiry};
pub use id_token::{BadIdToken, Expected, IdTokenError, check_claims, check_id_token, check_refreshed};
pub use identity::{Identity, IdentityPointers, identity_of, read_identity};
pub use jwks::Keys;
pub use key::{exchange_for_key, key_page, key_request, read_key};
pub use paste::{Pasted, Unusable, read_paste};
pub use pkce::{BadVerifier, NoRandom, Pkce, State};
pub use send::{exchange, send};
pub use token_set::TokenSet;
pub use words::for_people;

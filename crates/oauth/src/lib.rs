//! The protocol of a login with OAuth 2: authorization code with PKCE over a loopback redirect, device codes, refresh, revoke.
//!
//! Requests are built and answers are read by pure functions. Few places touch a socket: [`send`], [`discover`] and their
//! like hand requests to `coderclaw-http`, and [`callback::Listener`] waits for the browser. Nothing here knows providers,
//! files, the clock or the environment; the caller fills in plain structs.
//!
//! A login: the address for the browser, what came back, and the request that redeems it.
//!
//! ```
//! use coderclaw_http::Url;
//! use coderclaw_oauth::{AuthorizationRequest, Encoding, Pasted, Pkce, State, TokenEndpoint};
//! use coderclaw_oauth::{exchange_request, read_paste};
//!
//! let (pkce, state) = (Pkce::generate()?, State::generate()?);
//! let redirect = "http://127.0.0.1:1455/callback";
//! let address = AuthorizationRequest {
//!     authorize_url: Url::parse("https://id.example/authorize")?,
//!     client_id: "my-app".into(),
//!     redirect_uri: redirect.into(),
//!     scopes: vec!["openid".into(), "offline_access".into()],
//!     extra: Vec::new(),
//!     challenge: pkce.challenge(),
//!     state: state.clone(),
//! };
//! assert!(address.url().query().unwrap_or_default().contains("code_challenge_method=S256"));
//!
//! let came_back = format!("{redirect}?code=abc&state={}", state.secret().expose());
//! let Pasted::Code { code, .. } = read_paste(&came_back, &state, redirect) else { return Err("no code".into()) };
//! let endpoint = TokenEndpoint {
//!     url: Url::parse("https://id.example/token")?,
//!     client_id: "my-app".into(),
//!     encoding: Encoding::Form,
//!     extra: Vec::new(),
//! };
//! let request = exchange_request(&endpoint, &code, pkce.verifier(), redirect);
//! assert_eq!(request.url.path(), "/token");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

pub use access::{AccessEndpoint, make_access, userinfo};
pub use answer::{RefreshAnswer, RevokeFailed, read_answer, read_revocation};
pub use authorize::AuthorizationRequest;
pub use discovery::{DiscoveryError, Metadata, discover};
pub use endpoint::{Encoding, TokenEndpoint, TokenHint, exchange_request, refresh_request, revoke_request};
pub use expiry::{Expiry, expiry};
pub use id_token::{BadIdToken, Expected, IdTokenError, check_claims, check_id_token, check_refreshed};
pub use identity::{Identity, IdentityPointers, identity_of, read_identity};
pub use jwks::Keys;
pub use key::{exchange_for_key, key_page};
pub use paste::{Pasted, Unusable, read_paste};
pub use pkce::{BadVerifier, NoRandom, Pkce, State};
pub use send::{exchange, send};
pub use token_set::TokenSet;
pub use words::for_people;

//! What can be said of a request before any login is looked at: pure, so that it can be tried with whatever a stranger
//! may send.

use coderclaw_http::Url;
use coderclaw_types::Secret;
use http::HeaderMap;
use http::request::Parts;

use crate::guard;
use crate::heads::bare;
use crate::keys::presented;
use crate::route::{Route, address, route};

/// A request that got past the guard and names a place.
#[derive(Debug, Clone)]
pub struct Vetted {
    /// The provider that its path names; `None` for a path that programs know by heart.
    pub provider: Option<String>,
    /// Where it would go.
    pub address: Url,
    /// What of its head would go along.
    pub headers: HeaderMap,
    /// What it brings as a key of the gateway. Never sent on.
    pub keys: Vec<Secret>,
}

/// What becomes of a request with this head at a gateway on `port`, where the provider's API is below `base_url`. `None`: it
/// is refused.
pub fn vet(head: &Parts, port: u16, base_url: &str) -> Option<Vetted> {
    guard::check(head, port, None).ok()?;
    let (provider, rest) = match route(head.uri.path()) {
        Route::Named(name, rest) => (Some(name.to_owned()), rest),
        Route::Bare(_, rest) => (None, rest),
        Route::Unknown => return None,
    };
    let address = address(Some(base_url), rest, &head.uri).ok()?;
    Some(Vetted { provider, address, headers: bare(&head.headers), keys: presented(&head.headers) })
}

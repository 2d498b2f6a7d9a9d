//! Who it is: the keys of the gateway, as the file has them now.

use std::sync::{Arc, Mutex, PoisonError};

use coderclaw_store::{GatewayKey, Signature, StateDir, read_gateway_keys};
use coderclaw_types::{Code, Millis, Secret};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::refusal::{Refusal, Shape};

/// The keys, read again when the file changes.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<Read>);

#[derive(Debug, Clone, Default)]
struct Read {
    of: Option<Signature>,
    keys: Arc<Vec<GatewayKey>>,
}

impl Keys {
    /// The key that the request brings, as a bearer token or as `x-api-key`; some programs send both. Reads a file.
    pub(crate) fn check(
        &self,
        state: &StateDir,
        headers: &HeaderMap,
        shape: Shape,
        now: Millis,
    ) -> Result<GatewayKey, Refusal> {
        let presented = presented(headers);
        if presented.is_empty() {
            let message = "CoderClaw: this gateway wants one of its keys, as a bearer token or in x-api-key. Type: \
                           coderclaw gateway keys add NAME";
            return Err(Refusal::stranger(shape, message));
        }
        let keys = self.now(state)?;
        // Each is compared with each, so that the time says nothing of which was near.
        let mut found = None;
        for key in keys.iter() {
            for secret in &presented {
                if key.hash.is_of(secret) {
                    found = Some(key);
                }
            }
        }
        match found {
            None => {
                let message = "CoderClaw: this gateway knows no such key, or no longer. Type: coderclaw gateway keys list";
                Err(Refusal::stranger(shape, message))
            }
            Some(key) if key.has_ended(now) => {
                let message = format!(
                    "CoderClaw: the gateway key \"{}\" ({}) has ended. Type: coderclaw gateway keys add NAME",
                    key.name, key.id
                );
                Err(Refusal::stranger(shape, message))
            }
            Some(key) => Ok(key.clone()),
        }
    }

    fn now(&self, state: &StateDir) -> Result<Arc<Vec<GatewayKey>>, Refusal> {
        // Before it is read: a change in between is then seen at the next request.
        let signature = Signature::of(&state.gateway_keys());
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signature.is_none() || read.of != signature {
            let keys = read_gateway_keys(state)
                .map_err(|e| Refusal::new(500, Code::GatewayKeysInvalid, format!("CoderClaw: {e}")))?;
            *read = Read { of: signature, keys: Arc::new(keys) };
        }
        Ok(Arc::clone(&read.keys))
    }
}

/// What the request brings as a key, by whichever header.
pub(crate) fn presented(headers: &HeaderMap) -> Vec<Secret> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let bare = headers.get_all("x-api-key").iter().filter_map(|value| value.to_str().ok());
    let all = bearer.chain(bare).map(str::trim).filter(|text| !text.is_empty());
    // Nobody sends more than two; what does is no program of ours.
    all.take(4).map(Secret::from).collect()
}

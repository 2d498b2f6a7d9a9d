//! Who it is: the keys of the gateway, as the file has them now.

use std::sync::{Arc, Mutex, PoisonError};

use coderclaw_store::{GatewayKey, GatewayKeysError, Signature, StateDir, read_gateway_keys};
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

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("this gateway knows no such key, or no longer")]
    Unknown,
    #[error("the gateway key \"{name}\" ({id}) has ended")]
    Ended { name: String, id: String },
    #[error(transparent)]
    File(#[from] GatewayKeysError),
}

impl KeyError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Unknown | Self::Ended { .. } => Code::GatewayKeyRefused,
            Self::File(_) => Code::GatewayKeysInvalid,
        }
    }

    pub(crate) fn next_command(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "coderclaw gateway keys add NAME",
            Self::Unknown | Self::File(_) => "coderclaw gateway keys list",
        }
    }
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
        self.find(state, &presented, now).map_err(|e| match e {
            KeyError::File(e) => Refusal::new(500, Code::GatewayKeysInvalid, format!("CoderClaw: {e}")),
            e => Refusal::stranger(shape, format!("CoderClaw: {e}. Type: {}", e.next_command())),
        })
    }

    /// The key that one of these is, as the file has it now. Reads a file.
    pub(crate) fn find(
        &self,
        state: &StateDir,
        presented: &[Secret],
        now: Millis,
    ) -> Result<GatewayKey, KeyError> {
        let keys = self.now(state)?;
        // Each is compared with each, so that the time says nothing of which was near.
        let mut found = None;
        for key in keys.iter() {
            for secret in presented {
                if key.hash.is_of(secret) {
                    found = Some(key);
                }
            }
        }
        match found {
            None => Err(KeyError::Unknown),
            Some(key) if key.has_ended(now) => {
                Err(KeyError::Ended { name: key.name.clone(), id: key.id.clone() })
            }
            Some(key) => Ok(key.clone()),
        }
    }

    fn now(&self, state: &StateDir) -> Result<Arc<Vec<GatewayKey>>, GatewayKeysError> {
        // Before it is read: a change in between is then seen at the next request.
        let signature = Signature::of(&state.gateway_keys());
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signature.is_none() || read.of != signature {
            *read = Read { of: signature, keys: Arc::new(read_gateway_keys(state)?) };
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

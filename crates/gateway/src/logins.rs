//! The logins, opened again when what they were opened from may have changed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coderclaw_auth::{Auth, Lender, OpenError, Runner};
use coderclaw_http::{HttpError, Network, Relay, RelayLimits};
use coderclaw_types::{Clock, Env};

/// How old the view of config and provider files may be. Stores, orders and keys are read for each request.
const STALE: Duration = Duration::from_millis(500);

/// As whom the audit trail knows what is done here.
const CALLER: &str = "gateway";
const CONSOLE: &str = "console";

/// What a request works with.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    /// The logins, and what was lent of them since they were opened.
    pub(crate) lender: Lender,
    pub(crate) relay: Relay,
    network: String,
}

impl Open {
    pub(crate) fn auth(&self) -> &Auth {
        self.lender.auth()
    }
}

#[derive(Debug)]
pub(crate) struct Logins {
    env: Env,
    clock: Clock,
    runner: Runner,
    limits: RelayLimits,
    now: Mutex<(Open, Instant, Option<String>)>,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginsError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Logins {
    pub(crate) fn open(
        env: Env,
        clock: Clock,
        runner: Runner,
        limits: RelayLimits,
    ) -> Result<Self, LoginsError> {
        let auth = Auth::open(env.clone(), clock.clone(), runner.clone())?;
        auth.called_by(CALLER);
        let network = Network::from_env(auth.env());
        let relay = Relay::new(&network, limits)?;
        let open = Open { lender: Lender::new(auth), relay, network: network.digest() };
        Ok(Self { env, clock, runner, limits, now: Mutex::new((open, Instant::now(), None)) })
    }

    /// As it is now, where nothing has to be read for that.
    pub(crate) fn current(&self) -> Option<Open> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (now.1.elapsed() < STALE).then(|| now.0.clone())
    }

    /// As it is now, at most half a second late. Reads files.
    ///
    /// A config that is being edited and makes no sense for a moment ends nothing: what was open stays in use, and the
    /// second part says what is wrong, once.
    pub(crate) fn now(&self) -> (Open, Option<String>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, at, trouble) = &mut *now;
        if at.elapsed() < STALE {
            return (open.clone(), None);
        }
        *at = Instant::now();
        match self.again(open) {
            Ok(again) => {
                *open = again;
                *trouble = None;
                (open.clone(), None)
            }
            Err(e) => {
                let e = e.to_string();
                let is_new = trouble.as_ref() != Some(&e);
                *trouble = Some(e.clone());
                (open.clone(), is_new.then_some(e))
            }
        }
    }

    /// For a person who looks or changes something: as it is at this moment, with its own troubles.
    pub(crate) fn console(&self) -> Result<Auth, OpenError> {
        let auth = Auth::open(self.env.clone(), self.clock.clone(), self.runner.clone())?;
        auth.called_by(CONSOLE);
        Ok(auth)
    }

    fn again(&self, before: &Open) -> Result<Open, LoginsError> {
        let auth = Auth::open(self.env.clone(), self.clock.clone(), self.runner.clone())?;
        auth.called_by(CALLER);
        let network = Network::from_env(auth.env());
        let digest = network.digest();
        // A relay holds connections, and building one reads the system's CAs.
        let relay =
            if digest == before.network { before.relay.clone() } else { Relay::new(&network, self.limits)? };
        Ok(Open { lender: Lender::new(auth), relay, network: digest })
    }
}

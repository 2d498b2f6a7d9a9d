//! What the connections share, under one lock: a request is judged, carried out and logged in one step.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coderclaw_types::{Clock, Millis};

use crate::authorize::Code;
use crate::device::Device;
use crate::faults::Faults;
use crate::jwt::Minter;
use crate::log::Seen;
use crate::model::{Keys, ModelFaults, StreamPhase};
use crate::policy::{Policy, User};
use crate::sign::Signer;
use crate::tokens::Tokens;

/// How far a gate has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GatePhase {
    /// It waits for its refresh.
    Armed,
    /// A refresh has been carried out and its answer waits.
    Held,
    /// The answer may go.
    Open,
}

pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) users: Vec<User>,
    /// The e-mail of who signs in where the request names nobody.
    pub(crate) signs_in: Option<String>,
    /// Answers of the authorize page to be: error and description.
    pub(crate) denials: VecDeque<(String, String)>,
    pub(crate) codes: HashMap<String, Code>,
    /// Clients that were registered in the course of a login.
    pub(crate) clients: BTreeMap<String, crate::registered::Client>,
    /// Codes that wait to be typed in, by what asks for them.
    pub(crate) devices: HashMap<String, Device>,
    pub(crate) tokens: Tokens,
    pub(crate) minter: Minter,
    /// What id tokens are signed with, and a key that nobody is shown.
    pub(crate) signer: Signer,
    pub(crate) foreign: Signer,
    pub(crate) faults: Faults,
    pub(crate) gates: BTreeMap<u64, GatePhase>,
    pub(crate) last_gate: u64,
    /// Gates of model streams.
    pub(crate) stream_gates: BTreeMap<u64, StreamPhase>,
    /// Credentials for the model APIs that do not come from a login.
    pub(crate) keys: Keys,
    pub(crate) model_faults: ModelFaults,
    pub(crate) log: Vec<Seen>,
    /// Open connections, so that the end of the server can end them.
    pub(crate) connections: HashMap<u64, Arc<TcpStream>>,
    pub(crate) last_connection: u64,
    pub(crate) stopping: bool,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    clock: Clock,
    pub(crate) origin: String,
    pub(crate) admin: bool,
}

/// Shows the address only: the rest holds codes and the seed of all tokens.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Shared {
    pub(crate) fn new(state: State, clock: Clock, origin: String, admin: bool) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new(), clock, origin, admin }
    }

    /// Looks.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and wakes whoever waits for a change.
    pub(crate) fn change<T>(&self, how: impl FnOnce(&mut State) -> T) -> T {
        let result = how(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until something is so; false where `timeout` came first.
    pub(crate) fn wait(&self, timeout: Duration, mut until: impl FnMut(&State) -> bool) -> bool {
        let guard = self.lock();
        let (_guard, result) = self
            .changed
            .wait_timeout_while(guard, timeout, |state| !until(state))
            .unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    /// Waits until something is so, or the server ends. False where it ends.
    pub(crate) fn wait_running(&self, mut until: impl FnMut(&State) -> bool) -> bool {
        let guard = self.lock();
        let guard = self
            .changed
            .wait_while(guard, |state| !state.stopping && !until(state))
            .unwrap_or_else(PoisonError::into_inner);
        !guard.stopping
    }

    /// Lets `span` pass. False where the server ends meanwhile.
    pub(crate) fn pause(&self, span: Duration) -> bool {
        !self.wait(span, |state| state.stopping)
    }

    /// The server's time: its clock and its skew.
    pub(crate) fn now(&self, state: &State) -> Millis {
        let skew = state.policy.skew.saturating_mul(1000);
        Millis(self.clock.now().0.saturating_add(skew))
    }
}

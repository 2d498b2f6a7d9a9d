//! Letting a stream go chunk by chunk, as a test says.

use std::sync::Arc;
use std::time::Duration;

use crate::state::{Shared, State};

/// How far a held stream has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StreamPhase {
    /// A stream is held here.
    pub(crate) arrived: bool,
    /// How many chunks may go.
    pub(crate) allowed: usize,
    /// How many have gone.
    pub(crate) sent: usize,
}

/// Holds the chunks of the next model stream; its head goes at once. Dropping it lets the rest go.
#[derive(Debug)]
#[must_use = "a dropped gate is open"]
pub struct StreamGate {
    shared: Arc<Shared>,
    id: u64,
}

impl StreamGate {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let id = shared.change(|state| {
            state.last_gate += 1;
            state.stream_gates.insert(state.last_gate, StreamPhase::default());
            state.last_gate
        });
        Self { shared: Arc::clone(shared), id }
    }

    /// Waits until a stream is held here; false where `timeout` comes first.
    #[must_use]
    pub fn wait_arrived(&self, timeout: Duration) -> bool {
        self.shared.wait(timeout, |state| state.stream_gates.get(&self.id).is_some_and(|gate| gate.arrived))
    }

    /// Lets `chunks` more go.
    pub fn step(&self, chunks: usize) {
        self.shared.change(|state| {
            if let Some(gate) = state.stream_gates.get_mut(&self.id) {
                gate.allowed += chunks;
            }
        });
    }

    /// Waits until that many have been written since the beginning; false where `timeout` comes first.
    #[must_use]
    pub fn wait_sent(&self, chunks: usize, timeout: Duration) -> bool {
        self.shared
            .wait(timeout, |state| state.stream_gates.get(&self.id).is_some_and(|gate| gate.sent >= chunks))
    }

    /// Lets everything go; the same as dropping the gate.
    pub fn open(self) {}
}

impl Drop for StreamGate {
    fn drop(&mut self) {
        self.shared.change(|state| state.stream_gates.remove(&self.id));
    }
}

/// The gate that waits for a stream, which is held by it from now on.
pub(super) fn taken(state: &mut State) -> Option<u64> {
    let (id, gate) = state.stream_gates.iter_mut().find(|(_, gate)| !gate.arrived)?;
    gate.arrived = true;
    Some(*id)
}

/// Whether the next chunk may go: what is not there any more holds nothing.
pub(crate) fn may_go(state: &State, gate: u64) -> bool {
    state.stream_gates.get(&gate).is_none_or(|gate| gate.sent < gate.allowed)
}

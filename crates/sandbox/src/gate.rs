//! Holding an answer back until a test says so.

use std::sync::Arc;
use std::time::Duration;

use crate::state::{GatePhase, Shared};

/// Holds the answer to one refresh, which has been carried out by then. Dropping it lets the answer go.
#[derive(Debug)]
#[must_use = "a dropped gate is open"]
pub struct Gate {
    shared: Arc<Shared>,
    id: u64,
}

impl Gate {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let id = shared.change(|state| {
            state.last_gate += 1;
            state.gates.insert(state.last_gate, GatePhase::Armed);
            state.last_gate
        });
        Self { shared: Arc::clone(shared), id }
    }

    /// Waits until a refresh is held here; false where `timeout` comes first.
    #[must_use]
    pub fn wait_arrived(&self, timeout: Duration) -> bool {
        self.shared.wait(timeout, |state| state.gates.get(&self.id) == Some(&GatePhase::Held))
    }

    /// Lets the answer go; the same as dropping the gate.
    pub fn open(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.change(|state| match state.gates.get_mut(&self.id) {
            Some(phase @ GatePhase::Held) => *phase = GatePhase::Open,
            _ => {
                state.gates.remove(&self.id);
            }
        });
    }
}

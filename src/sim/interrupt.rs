//! The wish to stop: raised by whoever wants the running prompt to end, seen by the worker at the
//! start of a node and at every step.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::sync::lock;

#[derive(Debug, Default)]
pub(super) struct Interrupt {
    state: Mutex<State>,
    raised: Condvar,
}

#[derive(Debug, Default)]
struct State {
    raised: bool,
    closed: bool,
}

impl Interrupt {
    pub(super) fn raise(&self) {
        lock(&self.state).raised = true;
        self.raised.notify_all();
    }

    /// A new prompt starts: what was meant for the one before is void.
    pub(super) fn reset(&self) {
        lock(&self.state).raised = false;
    }

    /// The server goes down: stop now and for good.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.raised.notify_all();
    }

    /// Whether the server goes down.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Whether to stop; asking uses the wish up.
    pub(super) fn take(&self) -> bool {
        let mut state = lock(&self.state);
        state.closed || std::mem::take(&mut state.raised)
    }

    /// Waits so long, or until somebody wants to stop.
    pub(super) fn wait(&self, time: Duration) {
        if !time.is_zero() {
            let state = lock(&self.state);
            let idle = |state: &mut State| !state.raised && !state.closed;
            let waited = self.raised.wait_timeout_while(state, time, idle);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

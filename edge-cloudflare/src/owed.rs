//! What a request holds, known beside its exchange, so that a panic in that leaves nothing open. Where panics abort
//! nobody would ask, and nothing is noted.

use std::cell::{Cell, RefCell};
use tollgate_core::exchange::RequestId;
#[cfg(panic = "unwind")]
use tollgate_core::ledger::Settlement;
use tollgate_core::ledger::{Hold, Spent};

/// What a request holds.
#[derive(Default)]
pub(crate) struct Owed {
    open: RefCell<Vec<(RequestId, Spent)>>,
    sent: Cell<bool>,
}

impl Owed {
    /// It holds this too.
    pub(crate) fn holds(&self, hold: &Hold) {
        if cfg!(panic = "unwind") {
            self.open.borrow_mut().push((hold.id(), hold.in_full()));
        }
    }

    /// Something was sent to an upstream, which may bill it.
    pub(crate) fn sends(&self) {
        if cfg!(panic = "unwind") {
            self.sent.set(true);
        }
    }

    /// This is being settled.
    pub(crate) fn ends(&self, id: RequestId) {
        if cfg!(panic = "unwind") {
            self.open.borrow_mut().retain(|(open, _)| *open != id);
        }
    }

    /// How all that is left is to be settled: in full if something was sent.
    #[cfg(panic = "unwind")]
    pub(crate) fn rest(&self) -> Vec<(RequestId, Settlement)> {
        let ended = |(id, full)| match self.sent.get() {
            true => (id, Settlement::Settle(full)),
            false => (id, Settlement::Release),
        };
        self.open.take().into_iter().map(ended).collect()
    }
}

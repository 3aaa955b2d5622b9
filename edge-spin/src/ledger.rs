//! Where limits are kept.

use std::cell::RefCell;
use std::sync::Arc;
use tollgate_core::ledger::{self, Entry, Hold, Refusal, Report, Scope, Settlement, Warning};
use tollgate_core::units::Time;

/// Where limits are kept.
pub(crate) enum Ledger {
    /// In this instance alone: there is no store. What other instances admit is not seen.
    Alone(RefCell<ledger::Ledger>),
}

impl Ledger {
    /// Takes an entry's quota from all its scopes or from none.
    pub(crate) async fn reserve(&self, entry: Entry, now: Time) -> Result<Hold, Refusal> {
        match self {
            Self::Alone(own) => own.borrow_mut().reserve(entry, now),
        }
    }

    /// Ends a hold. Answers with the budgets that have passed their threshold.
    pub(crate) async fn settle(&self, hold: Hold, settlement: &Settlement, now: Time) -> Vec<Warning> {
        match self {
            Self::Alone(own) => own.borrow_mut().settle(hold, settlement, now),
        }
    }

    /// Where scopes of a book stand, in their order.
    #[expect(dead_code, reason = "the admin API asks")]
    pub(crate) async fn reports(&self, _book: &Arc<str>, scopes: &[Arc<Scope>], now: Time) -> Vec<Report> {
        match self {
            Self::Alone(own) => scopes.iter().map(|scope| own.borrow().report(scope, now)).collect(),
        }
    }
}

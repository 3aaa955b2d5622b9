//! What happens while Redis cannot be asked.

use crate::ledger::local::LocalLedger;
use tollgate_core::config::{Fail, Fallback as WhenLost};
use tollgate_core::ledger::{Entry, Hold, Refusal, Report, Scope, Settlement, Warning};
use tollgate_core::units::Time;

/// Who decides for an entry, by what its scopes limit.
pub(in crate::ledger) fn mode(fail: Fail, entry: &Entry) -> WhenLost {
    let money = entry.claims.iter().any(|claim| claim.scope.limits.has_budget());
    if money { fail.budgets } else { fail.limits }
}

/// The gateway's own books. They hold all that went through this gateway, so that they can step in for
/// Redis, and so that Redis can be told after it has lost its data.
///
/// All calls are short; none waits for anything.
pub trait Fallback: Send + Sync + 'static {
    /// Takes quota by this gateway's own books.
    fn reserve(&self, entry: Entry, now: Time) -> Result<Hold, Refusal>;

    /// Ends a hold, whoever granted it. Warnings are of the own books.
    fn settle(&self, hold: Hold, settlement: &Settlement, now: Time) -> Vec<Warning>;

    /// Takes what Redis has granted, whatever the limits say.
    fn record(&self, hold: &Hold, now: Time);

    /// Where a scope stands in this gateway's own books.
    fn report(&self, scope: &Scope, now: Time) -> Report;
}

impl Fallback for LocalLedger {
    fn reserve(&self, entry: Entry, now: Time) -> Result<Hold, Refusal> {
        self.reserve(entry, now)
    }

    fn settle(&self, hold: Hold, settlement: &Settlement, now: Time) -> Vec<Warning> {
        self.settle(hold, *settlement, now)
    }

    fn record(&self, hold: &Hold, now: Time) {
        self.record(hold, now);
    }

    fn report(&self, scope: &Scope, now: Time) -> Report {
        self.report(scope, now)
    }
}

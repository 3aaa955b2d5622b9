//! What happens while Redis cannot be asked.

use tollgate_core::ledger::{Entry, Hold, Refusal, Report, Scope, Settlement, Warning};
use tollgate_core::units::Time;

/// Who decides while Redis cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLost {
    /// Nobody: requests are refused with `store_unavailable`.
    Closed,
    /// This gateway's own ledger, which knows only its own share.
    Local,
    /// Nobody: requests are admitted. What they consume is charged later.
    Open,
}

/// Who decides for which requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// For requests of which a scope has a limit in money.
    pub budgets: WhenLost,
    /// For all others.
    pub limits: WhenLost,
}

impl Default for Modes {
    fn default() -> Self {
        Self { budgets: WhenLost::Closed, limits: WhenLost::Local }
    }
}

impl Modes {
    pub(super) fn of(self, entry: &Entry) -> WhenLost {
        let money = entry.claims.iter().any(|claim| claim.scope.limits.has_budget());
        if money { self.budgets } else { self.limits }
    }
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

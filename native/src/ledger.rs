//! The ledger of this host: in this process, or in Redis with this process's own books beside it.

pub mod journal; // what was done since the books were last stored
pub mod local; // in this process
pub mod shared; // in Redis, by several gateways together

use local::LocalLedger;
use shared::SharedLedger;
use std::sync::Arc;
use tollgate_core::ledger::{Entry, Hold, Refusal, Report, Scope, Settlement, Warning};
use tollgate_core::limit::Budget;
use tollgate_core::units::{Millis, NanoDollars, Time};

/// Where limits are kept.
#[derive(Debug)]
pub enum Ledgers {
    /// By this gateway alone.
    Alone(Arc<LocalLedger>),
    /// By all that share a Redis.
    Together {
        /// What went through this gateway.
        own: Arc<LocalLedger>,
        /// What went through all.
        shared: SharedLedger,
    },
}

impl Ledgers {
    /// Takes an entry's quota from all its scopes or from none.
    ///
    /// What asks Redis is boxed, here and below: it is some kilobytes, which every exchange would carry
    /// and copy.
    pub async fn reserve(&self, entry: Entry, now: Time) -> Result<Hold, Refusal> {
        match self {
            Self::Alone(own) => own.reserve(entry, now),
            Self::Together { shared, .. } => Box::pin(shared.reserve(&entry, now)).await,
        }
    }

    /// Ends a hold; answers with budgets that have passed their threshold.
    pub async fn settle(&self, hold: Hold, settlement: Settlement, now: Time) -> Vec<Warning> {
        match self {
            Self::Alone(own) => own.settle(hold, settlement, now),
            Self::Together { shared, .. } => Box::pin(shared.settle(hold, settlement, now)).await,
        }
    }

    /// Ends what has been open for too long in this gateway's own books.
    pub fn sweep(&self, now: Time) -> Vec<Warning> {
        match self {
            Self::Alone(own) => own.sweep(now),
            // Redis sweeps its own, and warns for all.
            Self::Together { own, .. } => {
                own.sweep(now);
                Vec::new()
            }
        }
    }

    /// Gives up this gateway's own books of scopes that are no more. Those in Redis go by their age.
    pub fn forget(&self, scopes: &[&str]) {
        self.own().forget_all(scopes);
    }

    /// How long a token may be valid: its books go when nobody has touched them for so long.
    pub fn expire_tokens(&self, longest: Millis) {
        self.own().expire_tokens(longest);
    }

    /// Makes what is spent of a scope's budget at least this. Books that several gateways share are left
    /// as they are: there a budget that comes in the middle of its period counts from when it came.
    pub fn credit(&self, scope: &str, budget: &Budget, spent: NanoDollars, now: Time) {
        match self {
            Self::Alone(own) => own.credit(scope, budget, spent, now),
            Self::Together { .. } => {}
        }
    }

    fn own(&self) -> &LocalLedger {
        match self {
            Self::Alone(own) | Self::Together { own, .. } => own,
        }
    }

    /// Where scopes of one book stand, in their order.
    pub async fn reports(&self, book: &Arc<str>, scopes: &[Arc<Scope>], now: Time) -> Vec<Report> {
        match self {
            Self::Alone(own) => scopes.iter().map(|scope| own.report(scope, now)).collect(),
            Self::Together { shared, .. } => shared.report(book, scopes, now).await,
        }
    }

    /// Whether limits can be kept as they are meant to be.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Alone(own) => own.is_writable(),
            Self::Together { shared, own } => shared.is_alive() && own.is_writable(),
        }
    }

    /// Waits for what is still to be told to others, at most so long. For the end of the process.
    pub async fn drain(&self, patience: Millis) {
        if let Self::Together { shared, .. } = self {
            shared.drain(patience).await;
        }
    }
}

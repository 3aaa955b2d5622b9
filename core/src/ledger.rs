//! Where scopes' counters live: quota is taken before a call and settled after it.
//!
//! The ledger is a pure value; hosts decide where it is kept. It counts what is open and what is
//! spent, so that the books can be balanced (invariants I1 and I5).

use crate::exchange::{RequestId, Settlement};
use crate::fault::{Code, Fault};
use crate::units::{Millis, Requests, Tokens};
use std::collections::HashMap;

/// What a request asks of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names the entry; reserving the same entry twice is one reservation.
    pub id: RequestId,
    /// The virtual key's name.
    pub key: String,
}

/// Quota taken in advance. Consumed by settling; dropping it would leave the books open.
#[must_use = "a hold must be settled"]
#[derive(Debug, PartialEq, Eq)]
pub struct Hold {
    entry: Entry,
}

impl Hold {
    /// The request it was taken for.
    pub fn id(&self) -> RequestId {
        self.entry.id
    }
}

/// Why quota was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The ledger cannot be asked now.
    Unavailable {
        /// When to come back.
        retry_after: Millis,
    },
}

impl Refusal {
    /// What the client is told.
    pub fn into_fault(self) -> Fault {
        match self {
            Self::Unavailable { retry_after } => {
                let message = "the ledger that holds this key's limits cannot be reached";
                Fault::new(Code::StoreUnavailable, message).retry_after(retry_after)
            }
        }
    }
}

/// The books of one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Requests reserved and not yet ended.
    pub open: Requests,
    /// Requests that reached an upstream.
    pub settled: Requests,
    /// Requests that reached none.
    pub released: Requests,
    /// Tokens that upstreams reported.
    pub tokens: Tokens,
}

/// The books of all scopes.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<String, Account>,
    open: HashMap<u128, ()>,
}

impl Ledger {
    /// Takes quota for an entry.
    pub fn reserve(&mut self, entry: Entry) -> Result<Hold, Refusal> {
        if self.open.insert(entry.id.0, ()).is_none() {
            self.accounts.entry(entry.key.clone()).or_default().open += Requests(1);
        }
        Ok(Hold { entry })
    }

    /// Ends a hold with what came of it. A second end of the same entry changes nothing.
    pub fn settle(&mut self, hold: Hold, settlement: &Settlement) {
        let Hold { entry } = hold;
        if self.open.remove(&entry.id.0).is_none() {
            return;
        }
        let account = self.accounts.entry(entry.key).or_default();
        account.open = account.open.less(Requests(1));
        match settlement {
            Settlement::Release => account.released += Requests(1),
            Settlement::Settle(usage) => {
                account.settled += Requests(1);
                account.tokens += usage.as_ref().map_or(Tokens::ZERO, |usage| usage.total());
            }
        }
    }

    /// The books of a scope; empty if it never asked for anything.
    pub fn account(&self, key: &str) -> Account {
        self.accounts.get(key).copied().unwrap_or_default()
    }
}

//! Where this host keeps the ledger.

pub mod shared; // in Redis, by several gateways together

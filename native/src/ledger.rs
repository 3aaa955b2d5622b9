//! Ledgers of this host: where the core's counters are kept.

pub mod journal; // what was done since the books were last stored
pub mod local; // in this process
pub mod shared; // in Redis, by several gateways together

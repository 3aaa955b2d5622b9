//! What gateways on edge platforms have in common. Knows core and no platform: Workers and Spin bring
//! their own clocks, fetches, stores and secrets.
//!
//! ```text
//!   request ─▶ front ─▶ core: admit, exchange ─▶ drive ──Out──▶ pipe ─▶ answer ─▶ client
//!                │                                 │
//!                └─ /api ─▶ office ─▶ keeper ◀─────┴─ record
//!                                       └─ sql: the platform's
//! ```
//! In reading order:

pub mod document; // the config's text, and what its secrets stand for
pub mod random; // names for requests, spread of load
pub mod pipe; // between an exchange and the body of its answer
pub mod caught; // panics, where they can be caught
pub mod body; // a request's body, whole and bounded
pub mod ai; // Workers AI's words
pub mod issuers; // keys of tokens' issuers
pub mod front; // from a request's head to its answer
pub mod office; // the admin API, done
pub mod arrears; // what was spent before there was a budget
pub mod sql; // what the platform's SQL must be able to do
pub mod keeper; // entities, deeds, requests and spend in SQL
pub mod book; // the ledger of one organisation in SQL
pub mod lease; // quota taken in advance

#[cfg(test)]
mod testing;

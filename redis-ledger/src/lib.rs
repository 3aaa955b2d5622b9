//! The ledger as scripts that run in Redis or Valkey: what they are asked, and what they answer. Pure; a
//! host brings the connection.
//!
//! ```text
//!   Entry ─▶ asked: a call ─▶ host ─▶ Redis: one script ─▶ host ─▶ answered: Hold or Refusal
//! ```
//! The scripts decide as core's ledger does; a test beside the native host compares them on random
//! schedules. Everything of one book lies in one hash slot, and the clock is the server's.

pub mod script; // the scripts, and calls to them
pub mod asked; // what they are asked
pub mod answered; // what they answer
pub mod breaker; // whether the server is asked
pub mod minute; // what was asked in the last minute
mod edges; // where the spans of budgets begin
mod pack; // how numbers and texts are sent

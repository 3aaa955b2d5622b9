//! Tollgate as a Spin component: core on WASI HTTP, with Spin's variables and stores.
//!
//! ```text
//!   handle ─▶ gateway ─▶ edge's front ─▶ core
//!               │ settings: variables, key-value          read again every few seconds
//!               ├ ledger: Redis, SQLite or key-value      where limits are kept
//!               └ desk: SQLite or key-value               who there is, what was done and spent
//! ```
//! An instance serves some hundred requests and is gone; others serve at the same time. What must be
//! true for all is in a store; what an instance knows by itself is what it has learned of upstreams.
//!
//! In reading order:

#![cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "what only a store that is left out needs"))]

mod clock; // the time
mod timer; // one exchange's alarm
mod fetch; // upstream calls
mod trouble; // what is wrong with the set-up, in a line
mod variables; // where secrets are
mod last; // the last config that could be used
mod settings; // where the config is from
mod issuers; // keys of tokens' issuers
mod alert; // tells of budgets that run out
mod gateway; // what an instance is
mod tasks; // what outlives an answer
mod host; // what an exchange runs on
mod outward; // an answer on its way
mod door; // from a request to its answer
#[cfg(feature = "sqlite")]
mod store; // SQLite
#[cfg(feature = "key-value")]
mod cell; // a value that several change
mod ledger; // where limits are kept
#[cfg(feature = "key-value")]
mod cache; // answers that are kept
mod desk; // who there is, what was done and spent
mod site; // what the admin API sees of that

#[cfg(test)]
mod manifest;

use spin_sdk::http::Request;
use spin_sdk::wasip3::http::types::Response;

#[spin_sdk::http_service]
async fn handle(request: Request) -> Response {
    outward::sent(door::answer(request).await)
}

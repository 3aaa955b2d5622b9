//! The one piece of async code in core: performs an exchange's steps and feeds it what happens.

use crate::exchange::Exchange;
use crate::host::{Client, Host};

/// Runs an exchange to its end. The future must not be dropped before it is ready: when the client
/// leaves, tell it through [`Client::poll_left`] and go on polling, so that the upstream is cancelled
/// and the hold settled.
pub async fn drive<H: Host, C: Client>(exchange: Exchange, host: &H, client: &C) {
    let _ = (exchange, host, client);
    unimplemented!()
}

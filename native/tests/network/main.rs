//! The program itself between real clients and real upstreams: TLS on both sides, HTTP/2, proxies.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests: the helpers too")]

mod client;
mod gateway;
mod provider;
mod proxy;

mod outwards; // tests of the way to upstreams
mod inwards; // tests of the way from clients
mod through_proxies;

use std::time::Duration;

/// A test that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test whose tasks stay on its thread.
fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.unwrap().block_on(async { tokio::time::timeout(PATIENCE, test).await }).unwrap();
}

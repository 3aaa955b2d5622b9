//! Limits shared through a real Redis: what is promised while it is there, and while it is not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests: the helpers too"
)]

#[path = "redis/gateway.rs"]
mod gateway;
#[path = "redis/alike.rs"]
mod alike; // the scripts decide as the core does
#[path = "redis/log.rs"]
mod log;
#[path = "redis/server.rs"]
mod server;
#[path = "redis/shared.rs"]
mod shared; // limits hold for all gateways together
#[path = "redis/lost.rs"]
mod lost; // frozen, killed, gone at the start, flushed

//! The native host: hyper and rustls around the pure core.
//!
//! One worker per core, each with its own single-threaded runtime, listener and upstream connections;
//! what they share is the config and what has been learned of the upstreams. In reading order:

pub mod flight; // a request in flight, polled by whoever waits for it
pub mod upstream; // calls to upstreams, pooled connections

pub mod clock;
pub mod random;
pub mod timer;

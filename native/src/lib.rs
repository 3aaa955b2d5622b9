//! The native host: hyper and rustls around the pure core.
//!
//! One worker per core, each with its own single-threaded runtime, listener and upstream connections;
//! what they share is the config and what has been learned of the upstreams. In reading order:

pub mod cli; // the command line
pub mod demo;
pub mod price; // what a call would cost
pub mod key; // virtual keys, from the command line
pub mod token; // short-lived ones
pub mod clerk; // what carries these commands to the admin API
pub mod serve; // binds, starts workers, stops
pub mod settings; // where the config comes from
pub mod reload; // a changed config, without a restart

pub mod worker; // a thread, its listener and its connections
pub mod patience; // how long a connection may say nothing
pub mod linger; // how a connection is closed
pub mod malformed; // what is no request
pub mod media; // pictures that clients name by address
pub mod contain; // a panic stays where it happened
pub mod answer; // from a request to its answer
pub mod api; // the admin API's execution
pub mod gauges; // how stores are, for `/metrics`
pub mod body; // a request's body, within limits
pub mod session; // realtime sessions
pub mod flight; // a request in flight, polled by whoever waits for it
pub mod upstream; // calls to upstreams, pooled connections

pub mod begin; // opens what must outlive the process, and makes what workers share
pub mod store; // what must outlive the process
pub mod follow; // what others change in it meanwhile
pub mod share; // who there is, told to other gateways and by them
pub mod hearsay; // what was spent, told to them and by them
pub mod keeper; // the store in the admin API's words
pub mod jwks; // keys of other issuers of tokens
pub mod alert; // budgets that run out
pub mod arrears; // what was spent before there was a budget
pub mod cache; // answers that are kept
pub mod transcript; // responses that conversations go on from
pub mod ledger; // where limits' counters are kept
pub mod lend; // keys that are lent for a time

mod aside; // work on large requests
pub mod count; // tokens, where no provider has counted them
pub mod host; // the platform an exchange runs on
pub mod shutdown;
pub mod tls; // the gateway's own certificate

pub mod clock;
pub mod random;
pub mod timer;

//! The gateway program between a plain client and the simulated provider: what users of other gateways
//! saw go wrong, and what the contract promises. Names begin with a scenario's id where it has one.

mod setting; // a gateway, a simulated provider, and who asks what

mod failover; // I, K4 to K7
mod upstreams; // A11, K4: their limits, when they want to be asked again
mod streams; // H, K9, K10, K15, K16
mod cancel; // H10, the client's leaving
mod caching; // K14, K20, what goes upstream byte for byte
mod load; // G2, G4, K8
mod metering; // C7, C12, K11, cut-off

mod answers; // headers, errors, timeouts
mod keys;
mod models;
mod paths;
mod lost; // what a dialect cannot carry
mod transcripts; // responses that conversations go on from
mod accounts; // H11, what one account alone understands
mod media; // what clients name by address

mod bad_input;
mod wire; // the forms a request can take in HTTP
mod process; // signals, reload, the command line

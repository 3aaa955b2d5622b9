//! The pure core of the Tollgate gateway. It decides everything and performs nothing: no I/O, no
//! clock, no randomness, no threads, no environment. Hosts bring those (see [`host`]).
//!
//! In reading order:

pub mod units; // requests, tokens, money, time: never mixed up
pub mod secret; // what must not be printed
pub mod sigv4; // signatures of requests to AWS
pub mod source; // keys that change, and where they come from
pub mod dialect; // wire formats by name
pub mod call; // the canonical call
pub mod embedding; // the same for vectors of texts
pub mod reply; // the canonical reply, whole and streamed
pub mod usage; // what a call consumed
pub mod maker; // who made what nobody else understands
pub mod fault; // what can go wrong, by blame

mod checksum; // whether bytes are whole
pub mod sort; // by one piece of code
mod float; // numbers from their spelling
pub mod json; // a validated JSON text that knows where everything stands
pub mod sse; // frames in a stream
pub mod framing; // the forms a stream may have
pub mod multipart; // forms with files

pub mod surface; // what we serve
pub mod provider; // what we call
pub mod vendor; // rows on a known dialect
pub mod mount; // what is served at which path
pub mod media;
pub mod models; // lists of what may be asked for

pub mod catalog; // which models there are
pub mod price; // what they cost
pub mod limit; // what a scope may consume
pub mod config; // the document, and what runs
pub mod guard; // phrases that must not pass
pub mod directory; // who there is: organisations, teams, users, keys
pub mod keyring; // whose request it is
pub mod token; // short-lived signed keys
pub mod fleet; // what has been learned of the upstreams
pub mod retry; // what an upstream's fault means for a request
pub mod ledger; // where scopes' counters live
pub mod count; // tokens, where no provider has counted them
pub mod batch; // calls in files
pub mod cache; // answers that are kept
pub mod transcript; // responses that conversations go on from

pub mod api; // the admin API, decided without doing it
pub mod cors; // calls from browsers
pub mod through; // paths of providers that no surface serves
pub mod admit; // the door: what is decided from a request's head
pub mod exchange; // a request in flight as a value
pub mod drive; // the one piece of async code
pub mod row; // what stores keep of a finished request
pub mod metrics; // counters over finished requests

pub mod host; // what a host must be able to do

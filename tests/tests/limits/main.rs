//! Keys, limits and budgets, from outside: the gateway program, a real SQLite file, a real Redis, and the
//! simulated provider, which knows what it would have put on the bill. Names begin with a scenario's id
//! where it has one.

mod redis; // a redis-server of a test's own
mod setting; // a gateway, a simulated provider, and who asks what

mod rates; // A: requests, tokens, calls in flight
mod bursts; // K1, B2: many at once
mod minute; // A2, A12, B13 to B15: what happens when a window ends
mod headers; // K3

mod budgets; // B
mod scopes; // B6, B9, B18, B19: whose limits
mod bills; // C, K11: what is on record when a client leaves, or nobody counts
mod cutoff; // promise 5
mod passing; // A15, B7, B8: what no surface serves, files and batches
mod cache; // J1, K12, K13, C13: answers that are kept
mod guardrails; // J2: what must not pass
mod warnings; // J3: the webhook; prepaid budgets

mod keys; // D
mod tokens; // short-lived keys, this gateway's and other issuers'
mod admin; // K19, roles, aliases
mod bad_input;
mod secrets;

mod shared; // A3 to A5, A13, K2, D2: several gateways on one Redis
mod hearsay; // spend of all of them, at each
mod redis_lost; // E
mod disk; // F, K17: the database
mod crash; // kill -9

//! The same black-box cases on every host: data in `tests/conformance`, one runner.
//!
//! A [`Case`](case::Case) is a file: what its gateway is told, the steps of a client, and what that client,
//! the provider and the admin API see. The [`stage`] runs cases on a [`Host`](host::Host), which is one of the
//! real ones; the [`report`] says what held where. `tests/conformance/README.md` has the words of a case.

pub mod answer;
pub mod case;
pub mod expect;
pub mod flight;
pub mod host;
pub mod matcher;
pub mod provider;
pub mod report;
pub mod scene;
pub mod session;
pub mod stage;
pub mod step;
pub mod words;

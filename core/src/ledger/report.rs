//! Where scopes stand, for people.

use crate::limit::Budget;
use crate::units::Time;

/// Where a scope stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The scope's name.
    pub scope: String,
    /// One for each of its limits.
    pub gauges: Vec<Reading>,
}

/// Where one limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// In the words of the config: `rpm`, `tpm`, `tpm_input`, `tpm_output`, `concurrency`,
    /// `max_requests`, `max_tokens`, `budget`.
    pub limit: &'static str,
    /// The budget, for `budget`.
    pub budget: Option<Budget>,
    /// The limit: requests, tokens or nano-dollars.
    pub most: u64,
    /// Settled.
    pub used: u64,
    /// In open holds.
    pub held: u64,
    /// When a budget is full again.
    pub resets_at: Option<Time>,
}

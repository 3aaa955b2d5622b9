//! Tests that know everything: fixtures, simulation, conformance, real clients.

pub mod fixture;

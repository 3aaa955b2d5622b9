//! What the tests share: fixtures, and a seeded world to run exchanges in.

#![cfg_attr(
    not(test),
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "test code: a panic is how a test fails"
    )
)]

pub mod fixture;
pub mod world;

//! What the tests share: fixtures, and a seeded world to run exchanges in.

pub mod fixture;
pub mod replay;
pub mod told;
pub mod world;

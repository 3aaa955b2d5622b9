//! What the tests share: fixtures, a seeded world to run exchanges in, and the gateway program with a
//! client that talks to it.

pub mod fixture;
pub mod gateway;
pub mod http;
pub mod world;

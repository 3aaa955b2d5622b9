//! What the tests share: fixtures, scripted exchanges, a seeded world, a small HTTP client.

pub mod asks;
pub mod bill;
pub mod conformance;
pub mod fixture;
pub mod gateway;
pub mod http;
pub mod recordings;
pub mod replay;
pub mod said;
pub mod told;
pub mod ways;
pub mod world;

//! The simulator from outside, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod anthropic;
mod bedrock;
mod cousins;
mod directives;
mod gemini;
mod observed;
mod openai;
mod raw;
mod responses;

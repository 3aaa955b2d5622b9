//! A simulated provider of language models: it speaks the OpenAI, Anthropic and Gemini dialects,
//! streaming and not, answers every request deterministically, refuses what the real providers
//! refuse, and misbehaves on request.
//!
//! # What it answers
//!
//! `POST /v1/chat/completions` and `POST /v1/responses` (also without `/v1`), so `/v1/completions`,
//! `/v1/embeddings`, `/v1/moderations`, `/v1/images/*`, `/v1/audio/*` and `/v1/rerank`,
//! `POST /v1/messages`,
//! `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent` (also under `/v1`),
//! `GET /v1/models` and `GET /v1beta/models`, and realtime sessions over a WebSocket at
//! `/v1/realtime?model=`. Any model name is accepted.
//!
//! By default the answer repeats the last user message (`You said: …`) or the tool results it was
//! given, cut by `max_tokens` and `stop` as they ask. A schema is answered with its smallest
//! instance. A line `call NAME {json}` in the last user message calls that tool, several lines
//! call in parallel; a forced tool choice calls with the smallest arguments its schema accepts.
//! Thinking is shown where the request asks for it. Tokens are bytes divided by four, rounded up,
//! separately for the prompt, the thinking, the text and each call; an image counts 85.
//!
//! # What it tells about the requests
//!
//! `GET /sim/log` lists the last requests: method, path, headers (of a key only its first
//! characters, length and SHA-256), the body in base64, the status and how the answer ended
//! (`open`, `completed`, `client_closed`, `broken`) with the bytes and events written.
//! `GET /sim/count?id=NAME` counts the requests that carried the directive `id=NAME`, without
//! `id` all requests. `GET /sim/bill` sums the tokens of all answers, `completed` and `unfinished`
//! (under way, cut or left: with what they would have come to), in all and key by key; the log has
//! them call by call. `POST /sim/open?id=NAME` opens the gate of the directive `gate=NAME`, with
//! `permits=N` for so many waits. `POST /sim/reset` forgets everything.
//!
#![doc = include_str!("directives.md")]

mod answer;
mod ask;
mod bill;
mod dialect;
mod fault;
mod form;
mod gate;
mod json;
mod log;
mod play;
mod quirks;
mod realtime;
mod schema;
mod script;
mod server;
mod signature;
mod wire;

pub use server::running::{Running, spawn};
pub use server::{Sim, SimOptions};

/// The directives and what they do, as shown by `tollgate-sim --help`.
pub const DIRECTIVES: &str = include_str!("directives.md");

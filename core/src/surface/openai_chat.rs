//! OpenAI chat completions.
//!
//! What the dialect has no word for travels in fields that other gateways and Google's own
//! OpenAI-compatible endpoint use: `reasoning_content`, `thinking_blocks` (Anthropic's signed
//! blocks), `extra_content.google.thought_signature`, `cache_control`. What is rendered here is
//! accepted back here, so that a client which repeats an assistant message loses nothing.

mod inspect;

/// OpenAI chat completions.
#[derive(Debug)]
pub struct OpenAiChat;

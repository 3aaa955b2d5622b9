//! OpenAI chat completions.

/// OpenAI chat completions.
#[derive(Debug)]
pub struct OpenAiChat;

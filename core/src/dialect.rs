//! Wire formats by name.

/// A wire format. A surface serves one and a provider speaks one; where the two are equal, bytes
/// pass through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI chat completions, and everything under the same base URL.
    #[default]
    OpenAi,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// Google generateContent.
    Gemini,
    /// AWS Bedrock: Converse, and InvokeModel beside it.
    Bedrock,
    /// Cohere's chat, version 2. No surface serves it.
    Cohere,
    /// Ollama's own chat. No surface serves it.
    Ollama,
}

impl Dialect {
    /// Every dialect with its name in the config.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::OpenAi, "openai"),
        (Self::OpenAiResponses, "openai-responses"),
        (Self::Anthropic, "anthropic"),
        (Self::Gemini, "gemini"),
        (Self::Bedrock, "bedrock"),
        (Self::Cohere, "cohere"),
        // Its OpenAI-compatible one has the bare name.
        (Self::Ollama, "ollama-native"),
    ];

    /// Whether those that speak it usually go on, and bill what they write, when a call is cancelled.
    pub fn bills_unheard(self) -> bool {
        self == Self::Bedrock
    }

    /// Its name in the config.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(dialect, _)| *dialect == self).map_or("openai", |(_, name)| name)
    }
}

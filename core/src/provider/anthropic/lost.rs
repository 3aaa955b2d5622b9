//! What a call asked for and the provider cannot be told, in the words of the call's own dialect.

use crate::dialect::Dialect;

/// Names of what could not be carried, in the order found, each once.
#[derive(Debug)]
pub(in crate::provider) struct Lost {
    origin: Dialect,
    names: Vec<String>,
}

/// Settings whose names differ between dialects: OpenAI's, Anthropic's, Gemini's.
const WORDS: &[[&str; 3]] = &[
    ["temperature", "temperature", "generationConfig.temperature"],
    ["top_p", "top_p", "generationConfig.topP"],
    ["top_k", "top_k", "generationConfig.topK"],
    ["seed", "seed", "generationConfig.seed"],
    ["presence_penalty", "presence_penalty", "generationConfig.presencePenalty"],
    ["frequency_penalty", "frequency_penalty", "generationConfig.frequencyPenalty"],
    ["logprobs", "logprobs", "generationConfig.responseLogprobs"],
    ["stop", "stop_sequences", "generationConfig.stopSequences"],
    ["n", "n", "generationConfig.candidateCount"],
    ["modalities", "modalities", "generationConfig.responseModalities"],
    ["response_format", "output_config.format", "generationConfig.responseSchema"],
    ["reasoning_effort", "output_config.effort", "generationConfig.thinkingConfig"],
    ["reasoning.max_tokens", "thinking.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget"],
    ["tool_choice", "tool_choice", "toolConfig.functionCallingConfig"],
];

impl Lost {
    /// Nothing is lost yet of a call in this dialect.
    pub(in crate::provider) fn of(origin: Dialect) -> Self {
        Self { origin, names: Vec::new() }
    }

    /// The call's own name of a setting, given OpenAI's.
    pub(in crate::provider) fn word(&self, openai: &'static str) -> &'static str {
        let row = WORDS.iter().find(|[name, _, _]| *name == openai);
        match (row, self.origin) {
            (None, _)
            | (
                _,
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama,
            ) => openai,
            (Some([_, anthropic, _]), Dialect::Anthropic) => anthropic,
            (Some([_, _, gemini]), Dialect::Gemini) => gemini,
        }
    }

    /// A setting is lost, named as OpenAI does.
    pub(in crate::provider) fn setting(&mut self, openai: &'static str) {
        self.name(self.word(openai));
    }

    /// A field is lost, named by the call's own path.
    pub(in crate::provider) fn name(&mut self, name: impl Into<String>) {
        let name = name.into();
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// The same, where something stands there.
    pub(in crate::provider) fn name_if<T>(&mut self, there: Option<&T>, name: impl FnOnce() -> String) {
        if there.is_some() {
            self.name(name());
        }
    }

    /// The names.
    pub(in crate::provider) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// The path of a message, of the instructions apart from them, or of a part of either.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct Place {
    origin: Dialect,
    of: Of,
    part: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    System,
    Message(usize),
}

impl Place {
    /// The message of this index.
    pub(in crate::provider) fn message(origin: Dialect, message: usize) -> Self {
        Self { origin, of: Of::Message(message), part: None }
    }

    /// The instructions that stand apart.
    pub(in crate::provider) fn system(origin: Dialect) -> Self {
        Self { origin, of: Of::System, part: None }
    }

    /// The part of this index in the message.
    pub(in crate::provider) fn part(self, part: usize) -> Self {
        Self { part: Some(part), ..self }
    }

    /// A field of the message, whatever part is meant.
    pub(in crate::provider) fn field(self, name: &str) -> String {
        format!("{}.{name}", Self { part: None, ..self })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = match (self.origin, self.of) {
            (
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic,
                Of::Message(at),
            ) => {
                write!(f, "messages[{at}]")?;
                ".content"
            }
            (Dialect::Gemini, Of::Message(at)) => {
                write!(f, "contents[{at}]")?;
                ".parts"
            }
            (
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic,
                Of::System,
            ) => {
                f.write_str("system")?;
                ""
            }
            (Dialect::Gemini, Of::System) => {
                f.write_str("systemInstruction")?;
                ".parts"
            }
        };
        self.part.map_or(Ok(()), |part| write!(f, "{parts}[{part}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_once_and_in_the_callers_words() {
        let mut lost = Lost::of(Dialect::Gemini);
        lost.setting("seed");
        lost.setting("seed");
        lost.name(Place::message(Dialect::Gemini, 2).part(1).to_string());
        assert_eq!(lost.into_names(), ["generationConfig.seed", "contents[2].parts[1]"]);
    }
}

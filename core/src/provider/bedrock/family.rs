//! What a model on Bedrock accepts, told from its name:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html>

use crate::provider::anthropic::model::{Model, Support};

/// A maker's line of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    /// Amazon Nova of the second generation, which thinks.
    NovaTwo,
    Nova,
    /// Open weights of OpenAI's.
    GptOss,
    Llama,
    Mistral,
    Cohere,
    Writer,
    Other,
}

/// How a schema for the answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schemas {
    /// By `outputConfig`.
    Native,
    /// By a tool whose input is the answer.
    ByTool,
}

const NAMES: &[(&str, Family)] = &[
    ("claude", Family::Claude),
    ("nova-2", Family::NovaTwo),
    ("nova-", Family::Nova),
    ("gpt-oss", Family::GptOss),
    ("llama", Family::Llama),
    ("mistral", Family::Mistral),
    ("mixtral", Family::Mistral),
    ("cohere.", Family::Cohere),
    ("writer.", Family::Writer),
    ("palmyra", Family::Writer),
];

impl Family {
    pub(super) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let named = NAMES.iter().find(|(word, _)| model.contains(word));
        named.map_or(Self::Other, |(_, family)| *family)
    }

    /// Whether it can be made to use a tool.
    pub(super) fn forces_tools(self) -> Support {
        match self {
            Self::Claude | Self::Nova | Self::NovaTwo | Self::Mistral | Self::Other => Support::Yes,
            Self::GptOss | Self::Llama | Self::Cohere | Self::Writer => Support::No,
        }
    }

    /// Whether a result may say that its tool failed.
    pub(super) fn takes_status(self) -> Support {
        match self {
            Self::Claude | Self::Nova | Self::NovaTwo | Self::Other => Support::Yes,
            Self::GptOss | Self::Llama | Self::Mistral | Self::Cohere | Self::Writer => Support::No,
        }
    }

    /// Whether a turn with results of tools may hold anything else.
    pub(super) fn mixes_results(self) -> Support {
        match self {
            Self::Llama | Self::Mistral => Support::No,
            Self::Claude
            | Self::Nova
            | Self::NovaTwo
            | Self::GptOss
            | Self::Cohere
            | Self::Writer
            | Self::Other => Support::Yes,
        }
    }

    pub(super) fn schemas(self, model: Model) -> Schemas {
        match (self, model.schemas()) {
            (Self::Claude, Support::Yes) | (Self::GptOss | Self::Mistral | Self::Other, _) => Schemas::Native,
            (Self::Claude, Support::No)
            | (Self::Nova | Self::NovaTwo | Self::Llama | Self::Cohere | Self::Writer, _) => Schemas::ByTool,
        }
    }

    /// Whether tools may be marked as strict.
    pub(super) fn strict_tools(self, model: Model) -> Support {
        if self == Self::Claude { model.schemas() } else { Support::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_from_every_form_of_a_name() {
        for (name, family) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Claude),
            ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-3-haiku", Family::Claude),
            ("us.amazon.nova-2-lite-v1:0", Family::NovaTwo),
            ("amazon.nova-micro-v1:0", Family::Nova),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("meta.llama3-70b-instruct-v1:0", Family::Llama),
            ("mistral.mixtral-8x7b-instruct-v0:1", Family::Mistral),
            ("qwen.qwen3-32b-v1:0", Family::Other),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }
}

//! Everything about a call that is not the conversation.

use super::{CacheMark, Extras, Opaque};
use crate::units::Tokens;
use serde_json::{Number, Value};

/// How tokens are drawn. Numbers keep the client's spelling. Absent means the provider's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// OpenAI and Gemini: 0 to 2. Anthropic: 0 to 1.
    pub temperature: Option<Number>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<Number>,
    /// The k most likely tokens.
    pub top_k: Option<Number>,
    /// For repeatable answers.
    pub seed: Option<Number>,
    /// -2 to 2.
    pub presence_penalty: Option<Number>,
    /// -2 to 2.
    pub frequency_penalty: Option<Number>,
    /// Token id to bias, verbatim.
    pub logit_bias: Option<Value>,
    /// Texts that end the answer; may be empty.
    pub stop: Vec<String>,
    /// How many answers; absent means one.
    pub n: Option<u32>,
    /// Log probabilities of the answer's tokens.
    pub logprobs: Option<LogProbs>,
}

/// Log probabilities wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogProbs {
    /// How many alternatives to each token, 0 to 20.
    pub top: Option<u32>,
}

/// What the answer should look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The cap on output tokens, reasoning included.
    pub max_tokens: Option<Tokens>,
    /// Free text unless said otherwise.
    pub format: Option<Format>,
    /// OpenAI's `modalities` or Gemini's `responseModalities`, lower case; empty if not said.
    pub modalities: Vec<String>,
    /// Voice and format of generated audio, in OpenAI's words.
    pub audio: Option<Value>,
    /// OpenAI's `low`, `medium`, `high`.
    pub verbosity: Option<String>,
    /// OpenAI's predicted output, verbatim.
    pub prediction: Option<Value>,
}

/// The answer's format.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Free text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema(JsonSchema),
}

/// A schema the answer must fit.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonSchema {
    /// OpenAI requires a name; others have none.
    pub name: Option<String>,
    /// For the model to read.
    pub description: Option<String>,
    /// JSON Schema, verbatim.
    pub schema: Value,
    /// OpenAI's `strict`, where given.
    pub strict: Option<bool>,
}

/// A tool the model may ask for.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large variants are the common ones")]
pub enum Tool {
    /// A function of the client's.
    Function(ToolFunction),
    /// A tool the provider runs itself, or of a kind only one dialect has.
    Hosted(Opaque),
}

/// A function of the client's.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolFunction {
    /// What the model calls it.
    pub name: String,
    /// For the model to read.
    pub description: Option<String>,
    /// JSON Schema of the arguments, verbatim; absent where the client gave none.
    pub parameters: Option<Value>,
    /// Whether arguments must fit the schema exactly.
    pub strict: Option<bool>,
    /// Where a prompt cache should end.
    pub cache: Option<CacheMark>,
    /// Fields of the origin dialect without a canonical word.
    pub extras: Extras,
}

/// Which tool the model is to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it sees fit.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
    /// One of these: as it sees fit, or at least one.
    Allowed {
        /// True if at least one must be called.
        required: bool,
        /// The functions it may choose from.
        names: Vec<String>,
    },
}

/// Whether the model may ask for several tools at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParallelTools {
    /// It may.
    Allowed,
    /// One at a time.
    Forbidden,
}

/// How much the model thinks, and what of it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// Off, on, or up to the model.
    pub mode: ReasoningMode,
    /// A coarse level.
    pub effort: Option<Effort>,
    /// A cap on reasoning tokens.
    pub budget: Option<Tokens>,
    /// What the client wants to see.
    pub shown: Option<ReasoningShown>,
}

/// Whether the model thinks at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningMode {
    /// Not said: follows from effort and budget.
    #[default]
    Unsaid,
    /// No thinking.
    Off,
    /// Thinking.
    On,
    /// The model decides how much (Anthropic's `adaptive`, Gemini's budget -1).
    Adaptive,
}

/// A coarse level of thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// None at all.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// More.
    XHigh,
    /// As much as possible.
    Max,
}

impl Effort {
    /// Every level with the word all dialects use for it.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::None, "none"),
        (Self::Minimal, "minimal"),
        (Self::Low, "low"),
        (Self::Medium, "medium"),
        (Self::High, "high"),
        (Self::XHigh, "xhigh"),
        (Self::Max, "max"),
    ];

    /// The level's word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("medium", |(_, word)| word)
    }

    /// The level of a word, if it is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(level, _)| *level)
    }
}

/// What of the reasoning the client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningShown {
    /// Nothing.
    Hidden,
    /// A summary, or whatever the provider shows.
    Summary,
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operation {
    /// To go on with a conversation.
    #[default]
    Chat,
    /// The same in the words of the model's maker (AWS Bedrock's InvokeModel).
    Invoke,
    /// How many tokens a prompt has.
    Count,
    /// The vector of a text.
    Embed,
    /// The vectors of several texts, where a dialect tells that apart.
    EmbedBatch,
    /// To go on with a text.
    Complete,
    /// What is no text and no vector.
    Task(Task),
}

/// What is asked of models besides text and vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Whether a text or a picture is harmful.
    Moderate,
    /// In which order documents answer a question.
    Rerank,
    /// Pictures of a text.
    Draw,
    /// A picture changed as a text says.
    EditImage,
    /// Pictures like another.
    VaryImage,
    /// Speech of a text.
    Speak,
    /// The words of a recording.
    Transcribe,
    /// The same in English.
    TranslateSpeech,
}

impl Task {
    /// Whether the answer is nothing that tokens are written for.
    pub const fn only_reads(self) -> bool {
        matches!(self, Self::Moderate | Self::Rerank)
    }

    /// Whether pictures are made.
    pub const fn draws(self) -> bool {
        matches!(self, Self::Draw | Self::EditImage | Self::VaryImage)
    }
}

/// Whole or streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// One answer when it is complete.
    Whole,
    /// As it is written.
    Stream(UsageChunk),
}

/// Whether a streaming client asked for usage at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageChunk {
    /// It did, or its dialect always sends it.
    Wanted,
    /// It did not; the gateway must not show any.
    Unwanted,
}

/// Whom the call is for, and how the provider should treat it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribution {
    /// The end user, as the client names them.
    pub user: Option<String>,
    /// OpenAI's successor of `user` for abuse detection.
    pub safety_identifier: Option<String>,
    /// Free labels.
    pub metadata: Option<Value>,
    /// `auto`, `default`, `flex`, `priority`, …
    pub service_tier: Option<String>,
    /// OpenAI's `store`.
    pub store: Option<bool>,
    /// OpenAI's hint that keeps equal prefixes on one cache.
    pub prompt_cache_key: Option<String>,
}

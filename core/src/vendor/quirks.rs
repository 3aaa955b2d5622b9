//! Where vendors depart from their dialect, one enum for each departure.
//!
//! Most of these concern servers that speak OpenAI's chat dialect with an accent. The default of
//! each is what OpenAI itself does.

/// Where a vendor departs from its dialect. `Default` is: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Where its chat endpoint stands below the base URL.
    pub path: ChatPath,
    /// Whether it goes on with a plain text.
    pub completions: PlainCompletions,
    /// The field that caps output.
    pub max_tokens: MaxTokensField,
    /// Whether `stream_options` may be sent to it.
    pub stream_options: StreamOptions,
    /// Whether it knows the `developer` role.
    pub developer: DeveloperRole,
    /// How it is asked to think.
    pub reasoning: ReasoningAsk,
    /// What becomes of the model's earlier thinking when the conversation is sent back.
    pub thinking_back: ThinkingBack,
    /// What it calls a tool choice that forces a call.
    pub required: RequiredWord,
    /// The field for repeatable answers.
    pub seed: SeedField,
    /// Which tool call ids it accepts.
    pub tool_ids: ToolIds,
    /// Whether it tells tool calls of one stream apart by index.
    pub tool_index: StreamedToolIndex,
    /// Whether messages may carry a speaker's name.
    pub names: MessageNames,
    /// In which order messages may stand.
    pub turns: Turns,
    /// Whether cache marks are sent to it.
    pub cache_marks: CacheMarks,
    /// Whether it knows `top_k`.
    pub top_k: TopK,
    /// What its `prompt_tokens` counts.
    pub prompt: PromptCount,
    /// What its `completion_tokens` counts.
    pub completion: CompletionCount,
    /// How it is asked for vectors.
    pub embeddings: EmbeddingWords,
}

/// Where the chat endpoint stands below the base URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChatPath {
    /// `/chat/completions`.
    #[default]
    Plain,
    /// `/deployments/{model}/chat/completions`: Azure's API before v1. Its `api-version` is the
    /// config's to add to the query.
    Deployment,
    /// `/{publisher}/models/{model}:{verb}` below a project's location at Google Cloud, whose models say by
    /// their names which maker's dialect they speak.
    Vertex,
}

/// Whether `/completions` is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainCompletions {
    /// It may be, of some models: it is asked, and what it says is believed.
    #[default]
    Asked,
    /// It is not.
    Missing,
}

/// The field that caps output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_completion_tokens`; OpenAI's newer models refuse the older word.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`; most other servers know only this one, and some ignore the newer silently.
    MaxTokens,
}

/// Whether `stream_options` may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamOptions {
    /// It may, and usage comes only when asked for by it.
    #[default]
    Known,
    /// It must not: it is refused or useless, and usage comes unasked.
    Unknown,
}

/// Whether the `developer` role is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeveloperRole {
    /// It is.
    #[default]
    Known,
    /// It is refused, `system` says the same.
    AsSystem,
}

/// How a vendor is asked to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningAsk {
    /// `reasoning_effort`.
    #[default]
    Effort,
    /// `reasoning: {effort, max_tokens, exclude, enabled}` (OpenRouter).
    Object,
    /// `thinking: {type: enabled | disabled}` beside `reasoning_effort` (DeepSeek, Z.ai, Moonshot).
    Switch,
    /// `enable_thinking` and `thinking_budget` (Alibaba).
    EnableFlag,
}

/// What becomes of the model's earlier thinking when the conversation is sent back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThinkingBack {
    /// Left out: the server has no field for it, or refuses it.
    #[default]
    LeftOut,
    /// In `reasoning_content`.
    ReasoningContent,
    /// In `reasoning_content`, of turns that call tools only: DeepSeek demands it there and refused
    /// it elsewhere with its first reasoning model.
    WithToolCalls,
    /// In `reasoning`.
    Reasoning,
    /// There, and its proofs in `reasoning_details` (OpenRouter).
    ReasoningDetails,
    /// As `thinking` chunks of the content (Mistral).
    Chunks,
}

/// What a tool choice is called that forces a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequiredWord {
    /// `required`.
    #[default]
    Required,
    /// `any`.
    Any,
}

/// The field for repeatable answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeedField {
    /// `seed`.
    #[default]
    Seed,
    /// `random_seed`.
    RandomSeed,
}

/// Which tool call ids are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolIds {
    /// Any.
    #[default]
    Any,
    /// Exactly nine letters and digits.
    NineAlphanumeric,
}

/// Whether tool calls of one stream are told apart by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamedToolIndex {
    /// They are.
    #[default]
    Sent,
    /// The index may be missing: calls come whole, several in one delta.
    Missing,
}

/// Whether messages may carry a speaker's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageNames {
    /// They may.
    #[default]
    Known,
    /// The field is refused.
    Refused,
}

/// In which order messages may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turns {
    /// In any.
    #[default]
    Free,
    /// User and assistant must alternate, after any system messages: neighbours are joined.
    Alternating,
    /// A user message must not follow a tool message directly: an assistant turn is put between.
    NoUserAfterTool,
}

/// Whether `cache_control` marks are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMarks {
    /// Only where the client wrote them in this dialect: the vendor caches by itself.
    #[default]
    AsWritten,
    /// Always: the vendor hands them on or understands them.
    Sent,
    /// Never: it knows no such field.
    Unknown,
}

/// Whether `top_k` is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopK {
    /// It is refused or ignored.
    #[default]
    Unknown,
    /// It is.
    Known,
}

/// What `prompt_tokens` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptCount {
    /// The whole prompt.
    #[default]
    Whole,
    /// The prompt without its sound, which is counted in a field of its own.
    WithoutAudio,
}

/// What `completion_tokens` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompletionCount {
    /// Everything generated.
    #[default]
    Whole,
    /// What is visible; reasoning comes on top.
    WithoutReasoning,
}

/// How vectors are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingWords {
    /// `dimensions`, `encoding_format`.
    #[default]
    OpenAi,
    /// `output_dimension`, `input_type`; numbers are the only form that needs no word (Voyage).
    Voyage,
    /// `dimensions`, `embedding_type`, `task` (Jina).
    Jina,
}

impl Quirks {
    /// No departure at all, in a form constants can start from.
    pub const NONE: Self = Self {
        path: ChatPath::Plain,
        completions: PlainCompletions::Asked,
        max_tokens: MaxTokensField::MaxCompletionTokens,
        stream_options: StreamOptions::Known,
        developer: DeveloperRole::Known,
        reasoning: ReasoningAsk::Effort,
        thinking_back: ThinkingBack::LeftOut,
        required: RequiredWord::Required,
        seed: SeedField::Seed,
        tool_ids: ToolIds::Any,
        tool_index: StreamedToolIndex::Sent,
        names: MessageNames::Known,
        turns: Turns::Free,
        cache_marks: CacheMarks::AsWritten,
        top_k: TopK::Unknown,
        prompt: PromptCount::Whole,
        completion: CompletionCount::Whole,
        embeddings: EmbeddingWords::OpenAi,
    };

    /// What most servers have in common that follow OpenAI from some way behind.
    pub const COMPATIBLE: Self = Self {
        max_tokens: MaxTokensField::MaxTokens,
        developer: DeveloperRole::AsSystem,
        thinking_back: ThinkingBack::ReasoningContent,
        top_k: TopK::Known,
        ..Self::NONE
    };
}

//! A request as the simulator understands it, whatever dialect it came in.

use serde_json::Value;

use crate::json::Fields as _;

/// What an answer is composed from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// As it is named in the answer.
    pub(crate) model: String,
    pub(crate) last: Last,
    pub(crate) prompt: Prompt,
    /// Tokens; the text is cut at four times as many bytes.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stops: Vec<String>,
    /// How many choices; 0 is read as 1.
    pub(crate) choices: u64,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    pub(crate) parallel: Parallel,
    pub(crate) format: Format,
    pub(crate) thinking: Thinking,
    /// Who alone may send its thinking back; empty: whoever.
    pub(crate) account: String,
    pub(crate) stream_usage: StreamUsage,
    pub(crate) logprobs: Option<usize>,
    /// Texts to work on, where there is no conversation.
    pub(crate) texts: Vec<String>,
    /// The request's body, where the answer repeats some of it.
    pub(crate) given: Value,
    /// The prefixes that end at a block, up to the last block marked for caching.
    pub(crate) cache: Vec<CacheMark>,
}

/// How the conversation ends.
#[derive(Clone, Debug)]
pub(crate) enum Last {
    User(String),
    Results(Vec<ToolResult>),
    Assistant,
}

impl Default for Last {
    fn default() -> Last {
        Last::User(String::new())
    }
}

/// What a tool answered.
#[derive(Clone, Debug)]
pub(crate) struct ToolResult {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// How much was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prompt {
    /// Of all texts, tools included.
    pub(crate) bytes: usize,
    pub(crate) images: usize,
}

impl Prompt {
    pub(crate) fn add(&mut self, text: &str) {
        self.bytes += text.len();
    }
}

/// A function the model may call.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// Which tools must be called.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice {
    #[default]
    Auto,
    Never,
    Required,
    Named(String),
}

/// Whether several calls may come at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Parallel {
    #[default]
    Allowed,
    Forbidden,
}

/// What the text must be.
#[derive(Clone, Debug, Default)]
pub(crate) enum Format {
    #[default]
    Text,
    Object,
    Schema(Value),
}

/// Whether the thinking is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Thinking {
    #[default]
    Off,
    Hidden,
    Shown,
}

/// Whether a stream ends with its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StreamUsage {
    #[default]
    Unasked,
    Asked,
}

/// The beginning of a prompt, up to a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheMark {
    pub(crate) fingerprint: u64,
    pub(crate) bytes: usize,
}

/// FNV-1a, for identifiers that depend on nothing but the request.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The text of the last user message, whichever dialect `body` is in; empty when there is none.
pub(crate) fn last_user_text(body: &Value) -> String {
    let turns = ["messages", "contents", "input"].iter().find_map(|name| body.at(name).as_array());
    let Some(turns) = turns else {
        let plain = ["input", "prompt", "query"].iter().find_map(|name| inputs(body.at(name)).pop());
        return plain.unwrap_or_default();
    };
    if turns.iter().all(|turn| turn.is_string() || turn.is_number()) {
        return inputs(body.at("input")).pop().unwrap_or_default();
    }
    let user = turns
        .iter()
        .rev()
        // Google's may leave it out; an item of Responses without one is no message.
        .find(|turn| turn.at("role").as_str().map_or(turn.at("type").is_null(), |role| role == "user"));
    user.map(|turn| texts(turn, " ")).unwrap_or_default()
}

/// One text or several; numbers are tokens, and each is a word.
pub(crate) fn inputs(input: &Value) -> Vec<String> {
    match input {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) if all.iter().all(Value::is_number) && !all.is_empty() => {
            vec![all.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")]
        }
        Value::Array(all) => all.iter().flat_map(inputs).collect(),
        Value::Object(_) => input.at("text").as_str().map(String::from).into_iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The texts of a message's content (`content` or `parts`, a string or blocks), joined.
pub(crate) fn texts(turn: &Value, between: &str) -> String {
    let content = if turn.at("parts").is_array() { &turn.at("parts") } else { &turn.at("content") };
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts: Vec<&str> = parts.iter().filter_map(|part| part.at("text").as_str()).collect();
            parts.join(between)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

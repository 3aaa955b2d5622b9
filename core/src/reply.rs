//! The canonical reply: what a model answered, whole or as a stream of events.
//!
//! Providers decode into it, surfaces render from it. A whole reply and a stream say the same
//! things: [`Reply::into_events`] and [`Assembler`] lead from one to the other and back.

mod assemble;

pub use assemble::Assembler;

use crate::call::{Extras, Part, Signature};
use crate::dialect::Dialect;
use crate::fault::UpstreamFault;
use crate::usage::Usage;
use serde_json::Value;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The provider's id of this answer.
    pub id: Option<String>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// When, in seconds since the Unix epoch; absent where the provider does not say.
    pub created: Option<u64>,
    /// The answers, one unless the call asked for more.
    pub choices: Vec<Choice>,
    /// Absent: the provider did not report any.
    pub usage: Option<Usage>,
    /// Whose words all extra fields are in, those of choices, messages and usage too. A surface of
    /// another dialect shows them apart from its own.
    pub origin: Dialect,
    /// Top-level fields of the provider without a canonical word.
    pub extras: Extras,
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Counts from zero.
    pub index: u32,
    /// The content, in the order it was generated.
    pub parts: Vec<Part>,
    /// Absent: the provider did not say.
    pub stop: Option<Stop>,
    /// The stop text that ended the answer, where the provider tells.
    pub stop_sequence: Option<String>,
    /// Log probabilities in OpenAI's form.
    pub logprobs: Option<Value>,
    /// Choice fields of the provider without a canonical word.
    pub extras: Extras,
    /// Message fields of the provider without a canonical word.
    pub message_extras: Extras,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model was done.
    End,
    /// A stop text was reached.
    Sequence,
    /// The cap on output tokens was reached.
    Length,
    /// The context window was full.
    ContextFull,
    /// The model waits for tools.
    ToolUse,
    /// A filter of the provider's, or the model declined.
    Filtered,
    /// A long turn of server tools was paused; the client continues by sending it back.
    Paused,
    /// The provider could not make sense of what the model wrote.
    Malformed,
    /// Something else, in the provider's word.
    Other(String),
}

/// One thing that happens in a stream. `choice` counts answers from zero, `call` counts the tool
/// calls of one answer from zero.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "`choice` and `call` are explained above; other fields are what the variant says"
)]
#[expect(clippy::large_enum_variant, reason = "events are made and consumed a few at a time")]
pub enum Event {
    /// The answer begins. First, and once, unless a fault comes before it.
    Start(Start),
    /// More text.
    Text { choice: u32, text: String },
    /// The text so far is signed (Gemini).
    TextSignature { choice: u32, signature: Signature },
    /// Citations or annotations of the text so far, in the provider's own form. `chars` says how many
    /// characters of text just before it they speak of; 0: they say themselves, or nobody does.
    Citation { choice: u32, citation: crate::call::Opaque, chars: usize },
    /// More readable reasoning.
    Thinking { choice: u32, text: String },
    /// The reasoning block so far is complete and signed.
    ThinkingSignature { choice: u32, signature: Signature },
    /// A whole sealed reasoning block.
    SealedThinking { choice: u32, sealed: Signature },
    /// More of the model's declining.
    Refusal { choice: u32, text: String },
    /// A tool call begins.
    ToolStart { choice: u32, call: u32, id: String, name: String, signature: Option<Signature> },
    /// More of a tool call's arguments.
    ToolArguments { choice: u32, call: u32, text: String },
    /// A whole part that does not come in pieces: generated image or audio, opaque blocks.
    Part { choice: u32, part: Part },
    /// Log probabilities of the text just sent, in OpenAI's form.
    LogProbs { choice: u32, logprobs: Value },
    /// Fields without a canonical word.
    Extras { level: Level, fields: Extras },
    /// An answer ended.
    Stop { choice: u32, stop: Stop, sequence: Option<String> },
    /// Usage so far; the last one counts.
    Usage(Box<Usage>),
    /// The provider gave up in mid-stream.
    Fault(Box<UpstreamFault>),
    /// The stream is complete. Last, and once, unless a fault ended it.
    End,
}

/// How a streamed answer begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// The provider's id of this answer.
    pub id: Option<String>,
    /// The model that answers.
    pub model: Option<String>,
    /// Seconds since the Unix epoch.
    pub created: Option<u64>,
    /// Whose words the extra fields of this stream are in.
    pub origin: Dialect,
}

/// What a set of extra fields belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The reply.
    Reply,
    /// An answer.
    Choice(u32),
    /// An answer's message.
    Message(u32),
}

impl Event {
    /// True for what carries something a client can see or keep: once such an event has been sent,
    /// no other upstream can take over.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Start(_) | Self::Extras { .. } | Self::Usage(_) | Self::Fault(_) => false,
            Self::Text { text, .. } | Self::Thinking { text, .. } | Self::Refusal { text, .. } => {
                !text.is_empty()
            }
            Self::TextSignature { .. }
            | Self::Citation { .. }
            | Self::ThinkingSignature { .. }
            | Self::SealedThinking { .. }
            | Self::ToolStart { .. }
            | Self::ToolArguments { .. }
            | Self::Part { .. }
            | Self::LogProbs { .. }
            | Self::Stop { .. }
            | Self::End => true,
        }
    }
}

//! The canonical call: what a client asks of a model, in no provider's own words.
//!
//! Surfaces parse into it, providers encode from it. It can hold everything that any supported
//! dialect can say; what one dialect alone can say travels in [`Extras`] or in opaque parts that
//! remember their origin. Encoders destructure these types, so a new field is a compile error in
//! each of them until somebody decides what becomes of it.

pub(crate) mod ids;
mod message;
mod settings;

pub use message::{
    Audio, CacheMark, Document, DocumentBody, Image, MediaSource, Message, Opaque, Part, Role, Signature,
    Text, Thinking, ToolCall, ToolResult, Video,
};
pub use settings::{
    Attribution, Delivery, Effort, Format, JsonSchema, LogProbs, Operation, Output, ParallelTools, Reasoning,
    ReasoningMode, ReasoningShown, Sampling, Task, Tool, ToolChoice, ToolFunction, UsageChunk,
};

use crate::dialect::Dialect;
use serde_json::{Map, Value};

/// Fields that one dialect knows and the canonical form has no word for, in their original order.
pub type Extras = Map<String, Value>;

/// One request to a model.
#[derive(Clone, PartialEq)]
pub struct Call {
    /// The model as the client named it; the route decides what goes upstream.
    pub model: String,
    /// Instructions that stand apart from the conversation: Anthropic's `system`, Gemini's
    /// `systemInstruction`. Empty where a dialect has them among its messages.
    pub system: Vec<Part>,
    /// The conversation, oldest first. Never empty.
    pub messages: Vec<Message>,
    /// In the client's order, which is kept to the provider: prompt caches depend on it.
    pub tools: Vec<Tool>,
    /// Absent: the provider's default (`auto` where there are tools).
    pub tool_choice: Option<ToolChoice>,
    /// Absent: the provider's default.
    pub parallel_tools: Option<ParallelTools>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// What the answer should look like.
    pub output: Output,
    /// Absent: the model's default.
    pub reasoning: Option<Reasoning>,
    /// Whole or streamed.
    pub delivery: Delivery,
    /// Whom the call is for, and how the provider should treat it.
    pub attribution: Attribution,
    /// A cache mark on the call as a whole (Anthropic's top-level `cache_control`).
    pub cache: Option<CacheMark>,
    /// The dialect the call came in, whose words `extras` are.
    pub origin: Dialect,
    /// What the canonical form has no word for. An encoder of the same dialect writes it back; any
    /// other reports each name as lost.
    pub extras: Extras,
}

impl std::fmt::Debug for Call {
    /// Prints the call's shape and no text of it (invariant I7).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("model", &self.model)
            .field("messages", &self.messages.len())
            .field("tools", &self.tools.len())
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

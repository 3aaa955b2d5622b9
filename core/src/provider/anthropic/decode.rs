//! Whole answers, and the words that whole answers and streams share.

use super::{JSON_TOOL, fault, usage};
use crate::call::{Extras, Opaque, Part, Signature, Text, Thinking, ToolCall};
use crate::dialect::Dialect;
use crate::fault::UpstreamFault;
use crate::reply::{Choice, Reply, Stop};
use serde_json::{Map, Value};

/// Reads a whole answer.
pub(in crate::provider) fn reply(body: &[u8]) -> Result<Reply, Box<UpstreamFault>> {
    let message: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Box::new(fault::garbled("it is no JSON object", body)))?;
    if message.get("type").is_some_and(|kind| kind == "error")
        || message.get("error").is_some_and(Value::is_object)
    {
        return Err(Box::new(fault::in_band(body)));
    }
    if !message.get("content").is_some_and(Value::is_array) {
        return Err(Box::new(fault::garbled("it has no content", body)));
    }
    Ok(read(message))
}

fn read(message: Map<String, Value>) -> Reply {
    let mut reply = Reply { origin: Dialect::Anthropic, ..Reply::default() };
    let mut choice = Choice::default();
    let mut ending = Ending::default();
    for (key, value) in message {
        match (key.as_str(), value) {
            ("type" | "role", _) | (_, Value::Null) => {}
            ("id", Value::String(id)) => reply.id = Some(id),
            ("model", Value::String(model)) => reply.model = Some(model),
            ("content", Value::Array(blocks)) => choice.parts = blocks.into_iter().filter_map(part).collect(),
            ("stop_reason", Value::String(word)) => ending.reason = Some(word),
            ("stop_sequence", Value::String(text)) => choice.stop_sequence = Some(text),
            ("stop_details", details) => ending.details = Some(details),
            ("usage", Value::Object(counts)) => reply.usage = Some(usage::read(counts)),
            (_, value) => {
                reply.extras.insert(key, value);
            }
        }
    }
    choice.stop = ending.stop(Calls::among(&choice.parts));
    choice.parts.extend(ending.refusal().map(Part::Refusal));
    choice.extras = ending.into_extras();
    reply.choices.push(choice);
    reply
}

/// Whether the model asked for tools of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Calls {
    /// It did.
    Some,
    /// It did not, or only for the one that stands in for a response format.
    None,
}

impl Calls {
    fn among(parts: &[Part]) -> Self {
        if parts.iter().any(|part| matches!(part, Part::ToolCall(_))) { Self::Some } else { Self::None }
    }
}

/// How an answer ended, in the dialect's words.
#[derive(Debug, Default)]
pub(in crate::provider) struct Ending {
    pub(in crate::provider) reason: Option<String>,
    pub(in crate::provider) details: Option<Value>,
}

impl Ending {
    /// Why it ended.
    pub(in crate::provider) fn stop(&self, calls: Calls) -> Option<Stop> {
        Some(match (self.reason.as_deref()?, calls) {
            // Only the stand-in for a response format was called: the answer is text.
            ("tool_use", Calls::None) => Stop::End,
            ("tool_use", Calls::Some) => Stop::ToolUse,
            ("end_turn", _) => Stop::End,
            ("stop_sequence", _) => Stop::Sequence,
            ("max_tokens", _) => Stop::Length,
            ("model_context_window_exceeded", _) => Stop::ContextFull,
            ("refusal", _) => Stop::Filtered,
            ("pause_turn", _) => Stop::Paused,
            (other, _) => Stop::Other(other.to_owned()),
        })
    }

    /// What the provider says about having declined.
    pub(in crate::provider) fn refusal(&self) -> Option<String> {
        let refused = self.reason.as_deref() == Some("refusal");
        let said = self.details.as_ref()?.get("explanation")?.as_str()?;
        (refused && !said.is_empty()).then(|| said.to_owned())
    }

    /// What has no canonical word.
    pub(in crate::provider) fn into_extras(self) -> Extras {
        self.details.map(|details| ("stop_details".to_owned(), details)).into_iter().collect()
    }
}

/// A content block as a part; `None` for what holds nothing.
fn part(block: Value) -> Option<Part> {
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
    let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind {
        "text" => Some(Part::Text(Text {
            citations: block.get("citations").and_then(citations),
            ..Text::new(text("text"))
        })),
        "thinking" => Some(Part::Thinking(Thinking {
            text: text("thinking"),
            signature: signature(text("signature")),
            sealed: None,
        })),
        "redacted_thinking" => {
            Some(Part::Thinking(Thinking { sealed: signature(text("data")), ..Thinking::default() }))
        }
        "tool_use" if text("name") == JSON_TOOL => Some(Part::Text(Text::new(arguments(block.get("input"))))),
        "tool_use" => Some(Part::ToolCall(ToolCall {
            id: text("id"),
            name: text("name"),
            arguments: arguments(block.get("input")),
            signature: None,
            cache: None,
        })),
        _ => block.is_object().then(|| Part::Opaque(opaque(block))),
    }
}

/// Citations, where there are any, as a list.
pub(in crate::provider) fn citations(list: &Value) -> Option<Opaque> {
    let some = list.as_array().is_some_and(|list| !list.is_empty());
    some.then(|| opaque(list.clone()))
}

/// Something in the dialect's own words.
pub(in crate::provider) fn opaque(value: Value) -> Opaque {
    Opaque { origin: Dialect::Anthropic, value }
}

/// The provider's proof; an empty one is none.
pub(in crate::provider) fn signature(value: String) -> Option<Signature> {
    (!value.is_empty()).then_some(Signature { origin: Dialect::Anthropic, value })
}

/// A tool's input as text; no input is an empty object.
pub(in crate::provider) fn arguments(input: Option<&Value>) -> String {
    match input {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(input) => input.to_string(),
    }
}

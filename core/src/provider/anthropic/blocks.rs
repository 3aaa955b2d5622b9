//! Parts as content blocks.

use super::lost::{Lost, Place};
use super::media::{self, unsupported};
use crate::call::{Audio, CacheMark, Opaque, Part, Text, Thinking, ToolCall};
use crate::dialect::Dialect;
use crate::fault::Fault;
use serde_json::{Map, Value, json};

/// Writes the cache mark into a block, a tool or the call itself, its fields verbatim.
pub(super) fn mark(block: &mut Value, cache: Option<&CacheMark>) {
    if let (Some(block), Some(cache)) = (block.as_object_mut(), cache) {
        block.insert("cache_control".to_owned(), cache_control(cache));
    }
}

/// A cache mark.
pub(super) fn cache_control(cache: &CacheMark) -> Value {
    let CacheMark { ttl, extras } = cache;
    let mut mark = Map::new();
    mark.insert("type".to_owned(), Value::from("ephemeral"));
    mark.extend(ttl.iter().map(|ttl| ("ttl".to_owned(), Value::from(ttl.as_str()))));
    mark.extend(extras.clone());
    Value::Object(mark)
}

/// Text as a block. `None` for text of nothing but white space, which the API refuses.
pub(super) fn text(text: &Text, place: Place, lost: &mut Lost) -> Option<Value> {
    let Text { text, cache, signature: _, citations } = text;
    if text.trim().is_empty() {
        return None;
    }
    let mut block = json!({"type": "text", "text": text});
    match citations {
        Some(Opaque { origin: Dialect::Anthropic, value }) => {
            if let Some(block) = block.as_object_mut() {
                block.insert("citations".to_owned(), value.clone());
            }
        }
        Some(Opaque {
            origin:
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Gemini,
            ..
        }) => lost.name(place.field("annotations")),
        None => {}
    }
    mark(&mut block, cache.as_ref());
    Some(block)
}

/// A part of what a user or a tool says.
pub(super) fn said(part: &Part, place: Place, lost: &mut Lost) -> Result<Option<Value>, Fault> {
    match part {
        Part::Text(part) => Ok(text(part, place, lost)),
        Part::Image(part) => media::image(part, place, lost).map(Some),
        Part::Document(part) => media::document(part, place, lost),
        Part::Audio(_) => Err(unsupported(place, "sound cannot be sent to this provider")),
        Part::Video(_) => Err(unsupported(place, "video cannot be sent to this provider")),
        Part::Refusal(words) => Ok(text(&Text::new(words.as_str()), place, lost)),
        Part::Opaque(part) => Ok(opaque(part, place, lost)),
        // Tool results are taken out before; the rest is the model's to say.
        Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) => {
            lost.name(place.to_string());
            Ok(None)
        }
    }
}

/// A part of what the model said. `wire_id` names a tool call to the API.
pub(super) fn answered(
    part: &Part,
    wire_id: &str,
    place: Place,
    lost: &mut Lost,
) -> Result<Option<Value>, Fault> {
    match part {
        Part::Text(part) => Ok(text(part, place, lost)),
        Part::Thinking(part) => Ok(thinking(part, place, lost)),
        Part::Refusal(words) => Ok(text(&Text::new(words.as_str()), place, lost)),
        Part::ToolCall(part) => Ok(Some(tool_use(part, wire_id, place, lost))),
        Part::Document(part) => media::document(part, place, lost),
        Part::Opaque(part) => Ok(opaque(part, place, lost)),
        Part::Audio(Audio { source: _, id: _, transcript, expires_at: _ }) => {
            lost.name(place.field("audio"));
            Ok(transcript.as_ref().and_then(|words| text(&Text::new(words.as_str()), place, lost)))
        }
        Part::Image(_) | Part::Video(_) | Part::ToolResult(_) => {
            lost.name(place.to_string());
            Ok(None)
        }
    }
}

fn opaque(part: &Opaque, place: Place, lost: &mut Lost) -> Option<Value> {
    let Opaque { origin, value } = part;
    if *origin == Dialect::Anthropic && value.is_object() {
        return Some(value.clone());
    }
    lost.name(place.to_string());
    None
}

/// Thinking goes back only with this provider's proof, also where the text is empty: the API checks
/// the proof and knows the text.
fn thinking(part: &Thinking, place: Place, lost: &mut Lost) -> Option<Value> {
    let Thinking { text, signature, sealed } = part;
    let ours = |proof: &Option<crate::call::Signature>| {
        proof.as_ref().filter(|proof| proof.origin == Dialect::Anthropic).map(|proof| proof.value.clone())
    };
    if let Some(data) = ours(sealed) {
        return Some(json!({"type": "redacted_thinking", "data": data}));
    }
    if let Some(signature) = ours(signature) {
        return Some(json!({"type": "thinking", "thinking": text, "signature": signature}));
    }
    lost.name(place.field("reasoning_content"));
    None
}

fn tool_use(call: &ToolCall, wire_id: &str, place: Place, lost: &mut Lost) -> Value {
    let ToolCall { id: _, name, arguments, signature: _, cache } = call;
    let input = if arguments.trim().is_empty() { "{}" } else { arguments };
    let input = serde_json::from_str(input).ok().filter(Value::is_object).unwrap_or_else(|| {
        // The API takes objects only, and the model should still see what it wrote.
        lost.name(place.field("tool_calls"));
        json!({"arguments": arguments})
    });
    let mut block = json!({"type": "tool_use", "id": wire_id, "name": name, "input": input});
    mark(&mut block, cache.as_ref());
    block
}

//! Parts as content blocks. A cache mark becomes a block of its own after what it marks.

use super::media::{self, unsupported};
use crate::call::{Audio, CacheMark, Opaque, Part, Signature, Text, Thinking, ToolCall};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::provider::anthropic::lost::{Lost, Place};
use serde_json::{Map, Value, json};

/// A cache mark.
pub(super) fn cache_point(cache: &CacheMark) -> Value {
    // What else Anthropic's marks say has no place here, and changes no answer.
    let CacheMark { ttl, extras: _ } = cache;
    let mut point = Map::new();
    point.insert("type".to_owned(), Value::from("default"));
    point.extend(ttl.iter().map(|ttl| ("ttl".to_owned(), Value::from(ttl.as_str()))));
    json!({ "cachePoint": point })
}

/// A block and the mark after it.
pub(super) fn marked(block: Value, cache: Option<&CacheMark>) -> Vec<Value> {
    std::iter::once(block).chain(cache.map(cache_point)).collect()
}

/// Text as blocks; nothing for text of white space alone, which the API refuses.
pub(super) fn text(text: &Text, place: Place, lost: &mut Lost) -> Vec<Value> {
    let Text { text, cache, signature: _, citations } = text;
    if text.trim().is_empty() {
        return Vec::new();
    }
    let block = match citations {
        Some(Opaque { origin: Dialect::Bedrock, value }) => {
            json!({"citationsContent": {"content": [{"text": text}], "citations": value}})
        }
        Some(Opaque {
            origin:
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Anthropic
                | Dialect::Gemini
                | Dialect::Cohere
                | Dialect::Ollama,
            ..
        }) => {
            lost.name(place.field("annotations"));
            json!({ "text": text })
        }
        None => json!({ "text": text }),
    };
    marked(block, cache.as_ref())
}

/// A part of what a user or a tool says. `number` tells documents apart that have no name.
pub(super) fn said(
    part: &Part,
    place: Place,
    documents: &mut media::Names,
    lost: &mut Lost,
) -> Result<Vec<Value>, Fault> {
    match part {
        Part::Text(part) => Ok(text(part, place, lost)),
        Part::Image(part) => media::image(part, place, lost),
        Part::Video(part) => media::video(part, place).map(|block| vec![block]),
        Part::Document(part) => media::document(part, place, documents, lost),
        Part::Audio(_) => Err(unsupported(place, "sound cannot be sent to this provider")),
        Part::Refusal(words) => Ok(text(&Text::new(words.as_str()), place, lost)),
        Part::Opaque(part) => Ok(opaque(part, place, lost)),
        // Tool results are taken out before; the rest is the model's to say.
        Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) => {
            lost.name(place.to_string());
            Ok(Vec::new())
        }
    }
}

/// A part of what the model said. `wire_id` names a tool call to the API.
pub(super) fn answered(part: &Part, wire_id: &str, place: Place, lost: &mut Lost) -> Vec<Value> {
    match part {
        Part::Text(part) => text(part, place, lost),
        Part::Thinking(part) => thinking(part, place, lost),
        Part::Refusal(words) => text(&Text::new(words.as_str()), place, lost),
        Part::ToolCall(part) => tool_use(part, wire_id, place, lost),
        Part::Opaque(part) => opaque(part, place, lost),
        Part::Audio(Audio { source: _, id: _, transcript, expires_at: _ }) => {
            lost.name(place.field("audio"));
            transcript.iter().flat_map(|words| text(&Text::new(words.as_str()), place, lost)).collect()
        }
        Part::Image(_) | Part::Video(_) | Part::Document(_) | Part::ToolResult(_) => {
            lost.name(place.to_string());
            Vec::new()
        }
    }
}

fn opaque(part: &Opaque, place: Place, lost: &mut Lost) -> Vec<Value> {
    let Opaque { origin, value } = part;
    if *origin == Dialect::Bedrock && value.is_object() {
        return vec![value.clone()];
    }
    lost.name(place.to_string());
    Vec::new()
}

/// Thinking goes back only with a proof that this API made, or passed on from Anthropic.
fn thinking(part: &Thinking, place: Place, lost: &mut Lost) -> Vec<Value> {
    let Thinking { text, signature, sealed } = part;
    if let Some(Signature { origin: Dialect::Anthropic, value }) = sealed {
        return vec![json!({"reasoningContent": {"redactedContent": value}})];
    }
    if let Some(Signature { origin: Dialect::Anthropic, value }) = signature {
        let text = json!({"text": text, "signature": value});
        return vec![json!({"reasoningContent": {"reasoningText": text}})];
    }
    lost.name(place.field("reasoning_content"));
    Vec::new()
}

fn tool_use(call: &ToolCall, wire_id: &str, place: Place, lost: &mut Lost) -> Vec<Value> {
    let ToolCall { id: _, name, arguments, signature: _, cache } = call;
    let input = if arguments.trim().is_empty() { "{}" } else { arguments };
    let input = serde_json::from_str(input).ok().filter(Value::is_object).unwrap_or_else(|| {
        // The API takes objects only, and the model should still see what it wrote.
        lost.name(place.field("tool_calls"));
        json!({"arguments": arguments})
    });
    marked(json!({"toolUse": {"toolUseId": wire_id, "name": name, "input": input}}), cache.as_ref())
}

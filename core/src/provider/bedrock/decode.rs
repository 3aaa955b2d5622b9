//! Whole answers, and the words that whole answers and streams share.

use super::{fault, usage};
use crate::call::{Image, MediaSource, Opaque, Part, Signature, Text, Thinking, ToolCall};
use crate::dialect::Dialect;
use crate::fault::UpstreamFault;
use crate::provider::anthropic;
use crate::reply::{Choice, Reply, Stop};
use serde_json::{Map, Value};

/// Reads a whole answer: of Converse, or of InvokeModel in Anthropic's words.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Box<UpstreamFault>> {
    let answer: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Box::new(fault::garbled("it is no JSON object", body)))?;
    if answer.get("type").is_some_and(|kind| kind == "message") {
        return anthropic::decode::reply(body);
    }
    if !answer.get("output").and_then(|output| output.get("message")).is_some_and(Value::is_object) {
        return Err(Box::new(fault::garbled("it has no message", body)));
    }
    Ok(read(answer))
}

fn read(answer: Map<String, Value>) -> Reply {
    let mut reply = Reply { origin: Dialect::Bedrock, ..Reply::default() };
    let mut choice = Choice::default();
    let (mut reason, mut tier) = (None, None);
    for (key, value) in answer {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("output", Value::Object(mut output)) => {
                let blocks = output.get_mut("message").and_then(|message| message.get_mut("content"));
                if let Some(Value::Array(blocks)) = blocks.map(Value::take) {
                    choice.parts = blocks.into_iter().filter_map(part).collect();
                }
            }
            ("stopReason", Value::String(word)) => reason = Some(word),
            ("usage", Value::Object(counts)) => reply.usage = Some(usage::read(counts)),
            ("serviceTier", value) => {
                tier = value.get("type").and_then(Value::as_str).map(Box::from);
                reply.extras.insert("serviceTier".to_owned(), value);
            }
            (_, value) => {
                reply.extras.insert(key, value);
            }
        }
    }
    let calls = choice.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    choice.stop = reason.map(|reason| stop(&reason, if calls { Calls::Some } else { Calls::None }));
    if let Some(usage) = &mut reply.usage {
        usage.service_tier = tier;
    }
    reply.choices.push(choice);
    reply
}

/// Whether the model asked for tools of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// It did.
    Some,
    /// It did not, or only for the one that stands in for a response format.
    None,
}

/// Why an answer ended.
pub(super) fn stop(reason: &str, calls: Calls) -> Stop {
    match (reason, calls) {
        ("tool_use", Calls::None) | ("end_turn", _) => Stop::End,
        ("tool_use", Calls::Some) => Stop::ToolUse,
        ("stop_sequence", _) => Stop::Sequence,
        ("max_tokens", _) => Stop::Length,
        ("model_context_window_exceeded", _) => Stop::ContextFull,
        ("guardrail_intervened" | "content_filtered", _) => Stop::Filtered,
        ("malformed_model_output" | "malformed_tool_use", _) => Stop::Malformed,
        (other, _) => Stop::Other(other.to_owned()),
    }
}

/// A content block as a part; `None` for what holds nothing. A block is an object of one member.
fn part(block: Value) -> Option<Part> {
    let Value::Object(mut block) = block else { return None };
    if let Some(Value::String(text)) = block.get_mut("text") {
        return Some(Part::Text(Text::new(std::mem::take(text))));
    }
    let kind = block.keys().next().cloned().unwrap_or_default();
    match (kind.as_str(), block.get_mut(&kind).map(Value::take)) {
        ("toolUse", Some(Value::Object(call))) => Some(tool_call(call)),
        ("reasoningContent", Some(Value::Object(content))) => thinking(content).map(Part::Thinking),
        ("citationsContent", Some(Value::Object(cited))) => Some(Part::Text(cited_text(cited))),
        ("image", Some(Value::Object(image))) => image_part(&image).or_else(|| Some(kept(&kind, image))),
        (_, Some(Value::Object(fields))) => Some(kept(&kind, fields)),
        (_, _) => None,
    }
}

fn kept(kind: &str, fields: Map<String, Value>) -> Part {
    let block = Map::from_iter([(kind.to_owned(), Value::Object(fields))]);
    Part::Opaque(opaque(Value::Object(block)))
}

fn text_of(fields: &mut Map<String, Value>, key: &str) -> String {
    match fields.get_mut(key) {
        Some(Value::String(text)) => std::mem::take(text),
        _ => String::new(),
    }
}

fn tool_call(mut call: Map<String, Value>) -> Part {
    let name = text_of(&mut call, "name");
    let arguments = match call.get("input") {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(input) => input.to_string(),
    };
    // Servers that are no AWS may run tools of their own.
    if call.get("type").is_some_and(|kind| kind == "server_tool_use") {
        call.insert("name".to_owned(), name.into());
        return kept("toolUse", call);
    }
    if name == anthropic::JSON_TOOL {
        return Part::Text(Text::new(arguments));
    }
    let id = text_of(&mut call, "toolUseId");
    Part::ToolCall(ToolCall { id, name, arguments, signature: None, cache: None })
}

fn thinking(mut content: Map<String, Value>) -> Option<Thinking> {
    if let Some(Value::String(sealed)) = content.get_mut("redactedContent") {
        let sealed = Signature { origin: Dialect::Anthropic, value: std::mem::take(sealed) };
        return Some(Thinking { sealed: Some(sealed), ..Thinking::default() });
    }
    let Some(Value::Object(mut text)) = content.get_mut("reasoningText").map(Value::take) else {
        return None;
    };
    let signature = signature(text_of(&mut text, "signature"));
    Some(Thinking { text: text_of(&mut text, "text"), signature, sealed: None })
}

/// Whoever signs here is a Claude.
pub(super) fn signature(value: String) -> Option<Signature> {
    (!value.is_empty()).then_some(Signature { origin: Dialect::Anthropic, value })
}

fn cited_text(mut cited: Map<String, Value>) -> Text {
    let pieces = cited.get("content").and_then(Value::as_array).into_iter().flatten();
    let text: String = pieces.filter_map(|piece| piece.get("text")?.as_str()).collect();
    let citations = cited.get_mut("citations").map(Value::take);
    let some = citations.filter(|list| list.as_array().is_some_and(|list| !list.is_empty()));
    Text { citations: some.map(opaque), ..Text::new(text) }
}

fn image_part(image: &Map<String, Value>) -> Option<Part> {
    let format = image.get("format")?.as_str()?;
    let data = image.get("source")?.get("bytes")?.as_str()?;
    let source = MediaSource::Inline { media_type: format!("image/{format}"), data: data.to_owned() };
    Some(Part::Image(Image { source, detail: None, cache: None }))
}

/// Something in the dialect's own words.
pub(super) fn opaque(value: Value) -> Opaque {
    Opaque { origin: Dialect::Bedrock, value }
}

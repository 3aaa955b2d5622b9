//! The conversation.

use super::content::{self, Content};
use crate::call::{CacheMark, Message, Opaque, Part, Role, Signature, Text, Thinking, ToolCall, ToolResult};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::sort::Map;
use crate::surface::fields::Fields;
use crate::surface::proof::{self, Proof};
use serde_json::Value;

/// All messages, with the names of tools filled into their results.
pub(super) fn parse(list: Vec<Value>) -> Result<Vec<Message>, Fault> {
    if list.is_empty() {
        return Err(Fault::missing_field("messages", "at least one message"));
    }
    let mut names = Map::new();
    list.into_iter().enumerate().map(|(i, value)| message(i, value, &mut names)).collect()
}

/// The function each call asked for, by the call's id.
type Names = Map<String, String>;

fn message(i: usize, value: Value, names: &mut Names) -> Result<Message, Fault> {
    let mut fields = Fields::of(value, format!("messages[{i}]"))?;
    let role = match fields.needed_text("role")?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => return Err(Fault::bad_field(fields.path("role"), "a known role", "another word")),
    };
    let name = fields.text("name")?;
    let mark = fields.cache()?;
    let Content { mut parts, extras } = content::parse(&mut fields)?;
    match role {
        Role::Tool => return result(ToolMessage { fields, name, mark, parts }, names),
        Role::Assistant => parts = assistant(&mut fields, parts, names)?,
        Role::System | Role::Developer | Role::User => {}
    }
    if let Some(mark) = mark {
        mark_last(&mut parts, mark);
    }
    let mut rest = fields.rest();
    rest.extend(extras);
    Ok(Message { role, name, parts, extras: rest })
}

/// A mark on the message stands for one on its last part that can have one.
fn mark_last(parts: &mut [Part], mark: CacheMark) {
    for part in parts.iter_mut().rev() {
        let cache = match part {
            Part::Text(Text { cache, .. }) => cache,
            Part::Image(image) => &mut image.cache,
            Part::Document(document) => &mut document.cache,
            Part::ToolCall(call) => &mut call.cache,
            Part::ToolResult(result) => &mut result.cache,
            Part::Audio(_) | Part::Video(_) | Part::Thinking(_) | Part::Refusal(_) | Part::Opaque(_) => {
                continue;
            }
        };
        *cache = Some(mark);
        return;
    }
}

struct ToolMessage {
    fields: Fields,
    name: Option<String>,
    mark: Option<CacheMark>,
    parts: Vec<Part>,
}

fn result(message: ToolMessage, names: &Names) -> Result<Message, Fault> {
    let ToolMessage { mut fields, name, mark, parts } = message;
    // The older function role has a name in place of an id.
    let call_id = match (fields.text("tool_call_id")?, &name) {
        (Some(id), _) => id,
        (None, Some(name)) => legacy_id(name),
        (None, None) => return Err(Fault::missing_field(fields.path("tool_call_id"), "a string")),
    };
    let called = name.clone().or_else(|| names.get(&call_id).cloned());
    let failed = fields.flag("is_error")?;
    let result = ToolResult { call_id, name: called, parts, failed, cache: mark };
    Ok(Message { role: Role::Tool, name, parts: vec![Part::ToolResult(result)], extras: fields.rest() })
}

/// Joins an older function call, which has no id, and its result.
fn legacy_id(name: &str) -> String {
    format!("call_{name}")
}

/// Thinking comes before words, words before calls: the order in which they were generated.
fn assistant(fields: &mut Fields, content: Vec<Part>, names: &mut Names) -> Result<Vec<Part>, Fault> {
    // OpenAI's answers always have the list, so clients repeat it; empty, it says nothing.
    for notes in ["annotations", "citations"] {
        if fields.peek(notes).and_then(Value::as_array).is_some_and(Vec::is_empty) {
            fields.drop(notes);
        }
    }
    let mut parts = thinking(fields)?;
    parts.extend(content);
    if let Some(signature) = thought_signature(fields) {
        sign_text(&mut parts, signature);
    }
    parts.extend(fields.text("refusal")?.filter(|text| !text.is_empty()).map(Part::Refusal));
    if let Some(audio) = fields.object("audio")? {
        parts.push(Part::Audio(content::audio_reference(audio)?));
    }
    for (k, block) in fields.list("provider_blocks")?.into_iter().enumerate() {
        parts.push(provider_block(Fields::of(block, fields.path(&format!("provider_blocks[{k}]")))?)?);
    }
    for (k, call) in fields.list("tool_calls")?.into_iter().enumerate() {
        let part = tool_call(call, &fields.path(&format!("tool_calls[{k}]")))?;
        if let Part::ToolCall(call) = &part {
            names.insert(call.id.clone(), call.name.clone());
        }
        parts.push(part);
    }
    if let Some(mut legacy) = fields.object("function_call")? {
        let name = legacy.needed_text("name")?;
        let arguments = legacy.text("arguments")?.unwrap_or_default();
        let id = legacy_id(&name);
        names.insert(id.clone(), name.clone());
        parts.push(Part::ToolCall(ToolCall { id, name, arguments, signature: None, cache: None }));
    }
    Ok(parts)
}

/// `thinking_blocks` carry everything; without them the plain text of `reasoning_content`, or of
/// OpenRouter's `reasoning`, is all there is.
fn thinking(fields: &mut Fields) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    for (k, block) in fields.list("thinking_blocks")?.into_iter().enumerate() {
        let mut block = Fields::of(block, fields.path(&format!("thinking_blocks[{k}]")))?;
        let proof = |value| match proof::read(value, Dialect::Anthropic) {
            Proof::Of(_, signature) => Some(signature),
            Proof::Missing => None,
        };
        parts.push(Part::Thinking(Thinking {
            text: block.text("thinking")?.unwrap_or_default(),
            signature: block.text("signature")?.and_then(proof),
            sealed: block.text("data")?.and_then(proof),
        }));
    }
    let (long, short) = (fields.text("reasoning_content")?, fields.text("reasoning")?);
    if parts.is_empty()
        && let Some(text) = long.or(short).filter(|text| !text.is_empty())
    {
        parts.push(Part::Thinking(Thinking { text, ..Thinking::default() }));
    }
    Ok(parts)
}

/// `extra_content.google.thought_signature`; what else stands there stays.
fn thought_signature(fields: &mut Fields) -> Option<Signature> {
    let mut extra = fields.value("extra_content")?;
    let google = extra.get_mut("google").and_then(Value::as_object_mut);
    let value = google.and_then(|google| google.shift_remove("thought_signature"));
    let left = extra.as_object().is_some_and(|extra| {
        extra
            .iter()
            .any(|(key, value)| key != "google" || value.as_object().is_none_or(|google| !google.is_empty()))
    });
    if left {
        fields.put("extra_content", extra);
    }
    Some(Signature { origin: Dialect::Gemini, value: value?.as_str()?.to_owned() })
}

fn sign_text(parts: &mut Vec<Part>, signature: Signature) {
    let last =
        parts.iter_mut().rev().find_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
    match last {
        Some(text) => text.signature = Some(signature),
        None => parts.push(Part::Text(Text { signature: Some(signature), ..Text::default() })),
    }
}

/// A block of another dialect, as `render` emits it.
fn provider_block(mut fields: Fields) -> Result<Part, Fault> {
    let name = fields.needed_text("dialect")?;
    let path = fields.path("dialect");
    let origin = Dialect::ALL.iter().find(|(_, known)| *known == name).map(|(dialect, _)| *dialect);
    let origin = origin.ok_or_else(|| Fault::bad_field(path, "a dialect", "another word"))?;
    Ok(Part::Opaque(Opaque { origin, value: fields.value("block").unwrap_or_default() }))
}

fn tool_call(value: Value, path: &str) -> Result<Part, Fault> {
    // A custom tool's call: its input is no JSON, and only this dialect has it.
    if value.get("type").is_some_and(|kind| kind == "custom") {
        return Ok(Part::Opaque(Opaque { origin: Dialect::OpenAi, value }));
    }
    let mut fields = Fields::of(value, path)?;
    let id = fields.needed_text("id")?;
    let signature = thought_signature(&mut fields);
    let cache = fields.cache()?;
    let mut function = fields
        .object("function")?
        .ok_or_else(|| Fault::missing_field(format!("{path}.function"), "an object"))?;
    let name = function.needed_text("name")?;
    let arguments = match function.value("arguments") {
        None => String::new(),
        Some(Value::String(text)) => text,
        // Clients of lenient servers send the object itself.
        Some(object @ Value::Object(_)) => object.to_string(),
        Some(other) => return Err(function.wrong("arguments", "a string", &other)),
    };
    Ok(Part::ToolCall(ToolCall { id, name, arguments, signature, cache }))
}

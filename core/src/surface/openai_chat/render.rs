//! Whole answers.

use super::words;
use crate::call::{Extras, Part, Text, Thinking, ToolCall};
use crate::dialect::Dialect;
use crate::reply::{Choice, Reply};
use crate::surface::Asked;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// See [`crate::surface::Surface::render`].
pub(super) fn render(reply: &Reply, asked: &Asked) -> Bytes {
    let Reply { id, model, created, choices, usage, origin, extras } = reply;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("id", Value::from(answer_id(id.as_deref(), asked)));
    put("object", Value::from("chat.completion"));
    put("created", Value::from(created.unwrap_or(asked.now_secs)));
    put("model", Value::from(model.as_deref().unwrap_or(&asked.model)));
    put("choices", choices.iter().map(|one| choice(one, *origin)).collect());
    if let Some(usage) = usage {
        put("usage", words::usage(usage, *origin));
        if let Some(tier) = words::service_tier(usage, *origin) {
            put("service_tier", tier.into());
        }
    }
    words::merge(&mut fields, words::shown(extras.clone(), *origin));
    Bytes::from(Value::Object(fields).to_string())
}

/// The provider's id, or one made of the request's.
pub(super) fn answer_id(id: Option<&str>, asked: &Asked) -> String {
    id.map_or_else(|| format!("chatcmpl-{}", asked.request_id), str::to_owned)
}

fn choice(choice: &Choice, origin: Dialect) -> Value {
    let Choice { index, parts, stop, stop_sequence, logprobs, extras, message_extras } = choice;
    let mut message = Message::default();
    parts.iter().for_each(|part| message.part(part));
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("index", Value::from(*index));
    put("message", message.finish(words::shown(message_extras.clone(), origin)));
    put("logprobs", logprobs.clone().unwrap_or(Value::Null));
    put("finish_reason", stop.as_ref().map_or(Value::Null, |stop| words::finish_reason(stop).into()));
    if let Some(sequence) = stop_sequence {
        put("stop_sequence", Value::from(sequence.as_str()));
    }
    words::merge(&mut fields, words::shown(extras.clone(), origin));
    if let Some(native) = stop.as_ref().and_then(words::native_finish_reason) {
        fields.entry("native_finish_reason").or_insert_with(|| native.into());
    }
    Value::Object(fields)
}

/// A message in the making.
#[derive(Default)]
struct Message {
    content: Option<String>,
    /// How many characters the content has so far.
    chars: usize,
    refusal: Option<String>,
    reasoning: String,
    fields: Map<String, Value>,
}

impl Message {
    fn part(&mut self, part: &Part) {
        match part {
            Part::Text(text) => self.text(text),
            Part::Thinking(thinking) => self.thinking(thinking),
            Part::Refusal(text) => self.refusal.get_or_insert_default().push_str(text),
            Part::ToolCall(call) => self.tool_call(call),
            Part::Image(image) => self.push("images", words::image(image)),
            Part::Audio(audio) => {
                let Value::Object(more) = words::audio(audio) else { return };
                let whole = self.fields.entry("audio").or_insert_with(|| json!({}));
                whole.as_object_mut().into_iter().for_each(|whole| join_audio(whole, more.clone()));
            }
            Part::Opaque(block) => {
                let (field, values) = words::opaque(block);
                values.into_iter().for_each(|value| self.push(field, value));
            }
            // No provider answers with these.
            Part::Video(_) | Part::Document(_) | Part::ToolResult(_) => {}
        }
    }

    fn text(&mut self, text: &Text) {
        let Text { text, cache: _, signature, citations } = text;
        let content = self.content.get_or_insert_default();
        let start = self.chars;
        self.chars += text.chars().count();
        content.push_str(text);
        if let Some(signature) = signature {
            self.fields.insert("extra_content".to_owned(), words::extra_content(signature));
        }
        if let Some(citation) = citations {
            let (field, values) = words::citations(citation);
            values.into_iter().for_each(|value| self.push(field, value));
            let known = words::annotations(citation, start..self.chars);
            known.into_iter().for_each(|value| self.push("annotations", value));
        }
    }

    fn thinking(&mut self, thinking: &Thinking) {
        let Thinking { text, signature, sealed } = thinking;
        self.reasoning.push_str(text);
        // What another server of this dialect proves stands among its extras as it came.
        let sealed = sealed.as_ref().filter(|sealed| sealed.origin != Dialect::OpenAi);
        if let Some(sealed) = sealed {
            let (field, block) = words::sealed_block(sealed);
            self.push(field, block);
        }
        match signature {
            Some(signature) if signature.origin == Dialect::Gemini => {
                self.fields.insert("extra_content".to_owned(), words::extra_content(signature));
            }
            Some(signature) if signature.origin == Dialect::OpenAi => {}
            Some(signature) => self.push("thinking_blocks", words::thinking_block(text, Some(signature))),
            None => {}
        }
    }

    fn tool_call(&mut self, call: &ToolCall) {
        let ToolCall { id, name, arguments, signature, cache: _ } = call;
        let mut value = json!({
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": words::arguments(arguments)},
        });
        if let (Some(signature), Some(fields)) = (signature, value.as_object_mut()) {
            fields.insert("extra_content".to_owned(), words::extra_content(signature));
        }
        self.push("tool_calls", value);
    }

    fn push(&mut self, field: &str, value: Value) {
        let list = self.fields.entry(field).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
    }

    fn finish(self, extras: Extras) -> Value {
        let Self { content, chars: _, refusal, reasoning, fields } = self;
        let mut message = Map::new();
        let mut put = |key: &str, value: Value| message.insert(key.to_owned(), value);
        put("role", Value::from("assistant"));
        // An answer without words is empty text, unless it says something else.
        let silent = refusal.is_some() || fields.contains_key("tool_calls") || fields.contains_key("audio");
        let content = content.filter(|text| !(text.is_empty() && silent));
        put("content", content.map_or_else(|| if silent { Value::Null } else { "".into() }, Value::from));
        put("refusal", refusal.map_or(Value::Null, Value::from));
        if !reasoning.is_empty() {
            put("reasoning_content", Value::from(reasoning));
        }
        message.extend(fields);
        words::merge(&mut message, extras);
        Value::Object(message)
    }
}

/// Pieces of sound: texts are continued, all else is replaced.
fn join_audio(whole: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (whole.get_mut(&key), value) {
            (Some(Value::String(text)), Value::String(more)) if key != "id" => text.push_str(&more),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

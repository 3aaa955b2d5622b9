//! What whole answers and streams have in common: the dialect's words and small objects.

use crate::call::{Extras, Image, MediaSource, Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::json::Tape;
use crate::surface::Asked;
use crate::units::Tokens;
use crate::usage::{Usage, UsageParts};
use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// What an answer repeats of its request, with what stands there if the request does not say it.
const ECHOED: &[(&str, Unsaid)] = &[
    ("instructions", Unsaid::Null),
    ("max_output_tokens", Unsaid::Null),
    ("max_tool_calls", Unsaid::Null),
    ("parallel_tool_calls", Unsaid::True),
    ("previous_response_id", Unsaid::Null),
    ("prompt_cache_key", Unsaid::Null),
    ("reasoning", Unsaid::Reasoning),
    ("safety_identifier", Unsaid::Null),
    ("temperature", Unsaid::One),
    ("text", Unsaid::Text),
    ("tool_choice", Unsaid::Auto),
    ("tools", Unsaid::List),
    ("top_logprobs", Unsaid::Zero),
    ("top_p", Unsaid::One),
    ("truncation", Unsaid::Disabled),
    ("user", Unsaid::Null),
    ("metadata", Unsaid::Object),
];

#[derive(Clone, Copy)]
enum Unsaid {
    Null,
    True,
    Zero,
    One,
    Auto,
    Disabled,
    List,
    Object,
    Reasoning,
    Text,
}

impl Unsaid {
    fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::True => true.into(),
            Self::Zero => 0.into(),
            Self::One => 1.0.into(),
            Self::Auto => "auto".into(),
            Self::Disabled => "disabled".into(),
            Self::List => json!([]),
            Self::Object => json!({}),
            Self::Reasoning => json!({"effort": null, "summary": null}),
            Self::Text => json!({"format": {"type": "text"}}),
        }
    }
}

/// A response in which nothing has been said.
pub(super) struct Echo {
    fields: Map<String, Value>,
}

impl Echo {
    /// What the request says of the response.
    pub(super) fn of(asked: &Asked) -> Self {
        let tape = Tape::parse(&asked.body).ok();
        let mut fields = Map::new();
        fields.insert("id".to_owned(), format!("resp_{}", asked.request_id).into());
        fields.insert("object".to_owned(), "response".into());
        fields.insert("created_at".to_owned(), asked.now_secs.into());
        fields.insert("status".to_owned(), "in_progress".into());
        fields.insert("background".to_owned(), false.into());
        fields.insert("completed_at".to_owned(), Value::Null);
        fields.insert("error".to_owned(), Value::Null);
        fields.insert("incomplete_details".to_owned(), Value::Null);
        fields.insert("model".to_owned(), asked.model.as_str().into());
        fields.insert("output".to_owned(), json!([]));
        for (key, default) in ECHOED {
            let asked = tape.as_ref().and_then(|tape| tape.root().get(key)).filter(|value| !value.is_null());
            let asked = asked.and_then(|value| serde_json::from_slice(value.raw()).ok());
            let value = match (asked, default.value()) {
                // Of an object each field has a default of its own.
                (Some(Value::Object(said)), Value::Object(mut all)) => {
                    all.extend(said);
                    Value::Object(all)
                }
                (said, default) => said.unwrap_or(default),
            };
            fields.insert((*key).to_owned(), value);
        }
        fields.insert("service_tier".to_owned(), "default".into());
        // Nothing is kept here.
        fields.insert("store".to_owned(), false.into());
        fields.insert("usage".to_owned(), Value::Null);
        Self { fields }
    }

    /// Sets a field that the answer tells.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.fields.insert(key.to_owned(), value);
    }

    /// The response as it is when it begins.
    pub(super) fn response(&self) -> Map<String, Value> {
        self.fields.clone()
    }
}

/// Says how a response ended.
pub(super) fn end(response: &mut Map<String, Value>, status: &str, reason: Option<&str>) {
    response.insert("status".to_owned(), status.into());
    response.insert(
        "incomplete_details".to_owned(),
        reason.map_or(Value::Null, |reason| json!({"reason": reason})),
    );
}

/// One event.
pub(super) fn frame(kind: &str, event: &Value, out: &mut BytesMut) {
    out.put_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
}

/// The number of the event after this one.
pub(super) fn sequence_after(data: &[u8]) -> u64 {
    let number = |tape: &Tape<'_>| tape.root().get("sequence_number")?.as_u64();
    Tape::parse(data).ok().and_then(|tape| number(&tape)).map_or(0, |number| number.saturating_add(1))
}

/// Whether a part is a piece of a message, and not an item of its own.
pub(super) fn is_content(part: &Part) -> bool {
    match part {
        Part::Text(_)
        | Part::Image(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::Refusal(_) => true,
        Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) | Part::Opaque(_) => false,
    }
}

/// A proof of this dialect's own with the id of its item, as the canonical form keeps it.
pub(super) fn with_id(proof: Signature, id: Option<&str>) -> Signature {
    match proof.origin {
        Dialect::OpenAiResponses if !proof.value.contains(':') => {
            let id = id.filter(|id| !id.contains(':')).unwrap_or_default();
            Signature { value: format!("{id}:{}", proof.value), ..proof }
        }
        Dialect::OpenAiResponses
        | Dialect::OpenAi
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama => proof,
    }
}

/// The same taken apart again: the item's id, where it has one, and what is encrypted.
pub(super) fn own(proof: &str) -> Own<'_> {
    let (id, encrypted) = proof.split_once(':').unwrap_or(("", proof));
    Own { id: Some(id).filter(|id| !id.is_empty()), encrypted }
}

/// A proof of this dialect's own.
#[derive(Default)]
pub(super) struct Own<'p> {
    pub(super) id: Option<&'p str>,
    pub(super) encrypted: &'p str,
}

/// Annotations of a text in this dialect's form. `cited` is the text they speak of, in characters of
/// the part's.
pub(super) fn annotations(citation: &Opaque, cited: &Range<usize>) -> Vec<Value> {
    let list = citation.value.as_array().map_or(std::slice::from_ref(&citation.value), Vec::as_slice);
    match citation.origin {
        Dialect::OpenAiResponses => list.to_vec(),
        Dialect::OpenAi
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama => list.iter().filter_map(|one| annotation(one, cited)).collect(),
    }
}

fn annotation(citation: &Value, cited: &Range<usize>) -> Option<Value> {
    let page = citation.get("url_citation").unwrap_or(citation);
    let url = page.get("url").or_else(|| page.get("uri"))?.as_str()?;
    let title = page.get("title").and_then(Value::as_str).unwrap_or_default();
    let at = |key: &str, unsaid: usize| page.get(key).and_then(Value::as_u64).unwrap_or(unsaid as u64);
    Some(json!({
        "type": "url_citation",
        "start_index": at("start_index", cited.start),
        "end_index": at("end_index", cited.end),
        "url": url,
        "title": title,
    }))
}

/// A picture that the model has made, as the tool call that stands for it here. One that is only an
/// address has no such form.
pub(super) fn picture(image: &Image, id: &str) -> Option<Value> {
    let Image { source, detail: _, cache: _ } = image;
    let MediaSource::Inline { media_type, data } = source else { return None };
    let format = media_type.strip_prefix("image/").unwrap_or("png");
    Some(
        json!({"id": id, "type": "image_generation_call", "status": "completed", "output_format": format, "result": data}),
    )
}

/// A custom tool's call in chat's form as an item.
pub(super) fn custom_call(block: &Value, id: &str) -> Option<Value> {
    let custom = block.get("custom").filter(|_| block.get("type").is_some_and(|kind| kind == "custom"))?;
    let (name, input) = (custom.get("name")?, custom.get("input")?);
    let call_id = block.get("id")?;
    Some(
        json!({"id": id, "type": "custom_tool_call", "status": "completed", "call_id": call_id, "name": name, "input": input}),
    )
}

/// Extra fields as they are shown: those of this dialect as they stood, those of another in
/// `provider_fields`, under its name, so that none is taken for a field of this dialect.
pub(super) fn shown(extras: Extras, origin: Dialect) -> Extras {
    match origin {
        Dialect::OpenAiResponses => extras,
        Dialect::OpenAi
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
            if extras.is_empty() =>
        {
            extras
        }
        Dialect::OpenAi
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama => {
            let own = Map::from_iter([(origin.name().to_owned(), Value::Object(extras))]);
            Map::from_iter([("provider_fields".to_owned(), Value::Object(own))])
        }
    }
}

/// The tier that served the call, in this dialect's word for it.
pub(super) fn service_tier(usage: &Usage, origin: Dialect) -> Option<&str> {
    let tier = match origin {
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Bedrock | Dialect::Cohere | Dialect::Ollama => {
            return usage.service_tier.as_deref();
        }
        Dialect::Anthropic => usage.extras.get("service_tier"),
        Dialect::Gemini => usage.extras.get("serviceTier"),
    };
    match tier?.as_str()? {
        "standard" => Some("default"),
        other => Some(other),
    }
}

/// Usage in the inclusive convention, with every field that typed clients require.
pub(super) fn usage(usage: &Usage, origin: Dialect) -> Value {
    let UsageParts {
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
        text_input,
        text_output,
        tool_input: _,
        accepted_prediction: _,
        rejected_prediction: _,
        web_searches: _,
        instead: _,
    } = &usage.parts;
    let mut input = Map::new();
    count(&mut input, "cached_tokens", Some(usage.cache_read));
    count(&mut input, "cache_write_tokens", Some(usage.cache_write()));
    count(&mut input, "audio_tokens", *audio_input);
    count(&mut input, "image_tokens", *image_input);
    count(&mut input, "text_tokens", *text_input);
    let mut output = Map::new();
    count(&mut output, "reasoning_tokens", Some(reasoning.unwrap_or_default()));
    count(&mut output, "audio_tokens", *audio_output);
    count(&mut output, "image_tokens", *image_output);
    count(&mut output, "text_tokens", *text_output);
    let mut all = Map::new();
    count(&mut all, "input_tokens", Some(usage.prompt()));
    all.insert("input_tokens_details".to_owned(), Value::Object(input));
    count(&mut all, "output_tokens", Some(usage.output));
    all.insert("output_tokens_details".to_owned(), Value::Object(output));
    count(&mut all, "total_tokens", Some(usage.total()));
    for (key, value) in shown(usage.extras.clone(), origin) {
        let name = match key.as_str() {
            "prompt_tokens_details" => "input_tokens_details",
            "completion_tokens_details" => "output_tokens_details",
            other => other,
        };
        match (all.get_mut(name), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => {
                for (key, value) in more {
                    inner.entry(key).or_insert(value);
                }
            }
            (Some(_), _) => {}
            (None, value) => drop(all.insert(key, value)),
        }
    }
    Value::Object(all)
}

fn count(fields: &mut Map<String, Value>, key: &str, tokens: Option<Tokens>) {
    fields.extend(tokens.map(|tokens| (key.to_owned(), Value::from(tokens.get()))));
}

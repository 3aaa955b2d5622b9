//! What whole answers and streams have in common: the dialect's words and small objects.

use crate::call::{Audio, Extras, Image, MediaSource, Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::reply::Stop;
use crate::surface::Asked;
use crate::surface::proof::{self, Of};
use crate::usage::{Usage, UsageParts};
use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value, json};

/// Appends one event.
pub(super) fn frame(event: &str, data: &Value, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(event.as_bytes());
    out.put_slice(b"\ndata: ");
    out.put_slice(data.to_string().as_bytes());
    out.put_slice(b"\n\n");
}

/// An id such as the dialect's: the provider's with `msg_` before it, or one made of the request's.
pub(super) fn message_id(id: Option<&str>, asked: &Asked) -> String {
    let Some(id) = id else { return format!("msg_{}", asked.request_id) };
    if id.starts_with("msg_") {
        return id.to_owned();
    }
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    format!("msg_{}", id.chars().map(plain).collect::<String>())
}

/// Why an answer ended. An answer in which the model declined is a refusal, whatever else is said.
pub(super) fn stop_reason(stop: &Stop, refusal: &str) -> &'static str {
    match stop {
        Stop::Filtered => "refusal",
        Stop::End | Stop::Other(_) | Stop::Malformed if !refusal.is_empty() => "refusal",
        Stop::End | Stop::Malformed | Stop::Other(_) => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::ContextFull => "model_context_window_exceeded",
        Stop::ToolUse => "tool_use",
        Stop::Paused => "pause_turn",
    }
}

/// What the reasons do not say.
pub(super) fn native_stop_reason(stop: &Stop) -> Option<&str> {
    match stop {
        Stop::Malformed => Some("malformed"),
        Stop::Other(word) => Some(word),
        Stop::End
        | Stop::Sequence
        | Stop::Length
        | Stop::ContextFull
        | Stop::ToolUse
        | Stop::Filtered
        | Stop::Paused => None,
    }
}

/// What is said of a refusal: the provider's own details, else the words it declined with.
pub(super) fn stop_details(reason: &str, refusal: &str, own: Option<&Value>) -> Value {
    match own {
        Some(details) => details.clone(),
        None if reason == "refusal" => {
            let said = if refusal.is_empty() { Value::Null } else { refusal.into() };
            json!({"type": "refusal", "category": null, "explanation": said})
        }
        None => Value::Null,
    }
}

/// Usage in the exclusive convention. The provider's further counts follow where they are in this
/// dialect's own words.
pub(super) fn usage(usage: &Usage, origin: Dialect) -> Value {
    let UsageParts {
        reasoning,
        audio_input: _,
        audio_output: _,
        image_input: _,
        image_output: _,
        text_input: _,
        text_output: _,
        tool_input: _,
        accepted_prediction: _,
        rejected_prediction: _,
        web_searches,
        instead: _,
    } = &usage.parts;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("input_tokens", usage.fresh_input.get().into());
    put("cache_creation_input_tokens", usage.cache_write().get().into());
    put("cache_read_input_tokens", usage.cache_read.get().into());
    let (five, hour) = (usage.cache_write_5m.get(), usage.cache_write_1h.get());
    put("cache_creation", json!({"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}));
    put("output_tokens", usage.output.get().into());
    if let Some(reasoning) = reasoning {
        put("output_tokens_details", json!({"thinking_tokens": reasoning.get()}));
    }
    if let Some(searches) = web_searches {
        put("server_tool_use", json!({"web_search_requests": searches.get(), "web_fetch_requests": 0}));
    }
    if let Some(tier) = service_tier(usage, origin) {
        put("service_tier", tier.into());
    }
    if origin == Dialect::Anthropic {
        for (key, value) in &usage.extras {
            fields.insert(key.clone(), value.clone());
        }
    }
    Value::Object(fields)
}

/// The tier that served the call, in the words of this dialect, which knows three.
fn service_tier(usage: &Usage, origin: Dialect) -> Option<&'static str> {
    let word = match origin {
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Bedrock | Dialect::Cohere | Dialect::Ollama => {
            usage.service_tier.as_deref()?
        }
        Dialect::Anthropic => return None,
        Dialect::Gemini => usage.extras.get("serviceTier")?.as_str()?,
    };
    match word {
        "default" | "standard" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}

/// A thinking block.
pub(super) fn thinking(text: &str, signature: &str) -> Value {
    json!({"type": "thinking", "thinking": text, "signature": signature})
}

/// A proof as a thinking block of its own.
pub(super) fn bare_proof(proof: &Signature, of: Of) -> Value {
    thinking("", &proof::write_to(Dialect::Anthropic, proof, of))
}

/// Sealed thinking.
pub(super) fn sealed(sealed: &Signature) -> Value {
    json!({"type": "redacted_thinking", "data": proof::write_to(Dialect::Anthropic, sealed, Of::Thinking)})
}

/// The input of a tool as an object. What is none is put into one, so that nothing of it is lost.
pub(super) fn input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    let object = serde_json::from_str(arguments).ok().filter(Value::is_object);
    object.unwrap_or_else(|| json!({"arguments": arguments}))
}

/// Citations as this dialect writes them. Those of another are kept where they cite a page of the web, or
/// a place in a document.
pub(super) fn citations(citation: &Opaque) -> Vec<Value> {
    let list = citation.value.as_array().cloned().unwrap_or_else(|| vec![citation.value.clone()]);
    match citation.origin {
        Dialect::Anthropic => list,
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Gemini => list.iter().filter_map(page).collect(),
    }
}

/// Citations of another dialect that cite no page, for `provider_fields`.
pub(super) fn other_citations(citation: &Opaque) -> Value {
    let list = citation.value.as_array().map_or(std::slice::from_ref(&citation.value), Vec::as_slice);
    let others = list.iter().filter(|one| citation.origin != Dialect::Anthropic && page(one).is_none());
    others.cloned().collect()
}

/// What Bedrock calls the places in a document, and their names here.
const PLACES: [(&str, &str, &str, &str); 3] = [
    ("documentPage", "page_location", "start_page_number", "end_page_number"),
    ("documentChar", "char_location", "start_char_index", "end_char_index"),
    ("documentChunk", "content_block_location", "start_block_index", "end_block_index"),
];

/// A citation of Bedrock's of a document.
fn place(citation: &Value) -> Option<Value> {
    let location = citation.get("location")?;
    let known = PLACES.iter().find_map(|place| Some((place, location.get(place.0)?)));
    let ((_, kind, start, end), at) = known?;
    let cited = citation.get("sourceContent").and_then(Value::as_array).into_iter().flatten();
    let cited: String = cited.filter_map(|piece| piece.get("text")?.as_str()).collect();
    Some(json!({
        "type": kind,
        "cited_text": cited,
        "document_index": at.get("documentIndex"),
        "document_title": citation.get("title"),
        *start: at.get("start"),
        *end: at.get("end"),
    }))
}

fn page(citation: &Value) -> Option<Value> {
    let page = citation.get("url_citation").unwrap_or(citation);
    let url = page.get("url").or_else(|| page.get("uri")).and_then(Value::as_str);
    let Some(url) = url else { return place(citation) };
    let title = page.get("title").cloned().unwrap_or(Value::Null);
    Some(json!({
        "type": "web_search_result_location",
        "url": url,
        "title": title,
        "cited_text": "",
        "encrypted_index": "",
    }))
}

/// A part that comes whole, as a block; `None` for what the dialect has no block for.
pub(super) fn whole_block(part: &Part) -> Option<Value> {
    match part {
        Part::Image(image) => Some(self::image(image)),
        Part::Audio(Audio { source: _, id: _, transcript, expires_at: _ }) => {
            transcript.as_ref().map(|words| json!({"type": "text", "text": words}))
        }
        Part::Opaque(Opaque { origin: Dialect::Anthropic, value }) => Some(value.clone()),
        Part::Opaque(_) => None,
        // These come otherwise, or in no answer.
        Part::Text(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::Thinking(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_) => None,
    }
}

/// A block of another dialect that has no place among the content, for `provider_fields`.
pub(super) fn other_block(part: &Part) -> Option<&Value> {
    match part {
        Part::Opaque(Opaque {
            origin:
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Gemini,
            value,
        }) => Some(value),
        Part::Opaque(_)
        | Part::Text(_)
        | Part::Image(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::Thinking(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_) => None,
    }
}

fn image(image: &Image) -> Value {
    let Image { source, detail: _, cache: _ } = image;
    let source = match source {
        MediaSource::Inline { media_type, data } => {
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        MediaSource::Url { url, media_type: _ } => json!({"type": "url", "url": url}),
        MediaSource::File { id, media_type: _, origin: _ } => json!({"type": "file", "file_id": id}),
    };
    json!({"type": "image", "source": source})
}

/// Fields of another provider's answer, gathered under its name; of this dialect's own, as they stood.
pub(super) fn provider_fields(extras: Extras, origin: Dialect) -> Extras {
    match origin {
        Dialect::Anthropic => extras,
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Gemini
            if extras.is_empty() =>
        {
            extras
        }
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Gemini => {
            let own = Map::from_iter([(origin.name().to_owned(), Value::Object(extras))]);
            Map::from_iter([("provider_fields".to_owned(), Value::Object(own))])
        }
    }
}

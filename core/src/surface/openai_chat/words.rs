//! What whole answers and streams have in common: the dialect's words and small objects.

use crate::call::{Audio, Extras, Image, MediaSource, Opaque, Signature};
use crate::dialect::Dialect;
use crate::reply::Stop;
use crate::surface::proof::{self, Of};
use crate::units::Tokens;
use crate::usage::{Usage, UsageParts};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// Why an answer ended, in OpenAI's five words.
pub(super) fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence | Stop::Paused | Stop::Malformed | Stop::Other(_) => "stop",
        Stop::Length | Stop::ContextFull => "length",
        Stop::ToolUse => "tool_calls",
        Stop::Filtered => "content_filter",
    }
}

/// What the five words do not say, for `native_finish_reason`, as OpenRouter calls it.
pub(super) fn native_finish_reason(stop: &Stop) -> Option<&str> {
    match stop {
        Stop::End | Stop::Sequence | Stop::Length | Stop::ToolUse | Stop::Filtered => None,
        Stop::Paused => Some("pause_turn"),
        Stop::Malformed => Some("malformed"),
        Stop::ContextFull => Some("model_context_window_exceeded"),
        Stop::Other(word) => Some(word),
    }
}

/// A signed thinking block, in the form `messages[].thinking_blocks` accepts back. The form is
/// Anthropic's, and so are its signatures, unless they say otherwise.
pub(super) fn thinking_block(text: &str, signature: Option<&Signature>) -> Value {
    match signature {
        Some(signature) => {
            let own = match signature.origin {
                Dialect::OpenAiResponses => Dialect::Anthropic,
                origin @ (Dialect::OpenAi
                | Dialect::Anthropic
                | Dialect::Gemini
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama) => origin,
            };
            let signature = proof::write_to(own, signature, Of::Thinking);
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        None => json!({"type": "thinking", "thinking": text}),
    }
}

/// Where a sealed block goes.
pub(super) fn sealed_block(sealed: &Signature) -> (&'static str, Value) {
    match sealed.origin {
        Dialect::Anthropic => ("thinking_blocks", json!({"type": "redacted_thinking", "data": sealed.value})),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Gemini => {
            ("reasoning_details", json!({"type": "reasoning.encrypted", "data": sealed.value}))
        }
    }
}

/// Google's own field for its proofs.
pub(super) fn extra_content(signature: &Signature) -> Value {
    json!({"google": {"thought_signature": signature.value}})
}

/// Where citations go, and each of them.
pub(super) fn citations(citation: &Opaque) -> (&'static str, Vec<Value>) {
    let field = match citation.origin {
        Dialect::OpenAi => "annotations",
        Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic
        | Dialect::Gemini => "citations",
    };
    let list = citation.value.as_array().cloned();
    (field, list.unwrap_or_else(|| vec![citation.value.clone()]))
}

/// What citations say in this dialect's own form, which knows only those of web pages. `cited` is the
/// text they speak of, in characters of the content. They also stand in `citations`, whole.
pub(super) fn annotations(citation: &Opaque, cited: Range<usize>) -> Vec<Value> {
    match citation.origin {
        Dialect::OpenAi => Vec::new(),
        Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic
        | Dialect::Gemini => {
            let list = citation.value.as_array().map_or(std::slice::from_ref(&citation.value), Vec::as_slice);
            list.iter().filter_map(|one| annotation(one, &cited)).collect()
        }
    }
}

fn annotation(citation: &Value, cited: &Range<usize>) -> Option<Value> {
    let url = citation.get("url")?.as_str()?;
    let title = citation.get("title").and_then(Value::as_str).unwrap_or_default();
    let at = |key: &str, unsaid: usize| citation.get(key).cloned().unwrap_or_else(|| unsaid.into());
    let (start, end) = (at("start_index", cited.start), at("end_index", cited.end));
    let page = json!({"url": url, "title": title, "start_index": start, "end_index": end});
    Some(json!({"type": "url_citation", "url_citation": page}))
}

/// Extra fields as they are shown: those of this dialect as they stood, those of another in
/// `provider_fields`, under its name, so that none is taken for a field of this dialect.
pub(super) fn shown(extras: Extras, origin: Dialect) -> Extras {
    match origin {
        Dialect::OpenAi => extras,
        Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic
        | Dialect::Gemini
            if extras.is_empty() =>
        {
            extras
        }
        Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic
        | Dialect::Gemini => {
            let own = Map::from_iter([(origin.name().to_owned(), Value::Object(extras))]);
            Map::from_iter([("provider_fields".to_owned(), Value::Object(own))])
        }
    }
}

/// The tier that served the call, in this dialect's word for it. Upstreams of this dialect send it
/// themselves.
pub(super) fn service_tier(usage: &Usage, origin: Dialect) -> Option<&str> {
    let tier = match origin {
        Dialect::OpenAi => None,
        Dialect::OpenAiResponses => return usage.service_tier.as_deref(),
        Dialect::Anthropic => usage.extras.get("service_tier"),
        Dialect::Gemini => usage.extras.get("serviceTier"),
        Dialect::Bedrock | Dialect::Cohere | Dialect::Ollama => return usage.service_tier.as_deref(),
    };
    match tier?.as_str()? {
        "standard" => Some("default"),
        other => Some(other),
    }
}

/// A block that only its own dialect understands: citations among them are shown as such, the rest
/// stands in `provider_blocks`, which is accepted back.
pub(super) fn opaque(block: &Opaque) -> (&'static str, Vec<Value>) {
    let kind = block.value.get("type").and_then(Value::as_str).unwrap_or_default();
    let cites = block.value.is_array() || kind.ends_with("_location") || kind.ends_with("_citation");
    if cites {
        return citations(block);
    }
    if block.origin == Dialect::OpenAi && kind == "custom" {
        return ("tool_calls", vec![block.value.clone()]);
    }
    ("provider_blocks", vec![json!({"dialect": block.origin.name(), "block": block.value})])
}

/// A picture, as OpenRouter and Google's endpoint send it.
pub(super) fn image(image: &Image) -> Value {
    let Image { source, detail: _, cache: _ } = image;
    json!({"type": "image_url", "image_url": {"url": url_of(source)}})
}

/// A medium as one URL.
pub(super) fn url_of(source: &MediaSource) -> String {
    match source {
        MediaSource::Inline { media_type, data } => format!("data:{media_type};base64,{data}"),
        MediaSource::Url { url, media_type: _ } => url.clone(),
        MediaSource::File { id, media_type: _, origin: _ } => id.clone(),
    }
}

/// Generated sound, or a piece of it.
pub(super) fn audio(audio: &Audio) -> Value {
    let Audio { source, id, transcript, expires_at } = audio;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        fields.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("id", id.as_deref().map(Value::from));
    let data = source.as_ref().map(|source| match source {
        MediaSource::Inline { media_type: _, data } => data.clone(),
        other @ (MediaSource::Url { .. } | MediaSource::File { .. }) => url_of(other),
    });
    put("data", data.map(Value::from));
    put("transcript", transcript.as_deref().map(Value::from));
    put("expires_at", expires_at.map(Value::from));
    Value::Object(fields)
}

/// Arguments as clients can parse them: no text at all is meant to be no arguments.
pub(super) fn arguments(text: &str) -> &str {
    if text.trim().is_empty() { "{}" } else { text }
}

/// Usage in the inclusive convention. Both details objects are always there, since typed clients
/// require them; then the provider's further fields, where they stood.
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
        accepted_prediction,
        rejected_prediction,
        web_searches,
        instead: _,
    } = &usage.parts;
    let mut input = Map::new();
    count(&mut input, "cached_tokens", Some(usage.cache_read));
    count(&mut input, "cache_write_tokens", Some(usage.cache_write()));
    count(&mut input, "audio_tokens", Some(audio_input.unwrap_or_default()));
    count(&mut input, "image_tokens", *image_input);
    count(&mut input, "text_tokens", *text_input);
    let mut output = Map::new();
    count(&mut output, "reasoning_tokens", Some(reasoning.unwrap_or_default()));
    count(&mut output, "audio_tokens", Some(audio_output.unwrap_or_default()));
    count(&mut output, "accepted_prediction_tokens", Some(accepted_prediction.unwrap_or_default()));
    count(&mut output, "rejected_prediction_tokens", Some(rejected_prediction.unwrap_or_default()));
    count(&mut output, "image_tokens", *image_output);
    count(&mut output, "text_tokens", *text_output);
    let mut all = Map::new();
    count(&mut all, "prompt_tokens", Some(usage.prompt()));
    count(&mut all, "completion_tokens", Some(usage.output));
    count(&mut all, "total_tokens", Some(usage.total()));
    all.insert("prompt_tokens_details".to_owned(), Value::Object(input));
    all.insert("completion_tokens_details".to_owned(), Value::Object(output));
    count(&mut all, "num_search_queries", web_searches.map(|searches| Tokens(searches.get())));
    merge(&mut all, shown(usage.extras.clone(), origin));
    Value::Object(all)
}

fn count(fields: &mut Map<String, Value>, key: &str, tokens: Option<Tokens>) {
    fields.extend(tokens.map(|tokens| (key.to_owned(), Value::from(tokens.get()))));
}

/// Adds further fields without touching those that are there; objects of both are joined.
pub(super) fn merge(fields: &mut Map<String, Value>, more: Extras) {
    for (key, value) in more {
        match (fields.get_mut(&key), value) {
            (None, value) => {
                fields.insert(key, value);
            }
            (Some(Value::Object(inner)), Value::Object(more)) => {
                for (key, value) in more {
                    inner.entry(key).or_insert(value);
                }
            }
            (Some(_), _) => {}
        }
    }
}

/// Joins extra fields of two events: later ones replace earlier ones, but what stands in
/// `provider_fields` is joined by name.
pub(super) fn join(into: &mut Extras, more: Extras) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(all)), Value::Object(more)) if key == "provider_fields" => {
                more.into_iter().for_each(|(name, fields)| join_named(all, name, fields));
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn join_named(all: &mut Extras, name: String, fields: Value) {
    match (all.get_mut(&name), fields) {
        (Some(Value::Object(earlier)), Value::Object(later)) => earlier.extend(later),
        (_, fields) => {
            all.insert(name, fields);
        }
    }
}

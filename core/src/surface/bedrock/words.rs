//! What whole answers and streams have in common: the dialect's words and small objects.

use crate::call::{Audio, Extras, Image, MediaSource, Opaque, Part};
use crate::dialect::Dialect;
use crate::reply::Stop;
use crate::surface::fields;
use crate::usage::Usage;
use serde_json::{Map, Value, json};

/// Whether the model itself has declined, for which this dialect has no word but the filter's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Declined {
    #[default]
    No,
    Yes,
}

/// Why an answer ended.
pub(super) fn stop_reason(stop: &Stop, declined: Declined) -> &'static str {
    match stop {
        Stop::End | Stop::Malformed | Stop::Other(_) if declined == Declined::Yes => "content_filtered",
        Stop::End | Stop::Paused | Stop::Other(_) => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::ContextFull => "model_context_window_exceeded",
        Stop::ToolUse => "tool_use",
        Stop::Filtered => "content_filtered",
        Stop::Malformed => "malformed_model_output",
    }
}

/// Counts in the exclusive convention.
pub(super) fn usage(usage: &Usage) -> Value {
    let (input, output) = (usage.fresh_input.get(), usage.output.get());
    let mut counts = json!({
        "inputTokens": input,
        "outputTokens": output,
        "totalTokens": usage.total().get(),
        "cacheReadInputTokens": usage.cache_read.get(),
        "cacheWriteInputTokens": usage.cache_write().get(),
    });
    let lives = [("5m", usage.cache_write_5m), ("1h", usage.cache_write_1h)];
    let details: Vec<Value> = lives
        .iter()
        .filter(|(_, tokens)| !tokens.is_zero())
        .map(|(ttl, tokens)| json!({"ttl": ttl, "inputTokens": tokens.get()}))
        .collect();
    if let (Some(counts), false) = (counts.as_object_mut(), details.is_empty()) {
        counts.insert("cacheDetails".to_owned(), Value::Array(details));
    }
    counts
}

/// Fields of the provider as they are shown: Bedrock's own where they stood, those of another in
/// `additionalModelResponseFields`, under its name.
pub(super) fn shown(extras: &Extras, origin: Dialect) -> Extras {
    match origin {
        Dialect::Bedrock => extras.clone(),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Cohere
        | Dialect::Ollama
            if extras.is_empty() =>
        {
            Extras::new()
        }
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Cohere
        | Dialect::Ollama => {
            let own = Map::from_iter([(origin.name().to_owned(), Value::Object(extras.clone()))]);
            Map::from_iter([("additionalModelResponseFields".to_owned(), Value::Object(own))])
        }
    }
}

/// Clients index these; how long the model took is not known here unless Bedrock said so.
pub(super) fn add_metrics(fields: &mut Map<String, Value>) {
    fields.entry("metrics").or_insert_with(|| json!({"latencyMs": 0}));
}

/// Arguments as an object; a model that wrote something else is shown with what it wrote.
pub(super) fn input(arguments: &str) -> Value {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let object = serde_json::from_str(text).ok().filter(Value::is_object);
    object.unwrap_or_else(|| json!({"arguments": arguments}))
}

/// What the reasons to stop do not say.
pub(super) fn native_stop_reason(stop: &Stop) -> Option<&str> {
    match stop {
        Stop::Paused => Some("pause_turn"),
        Stop::Other(word) => Some(word),
        Stop::End
        | Stop::Sequence
        | Stop::Length
        | Stop::ContextFull
        | Stop::ToolUse
        | Stop::Filtered
        | Stop::Malformed => None,
    }
}

/// Keeps what came in another dialect and has no place among the content, in a list of the fields.
pub(super) fn keep(others: &Opaque, list: &str, fields: &mut Extras) {
    if others.origin != Dialect::Bedrock {
        fields::gather(fields, list, others.value.clone());
    }
}

/// Citations in this dialect's form, where they came in it.
pub(super) fn citations(citation: &Opaque) -> Option<&Value> {
    (citation.origin == Dialect::Bedrock).then_some(&citation.value)
}

/// The block of a part that does not come in pieces, where there is one.
pub(super) fn whole_block(part: &Part) -> Option<Value> {
    match part {
        Part::Image(Image { source: MediaSource::Inline { media_type, data }, detail: _, cache: _ }) => {
            let format = media_type.strip_prefix("image/").unwrap_or("png");
            Some(json!({"image": {"format": format, "source": {"bytes": data}}}))
        }
        Part::Audio(Audio { transcript: Some(words), source: _, id: _, expires_at: _ }) => {
            Some(json!({"text": words}))
        }
        Part::Opaque(Opaque { origin: Dialect::Bedrock, value }) => Some(value.clone()),
        Part::Text(_)
        | Part::Image(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::Thinking(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_)
        | Part::Opaque(_) => None,
    }
}

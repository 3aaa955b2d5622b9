//! What whole answers and streams have in common: the dialect's words and small objects.

use super::proof;
use crate::call::{
    Audio, Document, DocumentBody, Extras, Image, MediaSource, Opaque, Part, Signature, Video,
};
use crate::dialect::Dialect;
use crate::float;
use crate::reply::Stop;
use crate::units::Tokens;
use crate::usage::{Usage, UsageParts};
use serde_json::{Map, Value, json};

/// Why an answer ended.
pub(super) fn finish_reason(stop: &Stop) -> &str {
    match stop {
        // Tools are asked for with this word too.
        Stop::End | Stop::Sequence | Stop::ToolUse | Stop::Paused => "STOP",
        Stop::Length | Stop::ContextFull => "MAX_TOKENS",
        Stop::Filtered => "SAFETY",
        Stop::Malformed => "MALFORMED_FUNCTION_CALL",
        Stop::Other(word) if is_word(word) => word,
        Stop::Other(_) => "OTHER",
    }
}

/// Words of Google's that no other provider says.
fn is_word(word: &str) -> bool {
    matches!(word, "OTHER" | "NO_IMAGE" | "IMAGE_OTHER" | "LANGUAGE")
}

/// What the word does not say.
pub(super) fn finish_message(stop: &Stop) -> Option<&str> {
    match stop {
        Stop::Paused => Some("pause_turn"),
        Stop::ContextFull => Some("model_context_window_exceeded"),
        Stop::Other(word) if !is_word(word) => Some(word),
        Stop::End
        | Stop::Sequence
        | Stop::ToolUse
        | Stop::Length
        | Stop::Filtered
        | Stop::Malformed
        | Stop::Other(_) => None,
    }
}

/// Text, or a thought.
pub(super) fn text(text: &str, signature: Option<&Signature>) -> Value {
    signed(json!({"text": text}), signature)
}

/// Reasoning that can be read.
pub(super) fn thought(text: &str, signature: Option<&Signature>) -> Value {
    signed(json!({"text": text, "thought": true}), signature)
}

/// Reasoning that cannot.
pub(super) fn sealed(sealed: &Signature) -> Value {
    json!({"text": "", "thought": true, "thoughtSignature": proof::sealed(sealed)})
}

/// A tool call, always whole. Arguments are an object here; what is none is shown as it was written.
pub(super) fn call(id: &str, name: &str, arguments: &str, signature: Option<&Signature>) -> Value {
    let written = if arguments.trim().is_empty() { "{}" } else { arguments };
    let args = serde_json::from_str::<Value>(written).ok().filter(Value::is_object);
    let args = args.unwrap_or_else(|| json!({"arguments": arguments}));
    signed(json!({"functionCall": {"id": id, "name": name, "args": args}}), signature)
}

fn signed(mut part: Value, signature: Option<&Signature>) -> Value {
    if let (Some(signature), Some(part)) = (signature, part.as_object_mut()) {
        part.insert("thoughtSignature".to_owned(), proof::shown(signature).into());
    }
    part
}

/// The parts of a part that does not come in pieces.
pub(super) fn parts(part: &Part) -> Vec<Value> {
    match part {
        Part::Image(Image { source, detail: _, cache: _ }) => vec![medium(source)],
        Part::Video(Video { source }) => vec![medium(source)],
        Part::Audio(audio) => sound(audio),
        Part::Document(Document { body, title: _, about: _, citations: _, cache: _ }) => match body {
            DocumentBody::Media(source) => vec![medium(source)],
            DocumentBody::Text(words) => vec![text(&words.text, None)],
            DocumentBody::Parts(inner) | DocumentBody::Found { at: _, parts: inner } => {
                inner.iter().flat_map(parts).collect()
            }
            DocumentBody::Opaque(block) => vec![opaque(block)],
        },
        Part::Opaque(block) => vec![opaque(block)],
        Part::Text(words) => vec![text(&words.text, words.signature.as_ref())],
        Part::Refusal(words) => vec![text(words, None)],
        Part::Thinking(thinking) => match &thinking.sealed {
            Some(proof) => vec![sealed(proof)],
            None => vec![thought(&thinking.text, thinking.signature.as_ref())],
        },
        Part::ToolCall(tool) => vec![call(&tool.id, &tool.name, &tool.arguments, tool.signature.as_ref())],
        // No provider answers with these.
        Part::ToolResult(_) => Vec::new(),
    }
}

/// Generated sound, and its words, which have no other place.
fn sound(audio: &Audio) -> Vec<Value> {
    let Audio { source, id: _, transcript, expires_at: _ } = audio;
    let words = transcript.as_deref().filter(|words| !words.is_empty()).map(|words| text(words, None));
    source.iter().map(medium).chain(words).collect()
}

fn medium(source: &MediaSource) -> Value {
    match source {
        MediaSource::Inline { media_type, data } => {
            json!({"inlineData": {"mimeType": media_type, "data": data}})
        }
        MediaSource::Url { url: uri, media_type } | MediaSource::File { id: uri, media_type, origin: _ } => {
            let mut file = json!({"fileUri": uri});
            if let (Some(media_type), Some(file)) = (media_type, file.as_object_mut()) {
                file.insert("mimeType".to_owned(), media_type.as_str().into());
            }
            json!({ "fileData": file })
        }
    }
}

/// A block that only its own dialect understands. Google's stand as they came; others in the metadata
/// of an empty part, which clients send back.
fn opaque(block: &Opaque) -> Value {
    let Opaque { origin, value } = block;
    match origin {
        Dialect::Gemini => value.clone(),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic => {
            let kept = json!({"dialect": origin.name(), "block": value});
            json!({"text": "", "partMetadata": {"tollgate": kept}})
        }
    }
}

/// Extra fields as they are shown: those of this dialect as they stood, those of another in
/// `providerFields`, under its name, so that none is taken for a field of this dialect.
pub(super) fn shown(extras: &Extras, origin: Dialect) -> Extras {
    match origin {
        Dialect::Gemini => extras.clone(),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic
            if extras.is_empty() =>
        {
            Extras::new()
        }
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic => {
            let own = Map::from_iter([(origin.name().to_owned(), Value::Object(extras.clone()))]);
            Map::from_iter([("providerFields".to_owned(), Value::Object(own))])
        }
    }
}

/// Adds further fields without touching those that are there; objects of both are joined.
pub(super) fn merge(fields: &mut Map<String, Value>, more: Extras) {
    for (key, value) in more {
        match (fields.get_mut(&key), value) {
            (None, value) => {
                fields.insert(key, value);
            }
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more),
            (Some(_), _) => {}
        }
    }
}

/// Usage in this dialect's terms: the prompt contains what was cached, tools' results and thoughts are
/// counted apart. What is zero is left out, as Google does.
pub(super) fn usage(usage: &Usage, origin: Dialect) -> Value {
    let UsageParts {
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
        text_input,
        text_output,
        tool_input,
        accepted_prediction: _,
        rejected_prediction: _,
        web_searches: _,
        instead: _,
    } = usage.parts;
    let thoughts = reasoning.unwrap_or_default().min(usage.output);
    let tools = tool_input.unwrap_or_default().min(usage.prompt());
    let (prompt, candidates) = (usage.prompt().less(tools), usage.output.less(thoughts));
    let mut all = Map::new();
    let mut count = |name: &str, tokens: Tokens| {
        all.insert(name.to_owned(), tokens.get().into());
    };
    count("promptTokenCount", prompt);
    count("candidatesTokenCount", candidates);
    count("totalTokenCount", usage.total());
    for (name, tokens) in [
        ("cachedContentTokenCount", usage.cache_read),
        ("thoughtsTokenCount", thoughts),
        ("toolUsePromptTokenCount", tools),
    ] {
        if !tokens.is_zero() {
            count(name, tokens);
        }
    }
    let input = Modalities { whole: prompt, text: text_input, image: image_input, audio: audio_input };
    let output =
        Modalities { whole: candidates, text: text_output, image: image_output, audio: audio_output };
    let details = [("promptTokensDetails", input.details()), ("candidatesTokensDetails", output.details())];
    all.extend(details.into_iter().filter_map(|(name, list)| Some((name.to_owned(), list?))));
    merge(&mut all, shown(&usage.extras, origin));
    Value::Object(all)
}

/// A count by what it is of, as far as that is known.
struct Modalities {
    whole: Tokens,
    text: Option<Tokens>,
    image: Option<Tokens>,
    audio: Option<Tokens>,
}

impl Modalities {
    fn details(self) -> Option<Value> {
        let Self { whole, text, image, audio } = self;
        let media = image.unwrap_or_default() + audio.unwrap_or_default();
        if media.is_zero() && text.is_none() {
            return None;
        }
        let text = text.unwrap_or(whole.less(media));
        let list = [("TEXT", Some(text)), ("IMAGE", image), ("AUDIO", audio)].into_iter();
        let list = list.filter_map(|(word, tokens)| {
            let tokens = tokens.filter(|tokens| !tokens.is_zero())?;
            Some(json!({"modality": word, "tokenCount": tokens.get()}))
        });
        Some(Value::Array(list.collect()))
    }
}

/// Log probabilities, from OpenAI's form.
pub(super) fn logprobs(logprobs: &Value) -> Option<Value> {
    let list = logprobs.get("content").or_else(|| logprobs.get("refusal"))?.as_array()?;
    let candidate = |entry: &Value| {
        json!({
            "token": entry.get("token").cloned().unwrap_or_default(),
            "logProbability": entry.get("logprob").cloned().unwrap_or_default(),
        })
    };
    let top = |entry: &Value| {
        let top = entry.get("top_logprobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        json!({"candidates": top.iter().map(candidate).collect::<Vec<_>>()})
    };
    Some(json!({
        "topCandidates": list.iter().map(top).collect::<Vec<_>>(),
        "chosenCandidates": list.iter().map(candidate).collect::<Vec<_>>(),
    }))
}

/// The mean of an answer's log probabilities.
pub(super) fn mean_logprob(logprobs: &Value) -> Option<Value> {
    let list = logprobs.get("content")?.as_array()?;
    let values: Vec<f64> = list.iter().filter_map(|entry| float::of_value(entry.get("logprob")?)).collect();
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
    let mean = values.iter().sum::<f64>() / f64::from(count);
    serde_json::Number::from_f64(mean).map(Value::Number)
}

//! Whole answers.

use super::grounding::Grounding;
use super::words;
use crate::call::{Part, Text, Thinking, ToolCall};
use crate::dialect::Dialect;
use crate::reply::{Choice, Reply};
use crate::surface::Asked;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// See [`crate::surface::Surface::render`].
pub(super) fn render(reply: &Reply, asked: &Asked) -> Bytes {
    let Reply { id, model, created: _, choices, usage, origin, extras } = reply;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("candidates", choices.iter().map(|one| candidate(one, *origin)).collect());
    if let Some(usage) = usage {
        put("usageMetadata", words::usage(usage, *origin));
    }
    put("modelVersion", model.as_deref().unwrap_or(&asked.model).into());
    put("responseId", id.as_deref().unwrap_or(&asked.request_id).into());
    words::merge(&mut fields, words::shown(extras, *origin));
    Bytes::from(Value::Object(fields).to_string())
}

fn candidate(choice: &Choice, origin: Dialect) -> Value {
    let Choice { index, parts, stop, stop_sequence, logprobs, extras, message_extras } = choice;
    let mut grounding = Grounding::default();
    let parts: Vec<Value> = parts.iter().flat_map(|part| one(part, &mut grounding)).collect();
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("content", json!({"parts": parts, "role": "model"}));
    if let Some(stop) = stop {
        put("finishReason", words::finish_reason(stop).into());
        if let Some(message) = words::finish_message(stop) {
            put("finishMessage", message.into());
        }
    }
    put("index", (*index).into());
    if let Some(result) = logprobs.as_ref().and_then(words::logprobs) {
        put("logprobsResult", result);
    }
    if let Some(mean) = logprobs.as_ref().and_then(words::mean_logprob) {
        put("avgLogprobs", mean);
    }
    if let Some(metadata) = grounding.metadata() {
        put("groundingMetadata", metadata);
    }
    if let Some(others) = grounding.others() {
        put("providerFields", others);
    }
    words::merge(&mut fields, words::shown(extras, origin));
    words::merge(&mut fields, words::shown(message_extras, origin));
    if let Some(sequence) = stop_sequence {
        let own = Map::from_iter([("stop_sequence".to_owned(), Value::from(sequence.as_str()))]);
        words::merge(&mut fields, words::shown(&own, origin));
    }
    Value::Object(fields)
}

fn one(part: &Part, grounding: &mut Grounding) -> Vec<Value> {
    match part {
        Part::Text(Text { text, cache: _, signature, citations }) => {
            grounding.say(text);
            citations.iter().for_each(|citation| grounding.cite(citation, text.chars().count()));
            vec![words::text(text, signature.as_ref())]
        }
        Part::Thinking(Thinking { text, signature, sealed }) => {
            let readable = !text.is_empty() || signature.is_some();
            let thought = readable.then(|| words::thought(text, signature.as_ref()));
            thought.into_iter().chain(sealed.as_ref().map(words::sealed)).collect()
        }
        Part::ToolCall(ToolCall { id, name, arguments, signature, cache: _ }) => {
            vec![words::call(id, name, arguments, signature.as_ref())]
        }
        Part::Image(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::Refusal(_)
        | Part::ToolResult(_)
        | Part::Opaque(_) => words::parts(part),
    }
}

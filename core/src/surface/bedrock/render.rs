//! Whole answers.

use super::words::Declined;
use super::{proof, words};
use crate::call::{Part, Signature, Text, Thinking, ToolCall, ids};
use crate::reply::{Choice, Reply, Stop};
use crate::surface::proof::Of;
use crate::usage::Usage;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// See [`crate::surface::Surface::render`]. Of several answers the first is shown: nobody can ask for
/// more here.
pub(super) fn render(reply: &Reply) -> Bytes {
    let Reply { id: _, model: _, created: _, choices, usage, origin, extras } = reply;
    let nothing = Choice::default();
    let Choice { index: _, parts, stop, stop_sequence, logprobs: _, extras: of_choice, message_extras } =
        choices.first().unwrap_or(&nothing);
    let mut more = extras.clone();
    more.extend(message_extras.clone());
    more.extend(of_choice.clone());
    more.extend(
        stop.as_ref().and_then(words::native_stop_reason).map(|word| ("stop_reason".to_owned(), word.into())),
    );
    for part in parts {
        if let Part::Opaque(block) = part {
            words::keep(block, "blocks", &mut more);
        }
        if let Part::Text(Text { citations: Some(list), .. }) = part {
            words::keep(list, "citations", &mut more);
        }
    }
    more.extend(stop_sequence.as_ref().map(|text| ("stop_sequence".to_owned(), Value::from(text.as_str()))));
    let refuses = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let declined = if refuses { Declined::Yes } else { Declined::No };
    let content: Vec<Value> = parts.iter().flat_map(blocks).collect();
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("output", json!({"message": {"role": "assistant", "content": content}}));
    put("stopReason", words::stop_reason(stop.as_ref().unwrap_or(&Stop::End), declined).into());
    put("usage", words::usage(usage.as_ref().unwrap_or(&Usage::default())));
    for (key, value) in words::shown(&more, *origin) {
        fields.entry(key).or_insert(value);
    }
    words::add_metrics(&mut fields);
    Bytes::from(Value::Object(fields).to_string())
}

fn blocks(part: &Part) -> Vec<Value> {
    match part {
        Part::Text(text) => text_blocks(text),
        Part::Thinking(thinking) => thinking_blocks(thinking),
        Part::Refusal(words) => vec![json!({"text": words})],
        Part::ToolCall(ToolCall { id, name, arguments, signature, cache: _ }) => {
            let input = words::input(arguments);
            let call = json!({"toolUse": {"toolUseId": ids::plain(id), "name": name, "input": input}});
            signature.iter().map(|signature| bare_proof(signature, Of::Call)).chain([call]).collect()
        }
        Part::Image(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::ToolResult(_)
        | Part::Opaque(_) => words::whole_block(part).into_iter().collect(),
    }
}

fn text_blocks(text: &Text) -> Vec<Value> {
    let Text { text, cache: _, signature, citations } = text;
    let said = match citations.as_ref().and_then(words::citations) {
        Some(list) => json!({"citationsContent": {"content": [{"text": text}], "citations": list}}),
        None => json!({"text": text}),
    };
    let said = (!text.is_empty()).then_some(said);
    said.into_iter().chain(signature.as_ref().map(|proof| bare_proof(proof, Of::Text))).collect()
}

fn thinking_blocks(thinking: &Thinking) -> Vec<Value> {
    let Thinking { text, signature, sealed } = thinking;
    let mut blocks = Vec::new();
    if !text.is_empty() || signature.is_some() {
        let mut said = json!({"text": text});
        if let (Some(signature), Some(said)) = (signature, said.as_object_mut()) {
            said.insert("signature".to_owned(), proof::written(signature, Of::Thinking).into());
        }
        blocks.push(json!({"reasoningContent": {"reasoningText": said}}));
    }
    let seal = |sealed| json!({"reasoningContent": {"redactedContent": proof::sealed(sealed)}});
    blocks.extend(sealed.as_ref().map(seal));
    blocks
}

/// A block that does nothing but carry a proof.
fn bare_proof(proof: &Signature, of: Of) -> Value {
    json!({"reasoningContent": {"reasoningText": {"text": "", "signature": proof::written(proof, of)}}})
}

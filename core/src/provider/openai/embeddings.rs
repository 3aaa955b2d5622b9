//! Calls for vectors, and their answers.

use super::decode;
use crate::call::{Extras, Part};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings, Encoding, Input};
use crate::fault::{Code, Fault, UpstreamFault};
use crate::provider::{Encoded, Endpoint, Target};
use crate::sort;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

/// See [`crate::provider::Provider::encode_embedding`].
pub(super) fn encode(
    call: &EmbeddingCall,
    target: &Target<'_>,
    endpoint: Endpoint,
) -> Result<Encoded, Fault> {
    let (body, lost) = fields(call, target)?;
    Ok(Encoded { endpoint, body: Bytes::from(Value::Object(body).to_string()), lost })
}

/// The body before it is written, and what it cannot carry.
pub(in crate::provider) fn fields(
    call: &EmbeddingCall,
    target: &Target<'_>,
) -> Result<(Map<String, Value>, Vec<String>), Fault> {
    let EmbeddingCall { model: _, inputs, dimensions, task, title, encoding, user, origin, extras } = call;
    let mut body = Map::new();
    let mut lost = Vec::new();
    body.insert("model".to_owned(), target.model.into());
    let inputs = inputs.iter().enumerate().map(|(at, input)| written(at, input, *origin));
    let mut inputs = inputs.collect::<Result<Vec<_>, Fault>>()?;
    let input = match (inputs.len(), inputs.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            inputs.extend(last);
            Value::Array(inputs)
        }
    };
    body.insert("input".to_owned(), input);
    body.extend(dimensions.map(|dimensions| ("dimensions".to_owned(), dimensions.into())));
    // Servers of this dialect that know no other form ignore the field.
    let word = match encoding {
        Encoding::Floats => "float",
        Encoding::Base64 => "base64",
    };
    body.insert("encoding_format".to_owned(), word.into());
    body.extend(user.as_deref().map(|user| ("user".to_owned(), user.into())));
    lost.extend(task.as_ref().map(|_| "taskType".to_owned()));
    lost.extend(title.as_ref().map(|_| "title".to_owned()));
    add_extras(&mut body, extras, *origin, &mut lost);
    Ok((body, lost))
}

fn add_extras(body: &mut Map<String, Value>, extras: &Extras, origin: Dialect, lost: &mut Vec<String>) {
    match origin {
        Dialect::OpenAi => body.extend(extras.clone()),
        Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic
        | Dialect::Gemini => lost.extend(extras.keys().cloned()),
    }
}

fn written(at: usize, input: &Input, origin: Dialect) -> Result<Value, Fault> {
    match input {
        Input::Tokens(tokens) => Ok(Value::from(tokens.clone())),
        Input::Parts(parts) => {
            let mut words = String::new();
            for (index, part) in parts.iter().enumerate() {
                let Part::Text(text) = part else {
                    let path = match origin {
                        Dialect::OpenAi
                        | Dialect::OpenAiResponses
                        | Dialect::Bedrock
                        | Dialect::Cohere
                        | Dialect::Ollama
                        | Dialect::Anthropic => {
                            format!("input[{at}]")
                        }
                        Dialect::Gemini => format!("requests[{at}].content.parts[{index}]"),
                    };
                    let message = format!("{path}: this provider has vectors of texts only");
                    return Err(Fault::new(Code::Unsupported, message).at(path));
                };
                words.push_str(&text.text);
            }
            Ok(words.into())
        }
    }
}

/// See [`crate::provider::Provider::decode_embeddings`].
pub(in crate::provider) fn decode(
    body: &[u8],
    target: &Target<'_>,
) -> Result<Embeddings, Box<UpstreamFault>> {
    let answer: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| decode::garbled("the answer is no JSON object", body))?;
    if decode::is_error(&answer) {
        return Err(Box::new(super::fault::read(200, &http::HeaderMap::new(), body)));
    }
    let data = answer.get("data").and_then(Value::as_array);
    let data = data.ok_or_else(|| decode::garbled("the answer has no data", body))?;
    let mut vectors = Vec::with_capacity(data.len());
    for (at, one) in data.iter().enumerate() {
        let index = one.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let vector = one.get("embedding").and_then(vector);
        let vector =
            vector.ok_or_else(|| decode::garbled("an embedding is neither numbers nor base64", body))?;
        vectors.push((index.unwrap_or(at), vector));
    }
    sort::sort_by_key(&mut vectors, |(index, _)| *index);
    Ok(Embeddings {
        vectors: vectors.into_iter().map(|(_, vector)| vector).collect(),
        model: answer.get("model").and_then(Value::as_str).map(str::to_owned),
        usage: super::usage::find(body, &target.vendor.quirks),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "vectors are computed in 32 bits and written as such")]
fn vector(value: &Value) -> Option<Vec<f32>> {
    if let Some(text) = value.as_str() {
        let bytes = STANDARD.decode(text).ok()?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        return rest.is_empty().then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect());
    }
    value.as_array()?.iter().map(|number| number.as_f64().map(|number| number as f32)).collect()
}

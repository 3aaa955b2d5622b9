//! Calls for vectors, and their answers.

use super::{Lost, fault, media, metering, model, object};
use crate::call::{Extras, Image, Part, Text};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings, Encoding, Input};
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::float;
use crate::provider::{Encoded, Endpoint, Target};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Always a batch: of one there is no other form that says more.
pub(super) fn encode(
    call: &EmbeddingCall,
    target: &Target<'_>,
    endpoint: Endpoint,
) -> Result<Encoded, Fault> {
    let EmbeddingCall { model: _, inputs, dimensions, task, title, encoding, user, origin, extras } = call;
    let mut lost = Lost::default();
    lost.add_if(user.as_ref(), "user");
    match encoding {
        // Written by whoever shows the answer.
        Encoding::Floats | Encoding::Base64 => {}
    }
    let own: &Extras = match origin {
        Dialect::Gemini => extras,
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic => {
            extras.keys().for_each(|name| lost.add(name.as_str()));
            &Extras::new()
        }
    };
    let name = model::resource(target.model);
    let mut requests = Vec::with_capacity(inputs.len());
    for (at, input) in inputs.iter().enumerate() {
        let mut request = object([
            ("model", Some(Value::from(name.as_str()))),
            ("content", Some(json!({"parts": parts(at, input, target)?}))),
            ("outputDimensionality", dimensions.map(Value::from)),
            ("taskType", task.as_deref().map(Value::from)),
            ("title", title.as_deref().map(Value::from)),
        ]);
        super::join(&mut request, own);
        requests.push(Value::Object(request));
    }
    let body = json!({ "requests": requests });
    Ok(Encoded { endpoint, body: Bytes::from(body.to_string()), lost: lost.names })
}

fn parts(at: usize, input: &Input, target: &Target<'_>) -> Result<Vec<Value>, Fault> {
    let path = format!("input[{at}]");
    match input {
        Input::Tokens(_) => {
            let message = format!("{path}: expected a text, found tokens, which are another provider's");
            Err(Fault::new(Code::Unsupported, message).at(path))
        }
        Input::Parts(parts) => parts.iter().map(|part| self::part(part, target, &path)).collect(),
    }
}

fn part(part: &Part, target: &Target<'_>, path: &str) -> Result<Value, Fault> {
    match part {
        Part::Text(Text { text, .. }) => Ok(json!({"text": text})),
        Part::Image(Image { source, .. }) => media::part(source, target, path).map(Value::Object),
        Part::Audio(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::Thinking(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_)
        | Part::Opaque(_) => Err(Fault::bad_field(path, "a text or a picture", "something else")),
    }
}

/// Either verb's answer.
pub(super) fn decode(body: &[u8]) -> Result<Embeddings, Box<UpstreamFault>> {
    let garbled = |what: &str| Box::new(UpstreamFault::new(UpstreamClass::Garbled, 200, what));
    let answer: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| garbled("the answer is no JSON object"))?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        return Err(Box::new(fault::of_error(200, error)));
    }
    let many = answer.get("embeddings").and_then(Value::as_array).map(Vec::as_slice);
    let all = many.or_else(|| answer.get("embedding").map(std::slice::from_ref));
    let all = all.ok_or_else(|| garbled("the answer has no embeddings"))?;
    let vectors = all.iter().map(|one| vector(one).ok_or_else(|| garbled("an embedding is not of numbers")));
    Ok(Embeddings {
        vectors: vectors.collect::<Result<_, _>>()?,
        model: None,
        usage: metering::of_bytes(body, None),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "vectors are computed in 32 bits and written as such")]
fn vector(embedding: &Value) -> Option<Vec<f32>> {
    let values = embedding.get("values")?.as_array()?;
    values.iter().map(|number| float::of_value(number).map(|number| number as f32)).collect()
}

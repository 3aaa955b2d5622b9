//! Calls for vectors, and their answers.

use super::{Lost, fault, media, metering, model, object};
use crate::call::{Extras, Image, Part, Text};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings, Encoding, Input};
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::float;
use crate::provider::{self, Encoded, Target};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Vertex serves models for vectors in three ways, and the model's name tells which.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// AI Studio's: always a batch, since of one there is no other form that says more.
    Studio,
    /// Vertex's newer models: one content, or several. What is wished of vectors stands apart.
    Contents,
    /// Vertex's older models: texts only.
    Instances,
}

impl Form {
    fn of(target: &Target<'_>) -> Self {
        let has = |word: &str| target.model.contains(word);
        match super::is_vertex_path(target) {
            false => Self::Studio,
            true if has("gemini") || has("maas") => Self::Contents,
            true => Self::Instances,
        }
    }
}

pub(super) fn encode(call: &EmbeddingCall, target: &Target<'_>) -> Result<Encoded, Fault> {
    let EmbeddingCall { model: _, inputs, dimensions, task, title, encoding, user, origin, extras } = call;
    let mut lost = Lost::default();
    lost.add_if(user.as_ref(), "user");
    match encoding {
        // Written by whoever shows the answer.
        Encoding::Floats | Encoding::Base64 => {}
    }
    let none = Extras::new();
    let own: &Extras = match origin {
        Dialect::Gemini => extras,
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic => {
            extras.keys().for_each(|name| lost.add(name.as_str()));
            &none
        }
    };
    let form = Form::of(target);
    let dimensions = ("outputDimensionality", dimensions.map(Value::from));
    let (task, title) = (task.as_deref().map(Value::from), ("title", title.as_deref().map(Value::from)));
    let name = model::resource(target.model);
    let mut requests = Vec::with_capacity(inputs.len());
    for (at, input) in inputs.iter().enumerate() {
        requests.push(Value::Object(match form {
            Form::Studio => {
                let content = json!({"parts": parts(at, input, target)?});
                let named = [("model", Some(Value::from(name.as_str()))), ("content", Some(content))];
                let mut request = object(named);
                super::join(
                    &mut request,
                    &object([dimensions.clone(), ("taskType", task.clone()), title.clone()]),
                );
                super::join(&mut request, own);
                request
            }
            Form::Contents => {
                let content = json!({"role": "user", "parts": parts(at, input, target)?});
                let mut wishes = object([dimensions.clone(), ("taskType", task.clone()), title.clone()]);
                super::join(&mut wishes, own);
                let wishes = (!wishes.is_empty()).then_some(Value::Object(wishes));
                object([("content", Some(content)), ("embedContentConfig", wishes)])
            }
            Form::Instances => {
                let content = provider::openai::embedding_input(at, input, *origin)?;
                if content.is_array() {
                    return Err(tokens(format!("input[{at}]")));
                }
                object([("content", Some(content)), ("task_type", task.clone()), title.clone()])
            }
        }));
    }
    let (method, body) = match (form, requests.len()) {
        (Form::Contents, 1) => ("embedContent", requests.pop().unwrap_or_default()),
        (Form::Contents | Form::Studio, _) => ("batchEmbedContents", json!({ "requests": requests })),
        (Form::Instances, _) => {
            let others = own.keys().filter(|name| *name != CUT);
            others.for_each(|name| lost.add(name.as_str()));
            let parameters = object([dimensions, (CUT, own.get(CUT).cloned())]);
            let parameters = (!parameters.is_empty()).then_some(Value::Object(parameters));
            let body = [("instances", Some(Value::Array(requests))), ("parameters", parameters)];
            ("predict", Value::Object(object(body)))
        }
    };
    Ok(Encoded {
        endpoint: super::verb(target, method),
        body: Bytes::from(body.to_string()),
        lost: lost.names,
    })
}

/// Whether what is too long is cut, which all of Vertex's forms have.
const CUT: &str = "autoTruncate";

fn tokens(path: String) -> Fault {
    let message = format!("{path}: expected a text, found tokens, which are another provider's");
    Fault::new(Code::Unsupported, message).at(path)
}

fn parts(at: usize, input: &Input, target: &Target<'_>) -> Result<Vec<Value>, Fault> {
    let path = format!("input[{at}]");
    match input {
        Input::Tokens(_) => Err(tokens(path)),
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

/// Any verb's answer.
pub(super) fn decode(body: &[u8]) -> Result<Embeddings, Box<UpstreamFault>> {
    let garbled = |what: &str| Box::new(UpstreamFault::new(UpstreamClass::Garbled, 200, what));
    let answer: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| garbled("the answer is no JSON object"))?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        return Err(Box::new(fault::of_error(200, error)));
    }
    let many = |name: &str| answer.get(name).and_then(Value::as_array).map(Vec::as_slice);
    let predicted = many("predictions");
    let all = predicted.or_else(|| many("embeddings"));
    let all = all.or_else(|| answer.get("embedding").map(std::slice::from_ref));
    let all = all.ok_or_else(|| garbled("the answer has no embeddings"))?;
    let of = |one| if predicted.is_some() { Value::get(one, "embeddings") } else { Some(one) };
    let vectors = all
        .iter()
        .map(|one| of(one).and_then(vector).ok_or_else(|| garbled("an embedding is not of numbers")));
    Ok(Embeddings {
        vectors: vectors.collect::<Result<_, _>>()?,
        model: None,
        usage: metering::of_bytes(body, None).or_else(|| metering::of_statistics(predicted?)),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "vectors are computed in 32 bits and written as such")]
fn vector(embedding: &Value) -> Option<Vec<f32>> {
    let values = embedding.get("values")?.as_array()?;
    values.iter().map(|number| float::of_value(number).map(|number| number as f32)).collect()
}

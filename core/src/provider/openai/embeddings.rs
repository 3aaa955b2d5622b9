//! Calls for vectors, and their answers.

use super::decode;
use crate::call::{Extras, Part};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings, Encoding, Input};
use crate::fault::{Code, Fault, UpstreamFault};
use crate::float;
use crate::json::write;
use crate::provider::{Encoded, Endpoint, Target};
use crate::sort;
use crate::vendor::EmbeddingWords;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// See [`crate::provider::Provider::encode_embedding`].
pub(super) fn encode(
    call: &EmbeddingCall,
    target: &Target<'_>,
    endpoint: Endpoint,
) -> Result<Encoded, Fault> {
    let (body, lost) = fields(call, target)?;
    Ok(Encoded { endpoint, body: write::object(&body), lost })
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
    let words = target.vendor.quirks.embeddings;
    let (size, form) = match words {
        EmbeddingWords::OpenAi => ("dimensions", Some("encoding_format")),
        EmbeddingWords::Jina => ("dimensions", Some("embedding_type")),
        EmbeddingWords::Voyage => ("output_dimension", None),
    };
    body.extend(dimensions.map(|dimensions| (size.to_owned(), dimensions.into())));
    // Servers of this dialect that know no other form ignore the field.
    let word = match encoding {
        Encoding::Floats => "float",
        Encoding::Base64 => "base64",
    };
    match (form, encoding) {
        (Some(form), _) => drop(body.insert(form.to_owned(), word.into())),
        (None, Encoding::Base64) => drop(body.insert("encoding_format".to_owned(), word.into())),
        (None, Encoding::Floats) => {}
    }
    body.extend(user.as_deref().map(|user| ("user".to_owned(), user.into())));
    match (task.as_deref().map(|task| (task, task_word(task, words))), words) {
        (None, _) => {}
        (Some((_, Some(word))), EmbeddingWords::Voyage) => {
            body.insert("input_type".to_owned(), word.into());
        }
        (Some((_, Some(word))), EmbeddingWords::Jina) => drop(body.insert("task".to_owned(), word.into())),
        (Some(_), _) => lost.push("taskType".to_owned()),
    }
    lost.extend(title.as_ref().map(|_| "title".to_owned()));
    add_extras(&mut body, extras, *origin, &mut lost);
    Ok((body, lost))
}

/// What vectors are for, in the vendor's word, given Google's.
fn task_word(task: &str, words: EmbeddingWords) -> Option<&'static str> {
    let (query, document, close) = match words {
        EmbeddingWords::OpenAi => return None,
        EmbeddingWords::Voyage => ("query", "document", None),
        EmbeddingWords::Jina => ("retrieval.query", "retrieval.passage", Some("text-matching")),
    };
    match task {
        "RETRIEVAL_QUERY" => Some(query),
        "RETRIEVAL_DOCUMENT" => Some(document),
        "SEMANTIC_SIMILARITY" => close,
        _ => None,
    }
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

/// One input, as a text or as tokens.
pub(in crate::provider) fn written(at: usize, input: &Input, origin: Dialect) -> Result<Value, Fault> {
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
    value.as_array()?.iter().map(|number| float::of_value(number).map(|number| number as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::find;
    use serde_json::json;

    fn asked(kind: &str, encoding: Encoding, task: &str) -> (Value, Vec<String>) {
        let call = EmbeddingCall {
            model: "m".to_owned(),
            inputs: vec![Input::Parts(vec![Part::Text(crate::call::Text::new("hi"))])],
            dimensions: Some(256),
            task: Some(task.to_owned()),
            title: None,
            encoding,
            user: None,
            origin: Dialect::Gemini,
            extras: Extras::new(),
        };
        let (body, lost) = fields(&call, &Target { vendor: find(kind).unwrap(), model: "m" }).unwrap();
        (Value::Object(body), lost)
    }

    #[test]
    fn vectors_are_asked_for_in_the_vendors_words() {
        let (body, lost) = asked("voyage", Encoding::Floats, "RETRIEVAL_QUERY");
        let expected = json!({"model": "m", "input": "hi", "output_dimension": 256, "input_type": "query"});
        assert_eq!((body, lost.len()), (expected, 0));
        assert_eq!(asked("voyage", Encoding::Base64, "RETRIEVAL_QUERY").0["encoding_format"], "base64");
        let (body, lost) = asked("jina", Encoding::Floats, "RETRIEVAL_DOCUMENT");
        let expected = json!({"model": "m", "input": "hi", "dimensions": 256, "embedding_type": "float",
            "task": "retrieval.passage"});
        assert_eq!((body, lost.len()), (expected, 0));
        assert_eq!(asked("voyage", Encoding::Floats, "CLASSIFICATION").1, ["taskType"]);
        assert_eq!(asked("openai", Encoding::Floats, "RETRIEVAL_QUERY").1, ["taskType"]);
    }
}

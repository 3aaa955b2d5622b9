//! What is asked of models that write no text: vectors, verdicts, pictures, ranks.

use serde_json::{Value, json};

use super::{CREATED, DIALECT as CHAT, check};
use crate::answer::{Answer, tokens};
use crate::ask::{Ask, Last, Prompt, fingerprint, inputs};
use crate::dialect::{Arrival, Dialect};
use crate::fault::Refusal;
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

pub(crate) static EMBEDDINGS: Dialect =
    Dialect { name: "openai-embeddings", read: |arrival| read(arrival, "input"), whole: embeddings, ..CHAT };
pub(crate) static MODERATIONS: Dialect = Dialect {
    name: "openai-moderations",
    read: |arrival| read(arrival, "input"),
    whole: moderations,
    ..CHAT
};
pub(crate) static IMAGES: Dialect =
    Dialect { name: "openai-images", read: drawn, whole: images, stream: images_stream, ..CHAT };
pub(crate) static RERANK: Dialect =
    Dialect { name: "rerank", read: |arrival| read(arrival, "documents"), whole: rerank, ..CHAT };

/// A request whose texts stand in this field.
pub(super) fn read(arrival: &Arrival<'_>, field: &str) -> Result<Ask, Refusal> {
    check::check_object(arrival)?;
    let mut texts = inputs(arrival.body.at(field));
    if texts.is_empty() {
        return Err(Refusal::bad(format!("you must provide a {field} parameter")).at(field));
    }
    let has_query = !arrival.body.at("query").is_null();
    if let Some(last) = texts.last_mut().filter(|_| !has_query && !arrival.said.is_empty()) {
        last.clone_from(&arrival.said);
    }
    let mut prompt = Prompt::default();
    texts.iter().for_each(|text| prompt.add(text));
    if has_query {
        prompt.add(&arrival.said);
    }
    Ok(Ask {
        model: arrival.model.clone(),
        last: Last::User(arrival.said.clone()),
        prompt,
        // Nothing is written.
        max_tokens: Some(0),
        texts,
        given: arrival.body.clone(),
        ..Ask::default()
    })
}

/// The answer, with what it consumed unless that is to be missing.
pub(super) fn with_usage(mut made: Value, usage: Value, quirks: &Quirks) -> Value {
    match quirks.content.usage {
        UsageMode::Missing => {}
        UsageMode::Null => made.set("usage", Value::Null),
        UsageMode::Honest | UsageMode::Zero | UsageMode::Double | UsageMode::Early => {
            made.set("usage", usage)
        }
    }
    made
}

/// Four numbers that depend on the text alone, exact in 32 bits.
fn vector(text: &str) -> [f32; 4] {
    let [a, b, c, d, ..] = fingerprint(text.as_bytes()).to_le_bytes();
    [a, b, c, d].map(|byte| f32::from(byte) / 256.0)
}

fn embeddings(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let base64 = ask.given.at("encoding_format") == "base64";
    let written = |text: &String| {
        let numbers = vector(text);
        if !base64 {
            return json!(numbers);
        }
        use base64::Engine as _;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        json!(base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let data = ask.texts.iter().enumerate();
    let data =
        data.map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": written(text)}));
    let made = json!({"object": "list", "data": data.collect::<Vec<_>>(), "model": ask.model});
    let input = answer.usage.input;
    with_usage(made, json!({"prompt_tokens": input, "total_tokens": input}), quirks)
}

fn moderations(ask: &Ask, answer: &Answer, _quirks: &Quirks) -> Value {
    let verdict = |text: &String| {
        let flagged = text.contains("kill");
        json!({"flagged": flagged, "categories": {"violence": flagged},
            "category_scores": {"violence": if flagged { 0.9 } else { 0.0 }}})
    };
    let results: Vec<Value> = ask.texts.iter().map(verdict).collect();
    json!({"id": format!("modr-sim{}", answer.id), "model": ask.model, "results": results})
}

/// A picture of a text, of another picture, or of both.
fn drawn(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let pictured = arrival.body.at("image");
    let pictures = pictured.as_array().map_or(usize::from(pictured.is_object()), Vec::len);
    if pictures == 0 || !arrival.body.at("prompt").is_null() {
        let mut ask = read(arrival, "prompt")?;
        ask.prompt.images = pictures;
        return Ok(ask);
    }
    check::check_object(arrival)?;
    let prompt = Prompt { images: pictures, ..Prompt::default() };
    let (model, given) = (arrival.model.clone(), arrival.body.clone());
    Ok(Ask { model, prompt, max_tokens: Some(0), given, ..Ask::default() })
}

fn images_stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let whole = images(ask, answer, quirks);
    let picture =
        whole.at("data").as_array().and_then(|data| data.first()).map(|one| one.at("b64_json").clone());
    let part = |index: u64| {
        json!({"type": "image_generation.partial_image", "partial_image_index": index, "b64_json": picture,
            "created_at": CREATED, "size": "1024x1024", "quality": "high", "background": "opaque", "output_format": "png"})
    };
    let parts = ask.given.at("partial_images").as_u64().unwrap_or(0);
    let done = json!({"type": "image_generation.completed", "b64_json": picture, "usage": whole.at("usage"),
        "created_at": CREATED, "size": "1024x1024", "quality": "high", "background": "opaque", "output_format": "png"});
    (0..parts).map(part).chain([done]).map(Frame::data).collect()
}

/// Tokens of a picture.
const PICTURE: u64 = 100;

/// A picture is its prompt in base64. Models named for `dall-e` tell no usage, as OpenAI's do not.
fn images(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    use base64::Engine as _;
    let many = ask.given.at("n").as_u64().unwrap_or(1);
    let drawn = base64::engine::general_purpose::STANDARD.encode(ask.texts.concat());
    let data: Vec<Value> = (0..many).map(|_| json!({"b64_json": drawn})).collect();
    let made = json!({"created": CREATED, "data": data});
    if ask.model.starts_with("dall-e") {
        return made;
    }
    let (input, output) = (answer.usage.input, many * PICTURE);
    let usage = json!({"total_tokens": input + output, "input_tokens": input, "output_tokens": output,
        "input_tokens_details": {"text_tokens": input, "image_tokens": 0}});
    with_usage(made, usage, quirks)
}

/// Documents are ranked by how many of the query's letters they begin with. In Cohere's form, which
/// bills searches, unless the model is named for `jina`, whose form tells tokens.
fn rerank(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let query = match &ask.last {
        Last::User(query) => query.as_str(),
        Last::Results(_) | Last::Assistant => "",
    };
    let shared = |text: &str| text.chars().zip(query.chars()).take_while(|(a, b)| a == b).count();
    let mut ranked: Vec<(usize, usize)> =
        ask.texts.iter().enumerate().map(|(at, text)| (at, shared(text))).collect();
    ranked.sort_by_key(|(at, score)| (std::cmp::Reverse(*score), *at));
    let most = ask.given.at("top_n").as_u64().and_then(|most| usize::try_from(most).ok());
    let results: Vec<Value> = ranked
        .into_iter()
        .take(most.unwrap_or(usize::MAX))
        .map(|(at, score)| json!({"index": at, "relevance_score": score as f64 / 16.0}))
        .collect();
    if ask.model.starts_with("jina") {
        let input = tokens(ask.prompt.bytes);
        let made = json!({"model": ask.model, "results": results});
        return with_usage(made, json!({"total_tokens": input, "prompt_tokens": input}), quirks);
    }
    let searches = ask.texts.len().div_ceil(100);
    let mut made = json!({"id": answer.id, "results": results});
    if quirks.content.usage != UsageMode::Missing {
        made.set(
            "meta",
            json!({"api_version": {"version": "2"}, "billed_units": {"search_units": searches}}),
        );
    }
    made
}

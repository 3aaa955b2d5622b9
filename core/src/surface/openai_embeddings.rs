//! OpenAI embeddings.

use super::bulk::weigh;
use super::fields::Fields;
use super::openai_chat::OpenAiChat;
use super::shape::{Shape, end_user, found, noun, text};
use super::{Asked, Begun, Envelope, ModelPlace, Places, RequestLine, Surface};
use crate::call::{Delivery, Operation, Part, Text};
use crate::count::{Besides, Media};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings, Encoding, Input};
use crate::fault::{Code, Fault};
use crate::json::{Kind, Tape, Value};
use crate::units::Tokens;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

/// OpenAI embeddings.
#[derive(Debug)]
pub struct OpenAiEmbeddings;

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

/// The fields that are checked by shape alone.
const SHAPES: &[(&str, Shape)] = &[
    ("model", Shape::Text),
    ("encoding_format", Shape::Text),
    ("dimensions", Shape::Positive),
    ("user", Shape::Text),
    ("fallbacks", Shape::Texts),
];

/// What texts to work on may be.
pub(super) const INPUT: &str = "a string, an array of strings, or arrays of tokens";

impl Surface for OpenAiEmbeddings {
    fn name(&self) -> &'static str {
        "openai-embeddings"
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn operation(&self) -> Operation {
        Operation::Embed
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        inspect(tape.root(), line)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        let Ok(tape) = Tape::parse(body) else { return Besides::default() };
        let mut frame = Tokens::ZERO;
        tape.root().get("input").into_iter().for_each(|input| texts(input, each, &mut frame));
        Besides { frame, media: Media::default() }
    }

    fn parse_embedding(&self, body: &[u8], line: &RequestLine) -> Result<EmbeddingCall, Fault> {
        parse(body, line)
    }

    fn render_embeddings(&self, embeddings: &Embeddings, call: &EmbeddingCall, asked: &Asked) -> Bytes {
        render(embeddings, call.encoding, asked)
    }

    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes {
        OpenAiChat.fault(fault, request_id)
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        OpenAiChat.fault_event(fault, asked, begun)
    }
}

fn inspect(root: Value<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
    if root.kind() != Kind::Object {
        return Err(Fault::bad_field("body", "an object", noun(root)));
    }
    for (name, shape) in SHAPES {
        if let Some(value) = root.get(name).filter(|value| !value.is_null() && !shape.fits(*value)) {
            return Err(Fault::bad_field(*name, shape.expected(), found(value)));
        }
    }
    let given = |key: &str| root.get(key).filter(|value| !value.is_null());
    let named = given("model").filter(|model| !model.is_text(""));
    let model = named.and_then(text).or_else(|| line.model.clone());
    let model = model.ok_or_else(|| Fault::missing_field("model", "a string"))?;
    let input = given("input").ok_or_else(|| Fault::missing_field("input", INPUT))?;
    check_input("input", input)?;
    let cuts = if root.get("fallbacks").is_some() { root.member_cuts(OWN_FIELDS) } else { Vec::new() };
    Ok(Envelope {
        model,
        model_place: root.get("model").map_or(ModelPlace::Missing, |model| ModelPlace::Body(model.span())),
        delivery: Delivery::Whole,
        fallbacks: given("fallbacks").into_iter().flat_map(Value::elements).filter_map(text).collect(),
        cuts,
        conversation: None,
        max_tokens: None,
        prompt_bytes: weigh(input),
        media: Media::default(),
        n: 1,
        end_user: given("user").and_then(end_user),
        places: Places { members: root.span().start + 1, ..Places::default() },
    })
}

/// Texts or tokens, one or many: the field of this name.
pub(super) fn check_input(name: &'static str, input: Value<'_>) -> Result<(), Fault> {
    match input.kind() {
        Kind::String => return Ok(()),
        Kind::Array if input.elements().next().is_some() => {}
        Kind::Array => return Err(Fault::bad_field(name, INPUT, "an empty array")),
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => {
            return Err(Fault::bad_field(name, INPUT, noun(input)));
        }
    }
    let one = input.elements().next().map(Value::kind);
    for (at, item) in input.elements().enumerate() {
        let good = match one {
            Some(Kind::String) => item.kind() == Kind::String,
            Some(Kind::Number) => item.as_u64().is_some(),
            Some(Kind::Array) => {
                item.kind() == Kind::Array && item.elements().all(|token| token.as_u64().is_some())
            }
            Some(Kind::Null | Kind::Bool | Kind::Object) | None => false,
        };
        if !good {
            return Err(Fault::bad_field(
                format!("{name}[{at}]"),
                "what the others are: a text or tokens",
                noun(item),
            ));
        }
    }
    Ok(())
}

/// Hands over the texts of what [`check_input`] has passed, and counts tokens that are no text.
pub(super) fn texts(input: Value<'_>, each: &mut dyn FnMut(&str), tokens: &mut Tokens) {
    if let Some(text) = input.as_str() {
        return each(&text);
    }
    for item in input.elements() {
        match item.kind() {
            Kind::Number => *tokens += Tokens(1),
            Kind::Null | Kind::Bool | Kind::String | Kind::Array | Kind::Object => texts(item, each, tokens),
        }
    }
}

fn parse(body: &[u8], line: &RequestLine) -> Result<EmbeddingCall, Fault> {
    let body: serde_json::Value = serde_json::from_slice(body)
        .map_err(|error| Fault::new(Code::BadJson, format!("the body is no JSON: {error}")))?;
    let mut fields = Fields::of(body, "body")?.at_root();
    let model = fields.text("model")?.or_else(|| line.model.clone());
    let encoding = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => Encoding::Floats,
        Some("base64") => Encoding::Base64,
        Some(_) => return Err(Fault::bad_field("encoding_format", "float or base64", "another word")),
    };
    let inputs = inputs(fields.value("input").unwrap_or_default());
    fields.drop("fallbacks");
    Ok(EmbeddingCall {
        model: model.ok_or_else(|| Fault::missing_field("model", "a string"))?,
        inputs,
        dimensions: fields.whole("dimensions")?,
        task: None,
        title: None,
        encoding,
        user: fields.text("user")?,
        origin: Dialect::OpenAi,
        extras: fields.rest(),
    })
}

/// Of an input that was inspected.
fn inputs(input: serde_json::Value) -> Vec<Input> {
    let words = |text: &str| Input::Parts(vec![Part::Text(Text::new(text))]);
    let tokens = |list: &[serde_json::Value]| {
        Input::Tokens(list.iter().filter_map(serde_json::Value::as_u64).collect())
    };
    match &input {
        serde_json::Value::String(text) => vec![words(text)],
        serde_json::Value::Array(list) if list.iter().all(serde_json::Value::is_number) => vec![tokens(list)],
        serde_json::Value::Array(list) => {
            let one = |item: &serde_json::Value| match item.as_str() {
                Some(text) => words(text),
                None => tokens(item.as_array().map(Vec::as_slice).unwrap_or_default()),
            };
            list.iter().map(one).collect()
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Object(_) => Vec::new(),
    }
}

fn render(embeddings: &Embeddings, encoding: Encoding, asked: &Asked) -> Bytes {
    let Embeddings { vectors, model, usage } = embeddings;
    let one = |(index, vector): (usize, &Vec<f32>)| {
        let written = match encoding {
            Encoding::Floats => json!(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                STANDARD.encode(bytes).into()
            }
        };
        json!({"object": "embedding", "index": index, "embedding": written})
    };
    let prompt = usage.as_ref().map(|usage| usage.prompt().get()).unwrap_or_default();
    let body = json!({
        "object": "list",
        "data": vectors.iter().enumerate().map(one).collect::<Vec<_>>(),
        "model": model.as_deref().unwrap_or(&asked.model),
        "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
    });
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(body: &str) -> Result<Envelope, Fault> {
        OpenAiEmbeddings.inspect(&Tape::parse(body.as_bytes()).unwrap(), &RequestLine::default())
    }

    #[test]
    fn texts_and_tokens_are_taken_and_nothing_else() {
        for input in [r#""a""#, r#"["a","b"]"#, "[1,2]", "[[1],[2,3]]"] {
            look(&format!(r#"{{"model":"m","input":{input}}}"#)).unwrap();
        }
        for (body, path) in [
            (r#"{"input":"a"}"#, "model"),
            (r#"{"model":"m"}"#, "input"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m","input":{}}"#, "input"),
            (r#"{"model":"m","input":["a",7]}"#, "input[1]"),
            (r#"{"model":"m","input":[[1],[-1]]}"#, "input[1]"),
            (r#"{"model":"m","input":"a","dimensions":0}"#, "dimensions"),
            (r#"{"model":7,"input":"a"}"#, "model"),
        ] {
            assert_eq!(look(body).unwrap_err().param.as_deref(), Some(path), "{body}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_were_asked_for() {
        let embeddings = Embeddings { vectors: vec![vec![0.5, -1.0]], ..Embeddings::default() };
        let asked = Asked {
            client: crate::surface::Client::Usual,
            model: "m".to_owned(),
            request_id: "r".to_owned(),
            now_secs: 1,
            usage: crate::call::UsageChunk::Wanted,
            framing: crate::framing::Framing::Events,
            body: Default::default(),
        };
        let floats = render(&embeddings, Encoding::Floats, &asked);
        assert!(std::str::from_utf8(&floats).unwrap().contains(r#""embedding":[0.5,-1.0]"#));
        let base64 = render(&embeddings, Encoding::Base64, &asked);
        assert!(std::str::from_utf8(&base64).unwrap().contains(r#""embedding":"AAAAPwAAgL8=""#));
    }
}

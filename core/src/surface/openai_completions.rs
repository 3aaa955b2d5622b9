//! OpenAI's completions of a plain text, the forerunner of chat.
//!
//! Where an upstream serves them the body passes. Any other is asked in chat: the prompt becomes one
//! user message, and what [`OpenAiChat`] reads and writes is put into this surface's words. What chat
//! has no word for (`suffix`, several prompts, prompts of tokens) is refused by name; `best_of` is lost.
//! Source: <https://platform.openai.com/docs/api-reference/completions>.

mod words;

use super::openai_chat::{OpenAiChat, inspect as chat, parse as chat_parse};
use super::openai_embeddings::{INPUT, check_input, texts};
use super::shape::{Shape, end_user, found, noun, text};
use super::{
    Asked, Begun, CapPlace, Envelope, ModelPlace, Places, Render, RequestLine, SoFar, Surface, Uncapped,
};
use crate::call::{Call, Operation};
use crate::count::{Besides, Media};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::json::{Kind, Tape, Value};
use crate::reply::Reply;
use crate::surface::bulk::weigh;
use crate::units::Tokens;
use bytes::Bytes;
use http::HeaderName;
use serde_json::json;

/// OpenAI's completions of a plain text.
#[derive(Debug)]
pub struct OpenAiCompletions;

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

/// The fields that are checked by shape alone.
const SHAPES: &[(&str, Shape)] = &[
    ("model", Shape::Text),
    ("suffix", Shape::Text),
    ("max_tokens", Shape::Whole),
    ("temperature", Shape::Number),
    ("top_p", Shape::Number),
    ("n", Shape::Positive),
    ("best_of", Shape::Positive),
    ("stream", Shape::Bool),
    ("stream_options", Shape::Object),
    ("logprobs", Shape::Whole),
    ("echo", Shape::Bool),
    ("stop", Shape::TextOrTexts),
    ("presence_penalty", Shape::Number),
    ("frequency_penalty", Shape::Number),
    ("logit_bias", Shape::Object),
    ("seed", Shape::Number),
    ("user", Shape::Text),
    ("fallbacks", Shape::Texts),
];

impl Surface for OpenAiCompletions {
    fn name(&self) -> &'static str {
        "openai-completions"
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn id_header(&self) -> Option<HeaderName> {
        OpenAiChat.id_header()
    }

    fn operation(&self) -> Operation {
        Operation::Complete
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        inspect(tape.root(), line)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        let Ok(tape) = Tape::parse(body) else { return Besides::default() };
        let mut frame = Tokens::ZERO;
        for field in ["prompt", "suffix"] {
            tape.root().get(field).into_iter().for_each(|value| texts(value, each, &mut frame));
        }
        Besides { frame, media: Media::default() }
    }

    fn parse(&self, body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
        parse(body, line)
    }

    fn render(&self, reply: &Reply, asked: &Asked) -> Bytes {
        words::whole(&OpenAiChat.render(reply, asked), asked)
    }

    fn renderer(&self, asked: Asked) -> Box<dyn Render> {
        Box::new(words::Stream::new(OpenAiChat.renderer(asked.clone()), &asked))
    }

    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes {
        OpenAiChat.fault(fault, request_id)
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        OpenAiChat.fault_event(fault, asked, begun)
    }

    fn cut_off(&self, so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
        words::frames(&OpenAiChat.cut_off(so_far, asked))
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
    let number = |key: &str| given(key).and_then(Value::as_u64);
    let named = given("model").filter(|model| !model.is_text(""));
    let model = named.and_then(text).or_else(|| line.model.clone());
    let model = model.ok_or_else(|| Fault::missing_field("model", "a string"))?;
    let prompt = given("prompt").ok_or_else(|| Fault::missing_field("prompt", INPUT))?;
    check_input("prompt", prompt)?;
    let (delivery, usage) = (chat::delivery(root)?, chat::usage_edit(root)?);
    let members = root.span().start + 1;
    Ok(Envelope {
        model,
        model_place: root.get("model").map_or(ModelPlace::Missing, |model| ModelPlace::Body(model.span())),
        delivery,
        fallbacks: given("fallbacks").into_iter().flat_map(Value::elements).filter_map(text).collect(),
        cuts: if root.get("fallbacks").is_some() { root.member_cuts(OWN_FIELDS) } else { Vec::new() },
        conversation: None,
        max_tokens: number("max_tokens").map(Tokens),
        prompt_bytes: weigh(prompt) + given("suffix").map_or(0, weigh),
        media: Media::default(),
        // All that are drawn are billed, whichever of them are shown.
        n: number("n").max(number("best_of")).unwrap_or(1).saturating_mul(prompts(prompt)),
        end_user: given("user").and_then(end_user),
        places: Places {
            members,
            usage,
            caps: given("max_tokens").map(|cap| CapPlace::of("max_tokens", cap)).into_iter().collect(),
            uncapped: uncapped(root, members),
            ..Places::default()
        },
    })
}

/// How many texts are gone on with.
fn prompts(prompt: Value<'_>) -> u64 {
    let many = prompt.elements().filter(|one| one.kind() != Kind::Number).count();
    (many as u64).max(1)
}

/// Where a cap is written if there is none.
fn uncapped(root: Value<'_>, members: usize) -> Option<Uncapped> {
    match root.get("max_tokens") {
        None => Some(Uncapped { span: members..members, before: "\"max_tokens\":", after: "," }),
        Some(null) if null.is_null() => Some(Uncapped { span: null.span(), before: "", after: "" }),
        Some(_) => None,
    }
}

/// The call as chat has it, of a body that was inspected.
fn parse(body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
    let mut body = chat_parse::json(body)?;
    let fields = body.as_object_mut().ok_or_else(|| Fault::bad_field("body", "an object", "another kind"))?;
    let mut take = |key: &str| fields.shift_remove(key).filter(|value| !value.is_null());
    let unsupported = |field: &str, what: &str| {
        let message = format!("{field}: {what} for a model that is asked in chat");
        Err(Fault::new(Code::Unsupported, message).at(field))
    };
    let prompt = match take("prompt") {
        Some(serde_json::Value::Array(mut list)) if list.len() == 1 => list.pop(),
        other => other,
    };
    let Some(serde_json::Value::String(prompt)) = prompt else {
        return unsupported("prompt", "expected one text");
    };
    if take("suffix").is_some_and(|suffix| suffix != "") {
        return unsupported("suffix", "there is no such field");
    }
    // What is echoed stands in the request, which the renderer is given.
    let (_, logprobs) = (take("echo"), take("logprobs"));
    if let Some(top) = logprobs {
        fields.insert("logprobs".to_owned(), true.into());
        fields.insert("top_logprobs".to_owned(), top);
    }
    fields.insert("messages".to_owned(), json!([{"role": "user", "content": prompt}]));
    chat_parse::read(body, line.model.as_deref())
}

#[cfg(test)]
mod tests;

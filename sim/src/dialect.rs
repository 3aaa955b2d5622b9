//! The wire formats. Each is one file that fills in a [`Dialect`]; to add one, write the file and
//! give it a line in [`route`].

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod ollama;
pub(crate) mod openai;
mod responses;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::{Kind, Refusal};
use crate::quirks::{Delivery, Quirks};
use crate::wire::Frame;

/// The models listed; any name is served.
const MODELS: [&str; 3] = ["gpt-sim", "claude-sim", "gemini-sim"];

/// What a wire format must know.
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    /// Understands a request, or refuses it as the provider would.
    pub(crate) read: fn(&Arrival<'_>) -> Result<Ask, Refusal>,
    /// The answer as one JSON value.
    pub(crate) whole: fn(&Ask, &Answer, &Quirks) -> Value,
    /// The answer as the frames of a stream, end mark included.
    pub(crate) stream: fn(&Ask, &Answer, &Quirks) -> Vec<Frame>,
    /// An error's body.
    pub(crate) refuse: fn(&Refusal, StatusCode) -> Value,
    /// An error inside a stream.
    pub(crate) interrupt: fn(&Refusal, StatusCode) -> Frame,
    /// The status this provider gives a kind of failure.
    pub(crate) status: fn(Kind) -> u16,
    /// The header that carries the request's id.
    pub(crate) id_header: &'static str,
    /// The name of an error in its answer's head, in dialects that have it there.
    pub(crate) error_name: fn(&Refusal) -> Option<&'static str>,
    /// What it answers where only the prompt's tokens are asked for.
    pub(crate) counted: fn(u64) -> Value,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An answer.
    Answer,
    /// The number of the prompt's tokens, which costs nothing.
    Count,
}

impl Dialect {
    /// The status `refusal` is answered with.
    pub(crate) fn status_of(&self, refusal: &Refusal) -> StatusCode {
        let status = refusal.status.unwrap_or_else(|| (self.status)(refusal.kind));
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// A parsed request on its way to a dialect.
pub(crate) struct Arrival<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Value,
    /// Without directives; empty when the request names none.
    pub(crate) model: String,
    /// The last user message without directives.
    pub(crate) said: String,
    pub(crate) quirks: &'a Quirks,
    pub(crate) wanted: Wanted,
}

/// An answer that is not JSON, in the pieces in which it is written.
pub(crate) struct Raw {
    pub(crate) content_type: &'static str,
    pub(crate) pieces: Vec<Bytes>,
}

/// The whole answer, where it is not JSON.
pub(crate) fn raw(dialect: &Dialect, ask: &Ask, answer: &Answer, quirks: &Quirks) -> Option<Raw> {
    openai::sound::raw(dialect, ask, answer, quirks)
}

/// Where a request leads.
pub(crate) struct Target {
    pub(crate) dialect: &'static Dialect,
    pub(crate) place: Place,
    pub(crate) framing: Framing,
    pub(crate) wanted: Wanted,
}

/// Where the model and the delivery stand.
pub(crate) enum Place {
    /// `model` and `stream` in the body.
    Body,
    /// In the path.
    Path { model: String, delivery: Delivery },
}

/// How frames become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `data:` lines ending in LF.
    Sse,
    /// The same ending in CRLF.
    SseCrlf,
    /// One JSON array, written element by element.
    Array,
    /// Binary messages.
    Binary,
    /// One JSON value in each line.
    Lines,
}

/// The dialect that serves `path`, if any does.
pub(crate) fn route(path: &str, query: &str) -> Option<Target> {
    let target =
        |dialect, wanted| Some(Target { dialect, place: Place::Body, framing: Framing::Sse, wanted });
    let body = |dialect| target(dialect, Wanted::Answer);
    match path {
        "/v1/chat/completions" | "/chat/completions" => body(&openai::DIALECT),
        "/v1/completions" | "/completions" => body(&openai::completions::DIALECT),
        "/v1/embeddings" | "/embeddings" => body(&openai::passed::EMBEDDINGS),
        "/v1/moderations" | "/moderations" => body(&openai::passed::MODERATIONS),
        "/v1/images/generations" | "/images/generations" => body(&openai::passed::IMAGES),
        "/v1/images/edits" | "/images/edits" | "/v1/images/variations" | "/images/variations" => {
            body(&openai::passed::IMAGES)
        }
        "/v1/audio/speech" | "/audio/speech" => body(&openai::sound::SPEECH),
        "/v1/audio/transcriptions"
        | "/audio/transcriptions"
        | "/v1/audio/translations"
        | "/audio/translations" => body(&openai::sound::TRANSCRIPTIONS),
        "/v1/rerank" | "/v2/rerank" | "/rerank" => body(&openai::passed::RERANK),
        "/v1/responses" | "/responses" => body(&responses::DIALECT),
        "/v1/messages" | "/messages" => body(&anthropic::DIALECT),
        "/v1/messages/count_tokens" | "/messages/count_tokens" => target(&anthropic::DIALECT, Wanted::Count),
        "/v2/chat" => body(&cohere::DIALECT),
        "/api/chat" => Some(Target { framing: Framing::Lines, ..body(&ollama::DIALECT)? }),
        _ => bedrock_route(path).or_else(|| gemini_route(path, query)),
    }
}

/// `/model/{model}/converse` and its stream.
fn bedrock_route(path: &str) -> Option<Target> {
    let (model, verb) = path.strip_prefix("/model/")?.rsplit_once('/')?;
    let delivery = match verb {
        "converse" => Delivery::Whole,
        "converse-stream" => Delivery::Stream,
        _ => return None,
    };
    let place = Place::Path { model: decoded(model), delivery };
    Some(Target { dialect: &bedrock::DIALECT, place, framing: Framing::Binary, wanted: Wanted::Answer })
}

/// `…/models/{model}:generateContent` under any version, project or publisher.
fn gemini_route(path: &str, query: &str) -> Option<Target> {
    let (_, last) = path.split_once("/models/")?;
    let (model, action) = last.rsplit_once(':')?;
    if path.contains("/publishers/anthropic/") {
        return vertex_route(model, action);
    }
    let (delivery, wanted) = match action {
        "generateContent" => (Delivery::Whole, Wanted::Answer),
        "streamGenerateContent" => (Delivery::Stream, Wanted::Answer),
        "countTokens" => (Delivery::Whole, Wanted::Count),
        _ => return None,
    };
    let sse = query.split('&').any(|pair| pair == "alt=sse");
    let framing = if sse { Framing::SseCrlf } else { Framing::Array };
    Some(Target {
        dialect: &gemini::DIALECT,
        place: Place::Path { model: decoded(model), delivery },
        framing,
        wanted,
    })
}

/// `…/publishers/anthropic/models/{model}:rawPredict`, its stream, and the model that counts.
fn vertex_route(model: &str, action: &str) -> Option<Target> {
    let (delivery, wanted) = match action {
        "rawPredict" if model == "count-tokens" => (Delivery::Whole, Wanted::Count),
        "rawPredict" => (Delivery::Whole, Wanted::Answer),
        "streamRawPredict" => (Delivery::Stream, Wanted::Answer),
        _ => return None,
    };
    let place = Place::Path { model: decoded(model), delivery };
    Some(Target { dialect: &anthropic::DIALECT, place, framing: Framing::Sse, wanted })
}

/// Undoes percent-encoding; what is not valid stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    let mut made = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let hex = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                made.push(byte);
                left = rest.get(2..).unwrap_or_default();
            }
            _ => {
                made.push(*first);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&made).into_owned()
}

/// The list of models, if `parts` asks for it, in the shape its path and headers ask for.
pub(crate) fn models(parts: &Parts) -> Option<Value> {
    match parts.uri.path() {
        "/v1beta/models" => Some(gemini::models()),
        "/v1/models" | "/models" if parts.headers.contains_key("anthropic-version") => {
            Some(anthropic::models())
        }
        "/v1/models" | "/models" if parts.headers.contains_key("x-goog-api-key") => Some(gemini::models()),
        "/v1/models" | "/models" => Some(openai::models()),
        _ => None,
    }
}

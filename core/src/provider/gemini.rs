//! The Gemini dialect: Google's generateContent, on AI Studio and on Vertex.
//!
//! Differences that shape everything here: the model stands in the path, a stream has no end mark,
//! `STOP` is also said when tools are called, ids of tool calls are optional, usage is cumulative in
//! every chunk, and thoughts are counted beside the candidates rather than within them.

mod contents;
mod decode;
mod embeddings;
mod fault;
mod generation;
mod media;
mod grounding;
mod metering;
mod model;
mod schema;
mod text;
mod thinking;
mod tools;

#[cfg(test)]
mod tests;

use super::{Decode, Encoded, Endpoint, Glance, Provider, Purpose, Target};
use crate::call::{Call, Delivery, Operation};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings};
use crate::fault::{Fault, UpstreamFault};
use crate::framing::Framing;
use crate::json::write;
use crate::reply::Reply;
use crate::sse::Frame;
use crate::usage::Usage;
use crate::vendor::ChatPath;
use http::HeaderMap;
use memchr::memmem;
use serde_json::{Map, Value};

/// The Gemini dialect.
#[derive(Debug)]
pub struct Gemini;

impl Provider for Gemini {
    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn endpoint(&self, target: &Target<'_>, purpose: Purpose) -> Option<Endpoint> {
        endpoint(target, purpose)
    }

    fn fetches(&self, url: &str, target: &Target<'_>) -> bool {
        media::is_vertex(target) || media::fetched_by_ai_studio(url)
    }

    fn is_blocked(&self, data: &[u8]) -> bool {
        let has = |field: &str| memchr::memmem::find(data, field.as_bytes()).is_some();
        has(r#""blockReason""#) && !has(r#""candidates""#)
    }

    fn encode(&self, call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
        let mut lost = Lost::default();
        let body = generation::body(call, target, &mut lost)?;
        Ok(Encoded {
            endpoint: endpoint(target, Purpose::chat(call.delivery)).unwrap_or_default(),
            body: write::object(&body),
            lost: lost.names,
        })
    }

    fn encode_embedding(&self, call: &EmbeddingCall, target: &Target<'_>) -> Result<Encoded, Fault> {
        embeddings::encode(call, target)
    }

    fn decode_embeddings(&self, body: &[u8], _target: &Target<'_>) -> Result<Embeddings, Box<UpstreamFault>> {
        embeddings::decode(body)
    }

    fn decode(&self, body: &[u8], _target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
        decode::whole(body)
    }

    fn decoder(&self, _target: &Target<'_>) -> Box<dyn Decode> {
        Box::new(decode::Decoder::default())
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &[u8], _target: &Target<'_>) -> UpstreamFault {
        fault::read(status, headers, body)
    }

    fn glance(&self, frame: &Frame) -> Glance {
        glance(frame.data())
    }

    fn usage(&self, data: &[u8], earlier: Option<&Usage>, _target: &Target<'_>) -> Option<Usage> {
        metering::of_bytes(data, earlier)
    }

    fn text(&self, data: &[u8], out: &mut String) {
        text::of(data, out);
    }
}

fn endpoint(target: &Target<'_>, purpose: Purpose) -> Option<Endpoint> {
    let method = match (purpose.operation, purpose.delivery, purpose.framing) {
        (Operation::Complete | Operation::Task(_), ..) => return None,
        (Operation::Chat | Operation::Invoke, Delivery::Whole, _) => "generateContent",
        (
            Operation::Chat | Operation::Invoke,
            Delivery::Stream(_),
            Framing::Events | Framing::EventStream | Framing::Lines,
        ) => "streamGenerateContent?alt=sse",
        // Without `alt=sse` the stream is one JSON array that grows.
        (Operation::Chat | Operation::Invoke, Delivery::Stream(_), Framing::Array) => "streamGenerateContent",
        (Operation::Count, ..) => "countTokens",
        (Operation::Embed, ..) => "embedContent",
        (Operation::EmbedBatch, ..) => "batchEmbedContents",
    };
    Some(verb(target, method))
}

/// What is asked of the model by this word.
fn verb(target: &Target<'_>, method: &str) -> Endpoint {
    let publisher = if is_vertex_path(target) { "/google" } else { "" };
    Endpoint {
        path: format!("{publisher}{}:{method}", model::path(target.model)).into(),
        headers: HeaderMap::new(),
    }
}

/// Whether it is asked at Vertex's own paths.
fn is_vertex_path(target: &Target<'_>) -> bool {
    target.vendor.quirks.path == ChatPath::Vertex
}

/// Quotes inside strings are escaped, so these patterns are found at keys only.
fn glance(data: &[u8]) -> Glance {
    let head = data.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'{' | b'['));
    let body = head.and_then(|at| data.get(at..)).unwrap_or_default();
    let has = |pattern: &[u8]| memmem::find(data, pattern).is_some();
    if body.starts_with(b"\"error\"") {
        Glance::Fault
    } else if has(b"\"finishReason\"") || has(b"\"blockReason\"") {
        Glance::Finish
    } else if has(b"\"parts\"") {
        Glance::Content
    } else {
        // Vertex opens streams with chunks that carry only a traffic type.
        Glance::Preamble
    }
}

/// What could not be carried, in the order found and without repeats.
#[derive(Debug, Default)]
struct Lost {
    names: Vec<String>,
}

impl Lost {
    fn add(&mut self, name: impl Into<String>) {
        let name = name.into();
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Notes a field below a path that is there and cannot be carried.
    fn add_at<T: ?Sized>(&mut self, field: Option<&T>, path: &str, name: &str) {
        if field.is_some() {
            self.add(format!("{path}.{name}"));
        }
    }

    /// Notes a setting that is there and cannot be carried.
    fn add_if<T: ?Sized>(&mut self, setting: Option<&T>, name: &str) {
        if setting.is_some() {
            self.add(name);
        }
    }
}

/// Adds what the origin dialect alone can say: verbatim where that is this dialect, else as lost.
/// What is already there wins, since it came from the canonical form; objects are joined.
fn add_extras(
    into: &mut Map<String, Value>,
    extras: &Map<String, Value>,
    origin: Dialect,
    lost: &mut LostAt<'_>,
) {
    match origin {
        Dialect::Gemini => join(into, extras),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic => extras.keys().for_each(|name| lost.add(name)),
    }
}

/// Depth is bounded by the parser that read the extras.
fn join(into: &mut Map<String, Value>, extras: &Map<String, Value>) {
    for (name, value) in extras {
        match (into.get_mut(name), value) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => join(ours, theirs),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Notes losses below a path.
struct LostAt<'a> {
    lost: &'a mut Lost,
    /// `messages[2].`, or empty at the top.
    prefix: String,
}

impl LostAt<'_> {
    fn add(&mut self, name: &str) {
        self.lost.add(format!("{}{name}", self.prefix));
    }
}

/// An object of the members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

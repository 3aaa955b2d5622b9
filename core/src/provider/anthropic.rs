//! The Anthropic dialect: Messages, as a client of it.
//!
//! `encode` writes calls (`request`, with `turns` for the conversation, `blocks` for its parts and
//! `settings` for the rest), `decode` reads whole answers, `stream` reads streams, `usage` counts,
//! `fault` classifies, `glance` serves the pass-through. What a model accepts is in `model`, by its
//! name alone.
//!
//! Encoding is deterministic: a call has one byte form, and a conversation that grows keeps the bytes
//! of its earlier turns, since prompt caches and signed thinking are bound to them.

mod blocks;
pub(super) mod decode;
mod fault;
mod glance;
pub(super) mod ids;
pub(super) mod lost;
pub(super) mod media;
pub(super) mod model;
mod request;
pub(super) mod schema;
pub(super) mod settings;
mod stream;
#[cfg(test)]
mod tests;
pub(super) mod text;
pub(super) mod thinking;
pub(super) mod turns;
pub(super) mod usage;
pub(crate) mod vertex;

use super::{Decode, Encoded, Endpoint, Glance, Provider, Purpose, Target};
use crate::call::{Call, Operation};
use crate::dialect::Dialect;
use crate::fault::{Fault, UpstreamFault};
use crate::reply::Reply;
use crate::sse::Frame;
use crate::usage::Usage;
use crate::vendor::ChatPath;
use http::{HeaderMap, HeaderValue};

/// The API version spoken. Later versions refuse every sampling parameter, which models that know
/// them still take under this one: <https://platform.claude.com/docs/en/api/versioning>
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The tool that stands in for a response format on models without one. Its input is the answer: a
/// decoder that meets it writes text, not a tool call.
pub(super) const JSON_TOOL: &str = "tollgate_json_output";

/// The Anthropic dialect.
#[derive(Debug)]
pub struct Anthropic;

impl Provider for Anthropic {
    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
    }

    fn endpoint(&self, target: &Target<'_>, purpose: Purpose) -> Option<Endpoint> {
        if target.vendor.quirks.path == ChatPath::Vertex {
            return vertex::endpoint(target.model, purpose);
        }
        match purpose.operation {
            Operation::Chat => Some(endpoint("/messages")),
            Operation::Count => Some(endpoint("/messages/count_tokens")),
            Operation::Invoke
            | Operation::Embed
            | Operation::EmbedBatch
            | Operation::Complete
            | Operation::Task(_) => None,
        }
    }

    fn encode(&self, call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
        let request::Written { body, lost } = request::encode(call, target.model)?;
        match vertex::endpoint(target.model, Purpose::chat(call.delivery)) {
            Some(endpoint) if target.vendor.quirks.path == ChatPath::Vertex => {
                Ok(Encoded { endpoint, body: vertex::body(&body), lost })
            }
            Some(_) | None => Ok(Encoded { endpoint: endpoint("/messages"), body, lost }),
        }
    }

    fn decode(&self, body: &[u8], _target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
        decode::reply(body)
    }

    fn decoder(&self, _target: &Target<'_>) -> Box<dyn Decode> {
        Box::new(stream::Decoder::default())
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &[u8], _target: &Target<'_>) -> UpstreamFault {
        fault::read(status, headers, body)
    }

    fn glance(&self, frame: &Frame) -> Glance {
        glance::glance(frame)
    }

    fn usage(&self, data: &[u8], earlier: Option<&Usage>, _target: &Target<'_>) -> Option<Usage> {
        usage::find(data, earlier)
    }

    fn text(&self, data: &[u8], out: &mut String) {
        text::of(data, out);
    }
}

fn endpoint(path: &'static str) -> Endpoint {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert("anthropic-version", VERSION);
    Endpoint { path: path.into(), headers }
}

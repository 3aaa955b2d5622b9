//! OpenAI's Responses dialect.
//!
//! Its errors and its counts are those of the chat dialect under other names, and are read by the same
//! code. A response that the provider keeps (`previous_response_id`, `conversation`) is its alone: a
//! call that stands on one cannot be encoded for anybody else.

mod decode;
mod encode;
mod fault;
mod glance;
mod reader;
mod stream;
mod text;
mod usage;

pub(crate) use encode::LEAST_CAP;
pub(crate) use glance::{is_chat, is_only_here};

use super::{Decode, Encoded, Endpoint, Glance, Provider, Purpose, Target};
use crate::call::{Call, Operation};
use crate::dialect::Dialect;
use crate::fault::{Fault, UpstreamFault};
use crate::reply::Reply;
use crate::sse::Frame;
use crate::usage::Usage;
use http::HeaderMap;

/// The Responses dialect.
#[derive(Debug)]
pub struct OpenAiResponses;

impl Provider for OpenAiResponses {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiResponses
    }

    fn endpoint(&self, _target: &Target<'_>, purpose: Purpose) -> Option<Endpoint> {
        match purpose.operation {
            Operation::Chat => Some(endpoint()),
            Operation::Count
            | Operation::Embed
            | Operation::EmbedBatch
            | Operation::Complete
            | Operation::Task(_)
            | Operation::Invoke => None,
        }
    }

    fn encode(&self, call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
        encode::encode(call, target)
    }

    fn decode(&self, body: &[u8], _target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
        decode::reply(body)
    }

    fn may_have_failed(&self, body: &[u8]) -> bool {
        glance::may_have_failed(body)
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

    fn usage(&self, data: &[u8], _earlier: Option<&Usage>, _target: &Target<'_>) -> Option<Usage> {
        usage::find(data)
    }

    fn text(&self, data: &[u8], out: &mut String) {
        text::of(data, out);
    }
}

fn endpoint() -> Endpoint {
    Endpoint { path: "/responses".into(), headers: HeaderMap::new() }
}

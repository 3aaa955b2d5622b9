//! AWS Bedrock, as a client of it: Converse, which says the same in one form for every model.
//!
//! `request` writes calls (`turns` the conversation, `blocks` and `media` its parts, `settings` the
//! rest), `decode` reads whole answers, `stream` reads streams, `usage` counts, `fault` classifies,
//! `glance` and `text` serve the pass-through. What a model accepts is in `family`, by its name alone.
//!
//! InvokeModel, whose bodies are in the words of each model's maker, is passed through and never
//! written here; `invoke` finds in its answers what is metered.
//!
//! Claude's signatures and seals are Anthropic's, whoever serves it, so that a conversation can go on elsewhere:
//! <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>

mod blocks;
mod decode;
mod family;
mod fault;
mod glance;
mod invoke;
mod media;
mod request;
mod settings;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod turns;
mod usage;

use super::{Decode, Encoded, Endpoint, Glance, Provider, Purpose, Target};
use crate::call::{Call, Delivery, Operation};
use crate::dialect::Dialect;
use crate::fault::{Fault, UpstreamFault};
use crate::reply::Reply;
use crate::sse::Frame;
use crate::usage::Usage;
use http::HeaderMap;

/// AWS Bedrock.
#[derive(Debug)]
pub struct Bedrock;

impl Provider for Bedrock {
    fn dialect(&self) -> Dialect {
        Dialect::Bedrock
    }

    fn endpoint(&self, target: &Target<'_>, purpose: Purpose) -> Option<Endpoint> {
        let verb = match (purpose.operation, purpose.delivery) {
            (Operation::Chat, Delivery::Whole) => "converse",
            (Operation::Chat, Delivery::Stream(_)) => "converse-stream",
            (Operation::Invoke, Delivery::Whole) => "invoke",
            (Operation::Invoke, Delivery::Stream(_)) => "invoke-with-response-stream",
            (
                Operation::Count
                | Operation::Embed
                | Operation::EmbedBatch
                | Operation::Complete
                | Operation::Task(_),
                _,
            ) => {
                return None;
            }
        };
        Some(endpoint(target.model, verb))
    }

    fn fetches(&self, _url: &str, _target: &Target<'_>) -> bool {
        false
    }

    fn encode(&self, call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
        let request::Written { body, lost } = request::encode(call, target.model)?;
        let verb = match call.delivery {
            Delivery::Whole => "converse",
            Delivery::Stream(_) => "converse-stream",
        };
        Ok(Encoded { endpoint: endpoint(target.model, verb), body, lost })
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

    fn frame_fault(&self, frame: &Frame, _headers: &HeaderMap, _target: &Target<'_>) -> UpstreamFault {
        fault::in_frame(frame)
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

/// Model names hold colons, and slashes where they are ARNs; both are escaped in a path.
fn endpoint(model: &str, verb: &str) -> Endpoint {
    let mut path = String::with_capacity(model.len() + verb.len() + 24);
    path.push_str("/model/");
    crate::sigv4::escape(model.as_bytes(), crate::sigv4::Slash::Escaped, &mut path);
    path.push('/');
    path.push_str(verb);
    Endpoint { path: path.into(), headers: HeaderMap::new() }
}

//! OpenAI Responses.
//!
//! A conversation is a list of items here. What another provider's answer says in ways this dialect has
//! no word for is kept where clients send it back, as the encrypted content of `reasoning` items:
//! proofs of other providers, and blocks that only another dialect understands. Such items are taken out
//! again before a body passes on to an upstream of this dialect, to which they would be forgeries. Fields of other providers stand in `provider_fields` of the response, under the dialect's name.

mod cut_off;
mod fault;
mod inspect;
mod parse;
mod prompt;
mod render;
mod stream;
mod words;

pub(crate) use inspect::{Unfit, unfit};

use super::{Asked, Begun, Envelope, Render, RequestLine, SoFar, Surface};
use crate::call::Call;
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::Tape;
use crate::reply::Reply;
use bytes::Bytes;
use http::HeaderName;

/// OpenAI Responses.
#[derive(Debug)]
pub struct OpenAiResponses;

impl Surface for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAiResponses
    }

    fn id_header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("x-request-id"))
    }

    fn inspect(&self, tape: &Tape<'_>, _line: &RequestLine) -> Result<Envelope, Fault> {
        inspect::inspect(tape)
    }

    fn leaves_running(&self, body: &[u8]) -> bool {
        inspect::leaves_running(body)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        prompt::texts(body, each)
    }

    fn parse(&self, body: &[u8], _line: &RequestLine) -> Result<Call, Fault> {
        parse::parse(body)
    }

    fn render(&self, reply: &Reply, asked: &Asked) -> Bytes {
        render::render(reply, asked)
    }

    fn renderer(&self, asked: Asked) -> Box<dyn Render> {
        Box::new(stream::Stream::new(asked))
    }

    fn fault(&self, fault: &Fault, _request_id: &str) -> Bytes {
        fault::body(fault)
    }

    fn fault_event(&self, fault: &Fault, _asked: &Asked, _begun: Begun) -> Bytes {
        fault::event(fault, 0)
    }

    fn fault_event_after(&self, last: &[u8], fault: &Fault, _asked: &Asked, _begun: Begun) -> Bytes {
        fault::event(fault, words::sequence_after(last))
    }

    fn cut_off(&self, so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
        cut_off::frames(so_far, asked)
    }
}

#[cfg(test)]
mod tests;

//! AWS Bedrock: Converse, and InvokeModel for Anthropic's models.
//!
//! The path names the model and whether the answer streams. Streams are binary messages whose check
//! sums clients verify. Proofs of other providers travel as signatures of reasoning blocks, as on
//! Messages; blocks that carry nothing else are cut out again before a body passes on to Bedrock.
//!
//! Requests come signed. The access key id of the signature is the virtual key; whether its secret
//! signed cannot be told, since only the hash of a virtual key is kept.

mod cut_off;
mod fault;
mod inspect;
mod invoke;
mod parse;
mod prompt;
mod proof;
mod render;
mod stream;
mod words;

use super::{Asked, Begun, Envelope, Render, RequestLine, SoFar, Surface};
use crate::call::{Call, Delivery, UsageChunk};
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::framing::Framing;
use crate::json::Tape;
use crate::reply::Reply;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};

pub use invoke::{INVOKE, INVOKE_STREAM};

/// `Converse` and `ConverseStream`.
#[derive(Debug)]
pub struct Converse {
    delivery: Delivery,
}

/// A stream always tells usage here.
const STREAMED: Delivery = Delivery::Stream(UsageChunk::Wanted);

/// `Converse`.
pub static CONVERSE: Converse = Converse { delivery: Delivery::Whole };

/// `ConverseStream`.
pub static CONVERSE_STREAM: Converse = Converse { delivery: STREAMED };

/// In which AWS's clients look for a request's id.
const ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

impl Surface for Converse {
    fn name(&self) -> &'static str {
        "bedrock-converse"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Bedrock
    }

    fn id_header(&self) -> Option<HeaderName> {
        Some(ID)
    }

    fn framing(&self, _query: Option<&str>) -> Framing {
        Framing::EventStream
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        inspect::converse(tape.root(), line, self.delivery)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        prompt::texts(body, each)
    }

    fn parse(&self, body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
        parse::converse(body, line, self.delivery)
    }

    fn render(&self, reply: &Reply, _asked: &Asked) -> Bytes {
        render::render(reply)
    }

    fn renderer(&self, _asked: Asked) -> Box<dyn Render> {
        Box::new(stream::Stream::default())
    }

    fn fault(&self, fault: &Fault, _request_id: &str) -> Bytes {
        fault::body(fault)
    }

    fn fault_status(&self, fault: &Fault) -> u16 {
        fault::status(fault)
    }

    fn label_fault(&self, fault: &Fault, headers: &mut HeaderMap) {
        fault::label(fault, headers);
    }

    fn fault_event(&self, fault: &Fault, _asked: &Asked, _begun: Begun) -> Bytes {
        fault::event(fault)
    }

    fn cut_off(&self, so_far: &SoFar<'_>, _asked: &Asked) -> Bytes {
        cut_off::frames(so_far)
    }
}

#[cfg(test)]
mod tests;

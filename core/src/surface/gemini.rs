//! Google's `generateContent` and what is served beside it.
//!
//! The path names the model and what is asked of it, the query (`alt=sse`) the form of a stream.
//! Proofs of other providers travel in `thoughtSignature` (see [`proof`]), their blocks in a part's
//! `partMetadata.tollgate`, their other fields in `providerFields` under the dialect's name. What is
//! rendered here is accepted back here.

pub mod form;

mod count;
mod cut_off;
mod embed;
mod fault;
mod frame;
mod grounding;
mod inspect;
mod parse;
mod prompt;
mod proof;
mod render;
mod stream;
mod words;

use super::{Asked, Begun, Envelope, Render, RequestLine, SoFar, Surface};
use crate::call::{Call, Delivery};
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::framing::Framing;
use crate::json::Tape;
use crate::reply::Reply;
use bytes::Bytes;

/// Chat calls: `generateContent` and `streamGenerateContent`.
#[derive(Debug)]
pub struct Generate {
    delivery: Delivery,
}

/// `countTokens`.
pub static COUNT: count::Count = count::Count;

pub use embed::{BATCH as EMBED_BATCH, ONE as EMBED};

/// `generateContent`.
pub static WHOLE: Generate = Generate { delivery: Delivery::Whole };

/// `streamGenerateContent`.
pub static STREAM: Generate = Generate { delivery: inspect::STREAM };

impl Surface for Generate {
    fn name(&self) -> &'static str {
        "gemini-generate"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn framing(&self, query: Option<&str>) -> Framing {
        let events = query.into_iter().flat_map(|query| query.split('&')).any(|pair| {
            pair.split_once('=').is_some_and(|(key, value)| {
                matches!(key, "alt" | "$alt" | "%24alt") && value.eq_ignore_ascii_case("sse")
            })
        });
        match self.delivery {
            Delivery::Stream(_) if !events => Framing::Array,
            Delivery::Stream(_) | Delivery::Whole => Framing::Events,
        }
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        inspect::generate(tape.root(), line, self.delivery)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        prompt::texts(body, each)
    }

    fn parse(&self, body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
        parse::generate(body, line, self.delivery)
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

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        fault::event(fault, asked, begun)
    }

    fn cut_off(&self, so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
        cut_off::frames(so_far, asked)
    }
}

#[cfg(test)]
mod tests;

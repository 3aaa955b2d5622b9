//! OpenAI chat completions.
//!
//! What the dialect has no word for travels in fields that other gateways and Google's own
//! OpenAI-compatible endpoint use: `reasoning_content`, `thinking_blocks` (Anthropic's signed
//! blocks), `extra_content.google.thought_signature`, `cache_control`. What is rendered here is
//! accepted back here, so that a client which repeats an assistant message loses nothing.
//!
//! Blocks of another dialect stand in `provider_blocks`, its other fields in `provider_fields` under
//! the dialect's name, at the level where they stood. Citations of other dialects stand in
//! `citations`, those of web pages in `annotations` too.

mod cut_off;
pub(super) mod fault;
pub(super) mod inspect;
pub(super) mod parse;
mod prompt;
mod render;
mod stream;
mod words;

use super::{Asked, Begun, Envelope, Render, RequestLine, SoFar, Surface};
use crate::call::Call;
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::Tape;
use crate::reply::Reply;
use bytes::Bytes;
use http::HeaderName;

/// OpenAI chat completions.
#[derive(Debug)]
pub struct OpenAiChat;

impl Surface for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn id_header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("x-request-id"))
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        inspect::inspect(tape, line.model.as_deref())
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        prompt::texts(body, each)
    }

    fn parse(&self, body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
        parse::parse(body, line.model.as_deref())
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
        fault::event(fault)
    }

    fn cut_off(&self, so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
        cut_off::frames(so_far, asked)
    }
}

#[cfg(test)]
mod tests;

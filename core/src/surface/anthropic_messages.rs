//! Anthropic Messages, and the counting of their tokens.
//!
//! What another provider's answer says in ways this dialect has no word for is kept where clients
//! send it back: its proofs (`proof`) are signatures of `thinking` blocks, which clients repeat
//! verbatim. Such a block is taken out again before a body passes on to an upstream of this dialect,
//! to which it would be a forgery. Fields of other providers stand in `provider_fields` of the message,
//! under the dialect's name.

mod cut_off;
mod fault;
mod inspect;
mod parse;
mod prompt;
mod render;
mod stream;
mod words;

use super::{Asked, Begun, Envelope, Render, RequestLine, SoFar, Surface};
use crate::call::{Call, Operation};
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::Tape;
use crate::reply::Reply;
use crate::units::Tokens;
use bytes::Bytes;
use http::HeaderName;
use inspect::Naming;

/// Messages, or the counting of their tokens: the same requests to two paths.
#[derive(Debug)]
pub struct AnthropicMessages {
    operation: Operation,
}

/// Messages.
pub const MESSAGES: AnthropicMessages = AnthropicMessages { operation: Operation::Chat };

/// The same requests, of which only the prompt's tokens are asked for.
pub const COUNT: AnthropicMessages = AnthropicMessages { operation: Operation::Count };

/// Checks a body of Messages whose model the path names.
pub(super) fn inspect_at(tape: &Tape<'_>, model: &str) -> Result<Envelope, Fault> {
    inspect::inspect(tape, Operation::Chat, Naming::Path(model))
}

impl Surface for AnthropicMessages {
    fn name(&self) -> &'static str {
        match self.operation {
            Operation::Count => "anthropic-count-tokens",
            Operation::Chat
            | Operation::Invoke
            | Operation::Embed
            | Operation::EmbedBatch
            | Operation::Complete
            | Operation::Task(_) => "anthropic-messages",
        }
    }

    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
    }

    fn id_header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("request-id"))
    }

    fn operation(&self) -> Operation {
        self.operation
    }

    fn inspect(&self, tape: &Tape<'_>, _line: &RequestLine) -> Result<Envelope, Fault> {
        inspect::inspect(tape, self.operation, Naming::Body)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        prompt::texts(body, each)
    }

    fn parse(&self, body: &[u8], _line: &RequestLine) -> Result<Call, Fault> {
        parse::parse(body)
    }

    fn counted(&self, input: Tokens) -> Option<Bytes> {
        let input = input.get();
        (self.operation == Operation::Count).then(|| Bytes::from(format!("{{\"input_tokens\":{input}}}")))
    }

    fn render(&self, reply: &Reply, asked: &Asked) -> Bytes {
        render::render(reply, asked)
    }

    fn renderer(&self, asked: Asked) -> Box<dyn Render> {
        Box::new(stream::Stream::new(asked))
    }

    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes {
        fault::body(fault, request_id)
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, _begun: Begun) -> Bytes {
        fault::event(fault, &asked.request_id)
    }

    fn cut_off(&self, so_far: &SoFar<'_>, _asked: &Asked) -> Bytes {
        cut_off::frames(so_far)
    }
}

#[cfg(test)]
mod tests;

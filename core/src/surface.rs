//! What we serve: each surface is one dialect seen from the server's side.
//!
//! A surface inspects a request (cheaply, for routing), parses it into a canonical call (only where
//! it must be translated), and renders replies, streams and faults. It knows no provider.

pub mod openai_chat;

use crate::call::{Call, UsageChunk};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::Tape;
use crate::reply::{Event, Reply};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// What every surface can do.
pub trait Surface: Sync {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// The dialect it serves. An upstream of the same dialect gets the client's own bytes.
    fn dialect(&self) -> Dialect;

    /// Checks the request's shape and reads what routing needs, without building a call. Everything
    /// that is wrong whatever the provider is refused here, by field.
    fn inspect(&self, tape: &Tape<'_>) -> Result<Envelope, Fault>;

    /// Builds the canonical call from a body that `inspect` has accepted.
    fn parse(&self, body: &[u8]) -> Result<Call, Fault>;

    /// Renders a whole reply as the body to send.
    fn render(&self, reply: &Reply, asked: &Asked) -> Bytes;

    /// Renders a stream, event by event.
    fn renderer(&self, asked: Asked) -> Box<dyn Render>;

    /// The body of an error answer. Status and headers are the caller's to set.
    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes;

    /// The frame that ends a stream in which something went wrong.
    fn fault_event(&self, fault: &Fault, request_id: &str) -> Bytes;
}

/// The surfaces by name: what a path leads to before anything is known of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SurfaceId {
    /// OpenAI chat completions.
    OpenAiChat,
}

/// The surface of a name.
pub fn of(id: SurfaceId) -> &'static dyn Surface {
    match id {
        SurfaceId::OpenAiChat => &openai_chat::OpenAiChat,
    }
}

/// What a renderer needs to know of the request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The model as the client named it; shown where the provider names none.
    pub model: String,
    /// Shown where the provider gives no id: the gateway's request id.
    pub request_id: String,
    /// Shown where the provider gives no time: seconds since the Unix epoch.
    pub now_secs: u64,
    /// Whether a streaming client asked for usage.
    pub usage: UsageChunk,
}

/// Turns events into the surface's stream.
pub trait Render {
    /// Appends what this event says to `out`; nothing is a valid answer. After `Event::End` or
    /// `Event::Fault` nothing more is rendered.
    fn on(&mut self, event: &Event, out: &mut BytesMut);
}

/// What routing needs to know of a request, and where in its bytes it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The model as the client named it.
    pub model: String,
    /// The bytes of the model's value, quotes included, to be replaced for the upstream.
    pub model_span: Range<usize>,
    /// Whether the client wants a stream, and usage in it.
    pub delivery: crate::call::Delivery,
    /// `fallbacks` of the body: further models to try, in order.
    pub fallbacks: Vec<String>,
    /// Bytes that must not go upstream, each with its key, colon and one comma; ascending and
    /// disjoint.
    pub cuts: Vec<Range<usize>>,
    /// Identifies the conversation for prompt-cache affinity: a hash over what stays the same from
    /// turn to turn. Absent where there is nothing to stick to.
    pub conversation: Option<Conversation>,
    /// The cap on output tokens, where the client set one.
    pub max_tokens: Option<crate::units::Tokens>,
}

/// A conversation, for keeping it on one upstream while its provider's prompt cache lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    /// Over tools, system text and the first user message.
    pub prefix: u64,
    /// Whether this request continues it, or marks a cache, so that it should go where it was.
    pub follows: Follows,
}

/// Whether a request has reason to go where its conversation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Follows {
    /// A first turn without cache marks: route freely, remember where it went.
    FirstTurn,
    /// A later turn, or one with cache marks.
    Earlier,
}

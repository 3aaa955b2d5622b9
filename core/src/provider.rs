//! What we call: each provider is one dialect seen from the client's side.
//!
//! A provider encodes canonical calls, decodes replies, streams and errors. It knows no surface.
//! What differs between vendors of one dialect is a [`crate::vendor::Vendor`] row, not code.

pub mod anthropic;
pub mod bedrock;
pub mod cousin;
pub mod gemini;
pub mod openai;
pub mod openai_responses;
mod said; // the words in a frame or an answer
pub(crate) mod scan; // finding things in JSON bytes
mod words; // a setting's name in each dialect
pub(crate) mod wait;

use crate::call::{Call, Delivery, Operation};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings};
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::framing::Framing;
use crate::reply::{Event, Reply};
use crate::usage::Usage;
use crate::vendor::Vendor;
use bytes::Bytes;
use http::HeaderMap;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::sync::LazyLock;

/// What stands in every answer that holds an error, in the dialects that do not say otherwise.
static FAILED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));

/// What every provider can do.
pub trait Provider: Sync {
    /// The dialect it speaks.
    fn dialect(&self) -> Dialect;

    /// The path below the base URL (and query, if any) and the headers for such a request; for a
    /// pass-through these are all that the gateway adds to the client's own body. `None` where the
    /// dialect has no such requests.
    fn endpoint(&self, target: &Target<'_>, purpose: Purpose) -> Option<Endpoint>;

    /// Writes the call in this dialect. What it cannot carry is in [`Encoded::lost`]; what makes no
    /// sense to it at all is a fault. Both may name fields as OpenAI does: see [`encode`].
    fn encode(&self, call: &Call, target: &Target<'_>) -> Result<Encoded, Fault>;

    /// Writes a call for vectors in this dialect; a fault where it has none.
    fn encode_embedding(&self, call: &EmbeddingCall, target: &Target<'_>) -> Result<Encoded, Fault> {
        let _ = call;
        let message = format!("{} has no embeddings: ask for another model", target.vendor.title);
        Err(Fault::new(Code::Unsupported, message).at("model"))
    }

    /// Reads the answer to such a call. An error object inside it is an `Err`.
    fn decode_embeddings(&self, body: &[u8], target: &Target<'_>) -> Result<Embeddings, Box<UpstreamFault>> {
        let _ = (body, target);
        let what = "vectors from a provider that has none";
        Err(Box::new(UpstreamFault::new(UpstreamClass::Garbled, 200, what)))
    }

    /// Reads a whole answer with a 2xx status. An error object inside it is an `Err`.
    fn decode(&self, body: &[u8], target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>>;

    /// The error that a whole answer with a 2xx status is, of those that are not decoded.
    fn refused(&self, body: &[u8]) -> Option<Box<UpstreamFault>> {
        let _ = body;
        None
    }

    /// Whether a whole answer with a 2xx status may hold an error, so that it has to be decoded before
    /// it may pass. Cheap; wrong only in that direction.
    fn may_have_failed(&self, body: &[u8]) -> bool {
        FAILED.find(body).is_some()
    }

    /// Reads a stream, frame by frame.
    fn decoder(&self, target: &Target<'_>) -> Box<dyn Decode>;

    /// Reads an answer with an error status, or an error object inside a stream.
    fn fault(&self, status: u16, headers: &HeaderMap, body: &[u8], target: &Target<'_>) -> UpstreamFault;

    /// Reads an error inside a stream.
    fn frame_fault(
        &self,
        frame: &crate::sse::Frame,
        headers: &HeaderMap,
        target: &Target<'_>,
    ) -> UpstreamFault {
        self.fault(200, headers, frame.data(), target)
    }

    /// Whether the provider fetches pictures and files from this address itself.
    fn fetches(&self, _url: &str, _target: &Target<'_>) -> bool {
        true
    }

    /// Whether an answer, or a frame of a stream, says that the prompt was blocked, in a dialect in which
    /// that is no error.
    fn is_blocked(&self, _data: &[u8]) -> bool {
        false
    }

    /// What a frame of this dialect's stream means for a pass-through, found without decoding it:
    /// by looking for a few byte patterns, since it runs on every frame of the hot path.
    fn glance(&self, frame: &crate::sse::Frame) -> Glance;

    /// The usage in a whole answer or in one frame's data, taken together with what earlier frames
    /// said. `None`, cheaply, where the bytes carry none.
    fn usage(&self, data: &[u8], earlier: Option<&Usage>, target: &Target<'_>) -> Option<Usage>;

    /// Appends what the model says in a whole answer or in one frame's data: content, reasoning,
    /// refusals, names and arguments of tool calls. Found by looking for keys, since it runs on every
    /// frame of the hot path: what is missed or found twice in odd bytes is a few tokens of an
    /// estimate.
    fn text(&self, data: &[u8], out: &mut String);

    /// Whether a frame holds usage and nothing else that a client could see: what a server adds to a
    /// stream because it was asked for usage.
    fn is_usage_alone(&self, frame: &crate::sse::Frame) -> bool {
        let _ = frame;
        false
    }

    /// A frame that breaks the dialect in a way that breaks clients (a streamed tool call without
    /// its index), mended by the smallest splice; `None`, cheaply, for all others.
    fn mend(&self, frame: &crate::sse::Frame, target: &Target<'_>) -> Option<Bytes> {
        let _ = (frame, target);
        None
    }
}

/// What a pass-through needs to know of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// Nothing a client could see: comments, pings, role-only chunks. May be held back until the
    /// first real one, so that a fault arriving first can still be hidden by another upstream.
    Preamble,
    /// Content.
    Content,
    /// The answer's last content: a stream that ends after it ended properly.
    Finish,
    /// The end mark of the dialect.
    End,
    /// It looks like an error: decode it.
    Fault,
}

/// Which model of which vendor is called.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The vendor's row, quirks included.
    pub vendor: &'a Vendor,
    /// The model as the provider names it.
    pub model: &'a str,
}

/// What a request to a provider is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// What is asked.
    pub operation: Operation,
    /// Whole or streamed.
    pub delivery: Delivery,
    /// The form of a stream, where the dialect has several.
    pub framing: Framing,
}

impl Purpose {
    /// A chat call, in the form that decoders read.
    pub const fn chat(delivery: Delivery) -> Self {
        Self { operation: Operation::Chat, delivery, framing: Framing::Events }
    }
}

/// Where a call goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// Appended to the base URL: `/chat/completions`, with its query.
    pub path: Cow<'static, str>,
    /// Headers of the dialect (`anthropic-version`); authentication is the vendor's.
    pub headers: HeaderMap,
}

/// A call in a provider's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Where it goes.
    pub endpoint: Endpoint,
    /// JSON.
    pub body: Bytes,
    /// What could not be carried: field names in the words of the surface's dialect, such as `seed`
    /// or `messages[2].content[0]`. In the order found, without repeats.
    pub lost: Vec<String>,
}

/// Turns frames into events.
pub trait Decode: Send {
    /// Appends the events of one frame. After an `Event::End` or `Event::Fault` nothing more comes.
    fn on(&mut self, frame: &crate::sse::Frame, out: &mut Vec<Event>);

    /// The connection ended. Appends what was held back and `Event::End` if the answer is complete,
    /// or an `Event::Fault` if it was cut. Nothing if the end had already been seen.
    fn on_end(&mut self, out: &mut Vec<Event>);
}

/// Writes a call for a target. Losses and faults name fields in the words of the call's own dialect.
pub fn encode(call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
    words::needs_nothing_kept(call, target)?;
    let Encoded { endpoint, body, lost } =
        of(target.vendor.dialect).encode(call, target).map_err(|fault| words::blamed(fault, call))?;
    let mut named: Vec<String> = Vec::with_capacity(lost.len());
    for name in lost.iter().flat_map(|name| words::lost(name, call)) {
        if !named.contains(&name) {
            named.push(name);
        }
    }
    Ok(Encoded { endpoint, body, lost: named })
}

/// The provider of a dialect.
pub fn of(dialect: Dialect) -> &'static dyn Provider {
    match dialect {
        Dialect::OpenAi => &openai::OpenAi,
        Dialect::OpenAiResponses => &openai_responses::OpenAiResponses,
        Dialect::Anthropic => &anthropic::Anthropic,
        Dialect::Gemini => &gemini::Gemini,
        Dialect::Bedrock => &bedrock::Bedrock,
        Dialect::Cohere => &cousin::COHERE,
        Dialect::Ollama => &cousin::OLLAMA,
    }
}

//! Whole answers: read as a stream of one chunk, so that both are understood alike.

use super::chunk::Reader;
use super::fault;
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::provider::{Decode, Target};
use crate::reply::{Assembler, Event, Reply};
use crate::sse::Framer;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

/// See [`crate::provider::Provider::decode`].
pub(super) fn reply(body: &[u8], target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
    if looks_streamed(body) {
        return streamed(body, target);
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(garbled("the answer is no JSON object", body));
    };
    if is_error(&fields) {
        return Err(Box::new(fault::read(200, &HeaderMap::new(), body)));
    }
    if !fields.get("choices").is_some_and(Value::is_array) {
        return Err(garbled("the answer has no choices", body));
    }
    let mut events = Vec::new();
    Reader::new(target.vendor.quirks).chunk(fields, &mut events);
    events.push(Event::End);
    assemble(events).unwrap_or_else(|| Err(garbled("the answer has no end", body)))
}

/// Whether an object says that something went wrong: `error` may be an object or a string.
pub(in crate::provider) fn is_error(fields: &Map<String, Value>) -> bool {
    let error = match fields.get("error") {
        None | Some(Value::Null | Value::Bool(_)) => false,
        Some(Value::String(words)) => !words.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Number(_) | Value::Array(_)) => true,
    };
    error || fields.get("object").and_then(Value::as_str) == Some("error")
}

/// An answer that is not in this dialect.
pub(in crate::provider) fn garbled(what: &str, body: &[u8]) -> Box<UpstreamFault> {
    let body = Bytes::copy_from_slice(body);
    Box::new(UpstreamFault { body, ..UpstreamFault::new(UpstreamClass::Garbled, 200, what) })
}

/// Some servers stream although they were not asked to.
fn looks_streamed(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    [&b"data:"[..], b"event:", b":"].iter().any(|start| body.starts_with(start))
}

fn streamed(body: &[u8], target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
    let (mut framer, mut frames, mut events) = (Framer::new(), Vec::new(), Vec::new());
    if framer.push(Bytes::copy_from_slice(body), &mut frames).is_err() {
        return Err(garbled("a frame of the answer is too large", b""));
    }
    frames.extend(framer.finish());
    let mut decoder = super::stream::Decoder::new(target);
    for frame in &frames {
        decoder.on(frame, &mut events);
    }
    decoder.on_end(&mut events);
    assemble(events).unwrap_or_else(|| Err(garbled("the answer has no end", body)))
}

/// A whole answer of its events; `None` if it has no end.
pub(in crate::provider) fn assemble(events: Vec<Event>) -> Option<Result<Reply, Box<UpstreamFault>>> {
    let mut assembler = Assembler::default();
    events.into_iter().for_each(|event| assembler.on(event));
    assembler.finish()
}

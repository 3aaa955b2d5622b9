//! Whole answers: read as a stream of whole items.

use super::reader::Reader;
use super::{fault, usage};
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::reply::{Assembler, Reply};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

/// See [`crate::provider::Provider::decode`].
pub(super) fn reply(body: &[u8]) -> Result<Reply, Box<UpstreamFault>> {
    let Ok(Value::Object(response)) = serde_json::from_slice(body) else {
        return Err(garbled("the answer is no JSON object", body));
    };
    if has_failed(&response) {
        return Err(Box::new(fault::read(200, &HeaderMap::new(), body)));
    }
    if !response.get("output").is_some_and(Value::is_array) {
        return Err(garbled("the answer has no output", body));
    }
    let (mut events, mut assembler) = (Vec::new(), Assembler::default());
    Reader::default().complete(response, usage::find(body), &mut events);
    events.into_iter().for_each(|event| assembler.on(event));
    assembler.finish().unwrap_or_else(|| Err(garbled("the answer has no end", body)))
}

/// Whether a response, or what stands in its place, tells of an error.
pub(super) fn has_failed(response: &Map<String, Value>) -> bool {
    let error = match response.get("error") {
        None | Some(Value::Null | Value::Bool(_)) => false,
        Some(Value::String(words)) => !words.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Number(_) | Value::Array(_)) => true,
    };
    error || response.get("status").is_some_and(|status| status == "failed")
}

/// An answer that is not in this dialect.
pub(super) fn garbled(what: &str, body: &[u8]) -> Box<UpstreamFault> {
    let body = Bytes::copy_from_slice(body);
    Box::new(UpstreamFault { body, ..UpstreamFault::new(UpstreamClass::Garbled, 200, what) })
}

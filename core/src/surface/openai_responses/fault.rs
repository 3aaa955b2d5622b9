//! Errors in OpenAI's shape, and the event that ends a stream with one.

use crate::fault::Fault;
use crate::surface::openai_chat;
use bytes::Bytes;
use serde_json::{Map, Value};

/// As chat's.
pub(super) fn body(fault: &Fault) -> Bytes {
    openai_chat::fault::body(fault)
}

/// The event that ends a stream in which something went wrong; no response follows it. The error stands
/// in it twice: as this event has it, and as clients look for one in any event.
pub(super) fn event(fault: &Fault, sequence: u64) -> Bytes {
    let mut whole: Map<String, Value> = serde_json::from_slice(&body(fault)).unwrap_or_default();
    let error = whole.shift_remove("error").unwrap_or_default();
    let mut fields = Map::new();
    fields.insert("type".to_owned(), "error".into());
    for key in ["code", "message", "param"] {
        fields.insert(key.to_owned(), error.get(key).cloned().unwrap_or_default());
    }
    fields.insert("error".to_owned(), error);
    fields.insert("sequence_number".to_owned(), sequence.into());
    Bytes::from(format!("event: error\ndata: {}\n\n", Value::Object(fields)))
}

//! The end of a stream whose upstream is not waited for any longer.

use crate::framing::event_stream::write_event;
use crate::surface::SoFar;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// The end of the block that is open, if one is, then `max_tokens` and what was generated.
pub(super) fn frames(so_far: &SoFar<'_>) -> Bytes {
    let SoFar { content: _, finished, recent, output, choices: _ } = so_far;
    let mut out = BytesMut::new();
    let mut put = |event: &str, data: Value| write_event(event, data.to_string().as_bytes(), &mut out);
    if let Some(index) = open_block(recent) {
        put("contentBlockStop", json!({"contentBlockIndex": index}));
    }
    if finished.is_empty() {
        put("messageStop", json!({"stopReason": "max_tokens"}));
    }
    let usage = json!({"inputTokens": 0, "outputTokens": output.get(), "totalTokens": output.get()});
    put("metadata", json!({"usage": usage, "metrics": {"latencyMs": 0}}));
    out.freeze()
}

/// The index of the block that is still open: one that has begun or gone on, and not ended.
fn open_block(recent: &[Bytes]) -> Option<u64> {
    let events = recent.iter().rev().filter_map(|data| serde_json::from_slice::<Value>(data).ok());
    let last = events.into_iter().find(|event| event.get("contentBlockIndex").is_some_and(Value::is_u64))?;
    let goes_on = last.get("delta").is_some() || last.get("start").is_some();
    last.get("contentBlockIndex").and_then(Value::as_u64).filter(|_| goes_on)
}

//! The end of a stream whose upstream is not waited for any longer.

use super::words;
use crate::surface::SoFar;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// The end of the block that is open, if one is, then `max_tokens` and the end mark.
pub(super) fn frames(so_far: &SoFar<'_>) -> Bytes {
    let SoFar { content: _, finished, recent, output, choices: _ } = so_far;
    let mut out = BytesMut::new();
    if let Some(index) = open_block(recent) {
        words::frame("content_block_stop", &json!({"type": "content_block_stop", "index": index}), &mut out);
    }
    if finished.is_empty() {
        let delta = json!({"stop_reason": "max_tokens", "stop_sequence": null});
        let usage = json!({"output_tokens": output.get()});
        let event = json!({"type": "message_delta", "delta": delta, "usage": usage});
        words::frame("message_delta", &event, &mut out);
    }
    words::frame("message_stop", &json!({"type": "message_stop"}), &mut out);
    out.freeze()
}

/// The index of the block that is still open.
fn open_block(recent: &[Bytes]) -> Option<u64> {
    let events = recent.iter().rev().filter_map(|data| serde_json::from_slice::<Value>(data).ok());
    let is_of_a_block = |event: &Value| event.get("index").is_some_and(Value::is_u64);
    let last = events.into_iter().find(is_of_a_block)?;
    let stopped = last.get("type").is_some_and(|kind| kind == "content_block_stop");
    last.get("index").and_then(Value::as_u64).filter(|_| !stopped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Tokens;

    fn cut(recent: &[&'static str]) -> String {
        let recent: Vec<_> = recent.iter().map(|data| Bytes::from_static(data.as_bytes())).collect();
        let so_far = SoFar { content: b"", finished: &[], recent: &recent, output: Tokens(7), choices: 1 };
        String::from_utf8(frames(&so_far).to_vec()).unwrap()
    }

    const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    #[test]
    fn the_block_that_is_open_is_ended_first() {
        let delta = r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a"}}"#;
        let ping = r#"{"type":"ping"}"#;
        let stop = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n";
        assert_eq!(cut(&[delta, ping]), format!("{stop}{END}"));
        let start = r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#;
        assert_eq!(cut(&[r#"{"type":"content_block_stop","index":1}"#, start]), format!("{stop}{END}"));
    }

    #[test]
    fn nothing_is_ended_that_is_not_open() {
        assert_eq!(cut(&[r#"{"type":"content_block_stop","index":1}"#]), END);
        assert_eq!(cut(&[]), END);
    }
}

//! What a frame means to a pass-through, by a few byte patterns.

use crate::provider::Glance;
use crate::sse::Frame;
use memchr::memmem;

/// Runs on every frame of a pass-through. The `event` line decides; servers that leave it out are
/// understood by the first `type` in the data.
pub(super) fn glance(frame: &Frame) -> Glance {
    let data = frame.data();
    let event = match frame.event() {
        b"" => first_type(data),
        event => event,
    };
    match event {
        b"content_block_start" if opens_empty(data) => Glance::Preamble,
        b"message_start" | b"ping" => Glance::Preamble,
        b"message_delta" if stops(data) => Glance::Finish,
        b"message_stop" => Glance::End,
        b"error" => Glance::Fault,
        _ if data.is_empty() => Glance::Preamble,
        _ => Glance::Content,
    }
}

/// A text or thinking block begins with nothing in it; other blocks begin with something to see.
fn opens_empty(data: &[u8]) -> bool {
    [&br#""text":"""#[..], br#""text": """#, br#""thinking":"""#, br#""thinking": """#]
        .iter()
        .any(|sign| memmem::find(data, sign).is_some())
}

fn stops(data: &[u8]) -> bool {
    after_key(data, b"\"stop_reason\"").is_some_and(|value| value.starts_with(b"\""))
}

fn first_type(data: &[u8]) -> &[u8] {
    let value = after_key(data, b"\"type\"").and_then(|value| value.strip_prefix(b"\""));
    let word = value.and_then(|value| value.split(|byte| *byte == b'"').next());
    word.unwrap_or_else(|| if memmem::find(data, b"\"error\"").is_some() { b"error" } else { b"" })
}

/// What stands behind a key and its colon.
fn after_key<'a>(data: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(data, key)?;
    let rest = data.get(at.checked_add(key.len())?..)?.trim_ascii_start();
    Some(rest.strip_prefix(b":")?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(event: &'static str, data: &'static str) -> Glance {
        glance(&Frame::new(event, data))
    }

    #[test]
    fn every_kind_of_frame_is_told_apart_with_and_without_its_event_line() {
        for (event, data, means) in [
            ("message_start", r#"{"type":"message_start","message":{"stop_reason":null}}"#, Glance::Preamble),
            ("ping", r#"{"type": "ping"}"#, Glance::Preamble),
            (
                "content_block_start",
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                Glance::Preamble,
            ),
            (
                "content_block_start",
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
                Glance::Preamble,
            ),
            (
                "content_block_start",
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"text","input":{}}}"#,
                Glance::Content,
            ),
            (
                "content_block_delta",
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"error"}}"#,
                Glance::Content,
            ),
            (
                "message_delta",
                r#"{"type":"message_delta","delta":{"stop_reason": "end_turn"},"usage":{}}"#,
                Glance::Finish,
            ),
            ("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":null}}"#, Glance::Content),
            ("message_stop", r#"{"type":"message_stop" }"#, Glance::End),
            ("error", r#"{"type":"error","error":{"type":"overloaded_error"}}"#, Glance::Fault),
            ("later_invention", r#"{"type":"later_invention"}"#, Glance::Content),
        ] {
            assert_eq!(of(event, data), means, "{event}");
            assert_eq!(of("", data), means, "{data}");
        }
        assert_eq!(of("", ""), Glance::Preamble, "a comment");
        assert_eq!(of("", r#"{"error":{"message":"no"}}"#), Glance::Fault);
    }
}

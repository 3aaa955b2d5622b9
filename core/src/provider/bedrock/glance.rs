//! What a frame means to a pass-through, by its name and a few byte patterns.

use super::invoke;
use crate::provider::Glance;
use crate::sse::{Frame, FrameKind};
use memchr::memmem;

/// Runs on every frame of a pass-through.
pub(super) fn glance(frame: &Frame) -> Glance {
    if frame.kind() == FrameKind::Fault {
        return Glance::Fault;
    }
    match frame.event() {
        b"messageStart" => Glance::Preamble,
        b"contentBlockDelta" if adds_nothing(frame.data()) => Glance::Preamble,
        b"messageStop" => Glance::Finish,
        b"metadata" => Glance::End,
        b"chunk" => of_chunk(frame.data()),
        _ => Glance::Content,
    }
}

fn adds_nothing(data: &[u8]) -> bool {
    memmem::find(data, br#""delta":{"text":""}"#).is_some()
}

/// An event of InvokeModel's stream: Anthropic's say what they are, and whoever it is, the last one
/// reports what was consumed.
fn of_chunk(data: &[u8]) -> Glance {
    let Some(inner) = invoke::chunk(data) else { return Glance::Content };
    let has = |sign: &[u8]| memmem::find(&inner, sign).is_some();
    if has(b"\"amazon-bedrock-invocationMetrics\"") {
        return Glance::End;
    }
    match inner.strip_prefix(br#"{"type":""#) {
        Some(rest) if rest.starts_with(b"message_start\"") || rest.starts_with(b"ping\"") => Glance::Preamble,
        Some(rest) if rest.starts_with(b"message_delta\"") => Glance::Finish,
        Some(rest) if rest.starts_with(b"message_stop\"") => Glance::End,
        Some(rest) if rest.starts_with(b"error\"") => Glance::Fault,
        Some(_) | None => Glance::Content,
    }
}

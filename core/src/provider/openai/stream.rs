//! Streams.
//!
//! ```text
//!          chunk                [DONE], or the connection ends after a finish reason
//! waiting ───────▶ running ──────────────────────────────────────────────────▶ done (End)
//!    └─── error object, event: error, no JSON, connection ends early ────────▶ done (Fault)
//! ```
//! Nothing is said after `done`, and `done` is reached once.

use super::chunk::Reader;
use super::{decode, fault};
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::provider::{Decode, Target};
use crate::reply::Event;
use crate::sse::Frame;
use http::HeaderMap;
use serde_json::{Map, Value};

/// Reads a stream frame by frame.
pub(in crate::provider) struct Decoder {
    reader: Reader,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Done,
}

impl Decoder {
    pub(in crate::provider) fn new(target: &Target<'_>) -> Self {
        Self { reader: Reader::new(target.vendor.quirks), phase: Phase::Running }
    }

    /// Whether nothing more is to be said.
    pub(in crate::provider) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Reads one chunk, or a whole answer.
    pub(in crate::provider) fn chunk(&mut self, fields: Map<String, Value>, out: &mut Vec<Event>) {
        self.reader.chunk(fields, out);
    }

    /// Something went wrong.
    pub(in crate::provider) fn fail(&mut self, fault: Box<UpstreamFault>, out: &mut Vec<Event>) {
        self.phase = Phase::Done;
        out.push(Event::Fault(fault));
    }

    /// The end mark came. An answer in which nothing was said is none: it must not look like one.
    pub(in crate::provider) fn finish(&mut self, out: &mut Vec<Event>) {
        if self.is_done() {
            return;
        }
        if !self.reader.has_choices() {
            return self.fail(decode::garbled("the stream ended without an answer", b""), out);
        }
        self.phase = Phase::Done;
        self.reader.close(out);
        out.push(Event::End);
    }
}

impl Decode for Decoder {
    fn on(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        let data = frame.data().trim_ascii();
        if self.phase == Phase::Done || (data.is_empty() && frame.event() != b"error") {
            return;
        }
        if data == b"[DONE]" {
            return self.finish(out);
        }
        if frame.event() == b"error" {
            return self.fail(Box::new(fault::read(200, &HeaderMap::new(), data)), out);
        }
        match serde_json::from_slice(data) {
            Ok(Value::Object(fields)) if decode::is_error(&fields) => {
                self.fail(Box::new(fault::read(200, &HeaderMap::new(), data)), out);
            }
            Ok(Value::Object(fields)) => self.reader.chunk(fields, out),
            Ok(_) | Err(_) => {
                self.fail(decode::garbled("a frame of the stream is no JSON object", data), out)
            }
        }
    }

    fn on_end(&mut self, out: &mut Vec<Event>) {
        if self.phase == Phase::Done {
            return;
        }
        // Several servers never send the end mark; a finish reason is as good.
        if self.reader.is_finished() {
            return self.finish(out);
        }
        let what = "the stream ended before the answer did";
        self.fail(Box::new(UpstreamFault::new(UpstreamClass::Connection, 200, what)), out);
    }
}

#[cfg(test)]
mod tests;

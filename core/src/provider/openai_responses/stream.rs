//! Streams.
//!
//! ```text
//!          event            response.completed, response.incomplete
//! waiting ───────▶ running ─────────────────────────────────────────▶ done (End)
//!    └─── error, response.failed, no JSON, connection ends early ───▶ done (Fault)
//! ```
//! Nothing is said after `done`, and `done` is reached once.

use super::reader::Reader;
use super::{decode, fault, glance, usage};
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::provider::Decode;
use crate::reply::Event;
use crate::sse::Frame;
use http::HeaderMap;
use serde_json::{Map, Value};

/// Reads a stream event by event.
#[derive(Default)]
pub(super) struct Decoder {
    reader: Reader,
    phase: Phase,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    Done,
}

impl Decoder {
    fn fail(&mut self, fault: Box<UpstreamFault>, out: &mut Vec<Event>) {
        self.phase = Phase::Done;
        out.push(Event::Fault(fault));
    }

    fn event(&mut self, kind: &[u8], mut fields: Map<String, Value>, data: &[u8], out: &mut Vec<Event>) {
        match kind {
            b"response.created" | b"response.queued" | b"response.in_progress" => {
                if let Some(Value::Object(response)) = fields.get_mut("response") {
                    self.reader.start(response, out);
                }
            }
            b"response.completed" | b"response.incomplete" | b"response.cancelled" => {
                let Some(Value::Object(response)) = fields.shift_remove("response") else {
                    return self.fail(decode::garbled("the last event has no response", data), out);
                };
                self.phase = Phase::Done;
                self.reader.complete(response, usage::find(data), out);
            }
            b"response.failed" | b"error" => {
                self.fail(Box::new(fault::read(200, &HeaderMap::new(), data)), out);
            }
            kind => self.reader.event(kind, fields, out),
        }
    }
}

impl Decode for Decoder {
    fn on(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        let data = frame.data().trim_ascii();
        if self.phase == Phase::Done || (data.is_empty() && frame.event() != b"error") {
            return;
        }
        if data == b"[DONE]" {
            return self.fail(decode::garbled("the stream ended without a response", b""), out);
        }
        match serde_json::from_slice(data) {
            Ok(Value::Object(fields)) => {
                let kind = if frame.event().is_empty() { glance::kind(data) } else { frame.event() };
                self.event(kind, fields, data, out);
            }
            Ok(_) | Err(_) if frame.event() == b"error" => {
                self.fail(Box::new(fault::read(200, &HeaderMap::new(), data)), out);
            }
            Ok(_) | Err(_) => {
                self.fail(decode::garbled("a frame of the stream is no JSON object", data), out);
            }
        }
    }

    fn on_end(&mut self, out: &mut Vec<Event>) {
        if self.phase == Phase::Running {
            let what = "the stream ended before the answer did";
            self.fail(Box::new(UpstreamFault::new(UpstreamClass::Connection, 200, what)), out);
        }
    }
}

#[cfg(test)]
mod tests;

//! Answers: whole, streamed, and as an array of chunks.
//!
//! ```text
//!            chunk with candidates            connection ends
//! Fresh ───────────────────────────▶ Running ───────────────▶ Over   End, or Fault if cut
//!   └────────────── error object, or what is not JSON ──────▶ Over   Fault
//! ```
//!
//! 1. Reasons to stop are held until the connection ends: a tool call may follow the chunk that says
//!    `STOP`, and old models say it in every chunk. There is no end mark, so nothing waits longer.
//! 2. A candidate that never said why it stopped was cut.
//! 3. After `Over` nothing is said.

mod choice;

use super::{fault, grounding, metering};
use crate::call::{Extras, Part};
use crate::dialect::Dialect;
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::provider::Decode;
use crate::reply::{Assembler, Event, Level, Reply, Start, Stop};
use crate::sse::{Frame, FrameTooLarge, Framer};
use crate::usage::Usage;
use bytes::Bytes;
use choice::Choice;
use serde_json::{Map, Value};

/// Reads a whole answer: one object, all chunks of a stream in an array, or a stream that was not
/// asked for.
pub(super) fn whole(body: &[u8]) -> Result<Reply, Box<UpstreamFault>> {
    if body.trim_ascii_start().starts_with(b"data:") {
        return unasked_stream(body);
    }
    let parsed = serde_json::from_slice::<Value>(body).map_err(|_| garbled("the answer is not JSON"))?;
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    match parsed {
        Value::Array(chunks) => {
            chunks.iter().for_each(|chunk| decoder.chunk(chunk, &mut events));
            decoder.on_end(&mut events);
        }
        chunk @ (Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            decoder.chunk(&chunk, &mut events);
            decoder.end_whole(&mut events);
        }
    }
    assembled(events)
}

fn unasked_stream(body: &[u8]) -> Result<Reply, Box<UpstreamFault>> {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    framer
        .push(Bytes::copy_from_slice(body), &mut frames)
        .map_err(|FrameTooLarge| garbled("a frame of the stream is too large"))?;
    frames.extend(framer.finish());
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    frames.iter().for_each(|frame| decoder.on(frame, &mut events));
    decoder.on_end(&mut events);
    assembled(events)
}

fn assembled(events: Vec<Event>) -> Result<Reply, Box<UpstreamFault>> {
    let mut assembler = Assembler::default();
    events.into_iter().for_each(|event| assembler.on(event));
    assembler.finish().unwrap_or_else(|| Err(garbled("the answer has no candidates")))
}

fn garbled(what: &str) -> Box<UpstreamFault> {
    Box::new(UpstreamFault::new(UpstreamClass::Garbled, 200, what))
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Fresh,
    Running,
    Over,
}

/// A stream's state.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    phase: Phase,
    response_id: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

impl Decode for Decoder {
    fn on(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        if frame.data().is_empty() || self.phase == Phase::Over {
            return;
        }
        match serde_json::from_slice::<Value>(frame.data()) {
            Ok(Value::Array(chunks)) => chunks.iter().for_each(|chunk| self.chunk(chunk, out)),
            Ok(chunk) => self.chunk(&chunk, out),
            // Nobody sends it on this dialect, but proxies in front of it do.
            Err(_) if frame.data().trim_ascii() == b"[DONE]" => {}
            Err(_) => self.fail(garbled("a frame of the stream is not JSON"), out),
        }
    }

    fn on_end(&mut self, out: &mut Vec<Event>) {
        if self.phase == Phase::Over {
            return;
        }
        if self.choices.is_empty() || self.choices.iter().any(|choice| choice.stop.is_none()) {
            let message = "the stream ended without a finishReason";
            return self.fail(Box::new(UpstreamFault::new(UpstreamClass::Connection, 200, message)), out);
        }
        self.finish(out);
    }
}

impl Decoder {
    /// A whole answer need not say why it stopped, but has to have one candidate.
    fn end_whole(&mut self, out: &mut Vec<Event>) {
        if self.phase == Phase::Over {
            return;
        }
        if self.choices.is_empty() {
            return self.fail(garbled("the answer has no candidates"), out);
        }
        self.finish(out);
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        for choice in &self.choices {
            out.extend(choice.stopped());
        }
        self.phase = Phase::Over;
        out.push(Event::End);
    }

    fn fail(&mut self, fault: Box<UpstreamFault>, out: &mut Vec<Event>) {
        self.phase = Phase::Over;
        out.push(Event::Fault(fault));
    }

    fn chunk(&mut self, chunk: &Value, out: &mut Vec<Event>) {
        if self.phase == Phase::Over {
            return;
        }
        let Some(chunk) = chunk.as_object() else {
            return self.fail(garbled("a chunk is not an object"), out);
        };
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return self.fail(Box::new(fault::of_error(200, error)), out);
        }
        self.start(chunk, out);
        for (at, candidate) in elements(chunk.get("candidates")).enumerate() {
            self.candidate(at, candidate, out);
        }
        self.feedback(chunk, out);
        if let Some(Value::Object(counts)) = chunk.get("usageMetadata") {
            let usage = metering::after(counts, grounding::of_chunk(chunk), self.usage.as_ref());
            if self.usage.as_ref() != Some(&usage) {
                self.usage = Some(usage.clone());
                out.push(Event::Usage(Box::new(usage)));
            }
        }
    }

    fn start(&mut self, chunk: &Map<String, Value>, out: &mut Vec<Event>) {
        let text = |name: &str| chunk.get(name).and_then(Value::as_str).map(str::to_owned);
        let id = text("responseId").filter(|id| !id.is_empty());
        if self.response_id.is_none() {
            self.response_id.clone_from(&id);
        }
        if self.phase == Phase::Fresh {
            self.phase = Phase::Running;
            let created = text("createTime").and_then(|time| unix_secs(&time));
            out.push(Event::Start(Start {
                id,
                model: text("modelVersion"),
                created,
                origin: Dialect::Gemini,
            }));
        }
    }

    /// A blocked prompt has no candidates; it is answered by one that is empty and filtered.
    fn feedback(&mut self, chunk: &Map<String, Value>, out: &mut Vec<Event>) {
        let Some(feedback) = chunk.get("promptFeedback").filter(|feedback| !feedback.is_null()) else {
            return;
        };
        let fields = Extras::from_iter([("promptFeedback".to_owned(), feedback.clone())]);
        out.push(Event::Extras { level: Level::Reply, fields });
        let blocked = feedback.get("blockReason").is_some_and(|reason| {
            reason.as_str() != Some("BLOCK_REASON_UNSPECIFIED") && reason.as_u64() != Some(0)
        });
        if blocked && self.choices.is_empty() {
            self.choices.push(Choice::new(0));
        }
        for choice in self.choices.iter_mut().filter(|choice| blocked && choice.stop.is_none()) {
            choice.stop = Some(Stop::Filtered);
        }
    }

    fn candidate(&mut self, at: usize, candidate: &Value, out: &mut Vec<Event>) {
        let index =
            candidate.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
        let index = index.or(u32::try_from(at).ok()).unwrap_or_default();
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(Choice::new(index));
                self.choices.len() - 1
            }
        };
        if let Some(choice) = self.choices.get_mut(at) {
            choice.read(candidate, self.response_id.as_deref(), out);
        }
    }
}

fn elements(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// `2026-08-19T14:38:19.481330Z` in seconds since the Unix epoch. Google writes UTC only.
fn unix_secs(time: &str) -> Option<u64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counting the year from March puts the leap day last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    Some(since_1970 * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// A part kept as it came, for a provider of this dialect.
fn opaque(part: &Value) -> Part {
    Part::Opaque(crate::call::Opaque { origin: Dialect::Gemini, value: part.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_time_is_read_to_the_second() {
        assert_eq!(unix_secs("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(unix_secs("2026-08-19T14:38:19.481330Z"), Some(1_787_150_299));
        assert_eq!(unix_secs("2024-02-29T12:00:00Z"), Some(1_709_208_000));
        assert_eq!(unix_secs("yesterday"), None);
    }
}

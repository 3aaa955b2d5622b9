//! Binary messages, as AWS streams them (`application/vnd.amazon.eventstream`).
//!
//! ```text
//! whole length u32 │ headers' length u32 │ CRC-32 of these 8 bytes │ headers │ payload │ CRC-32 of all before
//! ```
//!
//! 1. Numbers are big-endian; a message is a frame, its payload the frame's data.
//! 2. Both sums are checked before anything of a message is believed.
//! 3. A message that says it is no event (`:message-type`) makes a frame that tells of a fault.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html>

mod headers;
#[cfg(test)]
mod tests;

use super::{Closing, Unframed};
use crate::checksum;
use crate::sse::Frame;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use headers::Headers;

/// Before the headers.
const PRELUDE: usize = 12;
/// The sum at the end.
const SUM: usize = 4;
const MAX_HEADERS: usize = 128 * 1024;
const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

/// Cuts a stream into its messages.
#[derive(Debug, Default)]
pub struct Framer {
    /// The beginning of a message whose end has not come.
    held: BytesMut,
}

impl Framer {
    pub(super) fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), Unframed> {
        if self.held.is_empty() {
            while let Some(length) = next_length(&chunk)? {
                out.push(frame(chunk.split_to(length))?);
            }
            self.held.extend_from_slice(&chunk);
            return Ok(());
        }
        self.held.extend_from_slice(&chunk);
        while let Some(length) = next_length(&self.held)? {
            out.push(frame(self.held.split_to(length).freeze())?);
        }
        Ok(())
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn closing(&self) -> Closing {
        if self.held.is_empty() { Closing::Closed } else { Closing::Open }
    }
}

/// The lengths a message begins with.
struct Prelude {
    whole: usize,
    headers: usize,
}

impl Prelude {
    fn read(bytes: &[u8]) -> Result<Option<Self>, Unframed> {
        let Some(mut prelude) = bytes.get(..PRELUDE) else { return Ok(None) };
        let sum = checksum::of(prelude.get(..PRELUDE - SUM).unwrap_or_default());
        let (whole, headers) = (size(prelude.get_u32()), size(prelude.get_u32()));
        if prelude.get_u32() != sum {
            return Err(Unframed::Corrupt("the check sum of a message's lengths is wrong"));
        }
        if headers > MAX_HEADERS || whole > PRELUDE + MAX_HEADERS + MAX_PAYLOAD + SUM {
            return Err(Unframed::TooLarge);
        }
        if whole < PRELUDE + headers + SUM {
            return Err(Unframed::Corrupt("a message is shorter than its headers"));
        }
        Ok(Some(Self { whole, headers }))
    }
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// The length of the next message, if all of it is there.
fn next_length(bytes: &[u8]) -> Result<Option<usize>, Unframed> {
    let prelude = Prelude::read(bytes)?;
    Ok(prelude.map(|prelude| prelude.whole).filter(|whole| *whole <= bytes.len()))
}

fn frame(raw: Bytes) -> Result<Frame, Unframed> {
    const CUT: Unframed = Unframed::Corrupt("a message is cut");
    let Prelude { whole, headers } = Prelude::read(&raw)?.ok_or(CUT)?;
    let body = raw.get(..whole - SUM).ok_or(CUT)?;
    let sum = raw.get(whole - SUM..whole).ok_or(CUT)?.get_u32();
    if checksum::of(body) != sum {
        return Err(Unframed::Corrupt("the check sum of a message is wrong"));
    }
    let payload = PRELUDE + headers..whole - SUM;
    let Headers { kind, event, message } = headers::read(&raw, PRELUDE..payload.start)?;
    Ok(Frame::binary(raw, event, message.unwrap_or(payload), kind))
}

/// Appends an event with this JSON.
pub fn write_event(event: &str, json: &[u8], out: &mut BytesMut) {
    write(&[(":event-type", event), (":content-type", JSON), (":message-type", "event")], json, out);
}

/// Appends an exception with this JSON.
pub fn write_exception(kind: &str, json: &[u8], out: &mut BytesMut) {
    write(&[(":exception-type", kind), (":content-type", JSON), (":message-type", "exception")], json, out);
}

const JSON: &str = "application/json";

/// Names and values are short: see [`write_event`]. A payload that is too large for a message is no
/// answer of any model's.
fn write(headers: &[(&str, &str)], payload: &[u8], out: &mut BytesMut) {
    let lengths = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum::<usize>();
    let whole = PRELUDE + lengths + payload.len() + SUM;
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    out.reserve(whole);
    let start = out.len();
    out.put_u32(number(whole));
    out.put_u32(number(lengths));
    out.put_u32(checksum::of(out.get(start..).unwrap_or_default()));
    for (name, value) in headers {
        out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.put_slice(name.as_bytes());
        out.put_u8(headers::TEXT);
        out.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        out.put_slice(value.as_bytes());
    }
    out.put_slice(payload);
    out.put_u32(checksum::of(out.get(start..).unwrap_or_default()));
}

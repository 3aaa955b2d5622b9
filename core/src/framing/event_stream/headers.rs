//! The headers of a message: name, kind and value of each.

use super::super::Unframed;
use crate::sse::FrameKind;
use std::ops::Range;

/// The kind of a header whose value is text.
pub(super) const TEXT: u8 = 7;

/// What a message's headers say of it.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) kind: FrameKind,
    /// Where the name of the event, exception or error stands.
    pub(super) event: Range<usize>,
    /// Where an error is told that has no payload.
    pub(super) message: Option<Range<usize>>,
}

/// Reads the headers that stand in this range.
pub(super) fn read(raw: &[u8], range: Range<usize>) -> Result<Headers, Unframed> {
    let mut walk = Walk { raw, at: range.start, end: range.end };
    let mut seen: Vec<&[u8]> = Vec::with_capacity(4);
    let mut headers = Headers::default();
    while walk.at < walk.end {
        let length = usize::from(walk.byte()?);
        let name = raw.get(walk.take(length)?).unwrap_or_default();
        if seen.contains(&name) {
            return Err(Unframed::Corrupt("a message has a header twice"));
        }
        seen.push(name);
        let kind = walk.byte()?;
        let length = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | TEXT => usize::from(u16::from_be_bytes([walk.byte()?, walk.byte()?])),
            9 => 16,
            _ => return Err(Unframed::Corrupt("a message has a header of an unknown kind")),
        };
        let value = walk.take(length)?;
        if kind == TEXT {
            headers.note(name, value, raw);
        }
    }
    Ok(headers)
}

impl Headers {
    fn note(&mut self, name: &[u8], value: Range<usize>, raw: &[u8]) {
        match name {
            b":event-type" | b":exception-type" | b":error-code" => self.event = value,
            b":error-message" => self.message = Some(value),
            b":message-type" if raw.get(value) != Some(b"event") => self.kind = FrameKind::Fault,
            _ => {}
        }
    }
}

struct Walk<'r> {
    raw: &'r [u8],
    at: usize,
    end: usize,
}

impl Walk<'_> {
    fn take(&mut self, length: usize) -> Result<Range<usize>, Unframed> {
        let next = self.at.saturating_add(length);
        if next > self.end {
            return Err(Unframed::Corrupt("a message's header is cut"));
        }
        Ok(std::mem::replace(&mut self.at, next)..next)
    }

    fn byte(&mut self) -> Result<u8, Unframed> {
        let range = self.take(1)?;
        self.raw.get(range.start).copied().ok_or(Unframed::Corrupt("a message's header is cut"))
    }
}

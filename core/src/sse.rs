//! Server-sent events: finding frames in bytes that arrive in any pieces.
//!
//! A frame is what stands between blank lines. The framer accepts LF, CRLF and CR line ends,
//! comments, several `data` lines, a missing `event`, and cuts at any byte. It never copies a frame
//! that lies whole in one chunk.
//!
//! Every blank line ends a frame, also one that holds nothing else, so that the `raw` of all frames
//! put together is the stream as it came. Where a chunk ends in a CR, what follows decides whether
//! an LF belongs to it: the frame is held until the next byte, or the end, is there.

mod field;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

/// The largest frame accepted, in bytes. A larger one is a fault, not memory.
pub const MAX_FRAME: usize = 32 * 1024 * 1024;

/// One event of a stream: its bytes as received, and where its fields stand in them. One share of the
/// chunk's memory, whatever is looked at.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Frame {
    raw: Bytes,
    event: Span,
    data: Data,
    kind: FrameKind,
}

/// Whether a frame says of itself, by its form, that something went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameKind {
    /// It does not.
    #[default]
    Event,
    /// It does, and its `event` says what.
    Fault,
}

/// A part of a frame. [`MAX_FRAME`] fits into 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, raw: &[u8]) -> &[u8] {
        raw.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// The `data` field.
#[derive(Clone, PartialEq, Eq)]
enum Data {
    /// One line, or none at all.
    Line(Span),
    /// Several lines, joined by LF.
    Joined(Bytes),
}

impl Default for Data {
    fn default() -> Self {
        Self::Line(Span::default())
    }
}

impl Frame {
    /// The frame of these fields, as a provider would write it; an empty `event` is left out.
    pub fn new(event: &str, data: &str) -> Self {
        let mut raw = String::with_capacity(event.len() + data.len() + 16);
        if !event.is_empty() {
            raw.push_str("event: ");
            raw.push_str(event);
            raw.push('\n');
        }
        for line in data.split('\n') {
            raw.push_str("data: ");
            raw.push_str(line);
            raw.push('\n');
        }
        raw.push('\n');
        field::frame(Bytes::from(raw), field::Mark::Impossible)
    }

    /// A frame of another form, whose data stands at this place in its bytes.
    pub(crate) fn within(raw: Bytes, data: std::ops::Range<usize>) -> Self {
        let kind = FrameKind::Event;
        Self { event: Span::default(), data: Data::Line(field::span(data)), kind, raw }
    }

    /// A binary message, whose name and data stand at these places.
    pub(crate) fn binary(
        raw: Bytes,
        event: std::ops::Range<usize>,
        data: std::ops::Range<usize>,
        kind: FrameKind,
    ) -> Self {
        Self { event: field::span(event), data: Data::Line(field::span(data)), kind, raw }
    }

    /// Whether it says of itself that something went wrong. Of server-sent events none does.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Every byte of the frame as received, the blank line that ended it included: what a
    /// pass-through emits.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The `event` field, empty if there was none.
    pub fn event(&self) -> &[u8] {
        self.event.of(&self.raw)
    }

    /// The `data` field, lines joined by LF; empty if there was none (a comment, a keep-alive).
    pub fn data(&self) -> &[u8] {
        match &self.data {
            Data::Line(line) => line.of(&self.raw),
            Data::Joined(lines) => lines,
        }
    }
}

impl std::fmt::Debug for Frame {
    /// Frames carry the model's words, so only sizes are printed (invariant I7).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes, {} of data)", self.raw.len(), self.data().len())
    }
}

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub struct Framer {
    /// The beginning of a frame whose end has not come. All of it has been scanned.
    held: BytesMut,
    line: Line,
    place: Place,
}

/// Where the scan stands within a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// Before its first byte.
    #[default]
    Start,
    /// After its first byte.
    Within,
    /// After the CR that ended a line; an LF would belong to it.
    Cr(Ended),
}

/// What a line end has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// A line with something in it.
    Field,
    /// A blank line, and with it the frame.
    Frame,
}

/// Where in the stream a frame stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A byte order mark may come before its first field.
    #[default]
    First,
    /// Anywhere else.
    Later,
}

impl Framer {
    /// A framer at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and appends every frame that is now complete. Fails, and is of no further
    /// use, when a frame exceeds [`MAX_FRAME`]; the frames before it have been appended.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), FrameTooLarge> {
        while let Some(end) = self.line.next_frame_end(&chunk) {
            self.check_size(end)?;
            let raw = if self.held.is_empty() {
                chunk.split_to(end)
            } else {
                self.held.extend_from_slice(&chunk.split_to(end));
                self.held.split().freeze()
            };
            out.push(self.frame(raw));
        }
        self.check_size(chunk.len())?;
        self.held.extend_from_slice(&chunk);
        Ok(())
    }

    /// The stream ended: a last frame whose blank line is missing, if it is otherwise whole (its last
    /// line ended). `None` where nothing or only half a line is left.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.line == Line::Within || self.held.is_empty() {
            return None;
        }
        self.line = Line::Start;
        let raw = self.held.split().freeze();
        Some(self.frame(raw))
    }

    /// Bytes held back because their frame is not complete.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn frame(&mut self, raw: Bytes) -> Frame {
        match std::mem::replace(&mut self.place, Place::Later) {
            Place::First => field::frame(raw, field::Mark::Possible),
            Place::Later => field::frame(raw, field::Mark::Impossible),
        }
    }

    fn check_size(&mut self, more: usize) -> Result<(), FrameTooLarge> {
        if self.held.len() + more <= MAX_FRAME {
            return Ok(());
        }
        self.held = BytesMut::new();
        Err(FrameTooLarge)
    }
}

impl Line {
    /// Scans on to the end of the frame and returns where the next one begins, or scans all there is.
    /// Each byte is looked at once, whatever the pieces: what must be known of those before is in
    /// `self`.
    fn next_frame_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if let Self::Cr(ended) = *self {
                at += usize::from(*bytes.get(at)? == b'\n');
                *self = Self::Start;
                if ended == Ended::Frame {
                    return Some(at);
                }
            }
            let rest = bytes.get(at..)?;
            let Some(found) = memchr::memchr2(b'\n', b'\r', rest) else {
                if !rest.is_empty() {
                    *self = Self::Within;
                }
                return None;
            };
            let ended = if found == 0 && *self == Self::Start { Ended::Frame } else { Ended::Field };
            at += found + 1;
            if rest.get(found) == Some(&b'\r') {
                *self = Self::Cr(ended);
                continue;
            }
            *self = Self::Start;
            if ended == Ended::Frame {
                return Some(at);
            }
        }
    }
}

/// A frame exceeds [`MAX_FRAME`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLarge;

impl std::fmt::Display for FrameTooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a frame of the stream is larger than {MAX_FRAME} bytes")
    }
}

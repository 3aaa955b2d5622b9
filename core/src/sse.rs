//! Server-sent events: finding frames in bytes that arrive in any pieces.
//!
//! A frame is what stands between blank lines. The framer accepts LF, CRLF and CR line ends,
//! comments, several `data` lines, a missing `event`, and cuts at any byte. It never copies a frame
//! that lies whole in one chunk.

use bytes::Bytes;

/// The largest frame accepted. A larger one is a fault, not memory.
pub const MAX_FRAME: usize = 32 * 1024 * 1024;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Every byte of the frame as received, the blank line that ended it included: what a
    /// pass-through emits.
    pub raw: Bytes,
    /// The `event` field, empty if there was none.
    pub event: Bytes,
    /// The `data` field, lines joined by LF; empty if there was none (a comment, a keep-alive).
    pub data: Bytes,
}

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub struct Framer {
    held: bytes::BytesMut,
}

impl Framer {
    /// A framer at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and appends every frame that is now complete. Fails, and is of no further
    /// use, when a frame exceeds [`MAX_FRAME`].
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), FrameTooLarge> {
        let _ = (chunk, out);
        unimplemented!()
    }

    /// The stream ended: a last frame whose blank line is missing, if it is otherwise whole (its last
    /// line ended). `None` where nothing or only half a line is left.
    pub fn finish(&mut self) -> Option<Frame> {
        unimplemented!()
    }

    /// Bytes held back because their frame is not complete.
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

/// A frame exceeds [`MAX_FRAME`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLarge;

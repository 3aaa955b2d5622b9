//! How a stream is cut into pieces on the wire.
//!
//! Whatever the form, a frame is a piece as it came and the JSON in it, and all frames put together are
//! the stream as it came: see [`crate::sse::Frame`].

mod array;
pub mod event_stream;

use crate::sse::{self, Frame, FrameTooLarge};
use bytes::Bytes;

/// A form of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Events,
    /// One JSON array that grows; each element is a frame (Google, where nothing else is asked for).
    Array,
    /// Binary messages (AWS).
    EventStream,
    /// JSON objects one after the other, a line each (Ollama).
    Lines,
}

impl Framing {
    /// The label of such a stream.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Array => "application/json",
            Self::EventStream => "application/vnd.amazon.eventstream",
            Self::Lines => "application/x-ndjson",
        }
    }
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub enum Framer {
    /// Of server-sent events.
    Events(sse::Framer),
    /// Of an array.
    Array(array::Framer),
    /// Of binary messages.
    EventStream(event_stream::Framer),
    /// Of objects in lines.
    Lines(array::Framer),
}

/// Why bytes are no stream of their form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unframed {
    /// A frame exceeds what is accepted.
    TooLarge,
    /// The bytes contradict themselves, in these words.
    Corrupt(&'static str),
}

impl From<FrameTooLarge> for Unframed {
    fn from(FrameTooLarge: FrameTooLarge) -> Self {
        Self::TooLarge
    }
}

impl std::fmt::Display for Unframed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => FrameTooLarge.fmt(f),
            Self::Corrupt(what) => write!(f, "the stream is corrupt: {what}"),
        }
    }
}

/// Whether a stream may end where it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Its form needs no end, or has seen it.
    Closed,
    /// Its form needs an end that has not come.
    Open,
}

impl Framer {
    /// A framer at the beginning of a stream.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Events => Self::Events(sse::Framer::new()),
            Framing::Array => Self::Array(array::Framer::default()),
            Framing::EventStream => Self::EventStream(event_stream::Framer::default()),
            Framing::Lines => Self::Lines(array::Framer::of_lines()),
        }
    }

    /// Takes the next bytes and appends every frame that is now complete. Fails, and is of no further
    /// use, when a frame exceeds [`sse::MAX_FRAME`] or its check sum is wrong; the frames before it
    /// have been appended.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), Unframed> {
        match self {
            Self::Events(framer) => Ok(framer.push(chunk, out)?),
            Self::Array(framer) | Self::Lines(framer) => Ok(framer.push(chunk, out)?),
            Self::EventStream(framer) => framer.push(chunk, out),
        }
    }

    /// The stream ended: a last frame, if what is left is one.
    pub fn finish(&mut self) -> Option<Frame> {
        match self {
            Self::Events(framer) => framer.finish(),
            Self::Array(framer) | Self::Lines(framer) => framer.finish(),
            // A message that was cut is none.
            Self::EventStream(_) => None,
        }
    }

    /// Bytes held back because their frame is not complete.
    pub fn held(&self) -> usize {
        match self {
            Self::Events(framer) => framer.held(),
            Self::Array(framer) | Self::Lines(framer) => framer.held(),
            Self::EventStream(framer) => framer.held(),
        }
    }

    /// Whether the stream may end here as far as its form goes.
    pub fn closing(&self) -> Closing {
        match self {
            Self::Events(_) | Self::Lines(_) => Closing::Closed,
            Self::Array(framer) => framer.closing(),
            Self::EventStream(framer) => framer.closing(),
        }
    }

    /// The form.
    pub fn framing(&self) -> Framing {
        match self {
            Self::Events(_) => Framing::Events,
            Self::Array(_) => Framing::Array,
            Self::EventStream(_) => Framing::EventStream,
            Self::Lines(_) => Framing::Lines,
        }
    }
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(Framing::default())
    }
}

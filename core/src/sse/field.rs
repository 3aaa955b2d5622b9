//! The fields of a whole frame.

use super::{Data, Frame, Span};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Whether a byte order mark may stand before the first field.
pub(super) enum Mark {
    /// In a stream's first frame.
    Possible,
    /// In any other it would be a part of a field's name.
    Impossible,
}

/// Reads the fields of a frame. They are slices of `raw`, except for data of several lines.
pub(super) fn frame(raw: Bytes, mark: Mark) -> Frame {
    let mut event = Span::default();
    let mut data = Lines::None;
    let mut at = match mark {
        Mark::Possible if raw.starts_with(b"\xef\xbb\xbf") => 3,
        Mark::Possible | Mark::Impossible => 0,
    };
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        if let Some(value) = value(line, b"data") {
            data.add(&raw, at + value..at + end);
        } else if let Some(value) = value(line, b"event") {
            event = span(at + value..at + end);
        }
        // The LF of a CRLF is left behind as a blank line, which says nothing here.
        at += end + 1;
    }
    Frame { event, data: data.finish(), kind: super::FrameKind::Event, raw }
}

/// Where in a line of this field its value begins: after the colon and one space.
fn value(line: &[u8], name: &[u8]) -> Option<usize> {
    match line.strip_prefix(name)? {
        [] => Some(name.len()),
        [b':', b' ', ..] => Some(name.len() + 2),
        [b':', ..] => Some(name.len() + 1),
        _ => None,
    }
}

/// The data lines so far.
enum Lines {
    None,
    /// The usual case: nothing to copy.
    One(Range<usize>),
    Joined(BytesMut),
}

impl Lines {
    fn add(&mut self, raw: &Bytes, line: Range<usize>) {
        let mut joined = match std::mem::replace(self, Self::None) {
            Self::None => {
                *self = Self::One(line);
                return;
            }
            Self::One(first) => {
                let mut joined = BytesMut::with_capacity(raw.len().saturating_sub(first.start));
                joined.extend_from_slice(raw.get(first).unwrap_or_default());
                joined
            }
            Self::Joined(joined) => joined,
        };
        joined.extend_from_slice(b"\n");
        joined.extend_from_slice(raw.get(line).unwrap_or_default());
        *self = Self::Joined(joined);
    }

    fn finish(self) -> Data {
        match self {
            Self::None => Data::default(),
            Self::One(line) => Data::Line(span(line)),
            Self::Joined(joined) => Data::Joined(joined.freeze()),
        }
    }
}

/// Frames are shorter than 4 GiB by far.
pub(super) fn span(range: Range<usize>) -> Span {
    let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
    Span { start: narrow(range.start), end: narrow(range.end) }
}

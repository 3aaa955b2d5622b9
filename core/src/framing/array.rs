//! A JSON array that grows.
//!
//! ```text
//!            [                { or [               its end
//! Before ─────────▶ Between ───────────▶ Within ─────────────▶ Between    a frame
//!                      │ ]
//!                      └─────▶ After                                      a frame without data
//! ```
//!
//! 1. A frame begins where the one before it ended, so that it holds the bracket or comma before its
//!    element.
//! 2. Elements are objects or arrays; what else stands between commas belongs to the next frame.
//! 3. Nothing is checked but brackets and strings: whoever reads an element parses it.

use super::Closing;
use crate::sse::{Frame, FrameTooLarge, MAX_FRAME};
use bytes::{Bytes, BytesMut};

/// Cuts an array into its elements.
#[derive(Debug, Default)]
pub struct Framer {
    /// The beginning of a frame whose end has not come. All of it has been scanned.
    held: BytesMut,
    place: Place,
    /// Where in the frame its element begins.
    element: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Between,
    /// In an element, so many brackets deep.
    Within {
        depth: u32,
        within: Within,
    },
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Structure,
    Text,
    /// After a backslash.
    Escape,
}

impl Framer {
    /// Of objects that stand one after the other, as if within brackets that were never written.
    pub(super) fn of_lines() -> Self {
        Self { place: Place::Between, ..Self::default() }
    }

    pub(super) fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), FrameTooLarge> {
        while let Some(end) = self.next_frame_end(&chunk) {
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

    /// What follows the end of the array, if anything does. An element that was cut is none.
    pub(super) fn finish(&mut self) -> Option<Frame> {
        if self.place != Place::After || self.held.is_empty() {
            return None;
        }
        let raw = self.held.split().freeze();
        Some(self.frame(raw))
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn closing(&self) -> Closing {
        if self.place == Place::After { Closing::Closed } else { Closing::Open }
    }

    fn frame(&self, raw: Bytes) -> Frame {
        let data = match self.place {
            Place::Before | Place::Between | Place::Within { .. } => self.element..raw.len(),
            Place::After => raw.len()..raw.len(),
        };
        Frame::within(raw, data)
    }

    fn check_size(&mut self, more: usize) -> Result<(), FrameTooLarge> {
        if self.held.len() + more <= MAX_FRAME {
            return Ok(());
        }
        self.held = BytesMut::new();
        Err(FrameTooLarge)
    }

    /// Scans on to the end of the frame and returns where the next one begins, or scans all there is.
    fn next_frame_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.place {
                Place::Before if *byte == b'[' => self.place = Place::Between,
                Place::Between if matches!(byte, b'{' | b'[') => {
                    self.element = self.held.len() + at;
                    self.place = Place::Within { depth: 1, within: Within::Structure };
                }
                Place::Between if *byte == b']' => {
                    self.place = Place::After;
                    return Some(at + 1);
                }
                Place::Before | Place::Between | Place::After => {}
                Place::Within { depth, within: Within::Text } => {
                    // Most of an element is text.
                    let found = memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                    at += found;
                    let within =
                        if bytes.get(at) == Some(&b'"') { Within::Structure } else { Within::Escape };
                    self.place = Place::Within { depth, within };
                }
                Place::Within { depth, within: Within::Escape } => {
                    self.place = Place::Within { depth, within: Within::Text };
                }
                Place::Within { depth, within: Within::Structure } => {
                    if self.structure(depth, *byte) {
                        return Some(at + 1);
                    }
                }
            }
            at += 1;
        }
        None
    }

    /// Whether this byte ends the element.
    fn structure(&mut self, depth: u32, byte: u8) -> bool {
        let (depth, within) = match byte {
            b'"' => (depth, Within::Text),
            b'{' | b'[' => (depth.saturating_add(1), Within::Structure),
            b'}' | b']' if depth == 1 => {
                self.place = Place::Between;
                return true;
            }
            b'}' | b']' => (depth - 1, Within::Structure),
            _ => return false,
        };
        self.place = Place::Within { depth, within };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAY: &str = "[{\"a\":\"]}\\\"\",\"b\":[{}]}\n,\r\n{\"c\":1}\n]\n";

    fn cut(pieces: &[&[u8]]) -> (Vec<Frame>, Framer) {
        let (mut framer, mut frames) = (Framer::default(), Vec::new());
        for piece in pieces {
            framer.push(Bytes::copy_from_slice(piece), &mut frames).unwrap();
        }
        frames.extend(framer.finish());
        (frames, framer)
    }

    #[test]
    fn elements_are_frames_and_frames_are_the_stream() {
        let (frames, framer) = cut(&[ARRAY.as_bytes()]);
        let data: Vec<_> = frames.iter().map(|frame| std::str::from_utf8(frame.data()).unwrap()).collect();
        assert_eq!(data, [r#"{"a":"]}\"","b":[{}]}"#, r#"{"c":1}"#, "", ""]);
        let raw: Vec<u8> = frames.iter().flat_map(|frame| frame.raw().to_vec()).collect();
        assert_eq!(raw, ARRAY.as_bytes());
        assert_eq!(framer.closing(), Closing::Closed);
    }

    #[test]
    fn wherever_it_is_cut_it_has_the_same_frames() {
        let (whole, _) = cut(&[ARRAY.as_bytes()]);
        for at in 0..ARRAY.len() {
            let (head, tail) = ARRAY.as_bytes().split_at(at);
            assert_eq!(cut(&[head, tail]).0, whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = ARRAY.as_bytes().chunks(1).collect();
        assert_eq!(cut(&bytes).0, whole);
    }

    #[test]
    fn objects_in_lines_are_frames_wherever_the_lines_are_cut() {
        let text = "{\"a\":\"\\n]\"}\n{\"b\":[1]}\r\n\n{\"c\"";
        for size in 1..text.len() {
            let (mut framer, mut frames) = (Framer::of_lines(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                framer.push(Bytes::copy_from_slice(piece), &mut frames).unwrap();
            }
            let data: Vec<_> = frames.iter().map(|frame| frame.data().to_vec()).collect();
            assert_eq!(data, [&br#"{"a":"\n]"}"#[..], br#"{"b":[1]}"#]);
            assert_eq!(framer.finish(), None, "a line that was cut is none");
        }
    }

    #[test]
    fn an_array_that_is_not_closed_says_so_and_a_cut_element_is_none() {
        for (text, frames) in [("", 0), ("[", 0), ("[{\"a\":1}", 1), ("[{\"a\":1},{\"b\"", 1)] {
            let (found, framer) = cut(&[text.as_bytes()]);
            assert_eq!((found.len(), framer.closing()), (frames, Closing::Open), "{text}");
        }
        assert_eq!(cut(&[b"[]"]).1.closing(), Closing::Closed);
    }

    #[test]
    fn an_element_without_end_is_a_fault_and_not_memory() {
        let mut framer = Framer::default();
        let piece = Bytes::from(vec![b'{'; 1024 * 1024]);
        framer.push(Bytes::from_static(b"["), &mut Vec::new()).unwrap();
        let pushed = (0..=MAX_FRAME / piece.len()).map(|_| framer.push(piece.clone(), &mut Vec::new()));
        assert!(pushed.into_iter().any(|pushed| pushed.is_err()));
    }
}

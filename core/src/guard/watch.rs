//! A stream on its way to the client: frames go out once none of them can be part of a phrase.
//!
//! ```text
//! bytes ─▶ frames ─▶ texts ─▶ finders ─▶ nothing begun: all may go
//!                                      ─▶ a phrase may have begun in frame n: those before n may go
//!                                      ─▶ a phrase has come: nothing goes any more
//! ```

use super::texts::place;
use super::{Finder, Guard, Piece, Rails, TextId, texts};
use crate::framing::{Framer, Framing};
use crate::json::{Tape, Value};
use crate::sse::Frame;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// A stream that is looked at.
pub(crate) struct Watch {
    guard: Arc<Guard>,
    framer: Framer,
    finders: Vec<(TextId, Finder)>,
    /// All phrases that have been found.
    found: Rails,
    /// Bytes that wait, whole frames and the beginning of another.
    bytes: BytesMut,
    frames: VecDeque<Frame>,
    /// Frames that have been looked at, and those of them that have gone.
    looked: u64,
    gone: u64,
    begun: Begun,
    last: Option<Frame>,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// Nothing has been said: what has come waits for the first words, so that an answer which begins with a
    /// phrase can still be refused.
    Silent,
    /// Something has been said, and nothing is out.
    Said,
    /// Frames go out.
    Out,
}

/// What may go out.
#[derive(Debug, PartialEq)]
pub(crate) enum Looked {
    /// This.
    Goes(Bytes),
    /// This, and then nothing: a guardrail blocks.
    Blocked(Bytes),
    /// This, and then nothing: what follows cannot be read.
    Unreadable(Bytes),
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// It is.
    Comes,
    /// All has come.
    None,
}

impl fmt::Debug for Watch {
    /// How much waits (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({} frames)", self.frames.len())
    }
}

impl Watch {
    pub(crate) fn new(guard: Arc<Guard>, framing: Framing) -> Self {
        Self {
            guard,
            framer: Framer::new(framing),
            finders: Vec::new(),
            found: Rails::default(),
            bytes: BytesMut::new(),
            frames: VecDeque::new(),
            looked: 0,
            gone: 0,
            begun: Begun::Silent,
            last: None,
        }
    }

    pub(crate) fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// Whose phrases have been found so far.
    pub(crate) fn found(&self) -> Rails {
        self.found
    }

    /// The data of the last frame that has gone and had any.
    pub(crate) fn last(&self) -> &[u8] {
        self.last.as_ref().map(Frame::data).unwrap_or_default()
    }

    /// Everything that waits: the texts are complete, so that what has begun is no phrase.
    fn release(&mut self) -> Bytes {
        while let Some(frame) = self.frames.pop_front() {
            self.went(frame);
        }
        self.bytes.split().freeze()
    }

    /// Takes what comes; tells what may go.
    pub(crate) fn look(&mut self, bytes: Bytes, more: More) -> Looked {
        self.bytes.extend_from_slice(&bytes);
        let mut frames = Vec::new();
        let readable = self.framer.push(bytes, &mut frames).is_ok();
        if more == More::None {
            frames.extend(self.framer.finish());
        }
        let mut goes = 0;
        for frame in frames {
            self.looked += 1;
            self.read(&frame);
            self.frames.push_back(frame);
            if self.guard.blocked(self.found).is_some() {
                return Looked::Blocked(self.bytes.split_to(goes).freeze());
            }
            let waits = self.waits_from();
            match (self.begun, waits) {
                (Begun::Out, _) => {}
                (Begun::Said, None) => self.begun = Begun::Out,
                (Begun::Silent | Begun::Said, _) => continue,
            }
            goes += self.let_go(waits);
        }
        // Not of words, whatever it is: it has been decided that it goes out.
        if self.begun == Begun::Silent && self.waits_from().is_none() {
            self.begun = if self.looked > 0 { Begun::Out } else { Begun::Silent };
            goes += self.let_go(None);
        }
        if !readable {
            return Looked::Unreadable(self.bytes.split_to(goes).freeze());
        }
        Looked::Goes(match more {
            More::Comes => self.bytes.split_to(goes).freeze(),
            More::None => self.release(),
        })
    }

    /// The first frame that may hold the beginning of a phrase that blocks.
    fn waits_from(&self) -> Option<u64> {
        let phrases = &self.guard.output;
        self.finders.iter().filter_map(|(_, finder)| finder.oldest(phrases)).min()
    }

    /// Takes out the frames before this one, or all of them; tells how many bytes they are.
    fn let_go(&mut self, before: Option<u64>) -> usize {
        let mut goes = 0;
        while self.gone + 1 < before.unwrap_or(self.looked + 1)
            && let Some(frame) = self.frames.pop_front()
        {
            goes += frame.raw().len();
            self.went(frame);
        }
        goes
    }

    fn went(&mut self, frame: Frame) {
        self.gone += 1;
        if !frame.data().is_empty() {
            self.last = Some(frame);
        }
    }

    fn read(&mut self, frame: &Frame) {
        let data = frame.data();
        if data.is_empty() || data == b"[DONE]" {
            return;
        }
        let Ok(tape) = Tape::parse(data) else {
            let text = String::from_utf8_lossy(data);
            return self.found = self.found.or(self.guard.output.find(&text));
        };
        let inner = match self.framer.framing() {
            Framing::EventStream => {
                tape.root().get("bytes").and_then(|bytes| STANDARD.decode(&*bytes.as_str()?).ok())
            }
            Framing::Events | Framing::Array | Framing::Lines => None,
        };
        match inner.as_deref().map(Tape::parse) {
            Some(Ok(tape)) => self.object(tape.root(), frame.event()),
            Some(Err(_)) | None => self.object(tape.root(), frame.event()),
        }
    }

    fn object(&mut self, root: Value<'_>, event: &[u8]) {
        let said = root.get("type").and_then(Value::as_str);
        let kind = said.as_deref().map_or(event, str::as_bytes);
        // These say once more, and as a whole, what has been said in pieces.
        let whole = kind.starts_with(b"response.") && !kind.ends_with(b"delta");
        let Self { guard, finders, found, looked, begun, .. } = self;
        texts(root, &mut |piece| match piece {
            Piece::Text(Some(id), text) if !whole => {
                if *begun == Begun::Silent && !text.is_empty() {
                    *begun = Begun::Said;
                }
                let at = finders.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                    finders.push((id, Finder::default()));
                    finders.len() - 1
                });
                if let Some((_, finder)) = finders.get_mut(at) {
                    *found = found.or(finder.read(text, *looked, &guard.output));
                }
            }
            Piece::Text(_, text) => *found = found.or(guard.output.find(text)),
            Piece::Over(place) => finders.retain(|(id, _)| id.place != place),
        });
        if [&b"done"[..], b"stop", b"Stop"].iter().any(|end| kind.ends_with(end)) {
            let place = place(root, 0);
            finders.retain(|(id, _)| id.place != place);
        }
    }
}

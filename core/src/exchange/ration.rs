//! How much output has been paid for, and when it is used up.
//!
//! The upstream has been told the cap and mostly keeps to it: this is for those that do not, or could
//! not be told. So it must not cut an answer that stays within its cap, and it counts cautiously:
//!
//! - what the provider has reported so far, if it reports in mid-stream;
//! - a token for five bytes of text since then, which is what ordinary English comes to;
//! - at least a token for each frame with content.
//!
//! The largest counts. An answer is cut once that is a tenth, and at least 16 tokens, above what has
//! been paid. Text whose tokens are shorter than five bytes gets so much more before it is cut; it is
//! settled by what it was.

use super::request::Request;
use crate::count::Heard;
use crate::provider::Glance;
use crate::reply::Event;
use crate::sse::Frame;
use crate::surface::{Asked, SoFar, Surface};
use crate::units::Tokens;
use crate::usage::Usage;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;

/// Bytes of text that are a token.
const BYTES_PER_TOKEN: u64 = 5;
/// How many frames are looked back at. Pings and the like may stand behind what matters.
const RECENT: usize = 4;
/// The least that is let pass beyond what was paid.
const LEAST_SLACK: u64 = 16;

/// Output that has been paid for, all answers of a request together.
pub(super) struct Ration {
    most: Tokens,
    surface: &'static dyn Surface,
    asked: Asked,
    choices: u64,
    /// Frames or events with content.
    pieces: u64,
    reported: Reported,
    /// For the end of a passed-on stream.
    content: Bytes,
    finished: Vec<Bytes>,
    /// The last frames that held anything, for dialects whose end depends on what is open.
    recent: VecDeque<Frame>,
    /// Answers of a translated stream that have begun and not ended.
    open: Vec<u32>,
    place: Place,
}

/// What a provider has said of its output in mid-stream.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    output: Tokens,
    /// Bytes that had been heard by then.
    at: u64,
}

/// Whether an answer is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    After,
}

impl fmt::Debug for Ration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ration")
            .field("most", &self.most)
            .field("pieces", &self.pieces)
            .finish_non_exhaustive()
    }
}

impl Ration {
    /// So much has been paid for, for all answers together.
    pub(super) fn new(paid: Tokens, request: &Request) -> Self {
        let slack = Tokens((paid.get() / 10).max(LEAST_SLACK));
        Self {
            most: paid + slack,
            surface: request.surface,
            asked: request.asked(),
            choices: request.envelope.n,
            pieces: 0,
            reported: Reported::default(),
            content: Bytes::new(),
            finished: Vec::new(),
            recent: VecDeque::with_capacity(RECENT),
            open: Vec::new(),
            place: Place::Before,
        }
    }

    /// A frame was passed on.
    pub(super) fn on_frame(&mut self, glance: Glance, frame: &Frame) {
        if !frame.data().is_empty() {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(frame.clone());
        }
        match glance {
            Glance::Content => {
                self.pieces += 1;
                self.place = Place::Within;
                // Copied: a share of it would keep the whole piece that was read.
                if self.content.is_empty() {
                    self.content = Bytes::copy_from_slice(frame.data());
                }
            }
            Glance::Finish => {
                self.place = Place::After;
                self.finished.push(Bytes::copy_from_slice(frame.data()));
            }
            Glance::End | Glance::Fault => self.place = Place::After,
            Glance::Preamble => {}
        }
    }

    /// A translated stream went on.
    pub(super) fn on_event(&mut self, event: &Event, heard: &Heard) {
        match event {
            Event::Text { choice, .. }
            | Event::Thinking { choice, .. }
            | Event::Refusal { choice, .. }
            | Event::ToolStart { choice, .. }
            | Event::ToolArguments { choice, .. }
            | Event::SealedThinking { choice, .. }
            | Event::Part { choice, .. } => self.on_piece(*choice),
            Event::Stop { choice, .. } => self.on_stop(*choice),
            Event::Usage(usage) => self.on_usage(usage, heard.bytes()),
            Event::Fault(_) | Event::End => self.place = Place::After,
            Event::Start(_)
            | Event::TextSignature { .. }
            | Event::Citation { .. }
            | Event::ThinkingSignature { .. }
            | Event::LogProbs { .. }
            | Event::Extras { .. } => {}
        }
    }

    fn on_piece(&mut self, choice: u32) {
        self.pieces += 1;
        if !self.open.contains(&choice) {
            self.open.push(choice);
        }
        self.place = Place::Within;
    }

    fn on_stop(&mut self, choice: u32) {
        self.open.retain(|open| *open != choice);
        if self.open.is_empty() {
            self.place = Place::After;
        }
    }

    /// Answers of a translated stream that have begun and not ended.
    pub(super) fn open(&self) -> &[u32] {
        &self.open
    }

    /// The provider has said what it generated so far, when so many bytes had been heard.
    pub(super) fn on_usage(&mut self, usage: &Usage, at: u64) {
        self.reported = Reported { output: usage.output, at };
    }

    /// Bytes of text and frames that are paid for yet, so many bytes having been heard, and so many frames
    /// having passed unseen.
    pub(super) fn room(&self, heard: u64, unseen: u64) -> (u64, u64) {
        let Reported { output, at } = self.reported;
        let bytes = self.most.get().saturating_sub(output.get()).saturating_mul(BYTES_PER_TOKEN);
        let frames = self.most.get().saturating_sub(self.pieces.saturating_add(unseen));
        (bytes.saturating_sub(heard.saturating_sub(at)), frames)
    }

    /// Whether more has been generated than was paid for, with an answer still in progress.
    pub(super) fn is_used_up(&self, heard: &Heard) -> bool {
        self.place == Place::Within && self.generated(heard) > self.most
    }

    /// What has been generated by now, counted cautiously.
    fn generated(&self, heard: &Heard) -> Tokens {
        let Reported { output, at } = self.reported;
        let since = heard.bytes().saturating_sub(at).div_ceil(BYTES_PER_TOKEN);
        (output + Tokens(since)).max(Tokens(self.pieces))
    }

    /// The end of a passed-on stream.
    pub(super) fn cut_off(&self, heard: &Heard) -> Bytes {
        let recent: Vec<_> = self.recent.iter().map(|frame| Bytes::copy_from_slice(frame.data())).collect();
        let so_far = SoFar {
            content: &self.content,
            finished: &self.finished,
            recent: &recent,
            output: self.generated(heard),
            choices: self.choices,
        };
        self.surface.cut_off(&so_far, &self.asked)
    }
}

#[cfg(test)]
mod tests;

//! Frames that pass unseen, by a host that is given the form of one that has been looked at, with holes where
//! others like it differ.
//!
//! Quotes inside strings are escaped, so that whatever stands in a hole has the same keys around it: what was
//! found in the frame by its keys would be found in any that fits its form.

use super::{Form, Progress, Relay};
use crate::framing::Framer;
use crate::host::{Leave, Passed, hole};
use crate::provider::scan;

impl Relay {
    /// What may pass unseen: frames like the last one with content, as long as they are paid for.
    pub(in crate::exchange) fn leave(&self) -> Option<Leave> {
        let (Form::Pass { framer }, Progress::Open) = (&self.form, self.progress) else { return None };
        let plain = self.plain.as_ref().filter(|_| framer.held() == 0)?;
        let mut said = String::new();
        self.sent.provider().text(plain.data(), &mut said);
        let form = form(plain.raw(), said.len())?;
        let (words, frames) = match &self.ration {
            None => (u64::MAX, u64::MAX),
            Some(ration) => ration.room(self.heard.bytes() + self.unseen().0, self.unseen().1),
        };
        Some(Leave { form, words, frames })
    }

    /// Bytes of words, at most, and frames that have passed unseen.
    pub(super) fn unseen(&self) -> (u64, u64) {
        self.passed.as_ref().map_or((0, 0), |passed| (passed.words, passed.frames))
    }

    /// Frames have passed by leave.
    pub(in crate::exchange) fn on_passed(&mut self, mut passed: Passed) {
        self.sent.times.heard(passed.at);
        let (words, frames) = self.unseen();
        passed.words += words;
        passed.frames += frames;
        self.passed = Some(passed);
    }

    /// Looks at what has passed unseen, where it has to be known after all.
    pub(super) fn catch_up(&mut self) {
        let Some(mut passed) = self.passed.take() else { return };
        let mut frames = Vec::new();
        // Only whole frames have passed.
        let _ = Framer::default().push((passed.shelf.0)(), &mut frames);
        let provider = self.sent.provider();
        for frame in &frames {
            self.heard.hear(|out| provider.text(frame.data(), out));
            if let Some(ration) = &mut self.ration {
                ration.on_frame(provider.glance(frame), frame);
            }
        }
        self.last = frames.pop().or(self.last.take());
    }

    /// The same where this piece might be more than was paid for.
    pub(super) fn catch_up_for(&mut self, piece: &[u8]) {
        let Some(ration) = &self.ration else { return };
        let (words, frames) = ration.room(self.heard.bytes() + self.unseen().0, self.unseen().1);
        if words.min(frames) <= piece.len() as u64 {
            self.catch_up();
        }
    }
}

/// Keys whose values may differ, and by what.
const HOLES: [(&[u8], u8); 14] = [
    (b"content", hole::WORDS),
    (b"text", hole::WORDS),
    (b"delta", hole::WORDS),
    (b"reasoning_content", hole::WORDS),
    (b"reasoning", hole::WORDS),
    (b"thinking", hole::WORDS),
    (b"refusal", hole::WORDS),
    (b"arguments", hole::WORDS),
    (b"partial_json", hole::WORDS),
    // Noise of OpenAI's and Bedrock's, against those who look at lengths.
    (b"obfuscation", hole::TEXT),
    (b"p", hole::TEXT),
    (b"sequence_number", hole::DIGITS),
    (b"created", hole::DIGITS),
    (b"created_at", hole::DIGITS),
];

/// The form of a server-sent event with so many bytes of words in it; none where some of them stand elsewhere than
/// in holes, or where frames of this form could not be told apart.
fn form(raw: &[u8], said: usize) -> Option<Vec<u8>> {
    let mut form = Vec::with_capacity(raw.len());
    let (mut at, mut words) = (0, 0);
    while let Some(byte) = raw.get(at) {
        if *byte != b'"' {
            form.push(*byte);
            at += 1;
            continue;
        }
        let end = scan::skip_string(raw, at)?;
        let key = raw.get(at + 1..end - 1)?;
        let value = scan::value_after_key(raw, end);
        let kind = HOLES.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind);
        let (Some(value), Some(kind)) = (value, kind) else {
            form.extend_from_slice(raw.get(at..end)?);
            at = end;
            continue;
        };
        form.extend_from_slice(raw.get(at..value)?);
        at = value;
        let behind = match (kind, raw.get(value)?) {
            (hole::DIGITS, b'0'..=b'9') => {
                value + raw.get(value..)?.iter().take_while(|byte| byte.is_ascii_digit()).count()
            }
            (hole::WORDS | hole::TEXT, b'"') => scan::skip_string(raw, value)? - 1,
            _ => continue,
        };
        if kind == hole::DIGITS {
            form.push(kind);
        } else {
            form.extend_from_slice(&[b'"', kind, b'"']);
            at += 1;
            words += if kind == hole::WORDS { behind - at } else { 0 };
        }
        // The quote that ends a string has been written.
        at = if kind == hole::DIGITS { behind } else { behind + 1 };
    }
    let holds_words = form.contains(&hole::WORDS) && said <= words;
    let ends = form.ends_with(b"\n\n") || form.ends_with(b"\r\n\r\n");
    (holds_words && ends).then_some(form)
}

#[cfg(test)]
mod tests;

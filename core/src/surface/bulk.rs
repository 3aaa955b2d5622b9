//! How much a prompt holds, from where things stand on the tape.

use crate::count::{Media, weight};
use crate::json::{Kind, Value};
use std::ops::Range;

/// What has been seen of a prompt that is no text.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    pub(super) media: Media,
    /// Where media stand in the body; ascending and disjoint.
    apart: Vec<Range<usize>>,
}

/// The weight of a value as it is written.
pub(super) fn weigh(value: Value<'_>) -> u64 {
    weight(value.raw())
}

/// An object as it is written, whose text a tokenizer reads as such; of anything else nothing.
pub(super) fn object(value: Value<'_>) -> Option<&str> {
    std::str::from_utf8(value.raw()).ok().filter(|_| value.kind() == Kind::Object)
}

impl Bulk {
    /// A medium in the body, which is not weighed as text. Its length.
    pub(super) fn set_apart(&mut self, value: Value<'_>) -> u64 {
        let span = value.span();
        // Members of one message may stand in any order: what would overlap or go back is weighed
        // as text too, which is too much and never too little.
        if self.apart.last().is_none_or(|last| last.end <= span.start) {
            self.apart.push(span.clone());
        }
        span.len() as u64
    }

    /// The weight of all messages, media left out.
    pub(super) fn weigh(&self, messages: Value<'_>) -> u64 {
        let (raw, start) = (messages.raw(), messages.span().start);
        let mut weighed = 0;
        let mut at = 0;
        for apart in &self.apart {
            let (from, to) = (apart.start.saturating_sub(start), apart.end.saturating_sub(start));
            weighed += weight(raw.get(at..from).unwrap_or_default());
            at = to;
        }
        weighed + weight(raw.get(at..).unwrap_or_default())
    }
}

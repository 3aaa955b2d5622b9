//! Streams.
use crate::provider::{Decode, Target};
use crate::reply::Event;
use crate::sse::Frame;
pub(super) struct Decoder;
impl Decoder {
    pub(super) fn new(_target: &Target<'_>) -> Self {
        Self
    }
}
impl Decode for Decoder {
    fn on(&mut self, _frame: &Frame, _out: &mut Vec<Event>) {}
    fn on_end(&mut self, _out: &mut Vec<Event>) {}
}

//! How chunks are written one after the other.

use crate::framing::Framing;
use crate::surface::Begun;
use bytes::{BufMut, BytesMut};
use serde_json::Value;

/// A stream being written.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    begun: Begun,
}

impl Frames {
    /// A stream of this form, at its beginning.
    pub(super) fn new(framing: Framing) -> Self {
        Self::after(framing, Begun::No)
    }

    /// A stream of which something is out already.
    pub(super) fn after(framing: Framing, begun: Begun) -> Self {
        Self { framing, begun }
    }

    /// The next chunk.
    pub(super) fn put(&mut self, chunk: &Value, out: &mut BytesMut) {
        match (self.framing, self.begun) {
            // No request of Google's asks for binary messages.
            (Framing::Events | Framing::EventStream | Framing::Lines, _) => out.put_slice(b"data: "),
            (Framing::Array, Begun::No) => out.put_slice(b"["),
            (Framing::Array, Begun::Yes) => out.put_slice(b",\r\n"),
        }
        self.begun = Begun::Yes;
        out.put_slice(chunk.to_string().as_bytes());
        if self.framing != Framing::Array {
            out.put_slice(b"\r\n\r\n");
        }
    }

    /// The end. Events need none.
    pub(super) fn close(&mut self, out: &mut BytesMut) {
        match (self.framing, self.begun) {
            (Framing::Events | Framing::EventStream | Framing::Lines, _) => {}
            (Framing::Array, Begun::No) => out.put_slice(b"[]"),
            (Framing::Array, Begun::Yes) => out.put_slice(b"\r\n]"),
        }
    }
}

//! Joins pieces of a body, without copying where there is one only.

use bytes::{Bytes, BytesMut};

/// Pieces in the order they came.
#[derive(Debug, Default)]
pub(super) struct Gather {
    first: Bytes,
    all: BytesMut,
}

impl Gather {
    pub(super) fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            // Twice the room: where there are two pieces there are often more.
            self.all.reserve(2 * (self.first.len() + piece.len()));
            self.all.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.all.extend_from_slice(&piece);
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    /// Everything so far.
    pub(super) fn so_far(&self) -> &[u8] {
        if self.all.is_empty() { &self.first } else { &self.all }
    }

    /// Everything so far; leaves nothing behind.
    pub(super) fn take(&mut self) -> Bytes {
        if self.all.is_empty() { std::mem::take(&mut self.first) } else { self.all.split().freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied_and_several_are_joined() {
        let piece = Bytes::from_static(b"abc");
        let mut gather = Gather::default();
        gather.push(piece.clone());
        assert_eq!(gather.take().as_ptr(), piece.as_ptr());
        for piece in [&b"ab"[..], b"", b"c", b"de"] {
            gather.push(Bytes::copy_from_slice(piece));
        }
        assert_eq!(gather.so_far(), b"abcde");
        assert_eq!((gather.len(), gather.take(), gather.len()), (5, Bytes::from_static(b"abcde"), 0));
    }
}

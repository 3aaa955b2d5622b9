//! What names an answer.

use super::CacheKey;
use sha2::{Digest as _, Sha256};

/// Another form of the key begins anew.
const FORM: &[u8] = b"tollgate answer 1";

/// Takes in everything that changes an answer, part by part.
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn new() -> Self {
        let mut digest = Self(Sha256::new());
        digest.part(FORM);
        digest
    }

    /// Each with its length in front, so that no two lists of parts are the same bytes.
    pub(crate) fn part(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// A list, with its length in front.
    pub(crate) fn list<'p>(&mut self, parts: impl ExactSizeIterator<Item = &'p [u8]>) {
        self.0.update((parts.len() as u64).to_le_bytes());
        parts.for_each(|part| self.part(part));
    }

    pub(crate) fn key(self) -> CacheKey {
        CacheKey(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> CacheKey {
        let mut digest = Digest::new();
        parts.iter().for_each(|part| digest.part(part.as_bytes()));
        digest.key()
    }

    #[test]
    fn parts_cannot_be_moved_from_one_to_the_next() {
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab", ""]), key(&["ab"]));
        let mut listed = Digest::new();
        listed.list([&b"ab"[..], b"c"].into_iter());
        assert_ne!(listed.key(), key(&["ab", "c"]));
    }

    #[test]
    fn a_key_is_shown_in_hexadecimal() {
        let shown = key(&["x"]).to_string();
        assert_eq!(shown.len(), 64);
        assert!(shown.bytes().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()));
    }
}

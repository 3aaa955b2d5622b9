//! What identifies a conversation from turn to turn.

use super::{Conversation, Follows};
use crate::json::Value;
use memchr::memmem::Finder;
use std::sync::LazyLock;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The mark of a prompt cache, in the dialects that have one.
static CACHE_MARKS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new("\"cache_control\""), Finder::new("\"cachePoint\"")]);

impl Conversation {
    /// Hashes what stays the same from turn to turn, in a fixed order: tools, instructions, the first
    /// user message. `answered` tells whether the model has spoken before.
    pub(super) fn of<'t>(
        root: Value<'_>,
        lasting: impl Iterator<Item = Value<'t>>,
        answered: Answered,
    ) -> Self {
        let prefix = lasting.fold(SEED, |hash, part| hash_of(part.raw(), hash));
        let marked = || CACHE_MARKS.iter().any(|mark| mark.find(root.raw()).is_some());
        let earlier = answered == Answered::Before || marked();
        Self { prefix, follows: if earlier { Follows::Earlier } else { Follows::FirstTurn } }
    }
}

/// Whether the model has spoken in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Answered {
    /// It has.
    Before,
    /// Not yet.
    #[default]
    Never,
}

/// Eight bytes at a time: system texts are long, and this runs for every request. The length goes in
/// too, so that parts do not run into each other.
fn hash_of(bytes: &[u8], seed: u64) -> u64 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(seed, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)));
    let hash = mix(hash, bytes.len() as u64);
    hash ^ (hash >> 32)
}

//! All tokens of a tokenizer, in static memory, as `build.rs` lays them out.

use crate::hash;

const SLOTS: usize = 1 << 18;
const GROUP: usize = 16;

/// The parts of it follow one another; see [`Table::find`].
pub(crate) struct Table(pub(crate) &'static [u8]);

impl Table {
    fn number<const BYTES: usize>(&self, at: usize) -> Option<usize> {
        let bytes = self.0.get(at..at + BYTES)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// The number of a token: the smaller, the earlier it is merged.
    pub(crate) fn find(&self, token: &[u8]) -> Option<u32> {
        let tokens = self.number::<4>(0)?;
        let starts = 4;
        let lengths = starts + 4 * tokens.div_ceil(GROUP);
        let slots = lengths + tokens;
        let all = slots + 3 * SLOTS;
        let mut slot = hash::of(token) as usize % SLOTS;
        loop {
            let rank = self.number::<3>(slots + 3 * slot)?.checked_sub(1)?;
            if self.0.get(lengths + rank).map(|length| usize::from(*length)) == Some(token.len()) {
                let first = rank / GROUP * GROUP;
                let before = self.0.get(lengths + first..lengths + rank)?;
                let before: usize = before.iter().map(|length| usize::from(*length)).sum();
                let at = all + self.number::<4>(starts + 4 * (rank / GROUP))? + before;
                if self.0.get(at..at + token.len())? == token {
                    return u32::try_from(rank).ok();
                }
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

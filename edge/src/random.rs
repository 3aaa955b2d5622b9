//! Numbers for spreading load and naming requests; not for keys.

use std::cell::Cell;
use tollgate_core::exchange::RequestId;

/// xoshiro256++, seeded by the platform.
#[derive(Debug)]
pub struct Random {
    state: Cell<[u64; 4]>,
}

impl Random {
    /// From 32 bytes that nobody else has.
    pub fn seeded(seed: [u8; 32]) -> Self {
        let mut state = [0x9e37_79b9_7f4a_7c15; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word ^= bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
        // All zero is the one state it never leaves.
        Self { state: Cell::new(if state == [0; 4] { [1; 4] } else { state }) }
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        let [a, b, c, d] = self.state.get();
        let out = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state.set([a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)]);
        out
    }

    /// A name for a request.
    pub fn request_id(&self) -> RequestId {
        RequestId((u128::from(self.next()) << 64) | u128::from(self.next()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn request_ids_do_not_repeat() {
        let (one, other) = (Random::seeded([1; 32]), Random::seeded([2; 32]));
        let ids: HashSet<_> =
            (0..1000).flat_map(|_| [one.request_id(), other.request_id()]).map(|id| id.0).collect();
        assert_eq!(ids.len(), 2000);
    }
}

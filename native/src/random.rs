//! Random numbers for spreading load and naming requests; not for keys.

use std::cell::Cell;
use tollgate_core::exchange::RequestId;

/// xoshiro256++, seeded from the operating system; one per thread.
#[derive(Debug)]
pub struct Random {
    state: Cell<[u64; 4]>,
}

impl Random {
    /// A generator of its own. Where the system gives no randomness, the clock and the address of a
    /// local stand in: load is spread a little worse, nothing else depends on it.
    pub fn seeded() -> Self {
        let mut seed = [0_u8; 32];
        if getrandom::fill(&mut seed).is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let place = std::ptr::from_ref(&seed).addr() as u128;
            seed[..16].copy_from_slice(&(now.as_nanos() ^ (place << 64)).to_le_bytes());
        }
        let mut state = [0x9e37_79b9_7f4a_7c15; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word ^= bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
        // All zero is the one state it never leaves.
        if state == [0; 4] {
            state = [1; 4];
        }
        Self { state: Cell::new(state) }
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
        let (one, other) = (Random::seeded(), Random::seeded());
        let ids: HashSet<_> =
            (0..1000).flat_map(|_| [one.request_id(), other.request_id()]).map(|id| id.0).collect();
        assert_eq!(ids.len(), 2000);
    }

    #[test]
    fn each_bit_is_set_about_half_of_the_time() {
        let random = Random::seeded();
        let mut ones = [0_u32; 64];
        for _ in 0..4000 {
            let word = random.next();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += u32::from(word >> bit & 1 == 1);
            }
        }
        assert!(ones.iter().all(|count| (1700..2300).contains(count)), "{ones:?}");
    }
}

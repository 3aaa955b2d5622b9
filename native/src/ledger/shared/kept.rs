//! Settlements that Redis has not taken yet.

use super::script::Call;
use std::collections::VecDeque;

/// So many are kept; the oldest give way.
pub(super) const MOST: usize = 100_000;

/// Settlements to be tried again, oldest first. Each changes the books once, however often it is tried.
#[derive(Debug, Default)]
pub(super) struct Kept {
    calls: VecDeque<Call>,
    dropped: u64,
}

impl Kept {
    /// Keeps one. Says how many were dropped so far if that pushed out another.
    pub(super) fn keep(&mut self, call: Call) -> Option<u64> {
        let full = self.calls.len() >= MOST;
        if full {
            self.calls.pop_front();
            self.dropped += 1;
        }
        self.calls.push_back(call);
        full.then_some(self.dropped)
    }

    /// Takes out the oldest, to be tried.
    pub(super) fn take(&mut self, most: usize) -> Vec<Call> {
        let count = most.min(self.calls.len());
        self.calls.drain(..count).collect()
    }

    /// Puts back what was tried in vain, in its old place, as far as there is room.
    pub(super) fn put_back(&mut self, calls: Vec<Call>) {
        let room = MOST.saturating_sub(self.calls.len());
        let over = calls.len().saturating_sub(room);
        self.dropped += over as u64;
        for call in calls.into_iter().skip(over).rev() {
            self.calls.push_front(call);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// How many were given up.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::What;
    use super::*;
    use std::sync::Arc;

    fn numbered(number: usize) -> Call {
        Call {
            book: Arc::from(""),
            what: What::Command("GET"),
            keys: vec![number.to_string()],
            args: Vec::new(),
        }
    }

    fn numbers(calls: &[Call]) -> Vec<&str> {
        calls.iter().map(|call| call.keys[0].as_str()).collect()
    }

    #[test]
    fn what_was_tried_in_vain_is_tried_first_again() {
        let mut kept = Kept::default();
        for number in 0..4 {
            assert_eq!(kept.keep(numbered(number)), None);
        }
        let tried = kept.take(2);
        assert_eq!(numbers(&tried), ["0", "1"]);
        kept.put_back(tried);
        assert_eq!(numbers(&kept.take(10)), ["0", "1", "2", "3"]);
    }

    #[test]
    fn e6_what_is_kept_is_bounded_and_what_gives_way_is_counted() {
        let mut kept = Kept::default();
        let pushed_out: Vec<_> = (0..MOST + 2).filter_map(|number| kept.keep(numbered(number))).collect();
        assert_eq!(pushed_out, [1, 2]);
        assert_eq!((kept.len(), kept.dropped()), (MOST, 2));
        assert_eq!(numbers(&kept.take(1)), ["2"]);
    }
}

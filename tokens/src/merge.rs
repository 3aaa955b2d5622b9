//! How many tokens a word has: of all neighbours, those are merged first whose token has the smallest number, and of
//! equals those that stand first.

use crate::table::Table;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Parts of a word, by where they begin.
struct Parts {
    /// Where each ends; 0 where none begins.
    ends: Vec<usize>,
    /// Where the one before each begins.
    before: Vec<usize>,
}

impl Parts {
    fn end(&self, start: usize) -> Option<usize> {
        self.ends.get(start).copied().filter(|end| *end > 0)
    }
}

/// What may be merged: the token's number, where the first part begins and where the second ends.
type Pairs = BinaryHeap<Reverse<(u32, usize, usize)>>;

/// The tokens of a word.
pub(crate) fn count(table: &Table, word: &[u8]) -> u64 {
    if word.len() < 2 || table.find(word).is_some() {
        return 1;
    }
    let mut parts = Parts {
        ends: (1..=word.len()).collect(),
        before: (0..word.len()).map(|at| at.saturating_sub(1)).collect(),
    };
    let mut pairs = Pairs::new();
    for start in 0..word.len() - 1 {
        offer(table, word, &mut pairs, start, start + 2);
    }
    let mut tokens = word.len() as u64;
    while let Some(Reverse((_, start, end))) = pairs.pop() {
        // One of the two may have been merged with its other neighbour.
        let Some(middle) = parts.end(start) else { continue };
        if parts.end(middle) != Some(end) {
            continue;
        }
        tokens -= 1;
        set(&mut parts.ends, middle, 0);
        set(&mut parts.ends, start, end);
        set(&mut parts.before, end, start);
        if let Some(next) = parts.end(end) {
            offer(table, word, &mut pairs, start, next);
        }
        if let Some(before) = parts.before.get(start).filter(|_| start > 0) {
            offer(table, word, &mut pairs, *before, end);
        }
    }
    tokens
}

fn offer(table: &Table, word: &[u8], pairs: &mut Pairs, start: usize, end: usize) {
    if let Some(rank) = word.get(start..end).and_then(|both| table.find(both)) {
        pairs.push(Reverse((rank, start, end)));
    }
}

fn set(list: &mut [usize], at: usize, value: usize) {
    if let Some(place) = list.get_mut(at) {
        *place = value;
    }
}

//! Sorting by one piece of code for whatever is sorted. The standard library's has a copy of some kilobytes
//! for each type and order, which is a good part of what a Worker may weigh; this is for lists that are
//! short or sorted seldom.

pub mod map;

/// Maps and sets in order: the standard library's, and lists in wasm.
#[cfg(target_arch = "wasm32")]
pub use map::{Map, Set};
use std::cmp::Ordering;
/// Maps and sets in order: the standard library's, and lists in wasm.
#[cfg(not(target_arch = "wasm32"))]
pub use std::collections::{BTreeMap as Map, BTreeSet as Set};

/// Sorts, and leaves equal ones as they stood.
pub fn sort_by<T>(list: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order: Vec<usize> = (0..list.len()).collect();
    sort_places(&mut order, &|a, b| match (list.get(a), list.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        (None, _) | (_, None) => Ordering::Equal,
    });
    arrange(&mut order, &mut |a, b| list.swap(a, b));
}

/// Sorts by something each has, and leaves equal ones as they stood.
pub fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(list, |a, b| key(a).cmp(&key(b)));
}

/// All of them as a set. What `collect` makes is sorted first, by a copy of its own.
pub fn set<T: Ord>(all: impl IntoIterator<Item = T>) -> Set<T> {
    let mut set = Set::new();
    all.into_iter().for_each(|one| {
        set.insert(one);
    });
    set
}

/// All of them as a map; of several under one key the last counts.
pub fn map<K: Ord, V>(all: impl IntoIterator<Item = (K, V)>) -> Map<K, V> {
    let mut map = Map::new();
    all.into_iter().for_each(|(key, value)| {
        map.insert(key, value);
    });
    map
}

#[inline(never)]
fn sort_places(order: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    order.sort_by(|a, b| compare(*a, *b));
}

/// Puts at each place what `order` says stood elsewhere, by swaps along each ring of places.
#[inline(never)]
fn arrange(order: &mut [usize], swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut at = start;
        while let Some(place) = order.get_mut(at) {
            let from = std::mem::replace(place, at);
            if from == at || from == start {
                break;
            }
            swap(at, from);
            at = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_standard_librarys_order(keys in proptest::collection::vec(0..9_u8, 0..60)) {
            let mut list: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_by_key(&mut list, |(key, _)| *key);
            prop_assert_eq!(&list, &expected);
            expected.sort_by(|a, b| b.cmp(a));
            sort_by(&mut list, |a, b| b.cmp(a));
            prop_assert_eq!(&list, &expected);
        }
    }
}

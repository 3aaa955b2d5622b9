//! Maps and sets that are sorted lists, with what is used of the standard library's, whose trees have a copy
//! of some kilobytes for each type. An entry is found by halving and put in by moving those behind it: for
//! thousands of entries, not for millions.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds};

/// Entries sorted by key, each key once.
#[derive(Clone, PartialEq, Eq)]
pub struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// Where among so many the one is that compares as equal, or where it would have to be put.
#[inline(never)]
fn search(len: usize, compare: &dyn Fn(usize) -> Ordering) -> Result<usize, usize> {
    let (mut from, mut to) = (0, len);
    // What is put in is often the last.
    if len > 0 && compare(len - 1) == Ordering::Less {
        return Err(len);
    }
    while from < to {
        let middle = from.midpoint(to);
        match compare(middle) {
            Ordering::Less => from = middle + 1,
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => to = middle,
        }
    }
    Err(from)
}

impl<K, V> Map<K, V> {
    /// One without entries.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Entries by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The same, to change values.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// Values by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.0.iter().map(|(_, value)| value)
    }

    /// The same, to change them.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Values by key, for good.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }

    /// Keys in order, for good.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.0.into_iter().map(|(key, _)| key)
    }

    /// Keeps what is to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The first entry.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.0.first().map(|(key, value)| (key, value))
    }

    /// The last entry.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.0.last().map(|(key, value)| (key, value))
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        let list = &self.0;
        search(list.len(), &|at| list.get(at).map_or(Ordering::Greater, |(other, _)| other.borrow().cmp(key)))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The same with the key that is there.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(key, value)| (key, value))
    }

    /// Where the entries within bounds stand.
    fn places<Q: Ord + ?Sized>(&self, bounds: &impl RangeBounds<Q>) -> std::ops::Range<usize>
    where
        K: Borrow<Q>,
    {
        let before = |key: &Q| self.find(key).unwrap_or_else(|at| at);
        let behind = |key: &Q| self.find(key).map_or_else(|at| at, |at| at + 1);
        let from = match bounds.start_bound() {
            Bound::Included(key) => before(key),
            Bound::Excluded(key) => behind(key),
            Bound::Unbounded => 0,
        };
        let to = match bounds.end_bound() {
            Bound::Included(key) => behind(key),
            Bound::Excluded(key) => before(key),
            Bound::Unbounded => self.len(),
        };
        from..to
    }

    /// The entries within bounds; none where the end comes before the start.
    pub fn range<Q: Ord + ?Sized, R: RangeBounds<Q>>(
        &self,
        bounds: R,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> + use<'_, K, V, Q, R>
    where
        K: Borrow<Q>,
    {
        self.0.get(self.places(&bounds)).unwrap_or_default().iter().map(|(key, value)| (key, value))
    }

    /// The same, to change it.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Takes an entry out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }
}

impl<K: Ord, V> Map<K, V> {
    /// Puts a value in place of any before it, which is returned. The key that was there stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// The place of a key, whether something is there or not.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { map: self, key }
    }
}

/// The place of a key in a map.
pub struct Entry<'m, K, V> {
    map: &'m mut Map<K, V>,
    key: K,
}

impl<'m, K: Ord, V> Entry<'m, K, V> {
    /// What is there, or else this.
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> &'m mut V {
        let Self { map, key } = self;
        let at = match map.find(&key) {
            Ok(at) => at,
            Err(at) => {
                map.0.insert(at, (key, value()));
                at
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found there, or has just been put there")]
        &mut map.0[at].1
    }

    /// What is there, or else this.
    pub fn or_insert(self, value: V) -> &'m mut V {
        self.or_insert_with(|| value)
    }

    /// What is there, or else an empty one.
    pub fn or_default(self) -> &'m mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'m, K, V> IntoIterator for &'m Map<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = std::iter::Map<std::slice::Iter<'m, (K, V)>, fn(&'m (K, V)) -> (&'m K, &'m V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

/// Members in order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T>(Map<T, ()>);

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Set<T> {
    /// One without members.
    pub const fn new() -> Self {
        Self(Map::new())
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Members in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator + Clone {
        self.0.keys()
    }

    /// The first member.
    pub fn first(&self) -> Option<&T> {
        self.0.first_key_value().map(|(first, ())| first)
    }

    /// Whether this is a member.
    pub fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(member)
    }

    /// The member that is equal to this.
    pub fn get<Q: Ord + ?Sized>(&self, member: &Q) -> Option<&T>
    where
        T: Borrow<Q>,
    {
        let at = self.0.find(member).ok()?;
        self.0.0.get(at).map(|(member, ())| member)
    }

    /// The members within bounds.
    pub fn range<Q: Ord + ?Sized, R: RangeBounds<Q>>(
        &self,
        bounds: R,
    ) -> impl DoubleEndedIterator<Item = &T> + use<'_, T, Q, R>
    where
        T: Borrow<Q>,
    {
        self.0.range(bounds).map(|(member, ())| member)
    }

    /// Takes a member out; whether it was one.
    pub fn remove<Q: Ord + ?Sized>(&mut self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.remove(member).is_some()
    }

    /// Takes a member out and returns it.
    pub fn take<Q: Ord + ?Sized>(&mut self, member: &Q) -> Option<T>
    where
        T: Borrow<Q>,
    {
        let at = self.0.find(member).ok()?;
        Some(self.0.0.remove(at).0)
    }
}

impl<T: Ord> Set<T> {
    /// Makes this a member; whether it is new.
    pub fn insert(&mut self, member: T) -> bool {
        self.0.insert(member, ()).is_none()
    }

    /// The same; the member that was there is replaced and returned.
    pub fn replace(&mut self, member: T) -> Option<T> {
        let before = self.take(&member);
        self.insert(member);
        before
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(member, ())| member)
    }
}

impl<'s, T> IntoIterator for &'s Set<T> {
    type Item = &'s T;
    type IntoIter = std::iter::Map<std::slice::Iter<'s, (T, ())>, fn(&'s (T, ())) -> &'s T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.0.iter().map(|(member, ())| member)
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, members: I) {
        for member in members {
            self.insert(member);
        }
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut set = Self::new();
        set.extend(members);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Clone, Debug)]
    enum Deed {
        Insert(u8, u16),
        Default(u8),
        Remove(u8),
        PopFirst,
        RetainAbove(u16),
        Get(u8),
        Range(u8, u8),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        let key = 0..24_u8;
        prop_oneof![
            5 => (key.clone(), any::<u16>()).prop_map(|(key, value)| Deed::Insert(key, value)),
            1 => key.clone().prop_map(Deed::Default),
            2 => key.clone().prop_map(Deed::Remove),
            1 => Just(Deed::PopFirst),
            1 => (0..9000_u16).prop_map(Deed::RetainAbove),
            1 => key.clone().prop_map(Deed::Get),
            1 => (key.clone(), key).prop_map(|(a, b)| Deed::Range(a.min(b), a.max(b) + 1)),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_the_standard_librarys_does(deeds in proptest::collection::vec(deed(), 0..80)) {
            let (mut ours, mut theirs) = (Map::new(), BTreeMap::new());
            let (mut members, mut expected) = (Set::new(), BTreeSet::new());
            for deed in deeds {
                match deed {
                    Deed::Insert(key, value) => {
                        prop_assert_eq!(ours.insert(key, value), theirs.insert(key, value));
                        prop_assert_eq!(members.insert(key), expected.insert(key));
                    }
                    Deed::Default(key) => {
                        prop_assert_eq!(ours.entry(key).or_default(), theirs.entry(key).or_default());
                        prop_assert_eq!(members.replace(key), expected.replace(key));
                    }
                    Deed::Remove(key) => {
                        prop_assert_eq!(ours.remove(&key), theirs.remove(&key));
                        prop_assert_eq!(members.remove(&key), expected.remove(&key));
                    }
                    Deed::PopFirst => prop_assert_eq!(ours.pop_first(), theirs.pop_first()),
                    Deed::RetainAbove(least) => {
                        ours.retain(|_, value| *value >= least);
                        theirs.retain(|_, value| *value >= least);
                    }
                    Deed::Get(key) => {
                        prop_assert_eq!(ours.get(&key), theirs.get(&key));
                        prop_assert_eq!(ours.get_key_value(&key), theirs.get_key_value(&key));
                        prop_assert_eq!(members.take(&key), expected.take(&key));
                    }
                    Deed::Range(from, to) => {
                        let some = ours.range(from..to).collect::<Vec<_>>();
                        prop_assert_eq!(some, theirs.range(from..to).collect::<Vec<_>>());
                        let after = (Bound::Excluded(from), Bound::Unbounded);
                        let rest = members.range(after).collect::<Vec<_>>();
                        prop_assert_eq!(rest, expected.range(after).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(ours.iter().collect::<Vec<_>>(), theirs.iter().collect::<Vec<_>>());
                prop_assert_eq!(members.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
                prop_assert_eq!(ours.last_key_value(), theirs.last_key_value());
            }
        }
    }
}

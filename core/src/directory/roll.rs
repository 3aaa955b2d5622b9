//! Changing the stored layer, and lists in the order of names.

use super::{Directory, Holder, HolderKind, Key};
use crate::api::Kind;
use std::ops::Bound;
use std::sync::Arc;

impl Directory {
    /// Whether the config has it, so that it cannot be changed here.
    pub fn is_fixed(&self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Key => self.fixed.keys.contains_key(name),
            Kind::Holder(kind) => self.fixed.holders.contains_key(&(kind, name.to_owned())),
        }
    }

    /// Every key, by name, those after this one.
    pub fn keys_after(&self, after: &str) -> Vec<&Arc<Key>> {
        let stored = self.stored.keys.values().filter(|key| !self.fixed.keys.contains_key(&key.name));
        let mut keys: Vec<_> =
            self.fixed.keys.values().chain(stored).filter(|key| key.name.as_str() > after).collect();
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        keys
    }

    /// Every holder of a kind, by name, those after this one.
    pub fn holders_after(&self, kind: HolderKind, after: &str) -> Vec<&Arc<Holder>> {
        let from = || (Bound::Excluded((kind, after.to_owned())), Bound::Unbounded);
        let fixed = self.fixed.holders.range(from());
        let stored =
            self.stored.holders.range(from()).filter(|(place, _)| !self.fixed.holders.contains_key(place));
        let mut holders: Vec<_> =
            fixed.chain(stored).map(|(_, holder)| holder).filter(|holder| holder.kind == kind).collect();
        holders.sort_by(|a, b| a.name.cmp(&b.name));
        holders
    }

    /// Puts a key in place of the stored one of its name.
    pub fn put_key(&mut self, key: Key) {
        self.remove(Kind::Key, &key.name);
        let key = Arc::new(key);
        for digest in [Some(key.sha256), key.retiring.map(|old| old.sha256)].into_iter().flatten() {
            self.stored.digests.insert(digest, Arc::clone(&key));
        }
        self.stored.keys.insert(key.name.clone(), key);
    }

    /// Puts a holder in place of the stored one of its name.
    pub fn put_holder(&mut self, holder: Holder) {
        self.stored.holders.insert((holder.kind, holder.name.clone()), Arc::new(holder));
    }

    /// Forgets what is stored under a name.
    pub fn remove(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Key => {
                self.stored.keys.remove(name);
                self.stored.digests.retain(|_, key| key.name != name);
            }
            Kind::Holder(kind) => drop(self.stored.holders.remove(&(kind, name.to_owned()))),
        }
    }
}

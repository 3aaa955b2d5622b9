//! Where conversations went, so that they find the provider's prompt cache again (K14).

use crate::sort::Map;
use crate::surface::Conversation;
use crate::units::{Millis, Time};

/// How long a provider keeps a prompt cached after its last use.
const CACHE_LIFE: Millis = Millis::from_secs(5 * 60);

/// Conversations remembered in each of the two generations.
const GENERATION: usize = 32_768;

/// Where conversations went. Bounded: what has not been used while 32,768 others were is forgotten,
/// so at most 65,536 are known.
#[derive(Debug, Default)]
pub(super) struct Affinity {
    young: Map<Key, Stay>,
    old: Map<Key, Stay>,
}

/// A conversation on a route: another model shares no cache with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u64);

#[derive(Clone, Copy, Debug)]
struct Stay {
    /// The lane's serial number, which is never used again.
    serial: u64,
    used: Time,
}

impl Key {
    /// The conversation on the route of this name.
    pub(super) fn new(conversation: Conversation, route: &str) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(route.bytes().fold(conversation.prefix ^ 0xcbf2_9ce4_8422_2325, fold))
    }
}

impl Affinity {
    /// The serial number of the lane whose cache still holds the conversation.
    pub(super) fn find(&self, key: Key, now: Time) -> Option<u64> {
        let stay = self.young.get(&key).or_else(|| self.old.get(&key))?;
        (now.since(stay.used) <= CACHE_LIFE).then_some(stay.serial)
    }

    /// The conversation goes there now.
    pub(super) fn remember(&mut self, key: Key, serial: u64, now: Time) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, Stay { serial, used: now });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

//! The upstreams by name, so that what is known of them outlives a config that is reloaded.

use super::cooldown::{CoolDown, Limited, Span};
use super::stats::Mean;
use crate::units::{Millis, Time};
use std::collections::BTreeMap;

/// Lanes known at most, those in flight apart. Clients can name any model of a provider, so the
/// least recently used must go.
pub(super) const MAX_LANES: usize = 10_000;

/// How long a key is left alone that a provider has refused (401, 402, 403).
pub(super) const REFUSED: Span =
    Span { base: Millis::from_secs(60), cap: Millis::from_secs(600), lease: Millis::from_secs(10) };

/// How long a lane that keeps failing is left alone, as long as there is another.
pub(super) const FAILING: Span =
    Span { base: Millis::from_secs(1), cap: Millis::from_secs(30), lease: Millis::from_secs(2) };

/// Everything known, by name.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// By the provider's name. Ordered maps: a look-up among a few short names beats hashing, and no
    /// choice of names by a client can slow it down.
    pub(super) providers: BTreeMap<Box<str>, Vec<Key>>,
    lanes: Vec<Lane>,
    free: Vec<Slot>,
    serials: u64,
}

/// Counts into the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// What is known of a provider's key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) refused: CoolDown,
    /// By the model's name.
    pub(super) lanes: BTreeMap<Box<str>, Slot>,
}

/// What is known of a model behind a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    /// Never used again for another lane.
    pub(super) serial: u64,
    pub(super) in_flight: u32,
    pub(super) used: Time,
    pub(super) limited: Limited,
    pub(super) failing: CoolDown,
    /// When a provider that failed wants to be asked again.
    pub(super) asked: Time,
    pub(super) failures_in_a_row: u32,
    /// 1 for a failure, 0 for an answer.
    pub(super) errors: Mean,
    /// Milliseconds to the first content.
    pub(super) first_byte: Mean,
    /// Output tokens per second after the first content.
    pub(super) speed: Mean,
}

/// The names of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names<'a> {
    pub(super) provider: &'a str,
    pub(super) key: &'a str,
    pub(super) model: &'a str,
}

/// Whether a lane may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// It keeps failing: use another if there is one.
    Failing(Time),
    /// Its provider said 429.
    Limited(Time),
    /// Its key was refused.
    Refused(Time),
}

/// What is known of an upstream; nothing if it was never used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    pub(super) key: Option<&'a Key>,
    pub(super) lane: Option<&'a Lane>,
}

impl Known<'_> {
    /// Whether it may be used. What is never used is open.
    pub(super) fn gate(&self, now: Time) -> Gate {
        if let Some(until) = self.key.and_then(|key| key.refused.shut_until(now)) {
            return Gate::Refused(until);
        }
        self.lane.map_or(Gate::Open, |lane| lane.gate(now))
    }

    pub(super) fn serial(&self) -> Option<u64> {
        self.lane.map(|lane| lane.serial)
    }
}

impl Lane {
    fn gate(&self, now: Time) -> Gate {
        if let Some(until) = self.limited.shut_until(now) {
            return Gate::Limited(until);
        }
        self.failing.shut_until(now).map_or(Gate::Open, Gate::Failing)
    }
}

impl Roster {
    /// The keys of a provider that were used so far.
    pub(super) fn keys(&self, provider: &str) -> &[Key] {
        self.providers.get(provider).map_or(&[], Vec::as_slice)
    }

    /// What is known of a model behind one of these keys.
    pub(super) fn known<'a>(&'a self, keys: &'a [Key], key: &str, model: &str) -> Known<'a> {
        let key = keys.iter().find(|known| *known.name == *key);
        let slot = key.and_then(|key| key.lanes.get(model));
        Known { key, lane: slot.and_then(|slot| self.lane(*slot)) }
    }

    /// What is known of an upstream.
    pub(super) fn find(&self, names: Names<'_>) -> Known<'_> {
        self.known(self.keys(names.provider), names.key, names.model)
    }

    pub(super) fn lane(&self, slot: Slot) -> Option<&Lane> {
        self.lanes.get(slot.0 as usize)
    }

    /// Its key and its lane, to change. A new one is made if it is not known; nothing only if four
    /// thousand million lanes are in flight.
    pub(super) fn entry(&mut self, names: Names<'_>) -> Option<Entry<'_>> {
        if !self.providers.contains_key(names.provider) {
            self.providers.insert(names.provider.into(), Vec::new());
        }
        let slot = match self.find_slot(names) {
            Some(slot) => slot,
            None => self.make(names)?,
        };
        let keys = self.providers.get_mut(names.provider)?;
        let key = keys.iter_mut().find(|key| *key.name == *names.key)?;
        Some(Entry { key, lane: self.lanes.get_mut(slot.0 as usize)? })
    }

    fn find_slot(&self, names: Names<'_>) -> Option<Slot> {
        let key = self.keys(names.provider).iter().find(|key| *key.name == *names.key)?;
        key.lanes.get(names.model).copied()
    }

    fn make(&mut self, names: Names<'_>) -> Option<Slot> {
        if self.len() >= MAX_LANES {
            self.forget_old();
        }
        self.serials += 1;
        let lane = Lane { serial: self.serials, ..Lane::default() };
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.lanes.get_mut(slot.0 as usize)? = lane;
                slot
            }
            None => {
                let slot = Slot(u32::try_from(self.lanes.len()).ok()?);
                self.lanes.push(lane);
                slot
            }
        };
        let keys = self.providers.entry(names.provider.into()).or_default();
        match keys.iter_mut().find(|key| *key.name == *names.key) {
            Some(key) => key.lanes.insert(names.model.into(), slot),
            None => {
                let lanes = BTreeMap::from([(names.model.into(), slot)]);
                keys.push(Key { name: names.key.into(), refused: CoolDown::default(), lanes });
                None
            }
        };
        Some(slot)
    }

    /// Lanes in use.
    pub(super) fn len(&self) -> usize {
        self.lanes.len().saturating_sub(self.free.len())
    }

    /// Drops the tenth of the lanes that was not used for longest; those in flight stay.
    fn forget_old(&mut self) {
        let slots = self.providers.values().flatten().flat_map(|key| key.lanes.values());
        let mut idle: Vec<Time> = slots
            .filter_map(|slot| self.lane(*slot))
            .filter(|lane| lane.in_flight == 0)
            .map(|lane| lane.used)
            .collect();
        idle.sort_unstable();
        let count = MAX_LANES / 10;
        let Some(&newest) = idle.get(count.min(idle.len()).saturating_sub(1)) else { return };
        // Of several used at that very time no more than needed go.
        let mut left = count;
        let (lanes, free) = (&self.lanes, &mut self.free);
        for key in self.providers.values_mut().flatten() {
            key.lanes.retain(|_, slot| {
                let lane = lanes.get(slot.0 as usize);
                let goes = left > 0 && lane.is_some_and(|lane| lane.in_flight == 0 && lane.used <= newest);
                if goes {
                    left -= 1;
                    free.push(*slot);
                }
                !goes
            });
        }
    }
}

/// A known upstream, to change.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a mut Key,
    pub(super) lane: &'a mut Lane,
}

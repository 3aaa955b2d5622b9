//! The upstreams by name, so that what is known of them outlives a config that is reloaded.

use super::cooldown::{CoolDown, Limited, Span};
use super::stats::Mean;
use super::window::Meter;
use crate::config::{Credential, RouteTarget};
use crate::sort;
use crate::sort::Map;
use crate::units::{Millis, Time};

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
    providers: Map<Box<str>, Vec<KeyId>>,
    /// Those of all configs so far: an operator names them, so they are few.
    keys: Vec<Key>,
    lanes: Vec<Lane>,
    free: Vec<Slot>,
    serials: u64,
    /// Of targets with limits of their own, by the provider's name and the model's: an operator names
    /// them, so they are few.
    meters: Map<Box<str>, Map<Box<str>, Meter>>,
}

/// Counts into the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyId(u32);

/// Counts into the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// What is known of a provider's key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) refused: CoolDown,
    /// What was sent with it, if it has limits of its own.
    pub(super) meter: Meter,
    /// By the model's name.
    lanes: Map<Box<str>, Slot>,
}

/// Where a known upstream stands. Good until the next lane is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    key: KeyId,
    slot: Slot,
}

/// A known upstream, to change.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a mut Key,
    pub(super) lane: &'a mut Lane,
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
    /// Its provider said 429, or a limit of its own is reached.
    Limited(Time),
    /// Its key was refused.
    Refused(Time),
}

impl Gate {
    /// The same if a limit of the lane's own is reached until then.
    pub(super) fn full(self, until: Option<Time>) -> Self {
        let Some(until) = until else { return self };
        match self {
            Self::Open | Self::Failing(_) => Self::Limited(until),
            Self::Limited(asked) => Self::Limited(asked.max(until)),
            Self::Refused(until) => Self::Refused(until),
        }
    }
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

    /// When there is room under the key's own limits again, if there is none now.
    pub(super) fn full_until(&self, key: &Credential, now: Time) -> Option<Time> {
        if key.limits.is_unlimited() {
            return None;
        }
        self.key?.meter.full_until(key.limits, now)
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
    pub(super) fn keys(&self, provider: &str) -> &[KeyId] {
        self.providers.get(provider).map_or(&[], Vec::as_slice)
    }

    /// What is known of a model behind one of these keys.
    pub(super) fn known(&self, keys: &[KeyId], key: &str, model: &str) -> Known<'_> {
        let key = self.key(keys, key).and_then(|id| self.keys.get(id.0 as usize));
        let lane = key.and_then(|key| self.lane(*key.lanes.get(model)?));
        Known { key, lane }
    }

    /// What is known of an upstream that was found.
    pub(super) fn at(&self, at: At) -> Known<'_> {
        Known { key: self.keys.get(at.key.0 as usize), lane: self.lane(at.slot) }
    }

    /// Where an upstream stands, if it is known.
    pub(super) fn find(&self, names: Names<'_>) -> Option<At> {
        let key = self.key(self.keys(names.provider), names.key)?;
        let slot = *self.keys.get(key.0 as usize)?.lanes.get(names.model)?;
        Some(At { key, slot })
    }

    /// The same, and if it is not known, a place is made for it. Nothing only if four thousand million
    /// lanes are in flight.
    pub(super) fn find_or_make(&mut self, names: Names<'_>) -> Option<At> {
        self.find(names).or_else(|| self.make(names))
    }

    /// To change.
    pub(super) fn entry(&mut self, at: At) -> Option<Entry<'_>> {
        let key = self.keys.get_mut(at.key.0 as usize)?;
        Some(Entry { key, lane: self.lanes.get_mut(at.slot.0 as usize)? })
    }

    /// When a target has room under its own limits again, if it has none now.
    pub(super) fn full_until(&self, provider: &str, target: &RouteTarget, now: Time) -> Option<Time> {
        if target.limits.is_unlimited() {
            return None;
        }
        self.meters.get(provider)?.get(&*target.model)?.full_until(target.limits, now)
    }

    /// What was sent to a target and with a key, to add to it, where these have limits of their own.
    pub(super) fn meters(
        &mut self,
        names: Names<'_>,
        target: &RouteTarget,
        key: &Credential,
    ) -> impl Iterator<Item = &mut Meter> {
        let of_key = (!key.limits.is_unlimited()).then(|| self.key(self.keys(names.provider), names.key));
        let of_key = of_key.flatten().and_then(|id| self.keys.get_mut(id.0 as usize));
        let of_target = (!target.limits.is_unlimited()).then(|| {
            let models = self.meters.entry(names.provider.into()).or_default();
            models.entry(names.model.into()).or_default()
        });
        of_key.map(|key| &mut key.meter).into_iter().chain(of_target)
    }

    /// Every lane with its names, by provider, by key in the order of first use, and by model.
    pub(super) fn all(&self) -> impl Iterator<Item = (Names<'_>, Known<'_>)> {
        self.providers.iter().flat_map(move |(provider, ids)| {
            let keys = ids.iter().filter_map(|id| self.keys.get(id.0 as usize));
            keys.flat_map(move |key| {
                key.lanes.iter().map(move |(model, slot)| {
                    let names = Names { provider, key: &key.name, model };
                    (names, Known { key: Some(key), lane: self.lane(*slot) })
                })
            })
        })
    }

    fn lane(&self, slot: Slot) -> Option<&Lane> {
        self.lanes.get(slot.0 as usize)
    }

    fn key(&self, keys: &[KeyId], name: &str) -> Option<KeyId> {
        let named = |id: &&KeyId| self.keys.get(id.0 as usize).is_some_and(|key| *key.name == *name);
        keys.iter().find(named).copied()
    }

    fn make(&mut self, names: Names<'_>) -> Option<At> {
        if self.len() >= MAX_LANES {
            self.forget_old();
        }
        let key = match self.key(self.keys(names.provider), names.key) {
            Some(key) => key,
            None => self.make_key(names)?,
        };
        let slot = self.make_lane()?;
        self.keys.get_mut(key.0 as usize)?.lanes.insert(names.model.into(), slot);
        Some(At { key, slot })
    }

    fn make_key(&mut self, names: Names<'_>) -> Option<KeyId> {
        let id = KeyId(u32::try_from(self.keys.len()).ok()?);
        let (refused, meter, lanes) = (CoolDown::default(), Meter::default(), Map::new());
        self.keys.push(Key { name: names.key.into(), refused, meter, lanes });
        self.providers.entry(names.provider.into()).or_default().push(id);
        Some(id)
    }

    fn make_lane(&mut self) -> Option<Slot> {
        self.serials += 1;
        let lane = Lane { serial: self.serials, ..Lane::default() };
        if let Some(slot) = self.free.pop() {
            *self.lanes.get_mut(slot.0 as usize)? = lane;
            return Some(slot);
        }
        let slot = Slot(u32::try_from(self.lanes.len()).ok()?);
        self.lanes.push(lane);
        Some(slot)
    }

    /// Lanes in use.
    pub(super) fn len(&self) -> usize {
        self.lanes.len().saturating_sub(self.free.len())
    }

    /// Drops the tenth of the lanes that was not used for longest; those in flight stay.
    fn forget_old(&mut self) {
        let used = self.all().filter_map(|(_, known)| known.lane);
        let mut idle: Vec<Time> = used.filter(|lane| lane.in_flight == 0).map(|lane| lane.used).collect();
        sort::sort_by(&mut idle, Ord::cmp);
        let count = MAX_LANES / 10;
        let Some(&newest) = idle.get(count.min(idle.len()).saturating_sub(1)) else { return };
        // Of several used at that very time no more than needed go.
        let mut left = count;
        let (lanes, free) = (&self.lanes, &mut self.free);
        for key in &mut self.keys {
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

//! What was admitted in the last 60 seconds, wherever these begin.
//!
//! ```text
//!   first                                 back
//!     │                                     │
//!   [t,n] [t,n] [t,n] … [t,n] [t,n] [t,n] [t,n]  ◀── admitted now
//!     └─ leaves when it is 60 s old
//! ```
//! Invariants
//! 1. Slots are in the order of their times, and `sum` is what they hold together.
//! 2. No amount leaves before it is 60 s old, so no span of 60 s is admitted more than the limit.
//! 3. No amount stays longer than 60 s and one tick. While there are few slots each holds what came in
//!    one millisecond. When there are many, what comes within one tick shares a slot, with the time
//!    of the last of it; so there are never more than some 260.
//!
//! What follows from a sequence of amounts and times is always the same, however often the window was
//! looked at in between: a ledger that replays its journal depends on it.

use super::entry::Level;
use crate::units::{Millis, Requests, Time, Tokens};
use std::collections::VecDeque;

/// How far a window looks back.
pub(super) const LENGTH: Millis = Millis::from_secs(60);

/// While there are fewer slots than this, each is exact.
const EXACT: usize = 128;

/// How long a slot is shared when there are many.
const TICK: Millis = Millis(469);

/// What can be counted in a window.
pub(super) trait Quantity: Copy + Ord {
    /// So much of it.
    fn of(number: u64) -> Self;
    /// The bare number.
    fn number(self) -> u64;
}

impl Quantity for Requests {
    fn of(number: u64) -> Self {
        Self(number)
    }
    fn number(self) -> u64 {
        self.0
    }
}

impl Quantity for Tokens {
    fn of(number: u64) -> Self {
        Self(number)
    }
    fn number(self) -> u64 {
        self.0
    }
}

/// An exact sliding window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window<Q> {
    slots: VecDeque<Slot<Q>>,
    /// The number of the first slot. Slots are numbered for as long as the window lives.
    first: u64,
    /// Of all slots. Wider than a slot, so that it is always their exact sum.
    sum: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot<Q> {
    pub(super) at: Time,
    pub(super) amount: Q,
}

/// The number of a slot, to find it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat(pub(super) u64);

impl<Q> Default for Window<Q> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<Q> Window<Q> {
    /// Nothing was admitted.
    pub(super) const EMPTY: Self = Self { slots: VecDeque::new(), first: 0, sum: 0 };
}

impl<Q: Quantity> Window<Q> {
    /// Puts a window together from its slots, which are in order, and the number of the first.
    pub(super) fn from_slots(slots: VecDeque<Slot<Q>>, first: u64) -> Self {
        let sum = slots.iter().map(|slot| u128::from(slot.amount.number())).sum();
        Self { slots, first, sum }
    }

    /// Its slots in order, and the number of the first.
    pub(super) fn slots(&self) -> (&VecDeque<Slot<Q>>, Seat) {
        (&self.slots, Seat(self.first))
    }

    /// What was admitted in the last 60 s.
    pub(super) fn used(&self, now: Time) -> Q {
        let gone = self.slots.iter().take_while(|slot| is_over(slot.at, now));
        let gone: u128 = gone.map(|slot| u128::from(slot.amount.number())).sum();
        Q::of(u64::try_from(self.sum.saturating_sub(gone)).unwrap_or(u64::MAX))
    }

    /// What is left of a limit.
    pub(super) fn left(&self, limit: Q, now: Time) -> Q {
        Q::of(limit.number().saturating_sub(self.used(now).number()))
    }

    /// How close a limit is.
    pub(super) fn level(&self, limit: Q, now: Time) -> Level<Q> {
        Level { limit, left: self.left(limit, now), reset: self.empties_in(now) }
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self, now: Time) -> bool {
        self.used(now).number() == 0
    }

    /// Admits an amount. Says where it is, to be corrected later.
    pub(super) fn push(&mut self, amount: Q, now: Time) -> Seat {
        self.forget(now);
        self.sum += u128::from(amount.number());
        let crowded = self.slots.len() >= EXACT;
        match self.slots.back_mut() {
            Some(back) if shares(back.at, now, crowded) => {
                let merged = back.amount.number().saturating_add(amount.number());
                self.sum -= u128::from(back.amount.number()) + u128::from(amount.number());
                self.sum += u128::from(merged);
                *back = Slot { at: now, amount: Q::of(merged) };
            }
            Some(_) | None => self.slots.push_back(Slot { at: now, amount }),
        }
        Seat(self.first.wrapping_add(self.slots.len() as u64).wrapping_sub(1))
    }

    /// What was taken for `was` turns out to be `is`. Nothing happens if it is no longer in the window.
    pub(super) fn correct(&mut self, seat: Seat, was: Q, is: Q) {
        let Some(place) = seat.0.checked_sub(self.first) else { return };
        let slot = usize::try_from(place).ok().and_then(|place| self.slots.get_mut(place));
        if let Some(slot) = slot {
            let before = slot.amount.number();
            let after = before.saturating_sub(was.number()).saturating_add(is.number());
            slot.amount = Q::of(after);
            self.sum = self.sum.saturating_sub(u128::from(before)) + u128::from(after);
        }
    }

    /// How long until so much of a limit is left, if nothing more is admitted. For more than the limit
    /// itself: how long until the window is empty, and at least its length.
    pub(super) fn opens_in(&self, limit: Q, need: Q, now: Time) -> Millis {
        let Some(room) = limit.number().checked_sub(need.number()) else { return LENGTH };
        let mut used = self.sum;
        for slot in &self.slots {
            if used <= u128::from(room) {
                break;
            }
            used = used.saturating_sub(u128::from(slot.amount.number()));
            if used <= u128::from(room) {
                return leaves_in(slot.at, now);
            }
        }
        Millis::ZERO
    }

    /// How long until nothing is in it, if nothing more is admitted.
    pub(super) fn empties_in(&self, now: Time) -> Millis {
        let last = self.slots.iter().rev().find(|slot| slot.amount.number() > 0);
        last.map_or(Millis::ZERO, |slot| leaves_in(slot.at, now))
    }

    /// Drops what has left.
    pub(super) fn forget(&mut self, now: Time) {
        while let Some(slot) = self.slots.front().filter(|slot| is_over(slot.at, now)) {
            self.sum = self.sum.saturating_sub(u128::from(slot.amount.number()));
            self.first = self.first.wrapping_add(1);
            self.slots.pop_front();
        }
    }

    /// The clock was put back to `now`: what came later came now.
    pub(super) fn put_back(&mut self, now: Time) {
        for slot in &mut self.slots {
            slot.at = slot.at.min(now);
        }
    }
}

/// Whether an amount goes into a slot of this time.
fn shares(slot: Time, now: Time, crowded: bool) -> bool {
    slot == now || crowded && slot.0 / TICK.0 == now.0 / TICK.0
}

fn is_over(at: Time, now: Time) -> bool {
    now.since(at) >= LENGTH
}

fn leaves_in(at: Time, now: Time) -> Millis {
    LENGTH.less(now.since(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    #[test]
    fn a12_no_boundary_of_a_minute_lets_twice_the_limit_through() {
        let mut window = Window::default();
        for _ in 0..10 {
            window.push(Requests(1), Time(59_999));
        }
        assert_eq!(window.left(Requests(10), Time(60_000)), Requests(0));
        assert_eq!(window.left(Requests(10), Time(119_998)), Requests(0));
        assert_eq!(window.left(Requests(10), Time(119_999)), Requests(10));
    }

    #[test]
    fn it_opens_when_enough_of_it_has_left() {
        let mut window = Window::default();
        window.push(Tokens(50), Time(1_000));
        window.push(Tokens(30), Time(11_000));
        let opens = |need| window.opens_in(Tokens(100), Tokens(need), Time(21_000));
        assert_eq!(opens(20), Millis::ZERO);
        assert_eq!(opens(21), Millis(40_000));
        assert_eq!(opens(71), Millis(50_000));
        assert_eq!(opens(101), LENGTH, "it never fits");
        assert_eq!(window.empties_in(Time(21_000)), Millis(50_000));
    }

    #[test]
    fn a_correction_finds_its_slot_until_that_has_left() {
        let mut window = Window::default();
        let first = window.push(Tokens(50), Time(0));
        let second = window.push(Tokens(50), Time(30_000));
        window.correct(first, Tokens(50), Tokens(10));
        assert_eq!(window.used(Time(30_000)), Tokens(60));
        window.push(Tokens(1), Time(60_000));
        window.correct(first, Tokens(10), Tokens(99));
        assert_eq!(window.used(Time(60_000)), Tokens(51));
        window.correct(second, Tokens(50), Tokens(70));
        assert_eq!(window.used(Time(60_000)), Tokens(71), "up as well");
    }

    #[test]
    fn a_hundred_thousand_requests_fit_in_a_few_hundred_slots() {
        let mut window = Window::default();
        for at in 0..100_000 {
            window.push(Requests(1), Time(at * 2));
        }
        assert!(window.slots.len() <= 260, "{} slots", window.slots.len());
        let used = window.used(Time(199_998)).get();
        assert!((30_000..=30_235).contains(&used), "{used} in the last minute");
    }

    #[test]
    fn sums_at_the_end_of_their_range_stay_exact() {
        let mut window = Window::default();
        let seat = window.push(Tokens(u64::MAX), Time::NEVER);
        window.push(Tokens(u64::MAX), Time::NEVER);
        window.correct(seat, Tokens(u64::MAX), Tokens(3));
        assert_eq!(window.used(Time::NEVER), Tokens(3));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(12), failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a12_no_amount_leaves_early_and_none_stays_longer_than_a_tick(
            steps in prop::collection::vec((prop_oneof![6 => 0_u64..40, 1 => 0_u64..70_000], 0_u64..9), 1..900)
        ) {
            let mut window = Window::default();
            let mut now = 0;
            let mut past: Vec<Slot<Tokens>> = Vec::new();
            for (pause, amount) in steps {
                now += pause;
                window.push(Tokens(amount), Time(now));
                past.push(Slot { at: Time(now), amount: Tokens(amount) });
                let within = |age| past.iter().filter(|slot| now - slot.at.0 < age).map(|slot| slot.amount).sum::<Tokens>();
                let used = window.used(Time(now));
                prop_assert!(used >= within(60_000) && used <= within(60_000 + TICK.0));
                prop_assert!(window.slots.len() <= 260);
            }
        }
    }
}

//! What was sent to an upstream in the last 60 seconds, against limits of its own.
//!
//! A request counts when it is sent. Its tokens count when it is over, as far as they are known then:
//! nothing is taken in advance, so requests that are under way together can pass a limit of tokens by
//! what they still bring, and the upstream rests until that has left the window.
//!
//! 1. No request leaves before it is 60 s old, so no span of 60 s has more than the limit.
//! 2. While there are few slots each is exact. When there are many, what comes within half a second
//!    shares one, with the time of the last of it; so there are never more than some 260.

use crate::config::UpstreamLimits;
use crate::units::{Millis, Time, Tokens};
use std::collections::VecDeque;

/// How far back it looks.
const LENGTH: Millis = Millis::from_secs(60);

/// While there are fewer slots than this, each is exact.
const EXACT: usize = 128;

/// How long a slot is shared when there are many.
const TICK: Millis = Millis(469);

/// Requests and tokens of the last 60 seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    requests: Window,
    tokens: Window,
}

impl Meter {
    /// A request is sent.
    pub(super) fn sent(&mut self, now: Time) {
        self.requests.push(1, now);
    }

    /// One is over, and this is what it consumed.
    pub(super) fn spent(&mut self, tokens: Tokens, now: Time) {
        self.tokens.push(tokens.get(), now);
    }

    /// When there is room under the limits again, if there is none now.
    pub(super) fn full_until(&self, limits: UpstreamLimits, now: Time) -> Option<Time> {
        let UpstreamLimits { rpm, tpm } = limits;
        let requests = rpm.and_then(|rpm| self.requests.full_until(rpm.get(), now));
        let tokens = tpm.and_then(|tpm| self.tokens.full_until(tpm.get(), now));
        requests.max(tokens)
    }
}

/// Amounts in the order of their times.
#[derive(Clone, Debug, Default)]
struct Window {
    slots: VecDeque<Slot>,
    sum: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    at: Time,
    amount: u64,
}

impl Slot {
    fn leaves(self) -> Time {
        self.at + LENGTH
    }
}

impl Window {
    fn push(&mut self, amount: u64, now: Time) {
        self.forget(now);
        let crowded = self.slots.len() >= EXACT;
        self.sum = self.sum.saturating_add(amount);
        match self.slots.back_mut() {
            // Also what comes from a clock that is a little behind.
            Some(back) if now <= back.at => back.amount = back.amount.saturating_add(amount),
            Some(back) if crowded && back.at.0 / TICK.0 == now.0 / TICK.0 => {
                *back = Slot { at: now, amount: back.amount.saturating_add(amount) };
            }
            Some(_) | None => self.slots.push_back(Slot { at: now, amount }),
        }
    }

    /// When less than the limit is in it, if that is not so now.
    fn full_until(&self, limit: u64, now: Time) -> Option<Time> {
        let (mut left, mut opens) = (self.sum, now);
        for slot in &self.slots {
            if left < limit {
                break;
            }
            left = left.saturating_sub(slot.amount);
            opens = slot.leaves();
        }
        (opens > now).then_some(opens)
    }

    fn forget(&mut self, now: Time) {
        while let Some(slot) = self.slots.front().filter(|slot| slot.leaves() <= now) {
            self.sum = self.sum.saturating_sub(slot.amount);
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a12_no_span_of_a_minute_has_more_than_the_limit_wherever_it_begins() {
        let mut window = Window::default();
        let mut sent = Vec::new();
        for at in (0..600_000).step_by(137) {
            if window.full_until(7, Time(at)).is_none() {
                window.push(1, Time(at));
                sent.push(at);
            }
        }
        for from in &sent {
            let within = sent.iter().filter(|at| (*from..from + 60_000).contains(at)).count();
            assert!(within <= 7, "{within} from {from}");
        }
        assert_eq!(sent.len(), 70, "and none is held back without need");
    }

    #[test]
    fn it_opens_when_enough_has_left_and_says_when() {
        let mut window = Window::default();
        window.push(50, Time(1_000));
        window.push(60, Time(11_000));
        window.push(1, Time(20_000));
        assert_eq!(window.full_until(112, Time(20_000)), None);
        assert_eq!(window.full_until(111, Time(20_000)), Some(Time(61_000)));
        assert_eq!(window.full_until(61, Time(20_000)), Some(Time(71_000)));
        assert_eq!(window.full_until(1, Time(20_000)), Some(Time(80_000)));
        assert_eq!(window.full_until(1, Time(80_000)), None);
    }

    #[test]
    fn many_requests_fit_in_a_few_hundred_slots_and_still_none_leaves_early() {
        let mut window = Window::default();
        for at in 0..100_000 {
            window.push(1, Time(at * 2));
        }
        assert!(window.slots.len() <= 260, "{} slots", window.slots.len());
        assert!((30_000..=30_235).contains(&window.sum), "{}", window.sum);
    }
}

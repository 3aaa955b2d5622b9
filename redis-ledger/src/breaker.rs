//! Stops asking a server that does not answer, and starts again alone.
//!
//! ```text
//!            three failures in a row                    wait is over
//!   Closed ──────────────────────────▶ Open(wait) ─────────────────────▶ HalfOpen
//!     ▲                                    ▲                                │  │
//!     │                                    └── failure: wait doubles, ≤10 s ┘  │
//!     └────────────────────────────── success ───────────────────────────────-─┘
//! ```
//! 1. While it is open nobody waits for the server.
//! 2. Half open, one probe is out; where its outcome is not told within two seconds, another follows.
//! 3. A success that was asked for before it opened closes nothing.
//! 4. Calls that were under way at once and fail together are one failure: a burst that one stall has
//!    caught says no more than a single call.
//! 5. Only closing and opening from closed are told as changes, so an outage logs two lines.

use tollgate_core::units::{Millis, Time};

/// So many failures in a row open it.
const FAILURES: u32 = 3;
const FIRST_WAIT: Millis = Millis(1000);
const LONGEST_WAIT: Millis = Millis(10_000);
/// A probe that was not heard of for so long is lost.
const PROBE_LIFE: Millis = Millis(2000);

/// Whether the server may be asked. A value: the time is brought.
#[derive(Debug, Default)]
pub struct Breaker {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The last failure counts from when it was told.
    Closed {
        failures: u32,
        last: Time,
    },
    Open {
        until: Time,
        wait: Millis,
    },
    HalfOpen {
        since: Time,
        wait: Millis,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::WELL
    }
}

impl State {
    const WELL: Self = Self::Closed { failures: 0, last: Time(0) };
}

/// Whether somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// He may.
    Yes,
    /// He may, and everybody waits for how it goes.
    Probe,
    /// Not before then.
    No {
        /// How long until it is worth coming back.
        retry_after: Millis,
    },
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The server is not asked any more.
    Opened,
    /// It answers again.
    Closed,
}

impl Breaker {
    /// Whether the server may be asked now.
    pub fn may_ask(&mut self, now: Time) -> Permit {
        match self.state {
            State::Closed { .. } => Permit::Yes,
            State::Open { until, .. } if now < until => Permit::No { retry_after: until.since(now) },
            State::HalfOpen { since, .. } if now < since + PROBE_LIFE => {
                Permit::No { retry_after: (since + PROBE_LIFE).since(now) }
            }
            State::Open { wait, .. } | State::HalfOpen { wait, .. } => {
                self.state = State::HalfOpen { since: now, wait };
                Permit::Probe
            }
        }
    }

    /// How long until somebody may ask; asks nothing itself.
    pub fn opens_in(&self, now: Time) -> Millis {
        match self.state {
            State::Closed { .. } => Millis::ZERO,
            State::Open { until, .. } => until.since(now),
            State::HalfOpen { since, .. } => (since + PROBE_LIFE).since(now),
        }
    }

    /// Whether everything is well, as far as is known.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// The server answered.
    pub fn on_success(&mut self) -> Option<Change> {
        match self.state {
            State::Closed { .. } => {
                self.state = State::WELL;
                None
            }
            State::Open { .. } => None,
            State::HalfOpen { .. } => {
                self.state = State::WELL;
                Some(Change::Closed)
            }
        }
    }

    /// The server did not answer what it was asked then, or cannot do what it is there for.
    pub fn on_failure(&mut self, asked: Time, now: Time) -> Option<Change> {
        match self.state {
            State::Closed { failures, last } if failures > 0 && asked < last => None,
            State::Closed { failures, .. } if failures + 1 < FAILURES => {
                self.state = State::Closed { failures: failures + 1, last: now };
                None
            }
            State::Closed { .. } => {
                self.state = State::Open { until: now + FIRST_WAIT, wait: FIRST_WAIT };
                Some(Change::Opened)
            }
            State::Open { .. } => None,
            State::HalfOpen { wait, .. } => {
                let wait = (wait + wait).min(LONGEST_WAIT);
                self.state = State::Open { until: now + wait, wait };
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(at: Time) -> Breaker {
        let mut breaker = Breaker::default();
        let changes: Vec<_> = (0..3).map(|_| breaker.on_failure(at, at)).collect();
        assert_eq!(changes, [None, None, Some(Change::Opened)]);
        breaker
    }

    #[test]
    fn e2_three_failures_in_a_row_open_it_and_a_success_between_starts_over() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert_eq!(breaker.on_failure(Time(0), Time(0)), None);
            assert_eq!(breaker.on_failure(Time(0), Time(0)), None);
            assert_eq!(breaker.on_success(), None);
        }
        assert!(breaker.is_closed());
        assert_eq!(opened(Time(5)).may_ask(Time(5)), Permit::No { retry_after: Millis(1000) });
    }

    #[test]
    fn a_burst_that_one_stall_has_caught_is_one_failure() {
        let mut breaker = Breaker::default();
        for stall in 1..=2 {
            let (asked, now) = (Time(stall * 100), Time(stall * 100 + 75));
            assert!((0..50).all(|_| breaker.on_failure(asked, now).is_none()));
        }
        assert!(breaker.is_closed());
        assert_eq!(breaker.on_failure(Time(300), Time(375)), Some(Change::Opened));
    }

    #[test]
    fn e4_half_open_lets_one_probe_through_and_a_success_closes_it() {
        let mut breaker = opened(Time(0));
        assert_eq!(breaker.may_ask(Time(999)), Permit::No { retry_after: Millis(1) });
        assert_eq!(breaker.may_ask(Time(1000)), Permit::Probe);
        assert_eq!(breaker.may_ask(Time(1000)), Permit::No { retry_after: Millis(2000) });
        assert_eq!(breaker.on_success(), Some(Change::Closed));
        assert_eq!(breaker.may_ask(Time(1001)), Permit::Yes);
    }

    #[test]
    fn e4_a_probe_that_fails_doubles_the_wait_up_to_ten_seconds() {
        let (mut breaker, mut now) = (opened(Time(0)), Time(0));
        for wait in [1000, 2000, 4000, 8000, 10_000, 10_000] {
            assert_eq!(breaker.may_ask(now), Permit::No { retry_after: Millis(wait) });
            now = now + Millis(wait);
            assert_eq!(breaker.may_ask(now), Permit::Probe);
            assert_eq!(breaker.on_failure(now, now), None, "an outage is told once");
        }
    }

    #[test]
    fn a_probe_whose_outcome_is_never_told_is_followed_by_another() {
        let mut breaker = opened(Time(0));
        assert_eq!(breaker.may_ask(Time(1000)), Permit::Probe);
        assert_eq!(breaker.may_ask(Time(2999)), Permit::No { retry_after: Millis(1) });
        assert_eq!(breaker.may_ask(Time(3000)), Permit::Probe);
    }

    #[test]
    fn a_late_answer_from_before_it_opened_closes_nothing() {
        let mut breaker = opened(Time(0));
        assert_eq!(breaker.on_success(), None);
        assert!(!breaker.is_closed());
    }
}

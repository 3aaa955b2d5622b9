//! How long an upstream is left alone.
//!
//! ```text
//!            shut                    time                 send
//!   clear ─────────▶ shut for base ─────────▶ due a probe ─────▶ probing (shut for a lease)
//!     ▲                    ▲                                      │        │
//!     │                    └────────── shut for twice as long ◀───┘ failed │
//!     └─────────────────────────────────── succeeded ◀─────────────────────┘
//! ```
//! A lease that runs out without news (the probe is a long stream, or its client left) makes the
//! next request a probe too.
//!
//! 1. While it is shut, failures of requests that were already on their way change nothing.
//! 2. Only a request sent after it shut can clear it: an older one's success proves nothing.
//! 3. What a provider asks for extends the time and never shortens it.

use crate::units::{Millis, Time};

/// How long a kind of cool-down lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The first time.
    pub(super) base: Millis,
    /// At most, doubling from time to time.
    pub(super) cap: Millis,
    /// How long a probe keeps other requests away.
    pub(super) lease: Millis,
}

impl Span {
    /// The span after `step` repeats.
    fn after(self, step: u32) -> Millis {
        let doubled = self.base.get().saturating_mul(1 << step.min(32));
        Millis(doubled.min(self.cap.get()))
    }
}

/// A cool-down that doubles and ends with a probe.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CoolDown {
    until: Time,
    /// Times in a row; zero: clear.
    step: u32,
    probing: bool,
}

impl CoolDown {
    /// When it opens, if it is shut now.
    pub(super) fn shut_until(&self, now: Time) -> Option<Time> {
        (now < self.until).then_some(self.until)
    }

    /// A failure. Those of requests that were on their way when it shut do not count again.
    pub(super) fn shut(&mut self, span: Span, now: Time) {
        if now < self.until && !self.probing {
            return;
        }
        self.until = now + span.after(self.step);
        self.step = self.step.saturating_add(1);
        self.probing = false;
    }

    /// Shuts at least until then, because the provider asked for it.
    pub(super) fn shut_at_least(&mut self, until: Time) {
        self.until = self.until.max(until);
        self.step = self.step.max(1);
    }

    /// A request is sent: if that is a probe, others are kept away until it is back.
    pub(super) fn send(&mut self, span: Span, now: Time) {
        if self.step > 0 {
            self.probing = true;
            self.until = self.until.max(now + span.lease);
        }
    }

    /// A success. One that was on its way when it shut proves nothing.
    pub(super) fn succeed(&mut self) {
        if self.probing {
            *self = Self::default();
        }
    }
}

/// A cool-down after a 429: as long as the provider says, and no probe at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limited {
    until: Time,
    step: u32,
}

/// How long after a 429 that does not say.
const LIMITED: Span = Span { base: Millis::from_secs(1), cap: Millis::from_secs(60), lease: Millis(0) };

/// What a provider may ask for at most; a day, since some limits are by the day. A longer span is
/// taken for a mistake that must not close a key for ever.
const LIMITED_MAX: Millis = Millis::from_secs(24 * 60 * 60);

impl Limited {
    /// When it opens, if it is shut now.
    pub(super) fn shut_until(&self, now: Time) -> Option<Time> {
        (now < self.until).then_some(self.until)
    }

    /// A 429. A later one extends the time and never shortens it (I4).
    pub(super) fn limit(&mut self, retry_after: Option<Millis>, now: Time) {
        // Those of requests that were on their way when it shut are no repeats.
        if now >= self.until {
            self.step = self.step.saturating_add(1);
        }
        let span = match retry_after {
            Some(asked) => asked.min(LIMITED_MAX),
            None => LIMITED.after(self.step.saturating_sub(1)),
        };
        self.until = self.until.max(now + span);
    }

    /// An answer that says that it was the last for now. This is no 429, and the next one may say less.
    pub(super) fn rest(&mut self, resets_in: Millis, now: Time) {
        self.until = self.until.max(now + resets_in.min(LIMITED.cap));
    }

    /// A success: the next 429 is the first again.
    pub(super) fn succeed(&mut self, now: Time) {
        if now >= self.until {
            self.step = 0;
        }
    }
}

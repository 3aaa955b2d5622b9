//! A timer of one exchange.

use crate::clock;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tollgate_core::host::Timer;
use tollgate_core::units::{Millis, Time};
use worker::Delay;

/// The runtime takes no longer spans.
const LONGEST: Millis = Millis(24 * 60 * 60 * 1000);

/// Asks the runtime as seldom as it can: a time that moves later, as the idle time of a stream does with
/// every chunk, costs nothing until the first one has passed.
#[derive(Default)]
pub(crate) struct LazyTimer {
    delay: Option<Pin<Box<Delay>>>,
    armed: Time,
}

impl LazyTimer {
    fn arm(&mut self, at: Time, now: Time) {
        let span = at.since(now).min(LONGEST);
        self.delay = Some(Box::pin(Delay::from(Duration::from_millis(span.get()))));
        self.armed = at;
    }
}

impl Timer for LazyTimer {
    fn poll_until(&mut self, at: Time, cx: &mut Context<'_>) -> Poll<()> {
        if at == Time::NEVER {
            return Poll::Pending;
        }
        let now = clock::now();
        if now >= at {
            return Poll::Ready(());
        }
        if self.delay.is_none() || at < self.armed {
            self.arm(at, now);
        }
        loop {
            let Some(delay) = &mut self.delay else { return Poll::Pending };
            if delay.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = clock::now();
            if now >= at {
                self.delay = None;
                return Poll::Ready(());
            }
            self.arm(at, now);
        }
    }
}

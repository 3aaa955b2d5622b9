//! A timer of one exchange on tokio's wheel.

use crate::clock::Clock;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep};
use tollgate_core::host::Timer;
use tollgate_core::units::Time;

/// Asks the runtime as seldom as it can: a deadline that moves later, as the idle time of a stream
/// does with every chunk, costs nothing until the first one has passed.
pub struct LazyTimer {
    clock: Clock,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Time,
}

impl LazyTimer {
    /// A timer that is not set.
    pub fn new(clock: Clock) -> Self {
        Self { clock, sleep: None, armed: Time::NEVER }
    }

    fn arm(&mut self, at: Time) {
        let when = Instant::from_std(self.clock.instant(at));
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(when),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(when))),
        }
        self.armed = at;
    }
}

impl Timer for LazyTimer {
    fn poll_until(&mut self, at: Time, cx: &mut Context<'_>) -> Poll<()> {
        if at == Time::NEVER {
            return Poll::Pending;
        }
        if self.sleep.is_none() || at < self.armed {
            self.arm(at);
        }
        loop {
            let Some(sleep) = &mut self.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.clock.now() >= at {
                return Poll::Ready(());
            }
            self.arm(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tollgate_core::units::Millis;

    #[tokio::test]
    async fn a_time_that_has_passed_is_ready_and_a_later_one_replaces_an_earlier_one() {
        let clock = Clock::start();
        let mut timer = LazyTimer::new(clock);
        let start = clock.now();
        poll_fn(|cx| timer.poll_until(start, cx)).await;
        let near = clock.now() + Millis(1);
        let far = clock.now() + Millis(5);
        let waker = std::task::Waker::noop();
        let _ = timer.poll_until(near, &mut Context::from_waker(waker));
        poll_fn(|cx| timer.poll_until(far, cx)).await;
        assert!(clock.now() >= far);
    }

    #[tokio::test]
    async fn never_is_never_ready() {
        let mut timer = LazyTimer::new(Clock::start());
        assert!(
            timer.poll_until(Time::NEVER, &mut Context::from_waker(std::task::Waker::noop())).is_pending()
        );
    }
}

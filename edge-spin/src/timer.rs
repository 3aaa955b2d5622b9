//! A timer of one exchange on the platform's monotonic clock.

use crate::clock::Clock;
use futures::future::{Either, select};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tollgate_core::host;
use tollgate_core::units::{Millis, Time};

/// Longest wait the platform is asked for; later points are asked for again when it is over.
const FARTHEST: u64 = 3600 * 1000;

type Sleep = Pin<Box<dyn Future<Output = ()>>>;

/// Asks the platform as seldom as it can: a deadline that moves later, as the idle time of a stream does
/// with every chunk, costs nothing until the first one has passed.
pub(crate) struct Timer {
    clock: Clock,
    sleep: Option<Sleep>,
    armed: Time,
}

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, sleep: None, armed: Time::NEVER }
    }

    fn arm(&mut self, at: Time) -> &mut Sleep {
        let span = at.0.saturating_sub(self.clock.now().0).min(FARTHEST);
        self.armed = at;
        // The one before is dropped, which cancels it.
        self.sleep.insert(Box::pin(spin_sdk::time::sleep(Duration::from_millis(span))))
    }
}

/// Waits for something so long. What is not there then is dropped.
pub(crate) async fn within<T>(patience: Millis, awaited: impl Future<Output = T>) -> Option<T> {
    let (awaited, sleep) =
        (pin!(awaited), pin!(spin_sdk::time::sleep(Duration::from_millis(patience.get()))));
    match select(awaited, sleep).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(((), _)) => None,
    }
}

/// Waits for something so long. What is not there then goes on behind: a store that is asked is not to be
/// left in the middle of it.
pub(crate) async fn patiently<T: 'static>(
    patience: Millis,
    awaited: impl Future<Output = T> + 'static,
) -> Option<T> {
    let sleep = pin!(spin_sdk::time::sleep(Duration::from_millis(patience.get())));
    match select(Box::pin(awaited), sleep).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(((), awaited)) => {
            spin_sdk::wasip3::spawn(async move { drop(awaited.await) });
            None
        }
    }
}

impl host::Timer for Timer {
    fn poll_until(&mut self, at: Time, cx: &mut Context<'_>) -> Poll<()> {
        if at == Time::NEVER {
            return Poll::Pending;
        }
        if self.clock.now() >= at {
            return Poll::Ready(());
        }
        loop {
            let sleep = match &mut self.sleep {
                Some(sleep) if self.armed <= at => sleep,
                Some(_) | None => self.arm(at),
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
            if self.clock.now() >= at {
                return Poll::Ready(());
            }
        }
    }
}

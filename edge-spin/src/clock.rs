//! The time: milliseconds since the Unix epoch that never run backwards within an instance.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tollgate_core::units::Time;

/// Reads the platform's clock once and counts on from there, so that a clock that is set back moves no
/// deadline. Instances live for seconds, so that they drift apart by nothing that matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    unix: u64,
}

impl Clock {
    /// Reads the platform's clock.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), unix: millis(since_epoch) }
    }

    /// The time.
    pub(crate) fn now(&self) -> Time {
        Time(self.unix.saturating_add(millis(self.start.elapsed())))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

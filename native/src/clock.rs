//! The time: milliseconds since the Unix epoch that never run backwards.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tollgate_core::units::Time;

/// Longest wait the runtime is asked for; later points are asked for again when it is over.
const FARTHEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads the system's clock once and counts on from there, so that a clock that is set back while
/// the process runs moves no deadline.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    unix: u64,
}

impl Clock {
    /// Reads the system's clock.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), unix: millis(since_epoch) }
    }

    /// The time.
    pub fn now(&self) -> Time {
        Time(self.unix.saturating_add(millis(self.start.elapsed())))
    }

    /// The same point for the runtime's timers, capped at 30 days after the start.
    pub fn instant(&self, at: Time) -> Instant {
        self.start + Duration::from_millis(at.0.saturating_sub(self.unix)).min(FARTHEST)
    }
}

/// The time by the system's clock, wherever that has been set to.
pub fn wall() -> Time {
    Time(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_survives_the_way_to_an_instant_and_back() {
        let clock = Clock::start();
        let now = clock.now();
        assert!(clock.instant(now) <= Instant::now());
        assert!(clock.instant(Time::NEVER) > Instant::now());
        assert!(clock.instant(Time(0)) <= Instant::now());
    }
}

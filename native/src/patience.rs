//! How long an HTTP/1.1 connection may say nothing.
//!
//! ```text
//!   Head ──head complete──▶ Busy ──answer sent──▶ Idle ──first byte──▶ Head
//!    │ 30 s                                         │ 75 s
//!    ▼                                              ▼
//!   dropped                                       closed in good order
//! ```
//! 1. Times are counted in ticks of one timer per connection, so that a request costs no timer and no
//!    look at the clock; each takes up to one tick longer than it says.
//! 2. `Busy` has no limit here: bodies and upstreams have their own.

use http_body::{Body, Frame, SizeHint};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

const TICK: Duration = Duration::from_secs(15);

/// For the headers of a request once its first byte has come; for a new connection from its start.
const HEAD_TICKS: u32 = 2;

/// Between two requests. Clients keep unused connections for 60 s and expect to find them open.
const IDLE_TICKS: u32 = 5;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Busy,
    Idle,
}

/// Tells what a connection is doing. Cheap: two cells.
#[derive(Clone, Debug)]
pub struct Pulse(Rc<Beat>);

#[derive(Debug)]
struct Beat {
    phase: Cell<Phase>,
    changes: Cell<u32>,
}

impl Pulse {
    /// Of a connection that has just been opened.
    pub fn new() -> Self {
        Self(Rc::new(Beat { phase: Cell::new(Phase::Head), changes: Cell::new(0) }))
    }

    /// Bytes have come.
    pub fn on_bytes(&self) {
        if self.0.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// The head of a request is complete. It is being answered until the guard is dropped.
    pub fn on_request(&self) -> Busy {
        self.enter(Phase::Busy);
        Busy(self.clone())
    }

    fn enter(&self, phase: Phase) {
        self.0.phase.set(phase);
        self.0.changes.set(self.0.changes.get().wrapping_add(1));
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Busy(Pulse);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

/// A body whose request is being answered until the body is dropped.
pub struct Answering<B> {
    /// The body itself.
    pub body: B,
    /// The request's guard.
    pub busy: Busy,
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why patience has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No request has come for long.
    Unused,
    /// A request has begun and does not go on.
    Stalled,
}

/// Watches a pulse.
#[derive(Debug)]
pub struct Patience {
    pulse: Pulse,
    ticks: Interval,
    changes: u32,
    unchanged: u32,
}

impl Patience {
    /// Starts counting now. Needs a runtime.
    pub fn with(pulse: Pulse) -> Self {
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { changes: pulse.0.changes.get(), pulse, ticks, unchanged: 0 }
    }

    /// Waits until patience is over. May be dropped and called again at any time.
    pub async fn over(&mut self) -> Verdict {
        loop {
            self.ticks.tick().await;
            if let Some(verdict) = self.on_tick() {
                return verdict;
            }
        }
    }

    fn on_tick(&mut self) -> Option<Verdict> {
        let Beat { phase, changes } = &*self.pulse.0;
        if changes.get() != self.changes {
            // It began before this tick: from here on full ticks are counted.
            self.changes = changes.get();
            self.unchanged = 0;
            return None;
        }
        self.unchanged = self.unchanged.saturating_add(1);
        match phase.get() {
            Phase::Head if self.unchanged >= HEAD_TICKS => Some(Verdict::Stalled),
            Phase::Idle if self.unchanged >= IDLE_TICKS => Some(Verdict::Unused),
            Phase::Head | Phase::Idle | Phase::Busy => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Watched {
        pulse: Pulse,
        patience: Patience,
        begun: Instant,
    }

    fn watched() -> Watched {
        let pulse = Pulse::new();
        Watched { patience: Patience::with(pulse.clone()), pulse, begun: Instant::now() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_or_half_a_head_is_dropped_after_30_s() {
        let Watched { mut patience, begun, pulse } = watched();
        pulse.on_bytes();
        assert_eq!(patience.over().await, Verdict::Stalled);
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unused_connection_is_kept_for_75_s_at_least_and_90_s_at_most() {
        let Watched { mut patience, pulse, .. } = watched();
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(pulse.on_request());
        let idle = Instant::now();
        assert_eq!(patience.over().await, Verdict::Unused);
        assert!((75..=90).contains(&idle.elapsed().as_secs()), "{:?}", idle.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_stalls_after_a_long_pause_is_given_30_s_to_45_s() {
        let Watched { mut patience, pulse, .. } = watched();
        drop(pulse.on_request());
        assert!(tokio::time::timeout(Duration::from_secs(70), patience.over()).await.is_err());
        pulse.on_bytes();
        let stalled = Instant::now();
        pulse.on_bytes();
        assert_eq!(patience.over().await, Verdict::Stalled);
        assert!((30..=45).contains(&stalled.elapsed().as_secs()), "{:?}", stalled.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_has_no_limit() {
        let Watched { mut patience, pulse, .. } = watched();
        let busy = pulse.on_request();
        pulse.on_bytes();
        assert!(tokio::time::timeout(Duration::from_secs(3600), patience.over()).await.is_err());
        drop(busy);
        assert_eq!(patience.over().await, Verdict::Unused);
    }
}

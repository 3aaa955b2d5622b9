//! What this crate's tests share.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tollgate_core::host::Timer;
use tollgate_core::units::Time;

/// The result of a future that need not wait.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

/// Goes up when somebody is woken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<Up>);

#[derive(Debug, Default)]
struct Up(AtomicBool);

impl Wake for Up {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// A timer by which it is always this time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sundial(pub(crate) Time);

impl Timer for Sundial {
    fn poll_until(&mut self, at: Time, _: &mut Context<'_>) -> Poll<()> {
        if at <= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

//! Keeps a panic where it happened: one request or one connection.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::task::Poll;

/// The future panicked. Where and why has been logged already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Runs a future; a panic in it ends it and nothing else. Boxed, since an async wrapper would hold
/// room for it twice.
pub fn contained<F: Future>(future: F) -> impl Future<Output = Result<F::Output, Panicked>> {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        // What a future shares with others is behind locks that are taken for a moment (see `held`)
        // and behind cells whose borrows end with the unwinding: at worst a count is off by one.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
}

/// Has panics logged by place. Their messages are logged only where they are literals, since others
/// may quote what a client has sent.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: panicked{}", literal(panic));
    }));
}

fn literal(panic: &PanicHookInfo<'_>) -> String {
    panic.payload().downcast_ref::<&'static str>().map_or_else(String::new, |text| format!(" at: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::pin::pin;
    use std::rc::Rc;

    async fn breaks() -> u8 {
        tokio::task::yield_now().await;
        panic!("as it must");
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_future_only() {
        let mut beside = pin!(contained(async { tokio::task::yield_now().await }));
        let (broken, well) = tokio::join!(contained(breaks()), beside.as_mut());
        assert_eq!((broken, well), (Err(Panicked), Ok(())));
    }

    #[tokio::test]
    async fn what_a_panicking_future_held_is_dropped() {
        struct Guard(Rc<Cell<bool>>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let guard = Guard(Rc::clone(&dropped));
        let future = async move {
            let _guard = guard;
            breaks().await
        };
        assert_eq!(contained(future).await, Err(Panicked));
        assert!(dropped.get());
    }
}

//! Panics, caught where the build unwinds: one ends its own request, and no other.
//!
//! Where a panic aborts there is nothing to catch, and this is a plain poll.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// How a future came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// As it should.
    With(T),
    /// It panicked. It is not to be polled again.
    Panicked,
}

/// Polls a future once.
///
/// What is shared with others and was being changed when it panicked is as it was left then, so whoever shares
/// something takes it out, or changes it in one go.
pub fn poll<T>(future: Pin<&mut impl Future<Output = T>>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(polled) => polled.map(Ended::With),
        Err(_) => Poll::Ready(Ended::Panicked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ready;
    use std::future::poll_fn;
    use std::pin::pin;

    fn caught<T>(future: impl Future<Output = T>) -> Ended<T> {
        let mut future = pin!(future);
        ready(poll_fn(|cx| poll(future.as_mut(), cx)))
    }

    #[test]
    fn a_panic_is_an_end_like_another() {
        assert_eq!(caught(async { 7 }), Ended::With(7));
        assert_eq!(caught(async { std::iter::empty::<u8>().next().unwrap() }), Ended::Panicked);
    }
}

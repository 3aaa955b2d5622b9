//! Panics, caught where the build unwinds: one ends its own request, and no other.
//!
//! Where a panic aborts there is nothing to catch, and this is a plain wait.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// How a future came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// As it should.
    With(T),
    /// It panicked. It is not to be polled again.
    Panicked,
}

/// Waits for a future's end, whichever it is.
///
/// What is shared with others and was being changed when it panicked is as it was left then, so whoever shares
/// something takes it out, or changes it in one go.
pub async fn end<T>(future: impl Future<Output = T>) -> Ended<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ended::With),
        Err(_) => Poll::Ready(Ended::Panicked),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ready;

    #[test]
    fn a_panic_is_an_end_like_another() {
        assert_eq!(ready(end(async { 7 })), Ended::With(7));
        assert_eq!(ready(end(async { std::iter::empty::<u8>().next().unwrap() })), Ended::Panicked);
    }
}

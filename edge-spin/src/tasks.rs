//! What a request has begun and does not wait for.
//!
//! The platform's tasks look at one that is new only when something happens to them. So new ones are
//! polled beside the answer, and go on by themselves once that is there.

use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

/// Tasks of one request.
#[derive(Default)]
pub(crate) struct Tasks {
    /// Begun, and not polled yet.
    new: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    running: RefCell<FuturesUnordered<LocalBoxFuture<'static, ()>>>,
}

impl Tasks {
    /// Begins one. It is run to its end whoever leaves.
    pub(crate) fn begin(&self, task: impl Future<Output = ()> + 'static) {
        self.new.borrow_mut().push(Box::pin(task));
    }

    /// Waits for something while the tasks run; what is left of them then goes on behind.
    pub(crate) async fn beside<T>(&self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| {
            loop {
                let result = awaited.as_mut().poll(cx);
                if result.is_ready() {
                    self.go_on();
                    return result;
                }
                // A task may have made ready what is awaited, but then it has woken this one too.
                self.run(cx);
                if self.new.borrow().is_empty() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn run(&self, cx: &mut Context<'_>) {
        loop {
            let new = std::mem::take(&mut *self.new.borrow_mut());
            let mut running = self.running.borrow_mut();
            running.extend(new);
            match running.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    fn go_on(&self) {
        let running = std::mem::take(&mut *self.running.borrow_mut());
        for task in running {
            spin_sdk::wasip3::spawn(task);
        }
        for task in std::mem::take(&mut *self.new.borrow_mut()) {
            spin_sdk::wasip3::spawn(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::{Context, Waker};

    #[test]
    fn what_is_awaited_may_be_made_ready_by_a_task_it_has_begun() {
        let tasks = Tasks::default();
        let done = Rc::new(Cell::new(false));
        let awaited = async {
            let done = Rc::clone(&done);
            let seen = Rc::clone(&done);
            tasks.begin(async move { done.set(true) });
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if seen.get() { Poll::Ready(7) } else { Poll::Pending }
            })
            .await
        };
        let mut waiting = pin!(tasks.beside(awaited));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(cx).is_pending());
        assert!(done.get(), "it was polled without anything else happening");
        assert_eq!(waiting.as_mut().poll(cx), Poll::Ready(7));
    }
}

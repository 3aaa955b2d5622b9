//! Answers that this process keeps in memory: for all workers, and with equal requests waiting for one
//! another whichever worker has them.

use crate::host::held;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use tollgate_core::cache::{Found, Kept, Lead, Lookup, Memory, Parting, Recall, Ticket};
use tollgate_core::units::Time;

/// Answers kept in memory. Locked for moments: nothing is hashed or copied meanwhile, and nobody is woken.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Memory>);

impl Answers {
    /// Looks for an answer, and waits where another request is asking for it. See
    /// [`tollgate_core::host::Host::recall`].
    pub async fn recall(&self, lookup: Lookup, now: Time) -> Recall {
        let found = held(&self.0).look(&lookup, now);
        match found {
            Found::Now(recall) => recall,
            Found::Wait(ticket) => Waiting { answers: self, ticket }.await,
        }
    }

    /// Keeps an answer, with so many bytes of all answers at most.
    pub fn keep(&self, kept: Kept, most: u64) {
        let wakers = held(&self.0).keep(kept, most);
        wakers.wake();
    }

    /// Ends a lead without one.
    pub fn resign(&self, lead: Lead, parting: Parting) {
        let wakers = held(&self.0).resign(lead, parting);
        wakers.wake();
    }
}

/// A request that waits for another's answer. Dropped, it waits no more.
struct Waiting<'a> {
    answers: &'a Answers,
    ticket: Ticket,
}

impl Future for Waiting<'_> {
    type Output = Recall;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Recall> {
        held(&self.answers.0).poll(&self.ticket, cx.waker())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let wakers = held(&self.answers.0).leave(&self.ticket);
        wakers.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::sync::Arc;
    use tollgate_core::cache::CacheKey;
    use tollgate_core::exchange::RequestId;

    fn lookup(id: u128) -> Lookup {
        Lookup { key: CacheKey([7; 32]), id: RequestId(id), since: Time(0), lease: Time::NEVER }
    }

    fn kept(id: u128) -> Kept {
        let Lookup { key, id, .. } = lookup(id);
        Kept { key, id, bytes: Bytes::from_static(b"answer"), at: Time(1), expires: Time(100) }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn k13_requests_of_other_threads_wait_for_the_leader_and_are_woken() {
        let answers = Arc::new(Answers::default());
        assert_eq!(runtime().block_on(answers.recall(lookup(1), Time(0))), Recall::Lead);
        let ready = Arc::new(std::sync::Barrier::new(9));
        let waiting: Vec<_> = (2..10)
            .map(|id| {
                let (answers, ready) = (Arc::clone(&answers), Arc::clone(&ready));
                std::thread::spawn(move || {
                    runtime().block_on(async {
                        let mut recall = std::pin::pin!(answers.recall(lookup(id), Time(0)));
                        let first = std::future::poll_fn(|cx| Poll::Ready(recall.as_mut().poll(cx)));
                        assert!(first.await.is_pending());
                        ready.wait();
                        recall.await
                    })
                })
            })
            .collect();
        ready.wait();
        answers.keep(kept(1), 1 << 20);
        for waiting in waiting {
            assert_eq!(waiting.join().unwrap(), Recall::Hit(kept(1).bytes));
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_dropped_passes_the_lead_on() {
        let answers = Answers::default();
        assert_eq!(answers.recall(lookup(1), Time(0)).await, Recall::Lead);
        let mut second = Box::pin(answers.recall(lookup(2), Time(0)));
        let mut third = Box::pin(answers.recall(lookup(3), Time(0)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(third.as_mut().poll(&mut cx).is_pending());
        answers.resign(Lead { key: lookup(1).key, id: RequestId(1) }, Parting::Unanswered);
        assert!(third.as_mut().poll(&mut cx).is_pending());
        // It leads now, and has not looked.
        drop(second);
        assert_eq!(third.as_mut().poll(&mut cx), Poll::Ready(Recall::Lead));
    }
}

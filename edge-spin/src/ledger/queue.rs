//! Requests of an instance that want something of the books at the same time go together: one of them does
//! what all have asked for, in one read and one write.
//!
//! ```text
//!   join ─▶ queue ─▶ nobody leads: lead ─▶ perform for all that wait ─▶ answers
//!                └── somebody does: look again in a moment
//! ```
//! Whoever waits looks by itself. A request's task is woken by the platform alone, never by another
//! request's.

use super::Lost;
use super::books::{Act, Books, Done, Performed, perform};
use crate::clock::Clock;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tollgate_core::ledger::Warning;

/// Between two looks.
const MOMENT: Duration = Duration::from_millis(1);

/// Most that go together.
const MOST: usize = 64;

/// What an instance wants of the books.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: RefCell<Vec<Rc<Job>>>,
    is_led: Cell<bool>,
    /// Budgets that have passed their threshold, for the next who settles.
    untold: RefCell<Vec<Warning>>,
}

/// Something to be done, and what came of it.
struct Job {
    act: Cell<Option<Act>>,
    outcome: Cell<Option<Result<Done, Lost>>>,
}

impl Queue {
    /// Does something, together with what others want.
    pub(crate) async fn join<B: Books>(&self, act: Act, books: &B, clock: Clock) -> Result<Done, Lost> {
        let job = Rc::new(Job { act: Cell::new(Some(act)), outcome: Cell::new(None) });
        self.waiting.borrow_mut().push(Rc::clone(&job));
        loop {
            if let Some(outcome) = job.outcome.take() {
                return outcome;
            }
            if self.is_led.get() {
                spin_sdk::time::sleep(MOMENT).await;
            } else {
                self.lead(books, clock).await;
            }
        }
    }

    /// Budgets have passed their threshold: the next who settles is told.
    pub(crate) fn tell(&self, warnings: Vec<Warning>) {
        self.untold.borrow_mut().extend(warnings);
    }

    async fn lead<B: Books>(&self, books: &B, clock: Clock) {
        let turn = Turn::take(self);
        let (acts, jobs): (Vec<Act>, Vec<Rc<Job>>) =
            turn.jobs.iter().filter_map(|job| Some((job.act.take()?, Rc::clone(job)))).unzip();
        match perform(books, &acts, clock.now()).await {
            Ok(Performed { done, untold }) => {
                self.untold.borrow_mut().extend(untold);
                jobs.iter().zip(done).for_each(|(job, done)| job.outcome.set(Some(Ok(self.told(done)))));
            }
            Err(lost) => jobs.iter().for_each(|job| job.outcome.set(Some(Err(lost.clone())))),
        }
    }
}

impl Queue {
    fn told(&self, done: Done) -> Done {
        match done {
            Done::Settled(mut warnings) => {
                warnings.append(&mut self.untold.borrow_mut());
                Done::Settled(warnings)
            }
            Done::Reserved(outcome) => Done::Reserved(outcome),
        }
    }
}

/// A turn to lead. If it ends early, since the leader's patience was over, all that it took are told.
struct Turn<'a> {
    queue: &'a Queue,
    jobs: Vec<Rc<Job>>,
}

impl<'a> Turn<'a> {
    /// With the first that waits and all others of its book.
    fn take(queue: &'a Queue) -> Self {
        queue.is_led.set(true);
        let mut waiting = queue.waiting.borrow_mut();
        let book = waiting.first().and_then(|job| job.book());
        let (mut jobs, mut others) = (Vec::new(), Vec::new());
        for job in waiting.drain(..) {
            if jobs.len() < MOST && job.book() == book { jobs.push(job) } else { others.push(job) }
        }
        *waiting = others;
        Self { queue, jobs }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.is_led.set(false);
        for job in &self.jobs {
            let outcome = job.outcome.take();
            job.outcome.set(Some(outcome.unwrap_or_else(|| Err(Lost("it took too long".to_owned())))));
        }
    }
}

impl Job {
    fn book(&self) -> Option<std::sync::Arc<str>> {
        let act = self.act.take()?;
        let book = match &act {
            Act::Reserve(entry) => entry.book.clone(),
            Act::Settle(hold, _) => hold.entry.book.clone(),
        };
        self.act.set(Some(act));
        Some(book)
    }
}

//! The thread that writes: everything that waits goes into one transaction.
//!
//! ```text
//!               a write fails, or the file is not where it was
//!   ┌─ writable ───────────────────────────────────────────────▶ in trouble ─┐
//!   │  requests are written within a second                   tried each second,
//!   │                                                         requests wait, orders are tried at once
//!   └─◀────────────────────────────────────────────────────────── a write ───┘
//! ```
//! 1. An order is answered after its transaction is over, and never before.
//! 2. What could not be written waits in its order, or is told to whoever ordered it; never both.
//! 3. Each change of state is logged once.

use super::backfill::{self, Left};
use super::books::Segment;
use super::desk::{Batch, Desk, Door, Order, Rows, Task};
use super::place::Place;
use super::requests::Purge;
use super::responses::{self, Keeping};
use super::rollup::Rollup;
use super::trouble::StoreError;
use super::{audit, books, entities, kept, requests, stamps};
use crate::clock::Clock;
use crate::ledger::journal;
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tollgate_core::units::Millis;

/// Between two looks whether all is well, and between two tries when it is not.
const LOOK: Duration = Duration::from_secs(1);

/// Between two searches for requests that are old enough to be dropped.
const PURGE: Duration = Duration::from_secs(60);

/// Between two batches of them, for whoever wants to write meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether the store takes writes.
#[derive(Debug)]
pub(super) struct Health {
    writable: AtomicBool,
    trouble: Mutex<Option<StoreError>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { writable: AtomicBool::new(true), trouble: Mutex::default() }
    }
}

impl Health {
    pub(super) fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// That it takes none from the start. Whoever knows why has logged it.
    pub(super) fn begin_in(&self, trouble: StoreError) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
        self.writable.store(false, Ordering::Release);
    }

    /// Takes up how a write went. Only a change is logged.
    pub(super) fn learn(&self, outcome: &Result<(), StoreError>) {
        let now = outcome.as_ref().err();
        let before = std::mem::replace(
            &mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner),
            now.cloned(),
        );
        self.writable.store(now.is_none(), Ordering::Release);
        match (before, now) {
            (None, Some(trouble)) => {
                tracing::error!(%trouble, "the store takes no writes; tried every second")
            }
            (Some(before), Some(trouble)) if before != *trouble => {
                tracing::error!(%trouble, "the store takes no writes, now for another reason");
            }
            (Some(_), None) => tracing::warn!("the store takes writes again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

/// How long requests are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(pub u32);

/// Owns the connection that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) desk: Arc<Desk>,
    pub(super) place: Place,
    pub(super) health: Arc<Health>,
    pub(super) keep: Option<Days>,
    pub(super) keeping: Keeping,
    pub(super) clock: Clock,
}

impl Writer {
    /// Until the desk is closed and everything is written, or cannot be.
    pub(super) fn run(self) {
        let mut look = Instant::now() + LOOK;
        let [mut purge, mut fill, mut shed] = [Instant::now(); 3];
        loop {
            let rows = if self.health.is_writable() { Rows::Welcome } else { Rows::HeldBack };
            let next = purge.min(fill).min(shed).max(Instant::now() + PAUSE);
            let batch = self.desk.take(look.min(next), rows);
            let closed = batch.door == Door::Closed;
            let wrote = self.write(batch);
            if closed && (wrote == Wrote::Nothing || !self.health.is_writable()) {
                return self.finish();
            }
            if Instant::now() >= look {
                if wrote == Wrote::Nothing {
                    self.look();
                }
                look = Instant::now() + LOOK;
            }
            if Instant::now() >= purge {
                purge = Instant::now() + self.purge();
            }
            if Instant::now() >= fill {
                fill = Instant::now() + self.fill();
            }
            if Instant::now() >= shed {
                shed = Instant::now() + self.shed();
            }
        }
    }

    fn write(&self, batch: Batch) -> Wrote {
        let Batch { orders, rows, spilled, stored, noted, door: _ } = batch;
        let (mut tasks, mut replies, mut reads) = (Vec::new(), Vec::new(), Vec::new());
        for order in orders {
            match order {
                Order::Read { job } => reads.push(job),
                Order::Write { task, reply } => {
                    tasks.push(task);
                    replies.push(reply);
                }
            }
        }
        let mut wrote = Wrote::Nothing;
        if !(tasks.is_empty() && rows.is_empty() && spilled.is_empty()) {
            wrote = Wrote::Something;
            let outcome = self.transact(&tasks, &rows, &spilled, stored);
            self.health.learn(&outcome);
            match (&outcome, stored) {
                (Ok(()), Some(stored)) => self.forget(stored.segment),
                (Ok(()), None) => {}
                (Err(_), _) => self.desk.put_back(rows, spilled, noted),
            }
            for reply in replies {
                // Whoever does not wait any more does not want to know.
                let _ = reply.send(outcome.clone());
            }
        }
        for read in reads {
            read(Ok(&self.connection));
        }
        wrote
    }

    /// Deletes segments whose requests are stored.
    fn forget(&self, segment: Segment) {
        if let Some(path) = self.place.path()
            && let Err(error) = journal::forget(&kept::base(path), segment)
        {
            tracing::warn!(%error, "files of stored requests are left to the next start");
        }
    }

    fn transact(
        &self,
        tasks: &[Task],
        rows: &[super::Row],
        spilled: &Rollup,
        stored: Option<kept::Stored>,
    ) -> Result<(), StoreError> {
        self.place.check()?;
        // What was promised to somebody is on the disk when he hears of it. Requests may be lost with
        // the power, up to the second.
        let synchronous = if tasks.iter().any(Task::is_promise) { "full" } else { "normal" };
        self.connection.pragma_update(None, "synchronous", synchronous)?;
        let transaction = self.connection.unchecked_transaction()?;
        let mut sums = Rollup::default();
        rows.iter().for_each(|row| sums.add(row));
        requests::write(&transaction, rows)?;
        sums.write(&transaction)?;
        spilled.write(&transaction)?;
        if let Some(stored) = stored {
            kept::store(&transaction, stored)?;
        }
        for task in tasks {
            self.perform(&transaction, task)?;
        }
        Ok(transaction.commit()?)
    }

    fn perform(&self, connection: &Connection, task: &Task) -> Result<(), StoreError> {
        match task {
            Task::Flush => Ok(()),
            Task::Commit { changes, deed, seal } => {
                for change in changes {
                    entities::write(connection, change)?;
                    stamps::mark(connection, change, deed.at)?;
                }
                Ok(audit::write(connection, *seal, deed)?)
            }
            Task::Books { changed, segment } => Ok(books::write(connection, changed, *segment)?),
            Task::Response { kept } => Ok(responses::write(connection, kept)?),
            Task::Forget { owner, id } => Ok(responses::forget(connection, owner, id)?),
            Task::SetAside { what } => Ok(entities::set_aside(connection, what, self.clock.now())?),
        }
    }

    /// Whether the file is there, and if there was trouble, whether it takes a write again.
    fn look(&self) {
        let outcome = if self.health.is_writable() { self.place.check() } else { self.probe() };
        self.health.learn(&outcome);
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.place.check()?;
        // Another value each time: what changes nothing is not written.
        self.connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('probe', coalesce((SELECT value FROM meta WHERE name = 'probe'), 0) + 1)",
            [],
        )?;
        Ok(())
    }

    /// Drops a batch of old requests, and says when to do so again.
    fn purge(&self) -> Duration {
        let Some(Days(days)) = self.keep else { return PURGE };
        if !self.health.is_writable() {
            return PURGE;
        }
        let before = self.clock.now() - Millis::from_secs(u64::from(days) * 86_400);
        match requests::purge(&self.connection, before) {
            Ok(Purge::Again) => PAUSE,
            Ok(Purge::Done) => PURGE,
            Err(error) => {
                self.health.learn(&Err(error.into()));
                PURGE
            }
        }
    }

    /// Drops some responses that are kept no longer, and says when to do so again.
    fn shed(&self) -> Duration {
        if !self.health.is_writable() {
            return PURGE;
        }
        match responses::purge(&self.connection, self.keeping, self.clock.now()) {
            Ok(true) => PAUSE,
            Ok(false) => PURGE,
            Err(error) => {
                self.health.learn(&Err(error.into()));
                PURGE
            }
        }
    }

    /// Does a step of what an older program has left to do, and says when to do the next.
    fn fill(&self) -> Duration {
        if !self.health.is_writable() {
            return LOOK;
        }
        match backfill::step(&self.connection) {
            Ok(Left::More) => PAUSE,
            Ok(Left::Nothing) => PURGE,
            Err(error) => {
                self.health.learn(&Err(error.into()));
                LOOK
            }
        }
    }

    /// Brings everything into the one file.
    fn finish(self) {
        let Self { connection, place, .. } = self;
        if place.path().is_some() {
            let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        drop(connection);
        // The place goes last: nobody else may open the file before it is closed.
        drop(place);
    }
}

/// Whether there was something to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    Something,
    Nothing,
}

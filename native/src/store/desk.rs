//! What waits to be written: orders, which are answered, and requests, which are not.
//!
//! A request that waits is in a file too (see [`super::kept`]), so that a process that is killed loses
//! none. Whatever waits is taken at once, and from there on requests go into another file: what is in
//! older ones is stored as a whole or not at all, whether one by one or only added up.

use super::audit::Seal;
use super::books::Segment;
use super::entities::SetAside;
use super::kept::{self, Recovered};
use super::responses::Kept;
use super::rollup::Rollup;
use super::row::Row;
use super::trouble::StoreError;
use crate::ledger::journal::Journal;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tollgate_core::api::{Change, Deed};
use tollgate_core::ledger::Changed;
use tollgate_core::transcript::Owner;

/// Most requests that wait. Beyond, the oldest are only added up.
pub(crate) const MOST_ROWS: usize = 16_384;

/// Most orders that wait. Beyond, the store is busy.
const MOST_ORDERS: usize = 1024;

/// Requests that are not made to wait for more.
const BATCH: usize = 4096;

/// How long the first request of a batch waits for others: they are noted in a file and whoever asks has
/// them written first, and the more are written together, the fewer pages are written for each.
const GATHER: Duration = Duration::from_secs(1);

/// Tells how an order went.
pub(super) type Reply = oneshot::Sender<Result<(), StoreError>>;

/// Something to do with a connection, or to be told that there is none.
pub(super) type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

/// What is to be done.
pub(super) enum Order {
    /// Writing, with an answer.
    Write {
        /// What.
        task: Task,
        /// Is told when the transaction is over.
        reply: Reply,
    },
    /// Reading, where no other connection can.
    Read {
        /// Answers by itself.
        job: Job,
    },
}

/// What is to be written.
pub(super) enum Task {
    /// Changes to who there is, and the line of the audit log.
    Commit { changes: Vec<Change>, deed: Box<Deed>, seal: Seal },
    /// The ledger's books.
    Books { changed: Arc<Changed>, segment: Segment },
    /// A response.
    Response { kept: Box<Kept> },
    /// That a response be forgotten.
    Forget { owner: Owner, id: String },
    /// Something malformed.
    SetAside { what: SetAside },
    /// Nothing but the requests that wait.
    Flush,
}

impl Task {
    /// Whether it must survive a loss of power once it is done.
    pub(super) const fn is_promise(&self) -> bool {
        match self {
            Self::Commit { .. } | Self::Books { .. } | Self::Forget { .. } => true,
            Self::SetAside { .. } | Self::Response { .. } | Self::Flush => false,
        }
    }
}

/// What waits to be written.
#[derive(Default)]
pub(super) struct Desk {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    orders: VecDeque<Order>,
    rows: VecDeque<Row>,
    spilled: Rollup,
    dropped: u64,
    door: Door,
    /// How many more requests are kept one by one; none: all.
    room: Option<usize>,
    /// Of the requests that wait; none where nothing is kept.
    journal: Option<Journal>,
    /// Of the last request that is noted in the ledger's journal.
    number: u64,
    /// Bytes of requests in journals that are not stored.
    noted: u64,
    /// Reused for each request.
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Door {
    #[default]
    Open,
    Closed,
}

/// Whether requests may be written before the time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// They may.
    Welcome,
    /// The store has just refused them.
    HeldBack,
}

/// What is to be written in one transaction.
pub(super) struct Batch {
    pub(super) orders: Vec<Order>,
    pub(super) rows: Vec<Row>,
    /// Amounts of requests that are not among the rows.
    pub(super) spilled: Rollup,
    /// What of the notes is stored when this batch is; none where there are none.
    pub(super) stored: Option<kept::Stored>,
    /// Bytes of these notes.
    pub(super) noted: u64,
    pub(super) door: Door,
}

impl Desk {
    /// Requests are noted from now on.
    pub(super) fn begin(&self, recovered: Recovered) {
        let Recovered { journal, number } = recovered;
        let mut waiting = self.waiting();
        (waiting.journal, waiting.number) = (Some(journal), number);
    }

    /// Nothing outlives the process, and memory is not to grow with it: after so many requests the
    /// others are added up only.
    pub(super) fn bound(&self, room: usize) {
        self.waiting().room = Some(room);
    }

    /// Never waits for the store, and never loses an amount: when there is no more room, the oldest request is
    /// added up and forgotten.
    pub(super) fn put(&self, row: Row) {
        let mut waiting = self.waiting();
        waiting.note(&row);
        self.take_in(waiting, row);
    }

    /// The same, for a note that somebody else writes, before the ledger's next books are ordered.
    pub(super) fn put_noted(&self, row: Row, out: &mut Vec<u8>) {
        let mut waiting = self.waiting();
        waiting.number(&row, out);
        self.take_in(waiting, row);
    }

    fn take_in(&self, mut waiting: MutexGuard<'_, Waiting>, row: Row) {
        match &mut waiting.room {
            Some(0) => return waiting.spilled.add(&row),
            Some(room) => *room -= 1,
            None => {}
        }
        waiting.rows.push_back(row);
        waiting.shorten();
        // Otherwise the writer knows already.
        if waiting.rows.len() == 1 || waiting.rows.len() == BATCH {
            self.arrived.notify_one();
        }
    }

    /// Gives an order back if there is no room for it.
    pub(super) fn order(&self, order: Order) -> Result<(), StoreError> {
        let mut waiting = self.waiting();
        match waiting.door {
            Door::Closed => return Err(StoreError::stopped()),
            Door::Open if waiting.orders.len() >= MOST_ORDERS => return Err(StoreError::Busy),
            Door::Open => waiting.orders.push_back(order),
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// No more orders. What waits is still written.
    pub(super) fn close(&self) {
        self.waiting().door = Door::Closed;
        self.arrived.notify_all();
    }

    /// Requests that were added up and forgotten since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    /// Waits for something to write, at most until `until`; with orders everything else goes too.
    pub(super) fn take(&self, until: Instant, rows: Rows) -> Batch {
        let mut waiting = self.waiting();
        let mut until = until;
        let mut gathering = false;
        loop {
            let now = Instant::now();
            let has_rows = !waiting.rows.is_empty() || !waiting.spilled.is_empty();
            if rows == Rows::Welcome && has_rows && !gathering {
                gathering = true;
                until = until.min(now + GATHER);
            }
            let full = rows == Rows::Welcome && waiting.rows.len() >= BATCH;
            if !waiting.orders.is_empty() || waiting.door == Door::Closed || full || now >= until {
                return waiting.batch();
            }
            let wait = until.saturating_duration_since(now);
            waiting = self.arrived.wait_timeout(waiting, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes back what could not be written.
    pub(super) fn put_back(&self, rows: Vec<Row>, spilled: Rollup, noted: u64) {
        let mut waiting = self.waiting();
        waiting.noted += noted;
        waiting.spilled.merge(spilled);
        for row in rows.into_iter().rev() {
            waiting.rows.push_front(row);
        }
        waiting.shorten();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// What the disk does not take waits in memory alone.
    fn note(&mut self, row: &Row) {
        let Some(journal) = &mut self.journal else { return };
        if self.noted < kept::MOST {
            self.buffer.clear();
            kept::write(row, None, &mut self.buffer);
            // Whoever writes the store finds the same disk as it is, and says so.
            let _ = journal.append(&self.buffer);
            self.noted += self.buffer.len() as u64;
        }
    }

    /// Where nothing is noted yet, or too much is, there is no number and no note.
    fn number(&mut self, row: &Row, out: &mut Vec<u8>) {
        if self.journal.is_some() && self.noted < kept::MOST {
            self.number += 1;
            let before = out.len();
            kept::write(row, Some(self.number), out);
            self.noted += (out.len() - before) as u64;
        }
    }

    fn shorten(&mut self) {
        while self.rows.len() > MOST_ROWS {
            let Some(oldest) = self.rows.pop_front() else { return };
            self.spilled.add(&oldest);
            self.dropped += 1;
        }
    }

    fn batch(&mut self) -> Batch {
        let (rows, spilled) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.spilled));
        let any = !rows.is_empty() || !spilled.is_empty();
        Batch {
            orders: self.orders.drain(..).collect(),
            rows: rows.into(),
            spilled,
            stored: self
                .journal
                .as_mut()
                .filter(|_| any)
                .map(|journal| kept::Stored { segment: journal.leave(), number: self.number }),
            noted: std::mem::take(&mut self.noted),
            door: self.door,
        }
    }
}

//! The ledger in this process: the core's, behind a lock, with a journal and books in the store.
//!
//! ```text
//!                 ┌───────────────── lock ─────────────────┐
//!   reserve ─────▶│ core's ledger ──▶ note in the journal  │──▶ hold    (no note: store.fail)
//!   settle  ─────▶│ core's ledger ──▶ note, or backlog     │
//!                 │ once a second: next segment, changes ──┼──▶ store ──▶ old segments deleted
//!                 └────────────────────────────────────────┘
//!   start:  books ──▶ notes after them ──▶ what is still open is charged ──▶ books
//! ```
//! 1. A hold that is given out is in the journal: killed at any moment, the next process finds it. While
//!    the disk takes nothing, `store.fail` decides whether there are holds all the same.
//! 2. A settlement is never refused. What the disk does not take waits, and comes before any new hold.
//! 3. Changes that the store did not take are offered again before newer ones are taken.
//! 4. What is open at the start belongs to a process that is gone. Its upstream may have billed it,
//!    so it is charged in full.
//!
//! What each crash leads to is told in [`super::journal`].

use super::journal::{self, Journal, Replayed};
use super::shared::mode;
use crate::store::Store;
use crate::store::books::{Books, Segment};
use crate::store::entities::{Origin, SetAside};
use crate::store::kept::{is_request, length};
use crate::store::trouble::{Problem, StoreError};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tollgate_core::config::{Fail, Fallback};
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{
    Account, Changed, Entry, Garbled, Hold, Ledger, Note, Refusal, Report, Scope, Settlement, Stored, Warning,
};
use tollgate_core::limit::Budget;
use tollgate_core::row::Row;
use tollgate_core::units::{Millis, NanoDollars, Time};

/// Between two times that the books are stored.
const INTERVAL: Duration = Duration::from_secs(1);

/// When to come back after a hold could not be noted.
const RETRY: Millis = Millis(1000);

/// A ledger in this process. Dropping it stores the books.
#[derive(Debug)]
pub struct LocalLedger {
    shared: Arc<Shared>,
    fail: Fail,
    keeper: Option<JoinHandle<()>>,
}

/// A ledger that was opened, and what that led to.
#[derive(Debug)]
pub struct Opened {
    /// The ledger.
    pub ledger: LocalLedger,
    /// Budgets that passed their thresholds by what was still open.
    pub warnings: Vec<Warning>,
    /// What was found in the journal.
    pub replayed: Replayed,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    kept: Option<Kept>,
    stop: Mutex<Stop>,
    stopped: Condvar,
}

/// Where books are kept.
#[derive(Debug)]
struct Kept {
    store: Arc<Store>,
    /// Changes that the store has not taken yet.
    due: Mutex<Option<Due>>,
}

#[derive(Clone, Debug)]
struct Due {
    changed: Arc<Changed>,
    segment: Segment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stop {
    #[default]
    NotYet,
    Now,
}

/// What the lock is about.
#[derive(Debug)]
struct Desk {
    ledger: Ledger,
    journal: Option<Journal>,
    /// Reused for each note.
    buffer: Vec<u8>,
    books: Freshness,
    disk: Disk,
    /// Whether the store of this ledger was opened.
    store: Awaited,
}

/// Whether there is a store to note things beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Here,
    /// Notes wait in memory. When it comes, its books and they make the ledger anew.
    NotYet,
}

/// Whether stored books are those of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Stored,
    Changed,
}

/// Whether the disk took the last note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Takes,
    Refuses,
}

impl LocalLedger {
    /// A ledger that is gone with the process.
    pub fn in_memory() -> Self {
        let desk = Mutex::new(Desk::new(Ledger::default(), None));
        let shared = Shared { desk, kept: None, stop: Mutex::default(), stopped: Condvar::new() };
        Self { shared: Arc::new(shared), fail: Fail::default(), keeper: None }
    }

    /// Takes up what a store's books and the journal beside it say, and goes on from there; from then
    /// on the books are stored every second. Blocks, so not on a thread of a runtime; for the start of
    /// the process. What is malformed is set aside and logged. `fail` says what is done while the disk
    /// takes no notes.
    pub fn open(store: Arc<Store>, books: Books, now: Time, fail: Fail) -> Result<Opened, Problem> {
        let mut opened = Self::take_up(store, books, now)?;
        opened.ledger.fail = fail;
        let shared = Arc::clone(&opened.ledger.shared);
        let keeper = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || shared.keep());
        let keeper = keeper.map_err(|error| Problem(format!("no thread for the ledger: {error}")))?;
        opened.ledger.keeper = Some(keeper);
        Ok(opened)
    }

    fn take_up(store: Arc<Store>, books: Books, now: Time) -> Result<Opened, Problem> {
        let Some(path) = store.path().map(Path::to_path_buf) else {
            let replayed = Replayed::default();
            return Ok(Opened { ledger: Self::in_memory(), warnings: Vec::new(), replayed });
        };
        let unusable = |error: std::io::Error| Problem(format!("{}.journal: {error}", path.display()));
        let base = journal::of_ledger(&path);
        let mut ledger = Ledger::default();
        let replayed = again(&mut ledger, &books, &base, &store);
        let warnings = ledger.abandon(now);
        if store.is_late() {
            // What could not be read now is read when it is here.
            let replayed = replayed.unwrap_or_default();
            let mut desk = Desk::new(ledger, Some(Journal::idle(&base, Segment::default())));
            (desk.store, desk.disk) = (Awaited::NotYet, Disk::Refuses);
            let kept = Some(Kept { store, due: Mutex::default() });
            let shared =
                Shared { desk: Mutex::new(desk), kept, stop: Mutex::default(), stopped: Condvar::new() };
            let ledger = Self { shared: Arc::new(shared), fail: Fail::default(), keeper: None };
            return Ok(Opened { ledger, warnings, replayed });
        }
        let replayed = replayed.map_err(unusable)?;
        let journal = Journal::begin(&base, replayed.free).map_err(unusable)?;
        // These books know all segments there were.
        let due = Due { changed: Arc::new(ledger.take_changed()), segment: journal.segment() };
        let shared = Shared {
            desk: Mutex::new(Desk::new(ledger, Some(journal))),
            kept: Some(Kept { store, due: Mutex::new(Some(due)) }),
            stop: Mutex::default(),
            stopped: Condvar::new(),
        };
        // A store that takes nothing now is asked again every second; the segments stay until it does.
        let _ = shared.checkpoint();
        Ok(Opened {
            ledger: Self { shared: Arc::new(shared), fail: Fail::default(), keeper: None },
            warnings,
            replayed,
        })
    }

    /// Takes from every scope of an entry or from none. A hold that is given out has been noted. If the
    /// disk does not take the note, nothing is taken where `store.fail` says `closed`; otherwise the
    /// hold is given out by the counters that are here, and its note waits.
    pub fn reserve(&self, entry: Entry, now: Time) -> Result<Hold, Refusal> {
        let mut desk = self.shared.desk();
        let hold = desk.ledger.reserve(entry, now)?;
        desk.books = Freshness::Changed;
        if let Err(Unnoted) = desk.note(|out| Note::write_hold(&hold, now, out)) {
            match mode(self.fail, &hold.entry) {
                Fallback::Closed => {
                    // Nothing was sent, so nothing can warn.
                    desk.ledger.settle(hold, &Settlement::Release, now);
                    return Err(Refusal::Unavailable { retry_after: RETRY });
                }
                Fallback::Local | Fallback::Open => desk.defer(),
            }
        }
        Ok(hold)
    }

    /// Ends a hold. What the disk does not take now is noted before the next hold.
    pub fn settle(&self, hold: Hold, settlement: Settlement, now: Time) -> Vec<Warning> {
        let mut desk = self.shared.desk();
        let id = hold.id();
        let warnings = desk.ledger.settle(hold, &settlement, now);
        desk.books = Freshness::Changed;
        desk.note_or_defer(|out| Note::Settled { id, settlement, at: now }.write(out));
        warnings
    }

    /// Ends a hold together with its request, whose record is noted in the same write.
    pub fn end(
        &self,
        hold: Hold,
        settlement: Settlement,
        row: Option<Row>,
        store: &Store,
        now: Time,
    ) -> Vec<Warning> {
        let mut desk = self.shared.desk();
        let mut row = row;
        let id = hold.id();
        let warnings = desk.ledger.settle(hold, &settlement, now);
        desk.books = Freshness::Changed;
        desk.note_or_defer(|out| {
            // Under this lock: books that know this segment are ordered after the request was handed over.
            row.take().into_iter().for_each(|row| store.keep_noted(row, out));
            Note::Settled { id, settlement, at: now }.write(out);
        });
        drop(desk);
        // Nothing is noted here.
        row.into_iter().for_each(|row| store.keep(row));
        warnings
    }

    /// Takes what another ledger has granted, whatever the limits say.
    pub fn record(&self, hold: &Hold, now: Time) {
        let mut desk = self.shared.desk();
        desk.ledger.record(hold, now);
        desk.books = Freshness::Changed;
        desk.note_or_defer(|out| Note::write_hold(hold, now, out));
    }

    /// Ends every entry whose lease is over, in full. Not noted: killed before the books are stored,
    /// the next process finds these entries open and ends them just so.
    pub fn sweep(&self, now: Time) -> Vec<Warning> {
        let mut desk = self.shared.desk();
        let warnings = desk.ledger.sweep(now);
        // Sweeping is done every second and mostly finds nothing: then the books need not be stored.
        if desk.ledger.has_emptied() {
            desk.books = Freshness::Changed;
        }
        warnings
    }

    /// How long a token may be valid: its books go when nobody has touched them for so long.
    pub fn expire_tokens(&self, longest: Millis) {
        self.shared.desk().ledger.expire_tokens(longest);
    }

    /// Makes what is spent of a scope's budget at least this. What the disk does not take now is noted
    /// before the next hold.
    pub fn credit(&self, scope: &str, budget: &Budget, spent: NanoDollars, now: Time) {
        if spent.is_zero() {
            return;
        }
        let mut desk = self.shared.desk();
        desk.ledger.credit(scope, budget, spent, now);
        desk.books = Freshness::Changed;
        let note = Note::Credited { scope: scope.to_owned(), budget: budget.clone(), spent, at: now };
        desk.note_or_defer(|out| note.write(out));
    }

    /// [`LocalLedger::forget_all`] for one.
    pub fn forget(&self, scope: &str) {
        self.forget_all(&[scope]);
    }

    /// Gives up the books of scopes that are no more, and of those inside them. Not noted: killed before
    /// the books are stored, within a second, the next process has them still.
    pub fn forget_all(&self, scopes: &[&str]) {
        let mut desk = self.shared.desk();
        desk.ledger.forget_all(scopes);
        desk.books = Freshness::Changed;
    }

    /// Where a scope stands.
    pub fn report(&self, scope: &Scope, now: Time) -> Report {
        self.shared.desk().ledger.report(scope, now)
    }

    /// The books of a scope.
    pub fn account(&self, scope: &str) -> Account {
        self.shared.desk().ledger.account(scope)
    }

    /// Whether the last note was taken; false as soon as one was not, and true again by itself.
    pub fn is_writable(&self) -> bool {
        self.shared.desk().disk == Disk::Takes
    }

    /// Stores the books now, if anything has changed, and waits for it. Must not be called on a thread
    /// of a runtime.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.shared.checkpoint()
    }
}

impl Drop for LocalLedger {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = Stop::Now;
        self.shared.stopped.notify_all();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once a second and at the end.
    fn keep(&self) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        while *stop == Stop::NotYet {
            let waited = self.stopped.wait_timeout(stop, INTERVAL).unwrap_or_else(PoisonError::into_inner);
            drop(waited);
            self.arrive();
            self.desk().mend();
            // What went wrong is logged by the store, and offered again a second later.
            let _ = self.checkpoint();
            stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        }
        drop(stop);
        let _ = self.checkpoint();
    }

    /// Begins the journal of a store that was opened late. The ledger is made anew of its books, its
    /// journal, and what has been noted meanwhile.
    fn arrive(&self) {
        let Some(Kept { store, due: _ }) = &self.kept else { return };
        let (Some(path), Some(books)) = (store.path(), store.take_books()) else { return };
        let base = journal::of_ledger(path);
        let mut ledger = Ledger::default();
        let begun = again(&mut ledger, &books, &base, store)
            .and_then(|Replayed { free, .. }| Journal::begin(&base, free));
        match begun {
            Ok(journal) => {
                ledger.abandon(store.now());
                self.desk().arrive(ledger, journal);
            }
            Err(error) => {
                tracing::error!(%error, "the ledger's journal cannot be begun; tried every second");
                store.return_books(books);
            }
        }
    }

    fn checkpoint(&self) -> Result<(), StoreError> {
        let Some(Kept { store, due }) = &self.kept else { return Ok(()) };
        let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.is_none() {
            *due = self.desk().turn()?;
        }
        let Some(Due { changed, segment }) = due.clone() else { return Ok(()) };
        let stored = store.books(changed, segment).blocking_recv();
        stored.unwrap_or_else(|_| Err(StoreError::stopped()))?;
        *due = None;
        if let Some(path) = store.path()
            && let Err(error) = journal::forget(&journal::of_ledger(path), segment)
        {
            tracing::warn!(%error, "old segments of the ledger's journal are left to the next start");
        }
        Ok(())
    }
}

/// That a note could not be written.
struct Unnoted;

impl Desk {
    fn new(ledger: Ledger, journal: Option<Journal>) -> Self {
        Self {
            ledger,
            journal,
            buffer: Vec::new(),
            books: Freshness::Stored,
            disk: Disk::Takes,
            store: Awaited::Here,
        }
    }

    /// The note is only made where there is a journal.
    fn note(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Unnoted> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        self.buffer.clear();
        write(&mut self.buffer);
        if self.store == Awaited::NotYet {
            return Err(Unnoted);
        }
        let outcome = journal.append(&self.buffer);
        self.learn(outcome)
    }

    fn note_or_defer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Err(Unnoted) = self.note(write) {
            self.defer();
        }
    }

    /// The last note waits for the disk, or for the next books.
    fn defer(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.defer(&self.buffer);
        }
    }

    /// Goes on with a journal that was begun and a ledger that knows what was before it.
    fn arrive(&mut self, ledger: Ledger, journal: Journal) {
        let waited = self.journal.replace(journal).map(|mut late| late.take_backlog()).unwrap_or_default();
        self.ledger = ledger;
        let mut rest = waited.as_slice();
        while let Ok(Some(length)) = redo(&mut self.ledger, rest) {
            rest = rest.get(length..).unwrap_or_default();
        }
        (self.store, self.books) = (Awaited::Here, Freshness::Changed);
        let Some(journal) = &mut self.journal else { return };
        journal.defer(&waited);
        let outcome = journal.append(&[]);
        // Refused, they wait on.
        let _ = self.learn(outcome);
    }

    /// After the disk took no note: tries whether it does again.
    fn mend(&mut self) {
        if self.store == Awaited::NotYet {
            return;
        }
        if let (Disk::Refuses, Some(journal)) = (self.disk, &mut self.journal) {
            let outcome = journal.probe();
            let _ = self.learn(outcome);
        }
    }

    /// Only a change is logged.
    fn learn(&mut self, outcome: std::io::Result<()>) -> Result<(), Unnoted> {
        match (self.disk, outcome) {
            (Disk::Takes, Ok(())) => Ok(()),
            (Disk::Refuses, Err(_)) => Err(Unnoted),
            (Disk::Refuses, Ok(())) => {
                tracing::warn!("the ledger's journal takes notes again");
                self.disk = Disk::Takes;
                Ok(())
            }
            (Disk::Takes, Err(error)) => {
                tracing::error!(%error, "the ledger's journal takes no notes: store.fail decides on what has limits");
                self.disk = Disk::Refuses;
                Err(Unnoted)
            }
        }
    }

    /// From here on notes are for the books after these.
    fn turn(&mut self) -> Result<Option<Due>, StoreError> {
        let Some(journal) = &mut self.journal else { return Ok(None) };
        if self.books == Freshness::Stored || self.store == Awaited::NotYet {
            return Ok(None);
        }
        let switched = journal.switch();
        let segment = journal.segment();
        if self.learn(switched).is_err() {
            return Err(StoreError::Gone("the journal cannot be continued".to_owned()));
        }
        self.books = Freshness::Stored;
        Ok(Some(Due { changed: Arc::new(self.ledger.take_changed()), segment }))
    }
}

fn restore(ledger: &mut Ledger, stored: &Stored, store: &Store) {
    let Err(garbled) = ledger.restore(stored) else { return };
    let (origin, name) = match stored {
        Stored::Account { scope, .. } => (Origin::Account, scope.clone()),
        Stored::Open { id: RequestId(id), .. } => (Origin::OpenEntry, format!("{id:032X}")),
    };
    store.put_aside(SetAside { origin, name, why: garbled.what });
}

/// Does again what books and journal say.
fn again(ledger: &mut Ledger, books: &Books, base: &Path, store: &Store) -> std::io::Result<Replayed> {
    books.stored.iter().for_each(|one| restore(ledger, one, store));
    let replayed = journal::replay(base, books.segment, |bytes| redo(ledger, bytes))?;
    replayed.garbled.iter().for_each(|what| tracing::error!("the ledger's journal: {what}"));
    Ok(replayed)
}

/// Requests among the notes are the store's.
fn redo(ledger: &mut Ledger, bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    if is_request(bytes) {
        return length(bytes);
    }
    let Some(read) = Note::read(bytes)? else { return Ok(None) };
    ledger.replay(&read.note);
    Ok(Some(read.length))
}

#[cfg(test)]
mod tests;

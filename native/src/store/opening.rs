//! How a store is opened: at once, or as soon as its place can be written.
//!
//! ```text
//!   begin ──▶ begun ───────────────────────────────▶ writer
//!     │ not yet                                        ▲
//!     └──▶ what can be read ──▶ waits, tries each second ──▶ who there is, and the books, anew
//! ```
//! 1. What does not pass by itself (a damaged file, a newer schema, another process) stops the start;
//!    later it is trouble like any other.
//! 2. While it waits, orders are refused, and requests wait in memory.

use super::books::Books;
use super::desk::{Batch, Desk, Door, Order, Rows};
use super::entities::{Malformed, SetAside};
use super::kept::Recovered;
use super::news::{News, Watch};
use super::place::Place;
use super::trouble::{Problem, StoreError, Unopened};
use super::writer::{Health, Writer};
use super::{Setup, books, entities, kept, report, row, schema};
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tollgate_core::api::Change;
use tollgate_core::units::Time;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

const FIX: &str = "restore it from a copy, or set store.path to another file";

/// A store that can be written.
pub(super) struct Begun {
    pub(super) place: Place,
    pub(super) connection: Connection,
    pub(super) journal: Option<Recovered>,
    pub(super) start: Start,
}

/// What was in a store.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) entities: Vec<Change>,
    pub(super) books: Books,
    pub(super) newest: Time,
    pub(super) set_aside: Vec<SetAside>,
    /// The last line of the audit log.
    pub(super) line: u64,
    /// Whether a key was ever made.
    pub(super) had_keys: bool,
}

/// Takes possession of the place, takes up requests that were not stored, and reads the rest.
pub(super) fn begin(setup: &Setup) -> Result<Begun, Unopened> {
    let Setup { path, patience, clock, .. } = setup;
    let place = Place::claim(path, *patience)?;
    let connection = schema::writer(place.path())?;
    let unreadable = |error: rusqlite::Error| Unopened::database(path, error, FIX);
    let journal = match place.path() {
        Some(file) => Some(kept::recover(&connection, file).map_err(|lost| match lost {
            kept::Lost::Database(error) => unreadable(error),
            kept::Lost::Files(error) => Unopened::file(&format!("{path}.requests"), &error, FIX),
        })?),
        None => None,
    };
    let Read { mut start, malformed } = Read::of(&connection).map_err(unreadable)?;
    for Malformed { what, names } in malformed {
        entities::move_aside(&connection, &what, &names, clock.now()).map_err(unreadable)?;
        start.set_aside.push(what);
    }
    start.set_aside.iter().for_each(report);
    Ok(Begun { place, connection, journal, start })
}

/// Reads what is there, if it can be read, and changes nothing.
pub(super) fn look(file: &Path) -> Result<Start, Problem> {
    let shown = file.to_string_lossy();
    let read = || -> Result<Start, Unopened> {
        let unreadable = |error: rusqlite::Error| Unopened::database(&shown, error, FIX);
        let connection = schema::look(file).map_err(unreadable)?;
        if !schema::is_known(&connection, &shown)? {
            return Ok(Start::default());
        }
        let Read { start, malformed } = Read::of(&connection).map_err(unreadable)?;
        malformed.iter().for_each(|malformed| report(&malformed.what));
        Ok(start)
    };
    match read() {
        Ok(start) => Ok(start),
        Err(Unopened::Never(problem)) => Err(problem),
        Err(Unopened::NotYet { .. }) => Ok(Start::default()),
    }
}

struct Read {
    start: Start,
    malformed: Vec<Malformed>,
}

impl Read {
    fn of(connection: &Connection) -> Result<Self, rusqlite::Error> {
        // Before them: what changes in between is heard of twice rather than never.
        let line = News::last(connection)?;
        let made = "SELECT EXISTS (SELECT 1 FROM audit WHERE action = 'key.create')";
        let had_keys = connection.query_row(made, [], |row| row.get(0))?;
        let entities::Read { entities, malformed } = entities::read(connection)?;
        let books::Read { books, malformed: more } = books::read(connection)?;
        // What is no number there is no reason not to start.
        let newest = connection.query_row("SELECT max(at) FROM requests", [], |row| {
            Ok(row.get::<_, Option<i64>>(0).unwrap_or_default())
        })?;
        let newest = Time(newest.map(row::uint).unwrap_or_default());
        let start = Start { entities, books, newest, set_aside: Vec::new(), line, had_keys };
        Ok(Self { start, malformed: malformed.into_iter().chain(more).collect() })
    }
}

/// A store whose place cannot be written yet.
pub(super) struct Waits {
    pub(super) setup: Setup,
    pub(super) desk: Arc<Desk>,
    pub(super) health: Arc<Health>,
    pub(super) newest: Arc<AtomicU64>,
    /// Looks for what others change, from then on.
    pub(super) watch: Arc<Mutex<Option<Watch>>>,
    /// Where the books go.
    pub(super) books: Arc<Mutex<Option<Books>>>,
    /// Is told who there is.
    pub(super) entities: Sender<Vec<Change>>,
}

impl Waits {
    /// Until the place can be written, and from there on as a writer; or until the desk is closed.
    pub(super) fn run(self) {
        let mut again = Instant::now() + AGAIN;
        loop {
            if self.refuse(self.desk.take(again, Rows::HeldBack)) == Door::Closed {
                return;
            }
            if Instant::now() < again {
                continue;
            }
            let trouble = match begin(&self.setup) {
                Ok(begun) => return self.arrive(begun),
                Err(Unopened::NotYet { trouble, .. }) => trouble,
                Err(Unopened::Never(Problem(problem))) => StoreError::Gone(problem),
            };
            self.health.learn(&Err(trouble));
            again = Instant::now() + AGAIN;
        }
    }

    fn refuse(&self, batch: Batch) -> Door {
        let Batch { orders, rows, spilled, stored: _, noted, door } = batch;
        self.desk.put_back(rows, spilled, noted);
        let trouble = || self.health.trouble().unwrap_or_else(StoreError::stopped);
        for order in orders {
            match order {
                // Whoever does not wait any more does not want to know.
                Order::Write { task: _, reply } => drop(reply.send(Err(trouble()))),
                Order::Read { job } => job(Err(trouble())),
            }
        }
        door
    }

    fn arrive(self, begun: Begun) {
        let Self { setup, desk, health, newest, watch, books, entities } = self;
        let Begun { place, connection, journal, start } = begun;
        if let Some(journal) = journal {
            desk.begin(journal);
        }
        newest.fetch_max(start.newest.0, Ordering::AcqRel);
        // Without it, what others change is seen at the next start.
        let seen = place.path().and_then(|file| Watch::from(file, start.line).ok());
        *watch.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        *books.lock().unwrap_or_else(PoisonError::into_inner) = Some(start.books);
        // Nobody may want to hear of it.
        let _ = entities.send(start.entities);
        drop(entities);
        health.learn(&Ok(()));
        let Setup { keep, keeping, clock, .. } = setup;
        Writer { connection, desk, place, health, keep, keeping, clock }.run();
    }
}

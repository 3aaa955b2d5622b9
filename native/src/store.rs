//! The store: who there is, what was done, what was asked and spent, and the ledger's books, in one
//! SQLite file.
//!
//! ```text
//!   runtime threads ──▶ desk ──▶ writer thread ──▶ one transaction for all that waits
//!        │                                          (write-ahead log)
//!        └── questions ──▶ reading threads, each with a connection of its own
//! ```
//! 1. No runtime thread ever waits for the disk.
//! 2. One process has the file. Another may change who there is, see [`beside`]; the books are out of
//!    its reach.
//! 3. Amounts are never dropped, nor lost by a process that is killed; requests one by one may be, when
//!    the store has not kept up.
//! 4. There is no secret in it: keys are digests, and of prompts and answers there is nothing but in responses
//!    that the config has kept.

pub mod trouble; // what can be wrong, by what helps
pub mod place; // where it is kept, and by one process
mod schema; // the tables
pub mod row; // a request that is over
pub mod requests; // requests one by one
mod runs; // which of them are whose
pub mod responses; // what conversations go on from
mod backfill; // the same for those that an older program has stored
mod rollup; // what was spent by day
pub(crate) mod kept; // requests that wait, in a file
mod spend; // what was spent in any span
pub mod elsewhere; // by other gateways too
pub mod audit; // who did what
mod news; // what others have changed
pub mod beside; // for the command line, while a gateway has it
pub mod entities; // who there is
pub mod stamps; // since when, and by whom
pub mod books; // the ledger's
pub(crate) mod desk; // what waits
mod opening; // how it is opened, at once or late
mod writer; // the thread that writes
#[cfg(test)]
pub(crate) mod tests;

use crate::clock::Clock;
use audit::{AuditQuery, Chain, Line, Seal};
use books::{Books, Segment};
use desk::{Desk, Job, Order, Task};
use entities::SetAside;
use news::Watch;
use opening::{Begun, Start, Waits};
use requests::{Found, RequestQuery};
use responses::{Keeping, Kept};
use row::Row;
use rusqlite::Connection;
use spend::Whose;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tollgate_core::api::{Change, Deed, SpendQuery, SpendRow};
use tollgate_core::exchange::{Record, RequestId};
use tollgate_core::ledger::Changed;
use tollgate_core::transcript::{Owner, Transcript};
use tollgate_core::units::Time;
use trouble::{Problem, StoreError, Unopened};
use writer::{Health, Writer};

pub use spend::{OthersDays, Spent};
pub use writer::Days;

/// Connections that only read.
const READERS: usize = 2;

/// Most questions that wait. Beyond, the store is busy.
const MOST_QUESTIONS: usize = 64;

/// Where and how to keep a store.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `store.path`: a file, or `:memory:` to keep nothing.
    pub path: String,
    /// How long requests are kept one by one; absent: for ever. What they add up to stays.
    pub keep: Option<Days>,
    /// How long and how much of responses is kept.
    pub keeping: Keeping,
    /// Chains the audit log.
    pub seal: Seal,
    /// The time.
    pub clock: Clock,
    /// How long to wait for another process to let go of the file.
    pub patience: Duration,
}

impl Setup {
    /// The usual patience, and requests kept for ever.
    pub fn new(path: &str, seal: Seal, clock: Clock) -> Self {
        let keeping = Keeping::default();
        Self { path: path.to_owned(), keep: None, keeping, seal, clock, patience: place::PATIENCE }
    }
}

/// A store that was opened and what was in it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Who there is.
    pub entities: Vec<Change>,
    /// The ledger's books.
    pub books: Books,
    /// What could not be understood, and is out of the way now. It has been logged.
    pub set_aside: Vec<SetAside>,
    /// Whether a key was ever made here, though it may be gone.
    pub had_keys: bool,
    /// For a store that is opened late: who there is then. Its books are to be had with
    /// [`Store::take_books`].
    pub late: Option<Receiver<Vec<Change>>>,
}

/// Keeps what must outlive the process. Dropping it writes what waits and closes the file, and waits
/// for that.
pub struct Store {
    desk: Arc<Desk>,
    health: Arc<Health>,
    /// None where nothing is kept: then the writer answers questions too.
    questions: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    path: Option<PathBuf>,
    seal: Seal,
    clock: Clock,
    newest: Arc<AtomicU64>,
    late: Option<Arc<Mutex<Option<Books>>>>,
    /// None where nothing is kept: nobody else can change it; nor while the store cannot be opened.
    watch: Arc<Mutex<Option<Watch>>>,
    keeping: Keeping,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a store and reads who there is. Blocks; for the start of the process. What is malformed
    /// is set aside and stops nothing; what makes the file unusable is a problem. A place that takes no
    /// writes or is not there is tried every second: until then the store takes none either, and
    /// answers what can be read.
    pub fn open(setup: &Setup) -> Result<Opened, Problem> {
        match opening::begin(setup) {
            Ok(begun) => Self::begun(setup, begun),
            Err(Unopened::Never(problem)) => Err(problem),
            Err(Unopened::NotYet { problem, trouble }) => {
                tracing::error!(%problem, "the store cannot be opened; tried every second");
                Self::waiting(setup, trouble)
            }
        }
    }

    fn begun(setup: &Setup, begun: Begun) -> Result<Opened, Problem> {
        let Begun { place, connection, journal, start } = begun;
        let file = place.path().map(Path::to_path_buf);
        let mut store = Self::of(setup, file)?;
        match journal {
            Some(recovered) => store.desk.begin(recovered),
            None => store.desk.bound(desk::MOST_ROWS),
        }
        let Start { entities, books, newest, set_aside, line, had_keys } = start;
        store.newest.fetch_max(newest.0, Ordering::AcqRel);
        if let Some(file) = place.path() {
            let watch =
                Watch::from(file, line).map_err(|error| Problem(format!("{}: {error}", setup.path)))?;
            store.watch = Arc::new(Mutex::new(Some(watch)));
        }
        let writer = Writer {
            connection,
            desk: Arc::clone(&store.desk),
            place,
            health: Arc::clone(&store.health),
            keep: setup.keep,
            keeping: setup.keeping,
            clock: setup.clock,
        };
        store.writes(move || writer.run())?;
        Ok(Opened { store, entities, books, set_aside, had_keys, late: None })
    }

    fn waiting(setup: &Setup, trouble: StoreError) -> Result<Opened, Problem> {
        let file = PathBuf::from(&setup.path);
        let start = opening::look(&file)?;
        let mut store = Self::of(setup, Some(file))?;
        store.health.begin_in(trouble);
        let (told, late) = std::sync::mpsc::channel();
        let came = Arc::new(Mutex::new(None));
        store.late = Some(Arc::clone(&came));
        let waits = Waits {
            setup: Setup { patience: Duration::ZERO, ..setup.clone() },
            desk: Arc::clone(&store.desk),
            health: Arc::clone(&store.health),
            newest: Arc::clone(&store.newest),
            watch: Arc::clone(&store.watch),
            books: came,
            entities: told,
        };
        store.writes(move || waits.run())?;
        let Start { entities, books, newest, set_aside, line: _, had_keys } = start;
        store.newest.fetch_max(newest.0, Ordering::AcqRel);
        Ok(Opened { store, entities, books, set_aside, had_keys, late: Some(late) })
    }

    /// Without the thread that writes.
    fn of(setup: &Setup, path: Option<PathBuf>) -> Result<Self, Problem> {
        let health = Arc::new(Health::default());
        let mut threads = Vec::new();
        let questions = match &path {
            Some(file) => Some(
                readers(file, &health, &mut threads)
                    .map_err(|error| Problem(format!("{}: {error}", setup.path)))?,
            ),
            None => None,
        };
        let (desk, newest, watch) = (Arc::default(), Arc::default(), Arc::default());
        let Setup { seal, clock, keeping, .. } = *setup;
        let late = None;
        Ok(Self { desk, health, questions, threads, path, seal, clock, newest, late, watch, keeping })
    }

    fn writes(&mut self, run: impl FnOnce() + Send + 'static) -> Result<(), Problem> {
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(run);
        self.threads.push(thread.map_err(|error| Problem(format!("no thread for the store: {error}")))?);
        Ok(())
    }

    /// Whether it could not be opened at the start.
    pub fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// The books of a store that was opened late, once.
    pub fn take_books(&self) -> Option<Books> {
        self.late.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives them back, to be taken again.
    pub(crate) fn return_books(&self, books: Books) {
        if let Some(late) = &self.late {
            *late.lock().unwrap_or_else(PoisonError::into_inner) = Some(books);
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The file; absent where nothing is kept.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Makes changes to who there is and adds to the audit log, both or neither. They are on the disk
    /// when this is ready.
    pub async fn commit(&self, changes: Vec<Change>, deed: Deed) -> Result<(), StoreError> {
        self.write(Task::Commit { changes, deed: Box::new(deed), seal: self.seal }).await
    }

    /// Keeps a request that is over, if it had a caller. It is in a file when this returns and in the
    /// database within a second; where the disk takes nothing it waits in memory.
    pub fn record(&self, record: &Record) {
        if let Some(row) = Row::of(record) {
            self.keep(row);
        }
    }

    pub(crate) fn keep(&self, row: Row) {
        self.newest.fetch_max(row.at.0, Ordering::AcqRel);
        self.desk.put(row);
    }

    /// The same for a request with a hold, while the ledger notes how it ended: appends a note of the
    /// request, to be written with that. It must be written before the ledger's books are ordered to be
    /// stored.
    pub(crate) fn keep_noted(&self, row: Row, out: &mut Vec<u8>) {
        self.newest.fetch_max(row.at.0, Ordering::AcqRel);
        self.desk.put_noted(row, out);
    }

    /// Requests that were added up and not kept one by one, because the store did not keep up.
    pub fn dropped(&self) -> u64 {
        self.desk.dropped()
    }

    /// What was spent through this gateway, the dearest first. Up to now if the store takes writes, else
    /// without what waits to be written.
    pub async fn spend(&self, query: SpendQuery) -> Result<Vec<SpendRow>, StoreError> {
        let newest = Time(self.newest.load(Ordering::Acquire));
        self.flush_if_it_can().await;
        self.read(move |connection| spend::spend(connection, &query, newest, Whose::Own)).await
    }

    /// The same with what other gateways have told that they have spent.
    pub async fn spend_of_all(&self, query: SpendQuery) -> Result<Spent, StoreError> {
        let (newest, now) = (Time(self.newest.load(Ordering::Acquire)), self.now());
        self.flush_if_it_can().await;
        self.read(move |connection| spend::of_all(connection, &query, newest, now)).await
    }

    /// Requests one by one, the newest first.
    pub async fn requests(&self, query: RequestQuery) -> Result<Vec<Found>, StoreError> {
        self.flush_if_it_can().await;
        self.read(move |connection| requests::page(connection, &query)).await
    }

    /// One request.
    pub async fn request(&self, id: RequestId) -> Result<Option<Found>, StoreError> {
        self.flush_if_it_can().await;
        self.read(move |connection| requests::one(connection, id)).await
    }

    /// Keeps a response, found from now on. What the store does not take is lost.
    pub fn keep_response(&self, kept: Kept) {
        drop(self.send(Task::Response { kept: Box::new(kept) }));
    }

    /// A response that is kept.
    pub async fn response(&self, owner: &Owner, id: &str) -> Result<Option<Transcript>, StoreError> {
        // One that was made a moment ago waits to be written.
        self.flush_if_it_can().await;
        let (owner, id, after) = (owner.clone(), id.to_owned(), self.now() - self.keeping.time);
        self.read(move |connection| responses::one(connection, &owner, &id, after)).await
    }

    /// Forgets a response, for good when this is ready.
    pub async fn forget_response(&self, owner: &Owner, id: &str) -> Result<(), StoreError> {
        self.write(Task::Forget { owner: owner.clone(), id: id.to_owned() }).await
    }

    /// The audit log, the newest lines first.
    pub async fn audit(&self, query: AuditQuery) -> Result<Vec<Line>, StoreError> {
        self.read(move |connection| audit::page(connection, &query)).await
    }

    /// Whether the audit log is whole. Reads all of it.
    pub async fn check_audit(&self) -> Result<Chain, StoreError> {
        let seal = self.seal;
        self.read(move |connection| audit::check(connection, seal)).await
    }

    /// Moves something out of the way that turned out to be malformed, and keeps it with the reason.
    pub async fn set_aside(&self, what: SetAside) -> Result<(), StoreError> {
        report(&what);
        self.write(Task::SetAside { what }).await
    }

    /// The same, for whoever cannot wait. It comes before anything that is ordered later.
    pub(crate) fn put_aside(&self, what: SetAside) {
        report(&what);
        drop(self.send(Task::SetAside { what }));
    }

    /// What has changed among who there is since this was asked before, by this process or another.
    /// Whoever asks takes all of it up before anybody changes anything: it is not told again.
    pub async fn news(&self) -> Result<Vec<Change>, StoreError> {
        let watch = Arc::clone(&self.watch);
        if watch.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Ok(Vec::new());
        }
        let look = move || match &mut *watch.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(watch) => watch.look(),
            None => Ok(Vec::new()),
        };
        Ok(tokio::task::spawn_blocking(look).await.map_err(|_| StoreError::stopped())??)
    }

    /// Whether the last write went well; false as soon as one did not, and true again by itself.
    pub fn is_writable(&self) -> bool {
        self.health.is_writable()
    }

    /// What is wrong, if it is not writable.
    pub fn trouble(&self) -> Option<StoreError> {
        self.health.trouble()
    }

    /// Writes what waits.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write(Task::Flush).await
    }

    /// Stores the ledger's books. The answer can be waited for on any thread.
    pub fn books(
        &self,
        changed: Arc<Changed>,
        segment: Segment,
    ) -> oneshot::Receiver<Result<(), StoreError>> {
        self.send(Task::Books { changed, segment })
    }

    async fn flush_if_it_can(&self) {
        if self.is_writable() {
            // If it can not, it is told elsewhere, and what is there can still be read.
            let _ = self.flush().await;
        }
    }

    async fn write(&self, task: Task) -> Result<(), StoreError> {
        self.send(task).await.unwrap_or_else(|_| Err(StoreError::stopped()))
    }

    fn send(&self, task: Task) -> oneshot::Receiver<Result<(), StoreError>> {
        let (reply, answer) = oneshot::channel();
        match self.desk.order(Order::Write { task, reply }) {
            Ok(()) => answer,
            Err(error) => {
                let (reply, answer) = oneshot::channel();
                let _ = reply.send(Err(error));
                answer
            }
        }
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection: Result<&Connection, StoreError>| {
            // Whoever does not wait any more does not want to know.
            let _ = reply.send(connection.and_then(|connection| Ok(question(connection)?)));
        });
        match &self.questions {
            None => self.desk.order(Order::Read { job })?,
            Some(questions) => questions.try_send(job).map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::stopped(),
            })?,
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::stopped()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.desk.close();
        self.questions = None;
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The writer is the last of them, so that it closes the file when nobody reads it any more.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn report(what: &SetAside) {
    let SetAside { origin, name, why } = what;
    tracing::error!(?origin, name, why, "stored state is malformed and set aside");
}

/// Starts the threads that answer questions.
fn readers(
    file: &Path,
    health: &Arc<Health>,
    threads: &mut Vec<JoinHandle<()>>,
) -> Result<SyncSender<Job>, StoreError> {
    let (questions, asked) = sync_channel::<Job>(MOST_QUESTIONS);
    let asked = Arc::new(Mutex::new(asked));
    for _ in 0..READERS {
        // One that cannot be had now is tried with the first question.
        let connection = schema::reader(file).ok();
        let reader = Reader { file: file.to_owned(), health: Arc::clone(health), connection };
        let asked = Arc::clone(&asked);
        let thread = std::thread::Builder::new().name("store-read".to_owned());
        let thread = thread.spawn(move || reader.answer(&asked));
        threads.push(thread.map_err(|error| StoreError::Gone(error.to_string()))?);
    }
    Ok(questions)
}

/// Answers questions.
struct Reader {
    file: PathBuf,
    health: Arc<Health>,
    connection: Option<Connection>,
}

impl Reader {
    fn answer(mut self, asked: &Mutex<Receiver<Job>>) {
        loop {
            let job = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            if self.connection.is_none() && self.health.is_writable() {
                self.connection = schema::reader(&self.file).ok();
            }
            match &self.connection {
                Some(connection) => job(Ok(connection)),
                // Not kept: it may not see what is changed once there are changes.
                None => match schema::look(&self.file) {
                    Ok(connection) => job(Ok(&connection)),
                    Err(error) => job(Err(error.into())),
                },
            }
        }
    }
}

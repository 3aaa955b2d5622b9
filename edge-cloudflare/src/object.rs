//! The Durable Object: one class, one object for each organisation's book and one that is the registry.
//!
//! ```text
//!   /order     a book: reserve, settle (with the request's row), report, bar, forget     bytes of core's
//!   /row       a book: the row of a request that had nothing to settle
//!   /sql       a book: a question of the registry's
//!   /entities  the registry: who there is
//!   else       the registry: a request to the admin API
//! ```
//! Whatever a book does is done in one go, without waiting for anything: the storage is synchronous, and the
//! runtime holds back the answer until it is safe.

use crate::bug;
use crate::clock;
use crate::ledger::INSIDE;
use crate::registry::Registry;
use crate::storage::{self, Local};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tollgate_core::ledger::{Order, Placed};
use tollgate_core::units::{Millis, Time};
use tollgate_edge::book::{Book, Opened};
use tollgate_edge::caught::{self, Ended};
use tollgate_edge::keeper::Tables;
use tollgate_edge::sql::Failed;
use worker::{DurableObject, Env, Request, Response, Result, State, console_error, durable_object};

/// Between two checkpoints of a book that is used.
const CHECKPOINT: Duration = Duration::from_secs(5);

/// How long requests are kept one by one; what they add up to stays.
const KEPT: Millis = Millis(30 * 24 * 60 * 60 * 1000);

/// The same where they are sent elsewhere too.
const KEPT_ELSEWHERE: Millis = Millis(60 * 60 * 1000);

/// An object.
#[durable_object(alarm)]
pub struct Ledger {
    state: State,
    env: Env,
    local: Local,
    tables: Cell<Made>,
    book: RefCell<Option<Book<Local>>>,
    registry: RefCell<Option<Rc<Registry>>>,
    alarm: Cell<Option<Time>>,
}

/// Whether the tables are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    NotYet,
    Yes,
}

// Whoever works with the book has taken it out: a panic loses what is in memory, and the next call reads what is
// stored. The tables and the registry are changed by one statement at a time.
impl std::panic::UnwindSafe for Ledger {}
impl std::panic::RefUnwindSafe for Ledger {}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        bug::told_by_place();
        let local = Local(state.storage().sql());
        Self {
            state,
            env,
            local,
            tables: Cell::new(Made::NotYet),
            book: RefCell::default(),
            registry: RefCell::default(),
            alarm: Cell::new(None),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        match caught::end(self.serve(request)).await {
            Ended::With(answer) => answer,
            Ended::Panicked => Err("it has panicked".into()),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.alarm.set(None);
        if let Err(Failed(why)) = self.keep_up().await {
            console_error!("the books could not be stored, which is tried again: {why}");
            self.wake_in(CHECKPOINT).await?;
        }
        Response::empty()
    }
}

impl Ledger {
    async fn serve(&self, mut request: Request) -> Result<Response> {
        // Not by the runtime's own parser of addresses, which would bring Unicode's tables along.
        let address = request.inner().url();
        let path =
            address.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
        let Some(inside) = path.and_then(|path| path.strip_prefix(INSIDE)) else {
            return self.administer(request).await;
        };
        let body = request.bytes().await?;
        let answer = match inside {
            "/order" => self.order(&body).await,
            "/row" => self.row(&body).await.map(|()| Vec::new()),
            "/sql" => match self.tables().await {
                Ok(_) => storage::answer(&self.local, &body).await,
                Err(failed) => Err(failed),
            },
            "/entities" => self.entities(&body).await,
            _ => Err(Failed(format!("{inside} is nothing here"))),
        };
        match answer {
            Ok(body) => Response::from_bytes(body),
            Err(Failed(why)) => {
                console_error!("{inside}: {why}");
                Response::error(why, 503)
            }
        }
    }

    async fn order(&self, body: &[u8]) -> std::result::Result<Vec<u8>, Failed> {
        let Placed { order, length } = Order::read(body).map_err(|garbled| Failed(garbled.what))?;
        let row = body.get(length..).unwrap_or_default();
        if !row.is_empty() {
            self.row(row).await?;
        }
        let mut book = self.take_book().await?;
        #[cfg(feature = "panics")]
        crate::panics::at("in-the-book", body);
        let reply = book.serve(order, clock::now()).await;
        let is_stored = book.is_stored();
        *self.book.borrow_mut() = Some(book);
        if !is_stored {
            self.wake_in(CHECKPOINT).await.map_err(|error| Failed(error.to_string()))?;
        }
        Ok(reply?.to_bytes())
    }

    async fn row(&self, row: &[u8]) -> std::result::Result<(), Failed> {
        let row =
            serde_json::from_slice(row).map_err(|error| Failed(format!("a row in no form: {error}")))?;
        self.tables().await?.record(storage::line(&row)).await
    }

    /// The book, which nobody else has: nothing waits while it is out.
    async fn take_book(&self) -> std::result::Result<Book<Local>, Failed> {
        let book = self.book.borrow_mut().take();
        if let Some(book) = book {
            return Ok(book);
        }
        let Opened { book, garbled } = Book::open(self.local.clone()).await?;
        for what in garbled {
            console_error!("something stored cannot be understood and is left out: {what}");
        }
        Ok(book)
    }

    /// The tables, made if they are not there.
    async fn tables(&self) -> std::result::Result<Tables<Local>, Failed> {
        let tables = Tables::new(self.local.clone());
        if self.tables.get() == Made::NotYet {
            tables.prepare().await?;
            self.tables.set(Made::Yes);
        }
        Ok(tables)
    }

    async fn keep_up(&self) -> std::result::Result<(), Failed> {
        let now = clock::now();
        let tables = self.tables().await?;
        let kept = if crate::usage::is_bound(&self.env) { KEPT_ELSEWHERE } else { KEPT };
        let more = tables.purge(now - kept).await?;
        let mut book = self.take_book().await?;
        let stored = book.checkpoint(now).await;
        let lease = book.next_lease();
        *self.book.borrow_mut() = Some(book);
        let registry = self.registry.borrow().clone();
        if let Some(registry) = registry {
            registry.publish(&self.env).await;
        }
        stored?;
        let wake = match (more, lease) {
            (true, _) => Some(CHECKPOINT),
            (false, Some(at)) => Some(Duration::from_millis(at.since(now).get()) + CHECKPOINT),
            (false, None) => None,
        };
        match wake {
            Some(span) => self.wake_in(span).await.map_err(|error| Failed(error.to_string())),
            None => Ok(()),
        }
    }

    /// There is one alarm for each object; an earlier one stays.
    async fn wake_in(&self, span: Duration) -> Result<()> {
        let at = clock::now() + Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        if self.alarm.get().is_some_and(|set| set <= at) {
            return Ok(());
        }
        self.alarm.set(Some(at));
        self.state.storage().set_alarm(span).await
    }

    async fn registry(&self) -> std::result::Result<Rc<Registry>, Failed> {
        let registry = self.registry.borrow().clone();
        if let Some(registry) = registry {
            return Ok(registry);
        }
        let tables = self.tables().await?;
        let registry = Rc::new(Registry::open(tables, &self.env).await?);
        *self.registry.borrow_mut() = Some(Rc::clone(&registry));
        Ok(registry)
    }

    async fn entities(&self, have: &[u8]) -> std::result::Result<Vec<u8>, Failed> {
        let tables = self.tables().await?;
        let version = tables.version().await?;
        let have = std::str::from_utf8(have).ok().and_then(|have| have.parse::<u64>().ok());
        if have == Some(version) {
            return Ok(Vec::new());
        }
        Ok(tables.stored().await?.to_json().into_bytes())
    }

    async fn administer(&self, request: Request) -> Result<Response> {
        let registry = match self.registry().await {
            Ok(registry) => registry,
            Err(Failed(why)) => {
                console_error!("the registry cannot be opened: {why}");
                return Response::error(why, 503);
            }
        };
        let answer = registry.serve(request, &self.env).await?;
        if registry.is_unpublished() {
            self.wake_in(Duration::from_secs(1)).await?;
        }
        Ok(answer)
    }
}

//! The registry: who there is, what was done, and the admin API over all books.
//!
//! ```text
//!   request ─▶ core: knock, plan ─▶ commit ─▶ own SQL ─▶ KV, for the isolates
//!                                     │                └▶ books: keys that are refused from now on
//!                                     └─ questions: spend and requests of all books, as one answer
//! ```

use crate::clock;
use crate::entropy;
use crate::incoming;
use crate::isolate::Isolate;
use crate::ledger::{Lost, Way};
use crate::outlet;
use crate::people::ENTITIES;
use crate::settings::{self, CONFIG};
use crate::storage::{Elsewhere, Local};
use crate::timer::LazyTimer;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tollgate_core::admit::{Admission, Desk, admit};
use tollgate_core::api::audit::Gap;
use tollgate_core::api::shape::MOST_BYTES;
use tollgate_core::api::{
    AuditLine, AuditQuery, Change, Deed, Dimension, Kind, Only, RequestQuery, RequestRow, SpendQuery,
    SpendRow,
};
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::{Directory, HolderKind};
use tollgate_core::fault::Code;
use tollgate_core::fleet::LaneReport;
use tollgate_core::ledger::{Order, Reply, Report, Scope};
use tollgate_core::limit::Budget;
use tollgate_core::sort;
use tollgate_core::sort::{Map, Set};
use tollgate_core::units::{Millis, NanoDollars, Time};
use tollgate_edge::arrears;
use tollgate_edge::body::{Bounds, read};
use tollgate_edge::front;
use tollgate_edge::keeper::{Tables, requests_of_all, spend_of_all};
use tollgate_edge::office::{self, Keeper, Site, Unkept};
use tollgate_edge::sql::Failed;
use worker::{Env, Request, console_error};

/// KV takes one write a second for a name.
const PUBLISHED: Millis = Millis::from_secs(1);

/// The header that tells an isolate which version there is now.
pub(crate) const VERSION: &str = "x-tollgate-registry-version";

/// Most books that one answer is put together from at a time.
const TOGETHER: usize = 16;

/// Who there is, and its log.
pub(crate) struct Registry {
    tables: Tables<Local>,
    directory: RefCell<Directory>,
    config: RefCell<Option<Arc<Config>>>,
    /// In whose book each stored key is.
    books: RefCell<Map<String, String>>,
    published: Cell<Published>,
}

/// What KV has.
#[derive(Clone, Copy, Debug, Default)]
struct Published {
    at: Time,
    owed: bool,
}

impl Registry {
    /// Takes up what is stored.
    pub(crate) async fn open(tables: Tables<Local>, env: &Env) -> Result<Self, Failed> {
        let config = settings::current(&Isolate::here(), env).await.map_err(|problem| Failed(problem.0))?;
        let stored = tables.stored().await?;
        let mut directory = Directory::of(&config);
        if stored.had_keys {
            directory.close();
        }
        let mut books = Map::new();
        for change in &stored.entities {
            note_book(&mut books, change);
            if let Err(aside) = directory.apply(change, &config) {
                console_error!("{}:{} is stored and cannot be used", aside.kind.name(), aside.name);
            }
        }
        Ok(Self {
            tables,
            directory: RefCell::new(directory),
            config: RefCell::new(Some(config)),
            books: RefCell::new(books),
            // It may have been let go of before it could publish.
            published: Cell::new(Published { at: Time(0), owed: stored.version > 0 }),
        })
    }

    /// Answers a request to the admin API.
    pub(crate) async fn serve(&self, request: Request, env: &Env) -> worker::Result<worker::Response> {
        let head = incoming::head(request.inner())?;
        let body = incoming::body(request.inner(), &head);
        let isolate = Isolate::here();
        let id = isolate.random().request_id();
        let config = match settings::current(&isolate, env).await {
            Ok(config) => config,
            Err(problem) => {
                return outlet::whole(front::unable(&head, &problem.to_string(), id)).map(Into::into);
            }
        };
        self.take_up(&config);
        let admission = {
            let directory = self.directory.borrow();
            let desk = Desk {
                config: &config,
                directory: &directory,
                gauge: &isolate.gauge,
                peer: incoming::peer(&head),
            };
            admit(&head, &desk, id, clock::now())
        };
        let answer = match admission {
            Admission::Answered(answer) => answer,
            Admission::Listed(listed) => listed.answer,
            Admission::NeedsKeys(needs) => needs.otherwise,
            Admission::Transcript(wanted) => wanted.otherwise,
            Admission::Admin(knock) => {
                let bounds =
                    Bounds { most: MOST_BYTES as u64, timer: LazyTimer::default(), now: clock::now() };
                let (body, site) = (read(body, bounds).await, Here { registry: self, config, env });
                match body {
                    Ok(body) => office::answer(&site, &knock, &body).await,
                    Err(fault) => knock.refuse(&fault),
                }
            }
            Admission::Ready(_) | Admission::Metrics(_) | Admission::Session(_) | Admission::Wanted(_) => {
                front::unable(&head, "nothing of this is served by the registry", id)
            }
        };
        let mut answer = answer;
        if let Ok(version) = self.tables.version().await {
            answer.headers_mut().insert(VERSION, version.into());
        }
        outlet::whole(answer).map(Into::into)
    }

    fn take_up(&self, config: &Arc<Config>) {
        let is_new = self.config.borrow().as_ref().is_none_or(|known| !Arc::ptr_eq(known, config));
        if is_new {
            self.directory.borrow_mut().reseat(config);
            *self.config.borrow_mut() = Some(Arc::clone(config));
        }
    }

    /// Whether KV does not have the last version.
    pub(crate) fn is_unpublished(&self) -> bool {
        self.published.get().owed
    }

    /// Writes who there is to KV, if that is owed and it is time to. What fails is owed on.
    pub(crate) async fn publish(&self, env: &Env) {
        let Published { at, owed } = self.published.get();
        let now = clock::now();
        if !owed || now.since(at) < PUBLISHED {
            return;
        }
        let Ok(kv) = env.kv(CONFIG) else { return self.published.set(Published { at: now, owed: false }) };
        let Ok(stored) = self.tables.stored().await else { return };
        // What is committed while this is written is owed again.
        self.published.set(Published { at: now, owed: false });
        let written = match kv.put_bytes(ENTITIES, stored.to_json().as_bytes()) {
            Ok(put) => put.execute().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = written {
            console_error!("KV {CONFIG} took no entities: {why}");
            self.published.set(Published { at: now, owed: true });
        }
    }

    /// All books there are.
    fn all_books(&self) -> Set<String> {
        let directory = self.directory.borrow();
        let named = directory.holders_from(HolderKind::Organisation, "").map(|holder| holder.name.clone());
        sort::set(named.chain([String::new()]))
    }

    /// The books that a question is about.
    fn books_of(&self, only: &[Only]) -> Vec<String> {
        let named: Vec<&Only> =
            only.iter().filter(|only| only.dimension == Dimension::Organisation).collect();
        let all = self.all_books().into_iter();
        all.filter(|book| named.is_empty() || named.iter().any(|only| only.value == *book)).collect()
    }
}

/// In whose book a stored key is, and was.
fn note_book(books: &mut Map<String, String>, change: &Change) -> Option<String> {
    match &change.spec {
        None => books.remove(&change.name),
        Some(spec) => {
            let spec: serde_json::Value = serde_json::from_slice(spec).unwrap_or_default();
            let book = spec.get("organisation").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
            books.insert(change.name.clone(), book.clone()).or(Some(book))
        }
    }
}

/// What a key's change means for its book: nobody may use it, or they may again.
fn bar(change: &Change) -> Order {
    let with = match &change.spec {
        None => Some(Code::InvalidKey),
        Some(spec) => {
            let spec: serde_json::Value = serde_json::from_slice(spec).unwrap_or_default();
            let blocked = spec.get("blocked").and_then(serde_json::Value::as_bool).unwrap_or_default();
            blocked.then_some(Code::KeyBlocked)
        }
    };
    Order::Bar { key: change.name.clone(), with }
}

/// The registry for the time of one request.
struct Here<'a> {
    registry: &'a Registry,
    config: Arc<Config>,
    env: &'a Env,
}

impl Here<'_> {
    fn tables(&self, book: &str) -> Tables<Elsewhere> {
        Tables::new(Elsewhere(Way::to_book(self.env, book)))
    }

    /// Tells the books what a key's change means for whoever still knows it as it was.
    async fn tell(&self, change: &Change) {
        if change.kind != Kind::Key {
            return;
        }
        let book = note_book(&mut self.registry.books.borrow_mut(), change).unwrap_or_default();
        let way = Way::to_book(self.env, &book);
        if let Err(Lost(why)) = way.insist(&bar(change), None).await {
            console_error!("book {book:?} was not told of key {:?}: {why}", change.name);
        }
        self.forget(change, &way).await;
    }

    async fn forget(&self, change: &Change, way: &Way) {
        let stays = self.registry.directory.borrow().key(&change.name).is_some();
        if change.spec.is_none() && !stays {
            let scopes = vec![format!("{}:{}", change.kind.name(), change.name)];
            if let Err(Lost(why)) = way.order(&Order::Forget { scopes }, None).await {
                console_error!("the books of key {:?} stay: {why}", change.name);
            }
        }
    }
}

impl Keeper for Here<'_> {
    async fn commit(&self, changes: &[Change], deed: &Deed) -> Result<(), Unkept> {
        self.registry.tables.commit(changes, deed).await
    }

    async fn spend(&self, query: &SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        let mut parts = Vec::new();
        for books in self.registry.books_of(&query.only).chunks(TOGETHER) {
            let asked = books.iter().map(|book| async move { self.tables(book).spend(query).await });
            for part in all(asked).await {
                parts.push(part?);
            }
        }
        Ok(spend_of_all(parts, query.limit))
    }

    async fn requests(&self, query: &RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        let mut pages = Vec::new();
        for books in self.registry.books_of(&query.only).chunks(TOGETHER) {
            let asked = books.iter().map(|book| async move { self.tables(book).requests(query).await });
            for page in all(asked).await {
                pages.push(page?);
            }
        }
        Ok(requests_of_all(pages, query.limit))
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        self.registry.tables.audit(query).await
    }

    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        self.registry.tables.verify().await
    }
}

impl Site for Here<'_> {
    type Keeper = Self;

    fn keeper(&self) -> &Self {
        self
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn entropy(&self) -> [u8; 32] {
        entropy::bytes()
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&Isolate::here().gauge)
    }

    fn with_directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        act(&mut self.registry.directory.borrow_mut())
    }

    /// Nobody else writes to this object's SQL.
    async fn catch_up(&self) -> Result<(), Unkept> {
        Ok(())
    }

    async fn changed(&self, changes: &[Change]) {
        self.registry.published.set(Published { owed: true, ..self.registry.published.get() });
        for change in changes {
            self.tell(change).await;
        }
        arrears::of_changes(self, changes).await.iter().for_each(|line| console_error!("{line}"));
        self.registry.publish(self.env).await;
    }

    async fn reports(&self, book: &Arc<str>, scopes: &[Arc<Scope>]) -> Result<Vec<Report>, Unkept> {
        let order = Order::Report { scopes: scopes.to_vec() };
        match Way::to_book(self.env, book).order(&order, None).await {
            Ok(Reply::Reports(reports)) => Ok(reports),
            Ok(_) => Err(Unkept::Gone("the book's reply is none to this question".to_owned())),
            Err(Lost(why)) => Err(Unkept::Gone(why)),
        }
    }

    async fn credit(
        &self,
        book: &Arc<str>,
        scope: &Arc<Scope>,
        budget: &Budget,
        spent: NanoDollars,
    ) -> Result<(), Unkept> {
        let (scope, budget) = (scope.name.clone(), budget.clone());
        let credited =
            Way::to_book(self.env, book).order(&Order::Credit { scope, budget, spent }, None).await;
        credited.map(drop).map_err(|Lost(why)| Unkept::Gone(why))
    }

    /// Isolates learn of upstreams each for itself.
    fn upstreams(&self) -> Vec<LaneReport> {
        Isolate::here().fleet.borrow().report(clock::now())
    }

    async fn reload(&self) -> Vec<String> {
        match settings::read(&Isolate::here(), self.env).await {
            Ok(config) => {
                self.registry.take_up(&config);
                Vec::new()
            }
            Err(problem) => vec![problem.to_string()],
        }
    }
}

/// A future, and what came of it.
struct Awaited<F: Future> {
    future: Pin<Box<F>>,
    result: Option<F::Output>,
}

/// The results of all, which are waited for together.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Awaited<F>> =
        futures.map(|future| Awaited { future: Box::pin(future), result: None }).collect();
    std::future::poll_fn(|cx| {
        for Awaited { future, result } in waiting.iter_mut().filter(|one| one.result.is_none()) {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                *result = Some(done);
            }
        }
        if waiting.iter().all(|one| one.result.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|one| one.result).collect()
}

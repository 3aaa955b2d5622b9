//! Where limits are kept.
//!
//! | | holds for | |
//! |---|---|---|
//! | Redis | all gateways with the same server | one script to reserve, one to settle; one of the others beside it |
//! | SQLite | all instances on one node, or of one libSQL | rows, compared when they are written |
//! | key-value | all instances of one store, if it can compare and swap | one value for each book |
//! | nothing | the instance: best effort | |

mod books; // core's ledger on rows
#[cfg(feature = "key-value")]
mod key_value; // rows in one value
mod queue; // several go together
#[cfg(feature = "redis")]
mod redis; // scripts
#[cfg(feature = "redis")]
mod shared; // Redis, and who decides without it
#[cfg(feature = "sqlite")]
mod sqlite; // rows in tables

use crate::clock::Clock;
use crate::settings::{Settings, Wanted};
use crate::timer::patiently;
#[cfg(feature = "redis")]
use crate::timer::within;
use crate::trouble;
#[cfg(feature = "key-value")]
pub(crate) use books::aside;
use books::{Act, Books, Done, is_limited, restored, unavailable};
use queue::Queue;
#[cfg(feature = "redis")]
use shared::Shared;
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::Waiting;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::ledger::{
    self, Entry, Hold, Refusal, Report, Scope, Settlement, Standing, Targets, Warning,
};
use tollgate_core::limit::{Budget, Limits};
use tollgate_core::units::{Millis, NanoDollars, Tokens};
use tollgate_edge::document::Problem;
#[cfg(any(feature = "sqlite", feature = "key-value"))]
use tollgate_edge::random::Random;
use tollgate_edge::sql::Failed;

const NO_DATABASE: &str = "there is no database: add sqlite_databases = [\"default\"] to \
                           [component.tollgate] in spin.toml";

/// How long the first look into the database may take.
#[cfg(feature = "sqlite")]
const OPENING: Millis = Millis::from_secs(1);

/// Why the books could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) String);

impl From<Failed> for Lost {
    fn from(Failed(why): Failed) -> Self {
        Self(why)
    }
}

/// Where limits are kept.
pub(crate) struct Ledger {
    /// What all nodes share, where there is such a thing.
    #[cfg(feature = "redis")]
    shared: Option<shared::Shared>,
    /// The books of this node.
    kind: Kind,
    queue: Queue,
    clock: Clock,
    patience: Millis,
}

enum Kind {
    #[cfg(feature = "sqlite")]
    Sqlite { sql: crate::store::Sqlite, random: Random },
    #[cfg(feature = "key-value")]
    KeyValue(key_value::KeyValueBooks),
    /// In this instance alone: there is no store. What other instances admit is not seen.
    Alone(Box<RefCell<ledger::Ledger>>),
}

/// A hold that is to end, and how.
#[derive(Debug)]
pub(crate) struct Owed {
    /// What was taken.
    pub(crate) hold: Hold,
    /// What came of it.
    pub(crate) settlement: Settlement,
}

/// What came of asking for quota.
pub(crate) struct Asked {
    /// The answer.
    pub(crate) answer: Result<Hold, Refusal>,
    /// What is to be taken back: nobody waited for the answer any longer, and it may have been yes.
    pub(crate) unsure: Option<Owed>,
}

impl Ledger {
    /// The one that is asked for, or the best that is there. An error says what to add where.
    pub(crate) async fn choose(settings: &Settings, clock: Clock, seed: [u8; 32]) -> Result<Self, Problem> {
        #[cfg(feature = "redis")]
        let shared = match settings.ledger {
            Wanted::Redis => Some(redis(settings)?),
            Wanted::Best if settings.redis.is_some() => Some(redis(settings)?),
            Wanted::Best | Wanted::Sqlite | Wanted::KeyValue => None,
        };
        let kind = match settings.ledger {
            #[cfg(not(feature = "redis"))]
            Wanted::Redis => return Err(Problem(NO_REDIS.to_owned())),
            #[cfg(not(feature = "redis"))]
            Wanted::Best if settings.redis.is_some() => return Err(Problem(NO_REDIS.to_owned())),
            #[cfg(feature = "redis")]
            Wanted::Redis => best(seed).await?,
            Wanted::Best => best(seed).await?,
            Wanted::Sqlite => sqlite(seed).await?.ok_or_else(|| Problem(NO_DATABASE.to_owned()))?,
            Wanted::KeyValue => key_value(seed).await?,
        };
        Ok(Self {
            #[cfg(feature = "redis")]
            shared,
            kind,
            queue: Queue::default(),
            clock,
            patience: settings.patience,
        })
    }

    /// What does not hold as it should, in words for the log and for `/readyz`.
    pub(crate) fn shortcoming(&self) -> Option<&'static str> {
        #[cfg(feature = "redis")]
        if self.shared.is_some() {
            return None;
        }
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { .. } => None,
            #[cfg(feature = "key-value")]
            Kind::KeyValue(_) if crate::cell::IS_ATOMIC => None,
            #[cfg(feature = "key-value")]
            Kind::KeyValue(_) => Some(
                "limits are best effort: this component was built without `atomics`, so that instances \
                 of the key-value store overwrite each other",
            ),
            Kind::Alone(_) => Some(
                "limits are best effort: there is no store, so that each instance keeps its own. Add \
                 sqlite_databases or key_value_stores to [component.tollgate] in spin.toml, or [store] redis",
            ),
        }
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> &'static str {
        #[cfg(feature = "redis")]
        if self.shared.is_some() {
            return "redis";
        }
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { .. } => "sqlite",
            #[cfg(feature = "key-value")]
            Kind::KeyValue(_) => "key-value",
            Kind::Alone(_) => "none",
        }
    }

    /// Takes an entry's quota from all its scopes or from none. Answers within the patience.
    pub(crate) async fn reserve(self: &Rc<Self>, entry: Entry) -> Asked {
        if !is_limited(&entry) {
            return Asked { answer: Ok(everything(entry)), unsure: None };
        }
        #[cfg(feature = "redis")]
        if let Some(shared) = &self.shared {
            return self.reserve_shared(shared, entry).await;
        }
        self.reserve_here(entry, self.patience).await
    }

    async fn reserve_here(self: &Rc<Self>, entry: Entry, patience: Millis) -> Asked {
        let why = match self.patiently(Act::Reserve(entry.clone()), patience).await {
            Some(Ok(Done::Reserved(answer))) => return Asked { answer, unsure: None },
            Some(Ok(Done::Settled(_))) => "it answers what was not asked".to_owned(),
            Some(Err(Lost(why))) => why,
            None => "the store takes too long".to_owned(),
        };
        trouble::say(&format!("no quota can be given: {why}"));
        Asked { answer: Err(unavailable()), unsure: Some(returned(entry)) }
    }

    /// Ends a hold, and answers with the budgets that have passed their threshold. What is not taken
    /// within the patience is given back, to be tried again.
    pub(crate) async fn settle(self: &Rc<Self>, owed: Owed) -> Result<Vec<Warning>, Box<Owed>> {
        if !is_limited(&owed.hold.entry) {
            return Ok(Vec::new());
        }
        #[cfg(feature = "redis")]
        if let Some(shared) = &self.shared {
            return self.settle_shared(shared, owed).await;
        }
        self.settle_here(owed, self.patience).await
    }

    async fn settle_here(self: &Rc<Self>, owed: Owed, patience: Millis) -> Result<Vec<Warning>, Box<Owed>> {
        match self.patiently(Act::Settle(copied(&owed.hold), owed.settlement), patience).await {
            Some(Ok(Done::Settled(warnings))) => Ok(warnings),
            Some(Ok(Done::Reserved(_)) | Err(_)) | None => Err(Box::new(owed)),
        }
    }

    /// Ends entries whose lease is over and gives up accounts in which nothing is left, where no request
    /// comes by. Answers with the budgets that have passed their threshold.
    pub(crate) async fn upkeep(&self) -> Result<Vec<Warning>, Lost> {
        // Redis sweeps by itself what its scripts touch.
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { sql, random } => sqlite::SqlBooks { sql, random }.upkeep(self.clock.now()).await,
            #[cfg(feature = "key-value")]
            // All of a book is read and swept with each request.
            Kind::KeyValue(_) => Ok(Vec::new()),
            Kind::Alone(own) => Ok(own.borrow_mut().sweep(self.clock.now())),
        }
    }

    /// Whether it answers, within a second.
    pub(crate) async fn check(self: &Rc<Self>) -> Result<(), Lost> {
        let ledger = Rc::clone(self);
        let probe = async move {
            let (book, scope) = (Arc::from(""), Scope::new("probe", Limits::default()));
            let scopes = [Arc::new(scope)];
            #[cfg(feature = "redis")]
            if let Some(shared) = &ledger.shared {
                return shared.redis.reports(&book, &scopes, ledger.clock.now()).await.map(drop);
            }
            ledger.reports_here(&book, &scopes).await.map(drop)
        };
        let late = || Err(Lost("it takes too long".to_owned()));
        patiently(Millis::from_secs(1), probe).await.unwrap_or_else(late)
    }

    /// Whether other nodes share it.
    pub(crate) fn is_shared(&self) -> bool {
        #[cfg(feature = "redis")]
        return self.shared.is_some();
        #[cfg(not(feature = "redis"))]
        false
    }

    /// Makes what is spent of a scope's budget in this node's books at least this.
    pub(crate) async fn credit(
        &self,
        book: &Arc<str>,
        scope: &Arc<Scope>,
        budget: &Budget,
        spent: NanoDollars,
    ) -> Result<(), Lost> {
        let (name, now) = (scope.name.as_str(), self.clock.now());
        let untold = match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { sql, random } => {
                books::credit(&sqlite::SqlBooks { sql, random }, book, name, budget, spent, now).await?
            }
            #[cfg(feature = "key-value")]
            Kind::KeyValue(books) => books::credit(books, book, name, budget, spent, now).await?,
            Kind::Alone(own) => {
                let _ = book;
                own.borrow_mut().credit(name, budget, spent, now);
                Vec::new()
            }
        };
        self.queue.tell(untold);
        Ok(())
    }

    /// Where scopes of a book stand, in their order; in this node's own books where Redis cannot be asked.
    pub(crate) async fn reports(&self, book: &Arc<str>, scopes: &[Arc<Scope>]) -> Result<Vec<Report>, Lost> {
        #[cfg(feature = "redis")]
        if let Some(shared) = &self.shared {
            let asked = shared.redis.reports(book, scopes, self.clock.now());
            if let Some(Ok(reports)) = within(self.patience, asked).await {
                return Ok(reports);
            }
        }
        self.reports_here(book, scopes).await
    }

    async fn reports_here(&self, book: &Arc<str>, scopes: &[Arc<Scope>]) -> Result<Vec<Report>, Lost> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { sql, random } => {
                self.read_reports(&sqlite::SqlBooks { sql, random }, book, scopes).await
            }
            #[cfg(feature = "key-value")]
            Kind::KeyValue(books) => self.read_reports(books, book, scopes).await,
            Kind::Alone(own) => {
                let _ = book;
                let now = self.clock.now();
                Ok(scopes.iter().map(|scope| own.borrow().report(scope, now)).collect())
            }
        }
    }

    async fn read_reports<B: Books>(
        &self,
        books: &B,
        book: &Arc<str>,
        scopes: &[Arc<Scope>],
    ) -> Result<Vec<Report>, Lost> {
        let now = self.clock.now();
        let names: Vec<String> = scopes.iter().map(|scope| scope.name.clone()).collect();
        let rows = books.read(book, &names, now).await?;
        let ledger = restored(&rows.stored);
        Ok(scopes.iter().map(|scope| ledger.report(scope, now)).collect())
    }

    async fn patiently(self: &Rc<Self>, act: Act, patience: Millis) -> Option<Result<Done, Lost>> {
        let ledger = Rc::clone(self);
        patiently(patience, async move { ledger.act(act).await }).await
    }

    async fn act(&self, act: Act) -> Result<Done, Lost> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { sql, random } => {
                self.queue.join(act, &sqlite::SqlBooks { sql, random }, self.clock).await
            }
            #[cfg(feature = "key-value")]
            Kind::KeyValue(books) => self.queue.join(act, books, self.clock).await,
            Kind::Alone(own) => Ok(act.play(&mut own.borrow_mut(), self.clock.now())),
        }
    }
}

/// So much output, of nobody.
fn ungauged(entry: Entry, output: Tokens) -> Hold {
    Hold { entry, output, closed: Targets::NONE, standing: Standing::default() }
}

/// Everything that is asked for.
fn everything(entry: Entry) -> Hold {
    let most = entry.ask.most_output.0.max(entry.ask.least_output.0);
    ungauged(entry, most)
}

/// Of which it is not known whether it was taken: it is not wanted.
fn returned(entry: Entry) -> Owed {
    Owed { hold: ungauged(entry, Tokens::ZERO), settlement: Settlement::Return }
}

fn copied(Hold { entry, output, closed, standing }: &Hold) -> Hold {
    Hold { entry: entry.clone(), output: *output, closed: *closed, standing: *standing }
}

/// SQLite where the component is given one, else key-value. One that does not answer is not passed over: the
/// books are in it.
async fn best(seed: [u8; 32]) -> Result<Kind, Problem> {
    #[cfg(feature = "sqlite")]
    if let Some(kind) = sqlite(seed).await? {
        return Ok(kind);
    }
    Ok(key_value(seed).await.unwrap_or_else(|_| Kind::Alone(Box::default())))
}

#[cfg(feature = "redis")]
fn redis(settings: &Settings) -> Result<Shared, Problem> {
    let Some(address) = &settings.redis else {
        let line = "the ledger is to be in redis, and there is no address: set `redis` under [store], or the \
                    variable redis_url (SPIN_VARIABLE_REDIS_URL)";
        return Err(Problem(line.to_owned()));
    };
    if !address.starts_with("redis://") && !address.starts_with("rediss://") {
        return Err(Problem("the address of redis does not begin with redis:// or rediss://".to_owned()));
    }
    let store = &settings.config.store;
    Ok(Shared::new(redis::Redis::new(address, &store.namespace), store.fail))
}

#[cfg(not(feature = "redis"))]
const NO_REDIS: &str = "the ledger is to be in redis: build this component with the feature `redis`";

/// Nothing, if the component is given no database.
#[cfg(feature = "sqlite")]
async fn sqlite(seed: [u8; 32]) -> Result<Option<Kind>, Problem> {
    let opened = async move {
        let sql = match crate::store::Sqlite::open().await {
            Ok(sql) => sql,
            Err(crate::store::Closed::NotGranted) => return Ok(None),
            Err(crate::store::Closed::Failed(why)) => {
                return Err(Problem(format!("the database cannot be opened: {why}")));
            }
        };
        let random = Random::seeded(seed);
        let prepared = sqlite::SqlBooks { sql: &sql, random: &random }.prepare().await;
        prepared.map_err(|Failed(why)| Problem(format!("the database cannot be used: {why}")))?;
        Ok(Some(Kind::Sqlite { sql, random }))
    };
    let late = || Err(Problem("the database cannot be used: it takes too long".to_owned()));
    patiently(OPENING, opened).await.unwrap_or_else(late)
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_seed: [u8; 32]) -> Result<Option<Kind>, Problem> {
    Err(Problem("the ledger is to be in SQLite: build this component with the feature `sqlite`".to_owned()))
}

#[cfg(feature = "key-value")]
async fn key_value(seed: [u8; 32]) -> Result<Kind, Problem> {
    match spin_sdk::key_value::Store::open_default().await {
        Ok(_) => Ok(Kind::KeyValue(key_value::KeyValueBooks { random: Random::seeded(seed) })),
        Err(spin_sdk::key_value::Error::NoSuchStore | spin_sdk::key_value::Error::AccessDenied) => {
            Err(Problem(crate::cell::NO_STORE.to_owned()))
        }
        Err(error) => Err(Problem(format!("the key-value store cannot be opened: {error}"))),
    }
}

#[cfg(not(feature = "key-value"))]
async fn key_value(_seed: [u8; 32]) -> Result<Kind, Problem> {
    Err(Problem(
        "the ledger is to be in key-value: build this component with the feature `key-value`".to_owned(),
    ))
}

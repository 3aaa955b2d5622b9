//! Where limits are kept.
//!
//! | | holds for | |
//! |---|---|---|
//! | Redis | all gateways with the same server | one script to reserve, one to settle |
//! | SQLite | all instances on one node, or of one libSQL | rows, compared when they are written |
//! | key-value | all instances of one store, if it can compare and swap | one value for each book |
//! | nothing | the instance: best effort | |

mod books; // core's ledger on rows
#[cfg(feature = "key-value")]
mod key_value; // rows in one value
mod queue; // several go together
#[cfg(feature = "redis")]
mod redis; // scripts
#[cfg(feature = "sqlite")]
mod sqlite; // rows in tables

use crate::clock::Clock;
use crate::settings::{Settings, Wanted};
use crate::timer::patiently;
use crate::trouble;
use books::{Act, Books, Done, is_limited, restored, unavailable};
use queue::Queue;
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::Waiting;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::ledger::{
    self, Entry, Hold, Refusal, Report, Scope, Settlement, Standing, Targets, Warning,
};
use tollgate_core::units::{Millis, Tokens};
use tollgate_edge::document::Problem;
#[cfg(any(feature = "sqlite", feature = "key-value"))]
use tollgate_edge::random::Random;
use tollgate_edge::sql::Failed;

/// What the platform says of a store that the manifest does not name.
#[cfg(feature = "key-value")]
pub(crate) const NO_STORE: &str = "there is no key-value store: add key_value_stores = [\"default\"] to \
                                   [component.tollgate] in spin.toml";
#[cfg(feature = "sqlite")]
const NO_DATABASE: &str = "there is no database: add sqlite_databases = [\"default\"] to \
                           [component.tollgate] in spin.toml";

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
    kind: Kind,
    queue: Queue,
    clock: Clock,
    patience: Millis,
}

enum Kind {
    #[cfg(feature = "redis")]
    Redis(Box<redis::Redis>),
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
        let kind = match settings.ledger {
            Wanted::Best => best(settings, seed).await?,
            Wanted::Redis => redis(settings)?,
            Wanted::Sqlite => sqlite(seed).await?,
            Wanted::KeyValue => key_value(seed).await?,
        };
        Ok(Self { kind, queue: Queue::default(), clock, patience: settings.patience })
    }

    /// What does not hold as it should, in words for the log and for `/readyz`.
    pub(crate) fn shortcoming(&self) -> Option<&'static str> {
        match &self.kind {
            #[cfg(feature = "redis")]
            Kind::Redis(_) => None,
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { .. } => None,
            #[cfg(feature = "key-value")]
            Kind::KeyValue(_) if key_value::IS_ATOMIC => None,
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
        match &self.kind {
            #[cfg(feature = "redis")]
            Kind::Redis(_) => "redis",
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
            let most = entry.ask.most_output.0.max(entry.ask.least_output.0);
            return Asked { answer: Ok(ungauged(entry, most)), unsure: None };
        }
        let why = match self.patiently(Act::Reserve(entry.clone())).await {
            Some(Ok(Done::Reserved(answer))) => return Asked { answer, unsure: None },
            Some(Ok(Done::Settled(_))) => "it answers what was not asked".to_owned(),
            Some(Err(Lost(why))) => why,
            None => "the store takes too long".to_owned(),
        };
        trouble::say(&format!("no quota can be given: {why}"));
        let unsure = Owed { hold: ungauged(entry, Tokens::ZERO), settlement: Settlement::Return };
        Asked { answer: Err(unavailable()), unsure: Some(unsure) }
    }

    /// Ends a hold, and answers with the budgets that have passed their threshold. What is not taken
    /// within the patience is given back, to be tried again.
    pub(crate) async fn settle(self: &Rc<Self>, owed: Owed) -> Result<Vec<Warning>, Box<Owed>> {
        if !is_limited(&owed.hold.entry) {
            return Ok(Vec::new());
        }
        let Hold { entry, output, closed, standing } = &owed.hold;
        let hold = Hold { entry: entry.clone(), output: *output, closed: *closed, standing: *standing };
        match self.patiently(Act::Settle(hold, owed.settlement)).await {
            Some(Ok(Done::Settled(warnings))) => Ok(warnings),
            Some(Ok(Done::Reserved(_)) | Err(_)) | None => Err(Box::new(owed)),
        }
    }

    /// Ends entries whose lease is over and gives up accounts in which nothing is left, where no request
    /// comes by. Answers with the budgets that have passed their threshold.
    pub(crate) async fn upkeep(&self) -> Result<Vec<Warning>, Lost> {
        match &self.kind {
            #[cfg(feature = "redis")]
            // The scripts sweep what they touch.
            Kind::Redis(_) => Ok(Vec::new()),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite { sql, random } => sqlite::SqlBooks { sql, random }.upkeep(self.clock.now()).await,
            #[cfg(feature = "key-value")]
            // All of a book is read and swept with each request.
            Kind::KeyValue(_) => Ok(Vec::new()),
            Kind::Alone(own) => Ok(own.borrow_mut().sweep(self.clock.now())),
        }
    }

    /// Where scopes of a book stand, in their order.
    pub(crate) async fn reports(&self, book: &Arc<str>, scopes: &[Arc<Scope>]) -> Result<Vec<Report>, Lost> {
        match &self.kind {
            #[cfg(feature = "redis")]
            Kind::Redis(redis) => redis.reports(book, scopes, self.clock.now()).await,
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

    async fn patiently(self: &Rc<Self>, act: Act) -> Option<Result<Done, Lost>> {
        let ledger = Rc::clone(self);
        patiently(self.patience, async move { ledger.act(act).await }).await
    }

    async fn act(&self, act: Act) -> Result<Done, Lost> {
        match &self.kind {
            #[cfg(feature = "redis")]
            Kind::Redis(redis) => redis.act(act, self.clock.now()).await,
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

async fn best(settings: &Settings, seed: [u8; 32]) -> Result<Kind, Problem> {
    if settings.redis.is_some() {
        return redis(settings);
    }
    if let Ok(kind) = sqlite(seed).await {
        return Ok(kind);
    }
    Ok(key_value(seed).await.unwrap_or_else(|_| Kind::Alone(Box::default())))
}

#[cfg(feature = "redis")]
fn redis(settings: &Settings) -> Result<Kind, Problem> {
    let Some(address) = &settings.redis else {
        let line = "the ledger is to be in redis, and there is no address: set `redis` under [store], or the \
                    variable redis_url (SPIN_VARIABLE_REDIS_URL)";
        return Err(Problem(line.to_owned()));
    };
    if !address.starts_with("redis://") && !address.starts_with("rediss://") {
        return Err(Problem("the address of redis does not begin with redis:// or rediss://".to_owned()));
    }
    Ok(Kind::Redis(Box::new(redis::Redis::new(address, &settings.config.store.namespace))))
}

#[cfg(not(feature = "redis"))]
fn redis(_settings: &Settings) -> Result<Kind, Problem> {
    Err(Problem("the ledger is to be in redis: build this component with the feature `redis`".to_owned()))
}

#[cfg(feature = "sqlite")]
async fn sqlite(seed: [u8; 32]) -> Result<Kind, Problem> {
    match crate::store::Sqlite::open().await {
        Ok(sql) => {
            let random = Random::seeded(seed);
            let prepared = sqlite::SqlBooks { sql: &sql, random: &random }.prepare().await;
            prepared.map_err(|Failed(why)| Problem(format!("the database cannot be used: {why}")))?;
            Ok(Kind::Sqlite { sql, random })
        }
        Err(crate::store::Closed::NotGranted) => Err(Problem(NO_DATABASE.to_owned())),
        Err(crate::store::Closed::Failed(why)) => {
            Err(Problem(format!("the database cannot be opened: {why}")))
        }
    }
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_seed: [u8; 32]) -> Result<Kind, Problem> {
    Err(Problem("the ledger is to be in SQLite: build this component with the feature `sqlite`".to_owned()))
}

#[cfg(feature = "key-value")]
async fn key_value(seed: [u8; 32]) -> Result<Kind, Problem> {
    match spin_sdk::key_value::Store::open_default().await {
        Ok(_) => Ok(Kind::KeyValue(key_value::KeyValueBooks { random: Random::seeded(seed) })),
        Err(spin_sdk::key_value::Error::NoSuchStore | spin_sdk::key_value::Error::AccessDenied) => {
            Err(Problem(NO_STORE.to_owned()))
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

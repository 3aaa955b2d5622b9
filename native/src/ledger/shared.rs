//! The ledger in Redis or Valkey, shared by any number of gateways.
//!
//! ```text
//!             ┌── granted, refused ◀── one script ── Redis
//!   reserve ──┤                                        ▲
//!             └── cannot be asked: closed, own books,  │ one script
//!                 or open, as the modes say            │
//!   settle ─── own books ──┬───────────────────────────┘
//!                          └── not taken now: kept, and tried again
//! ```
//! Invariants
//! 1. A reservation is one call to the server and a settlement is one. The exceptions: a script the
//!    server has lost, a redirection, and books that were lost cost one call more, once.
//! 2. Nobody waits longer than the patience, however many wait; while the breaker is open nobody waits.
//! 3. An entry changes the books once, in whatever order its calls arrive and however often.
//! 4. What this gateway's own books have taken and settled reaches the server's once: by itself, or
//!    with the figures that are sent when the server has none of this gateway.
//! 5. A settlement is lost only with the process, or when a hundred thousand others wait. What was lost
//!    so is in the gateway's own books.
//!
//! **What a flush costs.** Budgets, totals and what was asked in the last minute are there again with
//! each gateway's next request for a scope, and at the latest a second later for up to 32 books (then a
//! second for each 32 more). Until then what other gateways have asked and spent is not seen. What was
//! asked in the last minute counts from then on for a whole one, so a full window opens up to a minute
//! late. What was open is held by nobody until it ends: it is charged then, but does not count among the
//! requests in flight. A restart from an old snapshot is no flush: what was spent since is missing. The
//! server must not evict keys.
//!
//! **The clock** is the server's own. The gateways' clocks only say which days there are.
//!
//! **A cluster** works: everything of one book is in one hash slot, and redirections are followed.
//!
//! **Connections**: each worker has its own. With all calls on one thread of their own, a request took a
//! sixth longer and a third more CPU, for waking the other thread four times. Only what is tried again
//! has a thread of its own.

mod address;
mod background;
mod beliefs;
mod fallback;
mod kept;
mod link;
mod script;

pub use address::{Address, BadUrl};
pub use fallback::Fallback;
pub(super) use fallback::mode;
use script::items;
pub(crate) use script::{Call, Script, What};

use crate::clock::Clock;
use crate::host::held;
use crate::upstream::tls::Roots;
use beliefs::Beliefs;
use kept::Kept;
use link::{Age, Link, Lost, Sent};
use redis::Value;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tollgate_core::config::{Fail, Fallback as WhenLost};
use tollgate_core::ledger::{Entry, Hold, Refusal, Report, Scope, Settlement, Standing, Targets, Warning};
use tollgate_core::units::{Millis, Time};
use tollgate_redis_ledger::answered::{self, Reserved};
use tollgate_redis_ledger::asked::{Asker, Ending, Own, Sequence, is_lasting, limiting};
pub use tollgate_redis_ledger::breaker::{Breaker, Change, Permit};

/// So many calls are under way at once; more are not made.
const MOST_UNDER_WAY: usize = 1024;

/// What a shared ledger is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the server is.
    pub address: Address,
    /// Begins all keys: gateways with the same one share their limits.
    pub namespace: String,
    /// Names this gateway among those that share. It must stay the same over restarts, together with the
    /// gateway's own books: under a new name all that is in them would be charged again.
    pub gateway: String,
    /// Who decides while the server cannot be asked.
    pub fail: Fail,
    /// How long anybody waits.
    pub patience: Patience,
}

/// How long anybody waits for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a reservation, connecting included.
    pub reserve: Millis,
    /// For a settlement, before it is kept to be tried again.
    pub settle: Millis,
}

impl Default for Patience {
    /// Together no more than 100 ms.
    fn default() -> Self {
        Self { reserve: Millis(70), settle: Millis(18) }
    }
}

impl Settings {
    /// With what is usual.
    pub fn new(address: Address, namespace: &str, gateway: &str) -> Self {
        let (namespace, gateway) = (namespace.to_owned(), gateway.to_owned());
        Self { address, namespace, gateway, fail: Fail::default(), patience: Patience::default() }
    }
}

/// The ledger in Redis. Shared by all workers of a process.
pub struct SharedLedger {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for SharedLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedLedger({})", self.inner.settings.address)
    }
}

/// What workers and the thread that retries have in common.
struct Inner {
    settings: Settings,
    asker: Asker,
    own: Arc<dyn Fallback>,
    roots: Arc<Roots>,
    clock: Clock,
    links: Mutex<HashMap<ThreadId, Arc<Link>>>,
    breaker: Mutex<Breaker>,
    /// Counts outages.
    age: AtomicU64,
    under_way: AtomicUsize,
    grants: Mutex<HashMap<u128, Granted>>,
    /// Held while own books are changed or read, so that it is clear what is in a figure.
    sequence: Mutex<Sequence>,
    beliefs: Mutex<Beliefs>,
    kept: Mutex<Kept>,
    /// Of the kept ones, those that are being tried.
    in_delivery: AtomicUsize,
    wake: Notify,
    stopped: AtomicBool,
}

/// An open entry.
struct Granted {
    by: Grant,
    /// When own books took it.
    taken: Sequence,
}

/// Who granted an open entry.
enum Grant {
    /// The server, by the books of this epoch.
    Epoch(Arc<str>),
    /// Own books, or nobody.
    Unasked,
    /// It has no limits.
    Unlimited,
}

/// Whether a late answer says that the server is unwell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lateness {
    Fails,
    IsTolerated,
}

impl SharedLedger {
    /// Starts the thread that retries, and with it the first try to connect. Does not wait for it: a
    /// server that is gone is found out about by asking, and said in the log.
    pub fn new(settings: Settings, own: Arc<dyn Fallback>) -> io::Result<Self> {
        let random = crate::random::Random::seeded();
        let process = format!("{:016x}", random.next());
        let inner = Arc::new(Inner {
            asker: Asker::new(&settings.namespace, &settings.gateway, process),
            settings,
            own,
            roots: Arc::default(),
            clock: Clock::start(),
            links: Mutex::default(),
            breaker: Mutex::default(),
            age: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            grants: Mutex::default(),
            sequence: Mutex::default(),
            beliefs: Mutex::default(),
            kept: Mutex::default(),
            in_delivery: AtomicUsize::new(0),
            wake: Notify::new(),
            stopped: AtomicBool::new(false),
        });
        background::start(Arc::clone(&inner))?;
        Ok(Self { inner })
    }

    /// Takes an entry's quota from all its scopes or from none. Answers within the patience.
    pub async fn reserve(&self, entry: &Entry, now: Time) -> Result<Hold, Refusal> {
        let inner = &*self.inner;
        if limiting(entry).is_empty() {
            return Ok(inner.grant(ungauged(entry), Grant::Unlimited, now));
        }
        let deadline = after(inner.settings.patience.reserve);
        // Until the answer is known, the server may have granted what nobody would ever settle.
        let mut unsure = Unsure { inner, entry, now, is_open: true };
        let outcome = inner.ask_for(entry, deadline, now).await;
        unsure.is_open = false;
        match outcome {
            Ok(Reserved::Held { epoch, hold }) => Ok(inner.grant(*hold, Grant::Epoch(epoch), now)),
            Ok(Reserved::Refused(refusal)) => Err(refusal),
            Ok(Reserved::Unseeded | Reserved::Ended) => {
                Err(Refusal::Unavailable { retry_after: Millis::from_secs(1) })
            }
            Err(lost) => inner.decide_without(entry, &lost, now),
        }
    }

    /// Ends a hold. What the server does not take within the patience is kept and tried again. Answers
    /// with the budgets that have passed their threshold.
    pub async fn settle(&self, hold: Hold, settlement: Settlement, now: Time) -> Vec<Warning> {
        let inner = &*self.inner;
        let granted = held(&inner.grants).remove(&hold.id().0);
        let entry = hold.entry.clone();
        let (call, own_warnings) = inner.settle_own(hold, granted, &settlement, now);
        let Some(call) = call else { return own_warnings };
        let deadline = after(inner.settings.patience.settle);
        // However this future ends, the settlement does not end with it.
        let mut delivery = Delivery { inner, call: Some(call) };
        let outcome = match &delivery.call {
            Some(call) => inner.ask(call, deadline, Lateness::IsTolerated).await,
            None => return own_warnings,
        };
        match outcome {
            Ok(value) => {
                delivery.call = None;
                answered::warned(&entry, &items(&value)).unwrap_or_default()
            }
            Err(_) => own_warnings,
        }
    }

    /// Where scopes of a book stand; by this gateway's own books where the server cannot be asked.
    pub async fn report(&self, book: &Arc<str>, scopes: &[Arc<Scope>], now: Time) -> Vec<Report> {
        let inner = &*self.inner;
        let call = inner.asker.report(book, scopes, now);
        let outcome = inner.ask(&call, after(inner.settings.patience.reserve), Lateness::Fails).await;
        let reports = outcome.ok().and_then(|value| answered::reports(scopes, &items(&value)).ok());
        reports.unwrap_or_else(|| scopes.iter().map(|scope| inner.own.report(scope, now)).collect())
    }

    /// Whether the server answers, as far as is known.
    pub fn is_alive(&self) -> bool {
        held(&self.inner.breaker).is_closed()
    }

    /// What it was made of.
    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Asks the server for something that is not about limits, within a second's patience. The error is
    /// for the log.
    pub(crate) async fn ask(&self, call: &Call) -> Result<Value, String> {
        if !self.is_alive() {
            return Err("redis cannot be asked".to_owned());
        }
        let inner = &*self.inner;
        let (age, patience) = (Age(inner.age.load(Ordering::Relaxed)), Millis::from_secs(1));
        let outcome = inner.link().call(call, age, after(patience)).await;
        if outcome.is_err() {
            // It may be about this call alone. Whether the server is unwell is for a probe to say.
            let _ = inner.ask(&inner.asker.probe(), after(patience), Lateness::Fails).await;
        }
        outcome.map_err(|lost| lost.to_string())
    }

    /// Settlements that wait for the server.
    pub fn kept(&self) -> usize {
        held(&self.inner.kept).len() + self.inner.in_delivery.load(Ordering::Relaxed)
    }

    /// Settlements that were given up since too many waited.
    pub fn dropped(&self) -> u64 {
        held(&self.inner.kept).dropped()
    }

    /// Waits until nothing is kept any more, at most so long. For the end of the process.
    pub async fn drain(&self, patience: Millis) {
        let deadline = after(patience);
        while self.kept() > 0 && Instant::now() < deadline {
            self.inner.wake.notify_one();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for SharedLedger {
    fn drop(&mut self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
        self.inner.wake.notify_one();
    }
}

impl Inner {
    /// Asks for an entry's quota. The books' answer that they do not know this gateway is met once, by
    /// sending what it has spent along.
    async fn ask_for(&self, entry: &Entry, deadline: Instant, now: Time) -> Result<Reserved, Lost> {
        for _ in 0..2 {
            let own = self.own_for(entry, now);
            let call = self.asker.reserve(entry, own.as_deref(), now);
            let value = self.ask(&call, deadline, Lateness::Fails).await?;
            match answered::reserved(entry, &items(&value)).map_err(|_| strange())? {
                Reserved::Unseeded => self.forget(entry),
                Reserved::Held { epoch, hold } => {
                    self.learn(entry, &epoch);
                    return Ok(Reserved::Held { epoch, hold });
                }
                other @ (Reserved::Refused(_) | Reserved::Ended) => return Ok(other),
            }
        }
        Ok(Reserved::Unseeded)
    }

    /// One call: within the deadline, past the breaker, and only if not too many are under way.
    async fn ask(&self, call: &Call, deadline: Instant, lateness: Lateness) -> Result<Value, Lost> {
        let _place = UnderWay::enter(&self.under_way)?;
        let asked = self.clock.now();
        if let Permit::No { .. } = held(&self.breaker).may_ask(asked) {
            return Err(Lost { sent: Sent::No, late: false, cause: "the breaker is open".to_owned() });
        }
        let age = Age(self.age.load(Ordering::Relaxed));
        let outcome = self.link().call(call, age, deadline).await;
        match &outcome {
            Ok(_) => self.answered(),
            Err(lost) if lost.late && lateness == Lateness::IsTolerated => {}
            Err(lost) => self.failed(lost, asked),
        }
        outcome
    }

    fn link(&self) -> Arc<Link> {
        let mut links = held(&self.links);
        let link = links.entry(std::thread::current().id()).or_insert_with(|| {
            Arc::new(Link::new(Arc::new(self.settings.address.clone()), Arc::clone(&self.roots)))
        });
        Arc::clone(link)
    }

    fn answered(&self) {
        let change = held(&self.breaker).on_success();
        if change == Some(Change::Closed) {
            tracing::info!(server = %self.settings.address, "redis answers again: limits are shared again");
            self.wake.notify_one();
        }
    }

    fn failed(&self, lost: &Lost, asked: Time) {
        let change = held(&self.breaker).on_failure(asked, self.clock.now());
        if change == Some(Change::Opened) {
            // What is still unread on old connections is for nobody any more.
            self.age.fetch_add(1, Ordering::Relaxed);
            let Fail { budgets, limits } = self.settings.fail;
            tracing::error!(
                server = %self.settings.address, cause = %lost, ?budgets, ?limits,
                "redis cannot be asked: until it answers the modes for budgets and limits hold"
            );
            self.wake.notify_one();
        }
    }

    /// Decides while the server cannot be asked.
    fn decide_without(&self, entry: &Entry, lost: &Lost, now: Time) -> Result<Hold, Refusal> {
        let decision = match fallback::mode(self.settings.fail, entry) {
            WhenLost::Closed => Err(Refusal::Unavailable { retry_after: self.retry_after() }),
            WhenLost::Local => self.grant_alone(entry, now),
            WhenLost::Open => Ok(self.grant(ungauged(entry), Grant::Unasked, now)),
        };
        match &decision {
            Ok(_) => {
                let mut beliefs = held(&self.beliefs);
                lasting(entry).iter().for_each(|scope| beliefs.doubt(&entry.book, scope));
            }
            Err(_) if lost.sent == Sent::Perhaps => self.cancel(entry, now),
            Err(_) => {}
        }
        decision
    }

    fn retry_after(&self) -> Millis {
        // Asking would make this call the probe.
        let wait = held(&self.breaker).opens_in(self.clock.now());
        wait.max(Millis::from_secs(1))
    }

    /// Grants by own books alone.
    fn grant_alone(&self, entry: &Entry, now: Time) -> Result<Hold, Refusal> {
        let mut sequence = held(&self.sequence);
        let hold = self.own.reserve(entry.clone(), now)?;
        self.note(&mut sequence, &hold, Grant::Unasked);
        Ok(hold)
    }

    /// Notes a hold that was granted elsewhere than in own books.
    fn grant(&self, hold: Hold, by: Grant, now: Time) -> Hold {
        let mut sequence = held(&self.sequence);
        self.own.record(&hold, now);
        self.note(&mut sequence, &hold, by);
        hold
    }

    fn note(&self, sequence: &mut Sequence, hold: &Hold, by: Grant) {
        sequence.0 += 1;
        held(&self.grants).insert(hold.id().0, Granted { by, taken: *sequence });
    }

    /// Settles in own books, and says what the server is to be told.
    fn settle_own(
        &self,
        hold: Hold,
        granted: Option<Granted>,
        settlement: &Settlement,
        now: Time,
    ) -> (Option<Call>, Vec<Warning>) {
        let mut sequence = held(&self.sequence);
        sequence.0 += 1;
        let ending = match &granted {
            None => Some(Ending::Found { settlement }),
            Some(Granted { by, taken }) => match by {
                Grant::Unlimited => None,
                Grant::Epoch(epoch) => Some(Ending::Granted { epoch, taken: *taken, settlement }),
                Grant::Unasked => Some(Ending::Unasked { taken: *taken, settlement }),
            },
        };
        let call = ending.map(|ending| self.asker.settle(&hold, ending, *sequence, now));
        (call, self.own.settle(hold, settlement, now))
    }

    /// What this gateway has asked and spent in an entry's scopes, if their books may not know.
    fn own_for(&self, entry: &Entry, now: Time) -> Option<Vec<Own>> {
        let unknown = {
            let beliefs = held(&self.beliefs);
            lasting(entry).iter().any(|scope| !beliefs.knows(&entry.book, scope))
        };
        unknown.then(|| {
            let scopes: Vec<_> = limiting(entry).into_iter().map(|claim| claim.scope).collect();
            self.own_of(&scopes, now)
        })
    }

    fn own_of(&self, scopes: &[Arc<Scope>], now: Time) -> Vec<Own> {
        let sequence = held(&self.sequence);
        let own =
            |scope: &Arc<Scope>| Own { sequence: *sequence, report: self.own.report(scope, now), at: now };
        scopes.iter().map(own).collect()
    }

    fn learn(&self, entry: &Entry, epoch: &Arc<str>) {
        let mut beliefs = held(&self.beliefs);
        for scope in lasting(entry) {
            if !beliefs.knows(&entry.book, &scope) {
                beliefs.learn(&entry.book, epoch, &scope);
            }
        }
    }

    fn forget(&self, entry: &Entry) {
        let mut beliefs = held(&self.beliefs);
        lasting(entry).iter().for_each(|scope| beliefs.forget(&entry.book, scope));
    }

    fn cancel(&self, entry: &Entry, now: Time) {
        self.keep(self.asker.cancel(entry, Sequence::default(), now));
    }

    /// Keeps a settlement, to be tried again in the background.
    fn keep(&self, mut call: Call) {
        call.args.push(b"later".to_vec());
        let dropped = held(&self.kept).keep(call);
        // Powers of two: a long outage fills no log.
        if let Some(dropped) = dropped.filter(|dropped| dropped.is_power_of_two()) {
            tracing::error!(dropped, "settlements were given up: too many wait for redis");
        }
        self.wake.notify_one();
    }
}

/// The scopes whose books must survive the loss of the server's data.
fn lasting(entry: &Entry) -> Vec<Arc<Scope>> {
    let scopes = limiting(entry).into_iter().map(|claim| claim.scope);
    scopes.filter(|scope| is_lasting(&scope.limits)).collect()
}

/// Everything that is asked for, of nobody.
fn ungauged(entry: &Entry) -> Hold {
    let output = entry.ask.most_output.0.max(entry.ask.least_output.0);
    Hold { entry: entry.clone(), output, closed: Targets::NONE, standing: Standing::default() }
}

fn strange() -> Lost {
    let cause = "an answer that the script does not give: is there another version of it under this name?";
    Lost { sent: Sent::Perhaps, late: false, cause: cause.to_owned() }
}

fn after(span: Millis) -> Instant {
    Instant::now() + Duration::from_millis(span.get())
}

/// A place among the calls that are under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, Lost> {
        let place = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= MOST_UNDER_WAY {
            let cause = format!("{MOST_UNDER_WAY} calls are under way");
            return Err(Lost { sent: Sent::No, late: false, cause });
        }
        Ok(place)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A reservation whose answer is awaited. If the wait is given up, the entry is taken back.
struct Unsure<'a> {
    inner: &'a Inner,
    entry: &'a Entry,
    now: Time,
    is_open: bool,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.inner.cancel(self.entry, self.now);
        }
    }
}

/// A settlement on its way: kept, unless it arrived.
struct Delivery<'a> {
    inner: &'a Inner,
    call: Option<Call>,
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.inner.keep(call);
        }
    }
}

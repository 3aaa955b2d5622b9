//! What an exchange runs on.

use crate::alert;
use crate::answers;
use crate::clock;
#[cfg(feature = "exact-count")]
use crate::exact;
use crate::isolate::Isolate;
use crate::ledger::{self, Asker, Granted, Lost, Way, Where};
use crate::outlet::Line;
use crate::owed::Owed;
use crate::storage;
use crate::timer::LazyTimer;
use crate::upstream::Call;
use crate::usage;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::cache::{Kept, Lead, Lookup, Parting, Recall};
use tollgate_core::config::Config;
use tollgate_core::count::{Counted, Uncounted};
use tollgate_core::directory::Caller;
use tollgate_core::exchange::{Record, RequestId};
use tollgate_core::fleet::Fleet;
use tollgate_core::host::{Fetch, Host};
use tollgate_core::ledger::{Entry, Hold, Order, Refusal, Reply, Settlement};
use tollgate_core::row::Row;
use tollgate_core::units::Time;
use tollgate_edge::keeper::line;
use worker::{Context, Env, console_error};

/// The platform of one exchange.
pub(crate) struct Desk {
    pub(crate) isolate: Rc<Isolate>,
    pub(crate) env: Env,
    pub(crate) context: Rc<Context>,
    pub(crate) config: Arc<Config>,
    pub(crate) caller: Option<Arc<Caller>>,
    /// Its request's row, until it is sent.
    row: RefCell<Option<String>>,
    place: Cell<Where>,
    owed: Owed,
    line: Rc<Line>,
}

impl Desk {
    /// For a request that has been let in.
    pub(crate) fn new(
        isolate: Rc<Isolate>,
        env: Env,
        context: Rc<Context>,
        config: Arc<Config>,
        caller: Option<Arc<Caller>>,
        line: Rc<Line>,
    ) -> Self {
        let (row, place) = (RefCell::default(), Cell::new(Where::Nowhere));
        let owed = Owed::default();
        Self { isolate, env, context, config, caller, row, place, owed, line }
    }

    fn way(&self) -> Way {
        let book = self.caller.as_ref().map(|caller| &*caller.book).unwrap_or_default();
        Way::to_book(&self.env, book)
    }

    fn asks(&self) {
        self.isolate.asked.set(self.isolate.asked.get().saturating_add(1));
    }

    /// Sends what has not been sent with a settlement: the row of a request that held nothing.
    pub(crate) async fn over(&self) {
        let row = self.row.borrow_mut().take();
        let Some(row) = row else { return };
        self.asks();
        if let Err(Lost(why)) = self.way().post("/row", row.into_bytes()).await {
            console_error!("a request's record was lost: {why}");
        }
    }

    /// Its exchange has panicked: ends what that has left open.
    #[cfg(panic = "unwind")]
    pub(crate) async fn panicked(&self) {
        self.isolate.metrics.borrow_mut().lost();
        for (id, settlement) in self.owed.rest() {
            self.end(id, settlement).await;
        }
    }

    /// Something goes to an upstream.
    pub(crate) fn sends(&self) {
        self.owed.sends();
    }

    /// Ends an entry where it is held.
    async fn end(&self, id: RequestId, settlement: Settlement) {
        match self.place.get() {
            Where::Object => self.settle_there(id, settlement).await,
            Where::Isolate => {
                let now = clock::now();
                let warnings = self.isolate.own.borrow_mut().settle_entry(id, &settlement, now);
                self.warn(Reply::Settled(warnings));
            }
            Where::Nowhere => {}
        }
    }

    /// Ends an entry in the object. What is lost is tried again behind the answer.
    async fn settle_there(&self, id: RequestId, settlement: Settlement) {
        let order = Order::Settle { id, settlement };
        let row = self.row.borrow_mut().take();
        let way = self.way();
        self.asks();
        match way.order(&order, row.as_deref()).await {
            Ok(reply) => self.warn(reply),
            Err(Lost(why)) => {
                console_error!("a settlement is tried again: {why}");
                self.context.wait_until(async move {
                    if let Err(Lost(why)) = way.insist(&order, row.as_deref()).await {
                        console_error!(
                            "a settlement was lost, and its lease will charge all that was held: {why}"
                        );
                    }
                });
            }
        }
    }

    fn warn(&self, reply: Reply) {
        if let Reply::Settled(warnings) = reply
            && !warnings.is_empty()
        {
            alert::send(&self.context, &self.config, warnings);
        }
    }
}

impl Host for Desk {
    type Upstream = Call;
    type Timer = LazyTimer;

    fn now(&self) -> Time {
        clock::now()
    }

    fn random(&self) -> u64 {
        self.isolate.random().next()
    }

    fn fetch(&self, request: Fetch) -> Call {
        #[cfg(feature = "panics")]
        crate::panics::at("before-it-is-sent", &request.body);
        self.sends();
        Call::within(&self.env, request, &self.line)
    }

    fn timer(&self) -> LazyTimer {
        LazyTimer::default()
    }

    fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R {
        act(&mut self.isolate.fleet.borrow_mut())
    }

    async fn reserve(&self, entry: Entry) -> Result<Hold, Refusal> {
        let key = self.caller.as_ref().map(|caller| caller.key.name.as_str()).unwrap_or_default();
        let (isolate, context, way) = (&self.isolate, &*self.context, &self.way());
        let asker = Asker { isolate, context, way, key, fail: self.config.store.fail };
        let granted = ledger::reserve(&asker, entry).await;
        granted.map(|Granted { hold, place }| {
            self.place.set(place);
            self.owed.holds(&hold);
            hold
        })
    }

    async fn settle(&self, hold: Hold, settlement: Settlement) {
        self.owed.ends(hold.id());
        self.end(hold.id(), settlement).await;
    }

    async fn count(&self, text: Uncounted) -> Counted {
        let gauge = &self.isolate.gauge;
        #[cfg(feature = "exact-count")]
        let counted = exact::count(&text, gauge);
        #[cfg(not(feature = "exact-count"))]
        let counted = gauge.count(&text);
        counted
    }

    async fn recall(&self, lookup: Lookup) -> Recall {
        answers::recall(&self.isolate, &self.env, lookup).await
    }

    async fn keep(&self, kept: Kept) {
        answers::keep(&self.isolate, &self.env, &self.context, kept, self.config.cache.max_size);
    }

    async fn resign(&self, lead: Lead, parting: Parting) {
        answers::resign(&self.isolate, lead, parting);
    }

    fn log(&self, record: Record) {
        self.isolate.metrics.borrow_mut().ended(&record);
        let Some(row) = Row::of(&record) else { return };
        usage::send(self.isolate.bound(&self.env), &self.env, &self.context, &row);
        *self.row.borrow_mut() = Some(storage::written(line(&row)).to_string());
    }
}

//! What an exchange runs on.

use crate::fetch::Call;
use crate::gateway::Gateway;
use crate::ledger::{Asked, Owed};
use crate::timer::Timer;
use crate::trouble;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
#[cfg(feature = "key-value")]
use tollgate_core::cache::{Kept, Lookup, Recall};
use tollgate_core::count::{Counted, Uncounted};
use tollgate_core::exchange::Record;
use tollgate_core::fleet::Fleet;
use tollgate_core::host::{Fetch, Host};
use tollgate_core::ledger::{Entry, Hold, Refusal, Settlement};
use tollgate_core::row::Row;
use tollgate_core::units::Time;

/// Before each further try to settle.
const PAUSES: [u64; 6] = [50, 200, 1000, 3000, 8000, 20_000];

/// One exchange's platform.
pub(crate) struct Platform {
    gateway: Rc<Gateway>,
    /// What remains of the exchange, once it is over.
    record: RefCell<Option<Record>>,
    /// What the ledger has not taken yet.
    owed: RefCell<Vec<Owed>>,
}

impl Platform {
    /// For an exchange that is about to begin.
    pub(crate) fn new(gateway: Rc<Gateway>) -> Self {
        Self { gateway, record: RefCell::default(), owed: RefCell::default() }
    }

    /// The exchange is over, and nobody waits any more: settles what is owed. What the ledger does not
    /// take in half a minute it charges itself, in full, when the lease is over.
    pub(crate) async fn over(&self) {
        let record = self.record.borrow_mut().take();
        if let Some(row) = record.as_ref().and_then(Row::of) {
            self.keep(&row).await;
        }
        self.settle_rest().await;
        self.gateway.upkeep().await;
        self.gateway.ring().await;
    }

    async fn keep(&self, row: &Row) {
        for pause in PAUSES {
            match self.gateway.desk.record(row).await {
                Ok(()) => return,
                Err(_) => spin_sdk::time::sleep(Duration::from_millis(pause)).await,
            }
        }
        trouble::say("the record of a request could not be kept: it is missing in what was spent");
    }

    async fn settle_rest(&self) {
        let ledger = self.gateway.ledger();
        for pause in PAUSES {
            let owed = std::mem::take(&mut *self.owed.borrow_mut());
            for owed in owed {
                match ledger.settle(owed).await {
                    Ok(warnings) => self.gateway.warn(warnings),
                    Err(owed) => self.owed.borrow_mut().push(*owed),
                }
            }
            if self.owed.borrow().is_empty() {
                return;
            }
            spin_sdk::time::sleep(Duration::from_millis(pause)).await;
        }
        trouble::say("the ledger has not taken a settlement: it is charged in full when its lease is over");
    }
}

impl Host for Platform {
    type Upstream = Call;
    type Timer = Timer;

    fn now(&self) -> Time {
        self.gateway.clock.now()
    }

    fn random(&self) -> u64 {
        self.gateway.random.next()
    }

    fn fetch(&self, request: Fetch) -> Call {
        Call::new(request)
    }

    fn timer(&self) -> Timer {
        Timer::new(self.gateway.clock)
    }

    fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R {
        act(&mut self.gateway.fleet.borrow_mut())
    }

    async fn reserve(&self, entry: Entry) -> Result<Hold, Refusal> {
        let Asked { answer, unsure } = self.gateway.ledger().reserve(entry).await;
        self.owed.borrow_mut().extend(unsure);
        answer
    }

    async fn settle(&self, hold: Hold, settlement: Settlement) {
        match self.gateway.ledger().settle(Owed { hold, settlement }).await {
            Ok(warnings) => self.gateway.warn(warnings),
            Err(owed) => self.owed.borrow_mut().push(*owed),
        }
    }

    async fn count(&self, text: Uncounted) -> Counted {
        self.gateway.gauge.count(&text)
    }

    #[cfg(feature = "key-value")]
    async fn recall(&self, lookup: Lookup) -> Recall {
        crate::cache::recall(lookup, self.now()).await
    }

    #[cfg(feature = "key-value")]
    async fn keep(&self, kept: Kept) {
        crate::cache::keep(kept).await;
    }

    fn log(&self, record: Record) {
        self.gateway.metrics.borrow_mut().ended(&record);
        *self.record.borrow_mut() = Some(record);
    }
}

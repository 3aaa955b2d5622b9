//! What an exchange runs on.

use crate::fetch::Call;
use crate::gateway::Gateway;
use crate::timer::Timer;
use std::cell::RefCell;
use std::rc::Rc;
use tollgate_core::count::{Counted, Uncounted};
use tollgate_core::exchange::Record;
use tollgate_core::fleet::Fleet;
use tollgate_core::host::{Fetch, Host};
use tollgate_core::ledger::{Entry, Hold, Refusal, Settlement};
use tollgate_core::units::Time;

/// One exchange's platform.
pub(crate) struct Platform {
    /// The instance's.
    pub(crate) gateway: Rc<Gateway>,
    /// What remains of the exchange, once it is over.
    pub(crate) record: RefCell<Option<Record>>,
}

impl Platform {
    /// For an exchange that is about to begin.
    pub(crate) fn new(gateway: Rc<Gateway>) -> Self {
        Self { gateway, record: RefCell::default() }
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
        self.gateway.ledger.reserve(entry, self.now()).await
    }

    async fn settle(&self, hold: Hold, settlement: Settlement) {
        let _warnings = self.gateway.ledger.settle(hold, &settlement, self.now()).await;
    }

    async fn count(&self, text: Uncounted) -> Counted {
        self.gateway.gauge.count(&text)
    }

    fn log(&self, record: Record) {
        self.gateway.metrics.borrow_mut().ended(&record);
        *self.record.borrow_mut() = Some(record);
    }
}

//! What an exchange runs on.

use crate::clock;
use crate::isolate::Isolate;
use crate::timer::LazyTimer;
use crate::upstream::Call;
use std::cell::RefCell;
use std::rc::Rc;
use tollgate_core::count::{Counted, Uncounted};
use tollgate_core::exchange::Record;
use tollgate_core::fleet::Fleet;
use tollgate_core::host::{Fetch, Host};
use tollgate_core::ledger::{Entry, Hold, Refusal, Settlement};
use tollgate_core::units::{Millis, Time};

/// The platform of one exchange.
pub(crate) struct Desk {
    pub(crate) isolate: Rc<Isolate>,
    pub(crate) record: RefCell<Option<Record>>,
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
        Call::new(request)
    }

    fn timer(&self) -> LazyTimer {
        LazyTimer::default()
    }

    fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R {
        act(&mut self.isolate.fleet.borrow_mut())
    }

    async fn reserve(&self, _: Entry) -> Result<Hold, Refusal> {
        Err(Refusal::Unavailable { retry_after: Millis::from_secs(1) })
    }

    async fn settle(&self, _: Hold, _: Settlement) {}

    async fn count(&self, text: Uncounted) -> Counted {
        self.isolate.gauge.count(&text)
    }

    fn log(&self, record: Record) {
        self.isolate.metrics.borrow_mut().ended(&record);
        *self.record.borrow_mut() = Some(record);
    }
}

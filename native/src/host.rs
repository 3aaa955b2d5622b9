//! The platform an exchange runs on: one per worker.

use crate::alert;
use crate::api::{Bell, Office};
use crate::aside::aside;
use crate::cache::Answers;
use crate::clock::{self, Clock};
use crate::flight::Aloft;
use crate::hearsay::Hearsay;
use crate::jwks::Issuers;
use crate::ledger::Ledgers;
use crate::lend::Lenders;
use crate::random::Random;
use crate::share::Share;
use crate::store::Store;
use crate::timer::LazyTimer;
use crate::upstream::Call;
use crate::upstream::pool::{Outside, Pool};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tollgate_core::cache::{Kept, Lead, Lookup, Parting, Recall};
use tollgate_core::config::Config;
use tollgate_core::count::{Counted, Gauge, Uncounted};
use tollgate_core::directory::Directory;
use tollgate_core::exchange::{Exchange, Input, Record};
use tollgate_core::fleet::{Choice, Fleet};
use tollgate_core::host::{Fetch, Host};
use tollgate_core::ledger::{Entry, Hold, Refusal, Settlement};
use tollgate_core::media::{Fetched, Wanted};
use tollgate_core::metrics::Metrics;
use tollgate_core::row::Row;
use tollgate_core::units::Time;

/// What all workers of a process share.
pub struct Shared {
    /// The config for requests that come now. Each keeps the one it came under.
    pub config: ArcSwap<Config>,
    /// How connections are encrypted, if they are.
    pub tls: ArcSwapOption<rustls::ServerConfig>,
    /// Who there is.
    pub directory: RwLock<Directory>,
    /// Whose keys are fetched.
    pub issuers: Issuers,
    /// Keys that are lent.
    pub lenders: Arc<Lenders>,
    /// How bytes become tokens.
    pub gauge: Arc<Gauge>,
    /// What has been learned of the upstreams.
    pub fleet: Mutex<Fleet>,
    /// What keys have used and hold.
    pub ledger: Ledgers,
    /// Answers that are kept.
    pub answers: Answers,
    /// What `/metrics` tells.
    pub metrics: Mutex<Metrics>,
    /// Proxies and roots.
    pub outside: Arc<Outside>,
    /// The admin API.
    pub office: Office<Arc<Store>, Bell>,
    /// What other gateways are to know.
    pub share: Share,
    /// What is known of other gateways' spend.
    pub hearsay: Hearsay,
    /// Who there is, what was done and what was spent.
    pub store: Arc<Store>,
    /// Hears of budgets that run out.
    pub alarm: alert::Bell,
    /// The time.
    pub clock: Clock,
}

impl Shared {
    /// Whether calls can be taken as they are meant to be: limits kept, keys and spend stored, and all
    /// keys known.
    pub fn is_ready(&self) -> bool {
        self.store.is_writable() && self.ledger.is_ready() && self.directory().knows_others()
    }

    /// Who there is, to look up.
    pub fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who there is, to change.
    pub fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's own platform.
pub struct Native {
    /// What it shares with the other workers.
    pub shared: Arc<Shared>,
    /// Its upstream connections.
    pub pool: Pool,
    /// Its randomness.
    pub random: Random,
    /// Its exchanges in progress.
    pub aloft: Aloft,
}

impl Native {
    /// A platform without connections.
    pub fn new(shared: Arc<Shared>) -> Self {
        let pool = Pool::new(Arc::clone(&shared.outside));
        Self { shared, pool, random: Random::seeded(), aloft: Aloft::default() }
    }
}

impl Host for Native {
    type Upstream = Call;
    type Timer = LazyTimer;

    fn now(&self) -> Time {
        self.shared.clock.now()
    }

    fn wall(&self) -> Time {
        clock::wall()
    }

    fn random(&self) -> u64 {
        self.random.next()
    }

    fn fetch(&self, request: Fetch) -> Call {
        let Some(source) = request.source() else { return Call::new(&self.pool, request) };
        let lenders = Arc::clone(&self.shared.lenders);
        match lenders.at_hand(source) {
            Some(lent) => Call::new(&self.pool, request.lent(&lent, clock::wall())),
            None => {
                let (source, outside) = (Arc::clone(source), Arc::clone(&self.shared.outside));
                let lend = Box::pin(async move { lenders.lend(source, outside).await });
                Call::lending(&self.pool, request, lend)
            }
        }
    }

    fn timer(&self) -> LazyTimer {
        LazyTimer::new(self.shared.clock)
    }

    fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R {
        act(&mut held(&self.shared.fleet))
    }

    async fn chosen(&self, mut exchange: Box<Exchange>, choice: Choice, now: Time) -> Box<Exchange> {
        let size = exchange.size();
        let work = move || {
            exchange.on(Input::Chosen(choice), now);
            exchange
        };
        aside(size, work).await
    }

    async fn reserve(&self, entry: Entry) -> Result<Hold, Refusal> {
        self.shared.ledger.reserve(entry, self.now()).await
    }

    async fn settle(&self, hold: Hold, settlement: Settlement) {
        let warnings = self.shared.ledger.settle(hold, settlement, self.now()).await;
        self.shared.alarm.ring(warnings);
    }

    async fn fetch_media(&self, wanted: Wanted) -> Vec<Fetched> {
        crate::media::fetch(&self.shared.outside, wanted).await
    }

    async fn count(&self, text: Uncounted) -> Counted {
        crate::count::count(text, &self.shared.gauge).await
    }

    async fn recall(&self, lookup: Lookup) -> Recall {
        self.shared.answers.recall(lookup, self.now()).await
    }

    async fn keep(&self, kept: Kept) {
        let most = self.shared.config.load().cache.max_size;
        self.shared.answers.keep(kept, most);
    }

    async fn resign(&self, lead: Lead, parting: Parting) {
        self.shared.answers.resign(lead, parting);
    }

    fn log(&self, record: Record) {
        held(&self.shared.metrics).ended(&record);
        self.shared.store.record(&record);
        tracing::debug!(?record, "request");
    }

    async fn end(&self, record: Box<Record>, hold: Hold, settlement: Settlement) {
        let Shared { ledger, store, metrics, alarm, .. } = &*self.shared;
        let Ledgers::Alone(own) = ledger else {
            self.log(*record);
            return self.settle(hold, settlement).await;
        };
        held(metrics).ended(&record);
        alarm.ring(own.end(hold, settlement, Row::of(&record), store, self.now()));
        tracing::debug!(?record, "request");
    }
}

/// What all workers share, for a moment. What a panicking thread left behind is at worst a count that
/// is off by one.
pub(crate) fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::Slot;
    use tollgate_core::drive::drive;
    use tollgate_core::exchange::Exchange;

    #[test]
    fn the_drivers_future_is_one_of_this_host() {
        fn drives<'a>(
            exchange: Box<Exchange>,
            host: &'a Native,
            slot: &'a Slot,
        ) -> impl Future<Output = ()> + use<'a> {
            drive(exchange, host, slot)
        }
        // That this compiles is the fact.
        let _ = drives;
    }
}

//! What an isolate keeps between requests: plain values only. Whatever belongs to a request (promises,
//! timers, bindings) belongs to that request alone and must not be kept here.

use crate::bound::Bound;
use crate::entropy;
use crate::issuers::Fetched;
use crate::people::Known;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::cache::Memory;
use tollgate_core::count::Gauge;
use tollgate_core::directory::Directory;
use tollgate_core::fleet::Fleet;
use tollgate_core::ledger::Ledger;
use tollgate_core::metrics::Metrics;
use tollgate_edge::lease::Leases;
use tollgate_edge::random::Random;
use worker::Env;

/// An isolate's memory.
#[derive(Default)]
pub(crate) struct Isolate {
    bound: OnceCell<Bound>,
    /// The config as it was last read.
    pub(crate) settings: RefCell<Option<crate::settings::Settings>>,
    /// Who there is.
    pub(crate) directory: RefCell<Directory>,
    /// What has been learned of the upstreams.
    pub(crate) fleet: RefCell<Fleet>,
    /// Who is stored in the registry, as it was last read.
    pub(crate) known: RefCell<Known>,
    /// When keys of tokens' issuers were fetched.
    pub(crate) issuers: RefCell<Fetched>,
    /// Limits of calls whose book could not be asked.
    pub(crate) own: RefCell<Ledger>,
    /// Quota that was taken in advance.
    pub(crate) leases: RefCell<Leases>,
    /// Answers that are kept here, and who waits for one.
    pub(crate) answers: RefCell<Memory>,
    /// How bytes become tokens.
    pub(crate) gauge: Arc<Gauge>,
    /// What `/metrics` tells: of this isolate.
    pub(crate) metrics: RefCell<Metrics>,
    /// What calls have asked of books.
    pub(crate) asked: Cell<u64>,
    random: OnceCell<Random>,
}

thread_local! {
    static HERE: Rc<Isolate> = Rc::default();
}

impl Isolate {
    /// This one.
    pub(crate) fn here() -> Rc<Self> {
        HERE.with(Rc::clone)
    }

    /// What `/metrics` tells.
    pub(crate) fn told(&self) -> String {
        let asked = self.asked.get();
        self.metrics.borrow().render()
            + &format!(
                "# HELP tollgate_ledger_requests_total What calls have asked of Durable Objects.\n\
                 # TYPE tollgate_ledger_requests_total counter\n\
                 tollgate_ledger_requests_total {asked}\n"
            )
    }

    /// What the Worker was deployed with.
    pub(crate) fn bound(&self, env: &Env) -> Bound {
        *self.bound.get_or_init(|| Bound::of(env))
    }

    /// Numbers for spreading load and naming requests.
    pub(crate) fn random(&self) -> &Random {
        self.random.get_or_init(|| Random::seeded(entropy::bytes()))
    }
}

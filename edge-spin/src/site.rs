//! The gateway, as the admin API sees it.

use crate::desk::Desk;
use crate::gateway::Gateway;
use crate::ledger::Lost;
use crate::trouble;
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::api::Change;
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::Directory;
use tollgate_core::fleet::LaneReport;
use tollgate_core::ledger::{Report, Scope};
use tollgate_core::limit::Budget;
use tollgate_core::units::{NanoDollars, Time};
use tollgate_edge::arrears;
use tollgate_edge::document::Problem;
use tollgate_edge::office::{Site, Unkept};

/// The gateway, for one request to its admin API.
pub(crate) struct Here {
    /// The instance's.
    pub(crate) gateway: Rc<Gateway>,
    /// Nobody else has these bytes.
    pub(crate) entropy: [u8; 32],
}

impl Here {
    /// Secrets of new keys are made of fresh bytes.
    pub(crate) fn new(gateway: Rc<Gateway>) -> Result<Self, Problem> {
        Ok(Self { gateway, entropy: trouble::entropy()? })
    }
}

impl Site for Here {
    type Keeper = Desk;

    fn keeper(&self) -> &Desk {
        &self.gateway.desk
    }

    fn now(&self) -> Time {
        self.gateway.clock.now()
    }

    fn entropy(&self) -> [u8; 32] {
        // A plan that is made anew is made of other bytes; where there are none, of those nobody has seen.
        trouble::entropy().unwrap_or(self.entropy)
    }

    fn config(&self) -> Arc<Config> {
        self.gateway.config()
    }

    fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gateway.gauge)
    }

    fn with_directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        self.gateway.with_directory(act)
    }

    async fn catch_up(&self) -> Result<(), Unkept> {
        self.gateway.catch_up().await
    }

    // Other instances look at the log before each request.
    async fn changed(&self, changes: &[Change]) {
        if !self.gateway.ledger().is_shared() {
            arrears::of_changes(self, changes).await.iter().for_each(|line| trouble::say(line));
        }
    }

    async fn reports(&self, book: &Arc<str>, scopes: &[Arc<Scope>]) -> Result<Vec<Report>, Unkept> {
        let reports = self.gateway.ledger().reports(book, scopes).await;
        reports.map_err(|Lost(why)| Unkept::Gone(why))
    }

    async fn credit(
        &self,
        book: &Arc<str>,
        scope: &Arc<Scope>,
        budget: &Budget,
        spent: NanoDollars,
    ) -> Result<(), Unkept> {
        let credited = self.gateway.ledger().credit(book, scope, budget, spent).await;
        credited.map_err(|Lost(why)| Unkept::Gone(why))
    }

    fn upstreams(&self) -> Vec<LaneReport> {
        self.gateway.fleet.borrow().report(self.now())
    }

    async fn reload(&self) -> Vec<String> {
        match self.gateway.reload().await {
            Ok(()) => Vec::new(),
            Err(Problem(line)) => vec![line],
        }
    }
}

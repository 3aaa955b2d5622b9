//! The admin API's execution: performs what core has planned.
//!
//! ```text
//!   body ─▶ plan ─▶ Answer ───────────────────────────────────────▶ answer
//!            │  └──▶ Commit ─▶ keeper, then the directory ──────────▶ its answer
//!            │         └── behind: somebody else was first ─▶ catch up, plan again
//!            └─────▶ question ─▶ keeper, ledger, fleet ─▶ render ───▶ answer
//! ```
//! 1. What is planned is true when it is kept: the keeper takes a commit only on top of the log the plan
//!    was made by.
//! 2. The directory takes up what the keeper has, and nothing else.

use bytes::Bytes;
use http::Response;
use std::sync::Arc;
use tollgate_core::admit::Desk;
use tollgate_core::api::audit::Gap;
use tollgate_core::api::{
    Ask, AuditLine, AuditQuery, Change, Commit, Deed, Knock, Plan, RequestQuery, RequestRow, SpendQuery,
    SpendRow, plan, render,
};
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::Directory;
use tollgate_core::fault::{Code, Fault};
use tollgate_core::fleet::LaneReport;
use tollgate_core::ledger::{Report, Scope};
use tollgate_core::limit::Budget;
use tollgate_core::units::{Millis, NanoDollars, Time};

/// How often a change is planned anew because somebody else was first.
const ATTEMPTS: usize = 5;

/// What keeps entries, deeds and requests. Nothing is done by half.
pub trait Keeper {
    /// Keeps all changes and the deed, or none of it. Ready when they would outlive the instance.
    fn commit(&self, changes: &[Change], deed: &Deed) -> impl Future<Output = Result<(), Unkept>>;
    /// What was spent.
    fn spend(&self, query: &SpendQuery) -> impl Future<Output = Result<Vec<SpendRow>, Unkept>>;
    /// Requests, the newest first.
    fn requests(&self, query: &RequestQuery) -> impl Future<Output = Result<Vec<RequestRow>, Unkept>>;
    /// Lines of the audit log, the newest first.
    fn audit(&self, query: &AuditQuery) -> impl Future<Output = Result<Vec<AuditLine>, Unkept>>;
    /// The whole audit log through [`tollgate_core::api::audit::verify`].
    fn verify(&self) -> impl Future<Output = Result<Result<u64, Gap>, Unkept>>;
}

/// Why the keeper did not do it, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// Something was committed that this one does not know of.
    Behind,
    /// It cannot be used now.
    Gone(String),
}

/// What the admin API is about on a platform.
pub trait Site {
    /// What keeps.
    type Keeper: Keeper;

    /// What keeps.
    fn keeper(&self) -> &Self::Keeper;
    /// The time.
    fn now(&self) -> Time;
    /// Fresh and unpredictable each time: makes the secrets of new keys.
    fn entropy(&self) -> [u8; 32];
    /// The config.
    fn config(&self) -> Arc<Config>;
    /// How bytes become tokens.
    fn gauge(&self) -> Arc<Gauge>;
    /// Who there is. Not kept across an await.
    fn with_directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R;
    /// Brings the directory up to what the keeper has. Before a plan, and when one was behind.
    fn catch_up(&self) -> impl Future<Output = Result<(), Unkept>>;
    /// Changes have been kept, and the directory has them: others are to know.
    fn changed(&self, changes: &[Change]) -> impl Future<Output = ()>;
    /// Where scopes of one book stand, in their order.
    fn reports(
        &self,
        book: &Arc<str>,
        scopes: &[Arc<Scope>],
    ) -> impl Future<Output = Result<Vec<Report>, Unkept>>;
    /// Makes what is spent of a scope's budget at least this.
    fn credit(
        &self,
        book: &Arc<str>,
        scope: &Arc<Scope>,
        budget: &Budget,
        spent: NanoDollars,
    ) -> impl Future<Output = Result<(), Unkept>>;
    /// What this instance has learned of the upstreams.
    fn upstreams(&self) -> Vec<LaneReport>;
    /// Reads the config again: what is wrong with it, each in a line; empty: it has been taken up.
    fn reload(&self) -> impl Future<Output = Vec<String>>;
}

/// Answers a request that has been let in.
pub async fn answer<S: Site>(site: &S, knock: &Knock, body: &[u8]) -> Response<Bytes> {
    match serve(site, knock, body).await {
        Ok(answer) => knock.finish(answer),
        Err(fault) => knock.refuse(&fault),
    }
}

async fn serve<S: Site>(site: &S, knock: &Knock, body: &[u8]) -> Result<Response<Bytes>, Fault> {
    for _ in 0..ATTEMPTS {
        site.catch_up().await.map_err(gone)?;
        let planned = planned(site, knock, body);
        let Plan::Commit(commit) = planned else { return perform(site, planned).await };
        let Commit { changes, deed, answer } = *commit;
        match site.keeper().commit(&changes, &deed).await {
            Ok(()) => {
                take_up(site, &changes)?;
                site.changed(&changes).await;
                return Ok(answer);
            }
            Err(Unkept::Behind) => {}
            Err(unkept @ Unkept::Gone(_)) => return Err(gone(unkept)),
        }
    }
    Err(gone(Unkept::Behind))
}

fn planned<S: Site>(site: &S, knock: &Knock, body: &[u8]) -> Plan {
    let (config, gauge, now, entropy) = (site.config(), site.gauge(), site.now(), site.entropy());
    site.with_directory(|directory| {
        let desk = Desk { config: &config, directory, gauge: &gauge, peer: None };
        plan(&Ask { knock, body }, &desk, now, entropy)
    })
}

fn take_up<S: Site>(site: &S, changes: &[Change]) -> Result<(), Fault> {
    let config = site.config();
    site.with_directory(|directory| {
        changes.iter().try_for_each(|change| directory.apply(change, &config)).map_err(|aside| {
            let what = format!("{}:{} was kept and cannot be read", aside.kind.name(), aside.name);
            Fault::new(Code::Bug, what)
        })
    })
}

async fn perform<S: Site>(site: &S, planned: Plan) -> Result<Response<Bytes>, Fault> {
    let keeper = site.keeper();
    Ok(match planned {
        Plan::Answer(answer) => answer,
        Plan::Commit(_) => return Err(Fault::new(Code::Bug, "a change came where a question was expected")),
        Plan::Spend(ask) => {
            let rows = keeper.spend(&ask.query).await.map_err(gone)?;
            render::spend(*ask, &rows)
        }
        Plan::Requests(query) => render::requests(query.limit, &keeper.requests(&query).await.map_err(gone)?),
        Plan::Limits(ask) => {
            let reports = site.reports(&ask.book, &ask.scopes).await.map_err(gone)?;
            render::limits(*ask, &reports)
        }
        Plan::Upstreams => render::upstreams(&site.upstreams()),
        Plan::Reload(deed) => {
            let problems = site.reload().await;
            if problems.is_empty() {
                keeper.commit(&[], &deed).await.map_err(gone)?;
            }
            render::reload(&problems)
        }
        Plan::Audit(query) => render::audit(query.limit, &keeper.audit(&query).await.map_err(gone)?),
        Plan::Verify => render::verified(keeper.verify().await.map_err(gone)?),
    })
}

fn gone(unkept: Unkept) -> Fault {
    let why = match unkept {
        Unkept::Behind => "others are changing it all the time".to_owned(),
        Unkept::Gone(why) => why,
    };
    let fault = Fault::new(Code::StoreUnavailable, format!("the store cannot be used now: {why}"));
    fault.retry_after(Millis::from_secs(1))
}

//! The admin API's execution: performs what core has planned.
//!
//! ```text
//!   body ─▶ plan ─▶ Answer ───────────────────────────────────────▶ answer
//!            │  └──▶ Commit ─▶ keeper, then the directory ──────────▶ its answer
//!            └─────▶ question ─▶ keeper, ledger, fleet ─▶ render ───▶ answer
//! ```
//! 1. One change at a time: a plan and its commit see the same directory.
//! 2. The directory takes up what the keeper has, and nothing else.

#[cfg(test)]
mod tests;

use crate::arrears;
use crate::body;
use crate::follow;
use crate::host::{Shared, held};
use crate::ledger::Ledgers;
use crate::store::{OthersDays, Spent};
use bytes::Bytes;
use http::Response;
use http_body::Body;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};
use tollgate_core::admit::Desk;
use tollgate_core::api::audit::Gap;
use tollgate_core::api::shape::MOST_BYTES;
use tollgate_core::api::{
    Ask, AuditLine, AuditQuery, Change, Commit, Deed, Kind, Knock, Others, Plan, RequestQuery, RequestRow,
    SpendQuery, SpendRow, plan, render,
};
use tollgate_core::directory::Directory;
use tollgate_core::fault::{Code, Fault};
use tollgate_core::ledger::{Report, Scope};
use tollgate_core::units::{Millis, Time};

/// What keeps entries, deeds and requests. Each may fail with a reason, which the client is told as
/// `store_unavailable`; nothing is done by half.
pub trait Keeper {
    /// Keeps all changes and the deed, or none of it. Ready when they would outlive the process.
    fn commit(&self, changes: Vec<Change>, deed: Deed) -> impl Future<Output = Result<(), Unkept>>;
    /// What was spent.
    fn spend(&self, query: SpendQuery) -> impl Future<Output = Result<Vec<SpendRow>, Unkept>>;
    /// What was spent, here and where it was heard that other gateways did.
    fn spend_of_all(&self, query: SpendQuery) -> impl Future<Output = Result<Spent, Unkept>>;
    /// Requests, the newest first.
    fn requests(&self, query: RequestQuery) -> impl Future<Output = Result<Vec<RequestRow>, Unkept>>;
    /// Lines of the audit log, the newest first.
    fn audit(&self, query: AuditQuery) -> impl Future<Output = Result<Vec<AuditLine>, Unkept>>;
    /// The whole audit log through [`tollgate_core::api::audit::verify`].
    fn verify(&self) -> impl Future<Output = Result<Result<u64, Gap>, Unkept>>;
}

/// Why the keeper did not do it, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept(pub String);

/// Where limits stand.
pub trait Gauges {
    /// One report for each scope, in their order.
    fn reports(
        &self,
        book: &Arc<str>,
        scopes: &[Arc<Scope>],
        now: Time,
    ) -> impl Future<Output = Result<Vec<Report>, Unkept>>;
}

impl Gauges for Shared {
    async fn reports(
        &self,
        book: &Arc<str>,
        scopes: &[Arc<Scope>],
        now: Time,
    ) -> Result<Vec<Report>, Unkept> {
        Ok(self.ledger.reports(book, scopes, now).await)
    }
}

/// Reads the config again.
pub trait Reread {
    /// What is wrong with it, each in a line; empty: it has been taken up.
    fn reread(&self) -> impl Future<Output = Problems>;
}

/// What is wrong with a config that was read again.
type Problems = Vec<String>;

/// Whoever reads the config again for those who ring.
#[derive(Debug, Default)]
pub struct Bell(OnceLock<mpsc::UnboundedSender<oneshot::Sender<Problems>>>);

/// Where rings are heard.
pub type Rings = mpsc::UnboundedReceiver<oneshot::Sender<Problems>>;

impl Bell {
    /// Whoever has this answers from now on; only the first who asks for it does.
    pub fn hang(&self) -> Rings {
        let (sender, rings) = mpsc::unbounded_channel();
        let _ = self.0.set(sender);
        rings
    }
}

impl Reread for Bell {
    async fn reread(&self) -> Problems {
        let deaf = || vec!["nobody here reads the config again".to_owned()];
        let (reply, answer) = oneshot::channel();
        match self.0.get().map(|sender| sender.send(reply)) {
            Some(Ok(())) => answer.await.unwrap_or_else(|_| deaf()),
            Some(Err(_)) | None => deaf(),
        }
    }
}

/// The admin API of a process: what all its workers share.
#[derive(Debug, Default)]
pub struct Office<K, R> {
    /// What keeps.
    pub keeper: K,
    /// What reads the config.
    pub reread: R,
    /// One change at a time.
    changing: Mutex<()>,
}

/// Answers a request that has been let in. What it changes is done to its end, also when the client
/// leaves in the middle: the directory must not miss what the keeper has.
pub async fn answer<B>(shared: &Arc<Shared>, knock: Box<Knock>, body: B) -> Response<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
{
    let body = match body::read(body, MOST_BYTES as u64).await {
        Ok(body) => body,
        Err(fault) => return knock.refuse(&fault),
    };
    let (office, asked) = (Arc::clone(shared), knock.clone());
    let task = tokio::task::spawn_local(async move { office.office.serve(&asked, &body, &office).await });
    match task.await {
        Ok(Ok(answer)) => knock.finish(answer),
        Ok(Err(fault)) => knock.refuse(&fault),
        Err(_) => knock.refuse(&Fault::new(Code::Bug, "the gateway has no answer")),
    }
}

impl<K: Keeper, R: Reread> Office<K, R> {
    /// Nobody is changing anything.
    pub fn new(keeper: K, reread: R) -> Self {
        Self { keeper, reread, changing: Mutex::new(()) }
    }

    /// Nobody changes anything as long as this is held.
    pub async fn still(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Does what a request asks for.
    pub async fn serve(&self, knock: &Knock, body: &[u8], shared: &Shared) -> Result<Response<Bytes>, Fault> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)
            .map_err(|error| Fault::new(Code::Bug, format!("the system gives no random bytes: {error}")))?;
        let now = shared.clock.now();
        // Held to the end of a commit, so that what was planned is true when it is done.
        let changing = self.still().await;
        // What cannot be read can most likely not be written either, and then that is told.
        let _ = follow::take_up(shared).await;
        let planned = {
            let config = shared.config.load_full();
            let directory = shared.directory();
            let desk = Desk { config: &config, directory: &directory, gauge: &shared.gauge, peer: None };
            plan(&Ask { knock, body }, &desk, now, entropy)
        };
        if let Plan::Commit(commit) = planned {
            return self.commit(*commit, shared).await;
        }
        drop(changing);
        self.perform(planned, shared, now).await
    }

    async fn commit(&self, commit: Commit, shared: &Shared) -> Result<Response<Bytes>, Fault> {
        let Commit { changes, deed, answer } = commit;
        self.keeper.commit(changes.clone(), deed).await.map_err(gone)?;
        // Before anybody draws on them: what is spent from then on comes on top.
        arrears::of_changes(&self.keeper, &changes, shared, shared.clock.now()).await;
        shared.share.tell(&changes);
        let config = shared.config.load_full();
        let mut directory = shared.directory_mut();
        for change in &changes {
            directory.apply(change, &config).map_err(|aside| {
                let what = format!("{}:{} was kept and cannot be read", aside.kind.name(), aside.name);
                Fault::new(Code::Bug, what)
            })?;
        }
        drop(directory);
        forget_gone(&changes, shared);
        Ok(answer)
    }

    async fn perform(&self, planned: Plan, shared: &Shared, now: Time) -> Result<Response<Bytes>, Fault> {
        Ok(match planned {
            Plan::Answer(answer) => answer,
            Plan::Commit(commit) => self.commit(*commit, shared).await?,
            Plan::Spend(ask) => {
                let query = ask.query.clone();
                match &shared.ledger {
                    Ledgers::Alone(_) => render::spend(*ask, &self.keeper.spend(query).await.map_err(gone)?),
                    Ledgers::Together { shared: ledger, .. } => {
                        let Spent { rows, days } = self.keeper.spend_of_all(query).await.map_err(gone)?;
                        let others = Others {
                            as_of: shared.hearsay.as_of(),
                            current: shared.hearsay.is_current() && ledger.is_alive(),
                            cut: days == OthersDays::Cut,
                        };
                        render::spend_of_all(*ask, &rows, others)
                    }
                }
            }
            Plan::Requests(query) => {
                let limit = query.limit;
                render::requests(limit, &self.keeper.requests(query).await.map_err(gone)?)
            }
            Plan::Limits(ask) => {
                let reports = shared.reports(&ask.book, &ask.scopes, now).await.map_err(gone)?;
                render::limits(*ask, &reports)
            }
            Plan::Upstreams => render::upstreams(&held(&shared.fleet).report(now)),
            Plan::Reload(deed) => {
                let problems = self.reread.reread().await;
                if problems.is_empty() {
                    self.keeper.commit(Vec::new(), deed).await.map_err(gone)?;
                }
                render::reload(&problems)
            }
            Plan::Audit(query) => {
                let limit = query.limit;
                render::audit(limit, &self.keeper.audit(query).await.map_err(gone)?)
            }
            Plan::Verify => render::verified(self.keeper.verify().await.map_err(gone)?),
        })
    }
}

/// Gives up the books of those that changes have deleted.
pub(crate) fn forget_gone(changes: &[Change], shared: &Shared) {
    let gone: Vec<String> = {
        let directory = shared.directory();
        changes.iter().filter_map(|change| scope_gone(change, &directory)).collect()
    };
    if !gone.is_empty() {
        shared.ledger.forget(&gone.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// The name of a scope that a deletion has left without anybody: the config may have one of that name.
fn scope_gone(change: &Change, directory: &Directory) -> Option<String> {
    let Change { kind, name, spec } = change;
    let stays = match kind {
        Kind::Key => directory.key(name).is_some(),
        Kind::Holder(kind) => directory.holder(*kind, name).is_some(),
    };
    (spec.is_none() && !stays).then(|| format!("{}:{name}", kind.name()))
}

fn gone(Unkept(why): Unkept) -> Fault {
    let fault = Fault::new(Code::StoreUnavailable, format!("the store cannot be used now: {why}"));
    fault.retry_after(Millis::from_secs(1))
}

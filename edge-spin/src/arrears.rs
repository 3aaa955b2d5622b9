//! What was spent before there was a budget for it.
//!
//! A budget that comes in the middle of its period holds for the whole of it: when the admin API has changed
//! somebody, those of his budgets in which nothing is spent yet are told what the desk knows of their period.
//! A ledger that several nodes share is left out: what each of them has stored is only its own part.

use crate::desk::Desk;
use crate::gateway::Gateway;
use crate::ledger::Lost;
use crate::trouble;
use std::sync::Arc;
use tollgate_core::api::{Change, Dimension, Kind, Only, SpendQuery};
use tollgate_core::directory::{Directory, HolderKind};
use tollgate_core::ledger::Scope;
use tollgate_core::units::{Millis, NanoDollars, Time};
use tollgate_edge::office::{Keeper, Unkept};

/// Someone with budgets, and what its spend is stored under.
struct Debtor {
    dimension: Dimension,
    name: String,
    book: Arc<str>,
    scope: Arc<Scope>,
    /// What was spent before was another's of the same name.
    created: Option<Time>,
}

/// After changes were taken up. A store that does not say stops nothing, and is logged.
pub(crate) async fn of_changes(gateway: &Gateway, changes: &[Change]) {
    if gateway.ledger().is_shared() {
        return;
    }
    let debtors: Vec<Debtor> = gateway.with_directory(|directory| {
        changes.iter().filter_map(|change| Debtor::of(change, directory)).collect()
    });
    for debtor in debtors {
        if let Err(why) = collect(gateway, &debtor).await {
            trouble::say(&format!(
                "what was spent before a budget came is not known, and does not count: {why}"
            ));
        }
    }
}

async fn collect(gateway: &Gateway, debtor: &Debtor) -> Result<(), String> {
    let (ledger, now) = (gateway.ledger(), gateway.clock.now());
    let Debtor { book, scope, created, .. } = debtor;
    let reports = ledger.reports(book, std::slice::from_ref(scope)).await.map_err(|Lost(why)| why)?;
    let unspent = reports.into_iter().flat_map(|report| report.gauges).filter(|reading| reading.used == 0);
    for budget in unspent.filter_map(|reading| reading.budget) {
        let from = budget.counts_from(now);
        let from = created.map_or(from, |created| created.max(from));
        let spent = spent(&gateway.desk, debtor, from, now).await?;
        if !spent.is_zero() {
            ledger.credit(book, scope, &budget, spent).await.map_err(|Lost(why)| why)?;
        }
    }
    Ok(())
}

async fn spent(desk: &Desk, debtor: &Debtor, from: Time, now: Time) -> Result<NanoDollars, String> {
    let only = vec![Only { dimension: debtor.dimension, value: debtor.name.clone() }];
    let query = SpendQuery { from, to: now + Millis(1), by: Vec::new(), only, limit: 1 };
    match desk.spend(&query).await {
        Ok(rows) => Ok(rows.into_iter().map(|row| row.cost).sum()),
        Err(Unkept::Gone(why)) => Err(why),
        Err(Unkept::Behind) => Err("somebody else has changed what is stored".to_owned()),
    }
}

impl Debtor {
    /// Whoever was changed and is there. Tags are left out: in what is stored are those too that clients
    /// have set, which no limit is for.
    fn of(change: &Change, directory: &Directory) -> Option<Self> {
        let Change { kind, name, spec: _ } = change;
        let (dimension, scope, created, organisation) = match kind {
            Kind::Key => {
                let key = directory.key(name)?;
                (Dimension::Key, &key.scope, key.created, key.organisation.clone())
            }
            Kind::Holder(kind) => {
                let dimension = match kind {
                    HolderKind::Organisation => Dimension::Organisation,
                    HolderKind::Team => Dimension::Team,
                    HolderKind::User => Dimension::User,
                    HolderKind::Tag => return None,
                };
                let holder = directory.holder(*kind, name)?;
                let own = (*kind == HolderKind::Organisation).then(|| name.clone());
                (dimension, &holder.scope, holder.created, own.or_else(|| holder.organisation.clone()))
            }
        };
        if !scope.limits.has_budget() {
            return None;
        }
        let (name, scope) = (name.clone(), Arc::clone(scope));
        Some(Self { dimension, name, book: Arc::from(organisation.unwrap_or_default()), scope, created })
    }
}

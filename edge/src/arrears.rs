//! What was spent before there was a budget for it.
//!
//! A budget that comes in the middle of its period holds for the whole of it: when the admin API has changed
//! somebody, those of his budgets in which nothing is spent yet are told what the keeper knows of their period.
//! A ledger that nodes with stores of their own share is left out: what each has stored is only its own part.

use crate::office::{Keeper, Site, Unkept};
use std::sync::Arc;
use tollgate_core::api::{Change, Dimension, Kind, Only, SpendQuery};
use tollgate_core::directory::{Directory, HolderKind};
use tollgate_core::ledger::Scope;
use tollgate_core::units::{Millis, NanoDollars, Time};

/// Someone with budgets, and what its spend is stored under.
struct Debtor {
    dimension: Dimension,
    name: String,
    book: Arc<str>,
    scope: Arc<Scope>,
    /// What was spent before was another's of the same name.
    created: Option<Time>,
}

/// After changes were taken up. What could not be done stops nothing; a line for each such is given back, to
/// be logged.
pub async fn of_changes<S: Site>(site: &S, changes: &[Change]) -> Vec<String> {
    let debtors: Vec<Debtor> = site.with_directory(|directory| {
        changes.iter().filter_map(|change| Debtor::of(change, directory)).collect()
    });
    let mut lines = Vec::new();
    for debtor in debtors {
        if let Err(unkept) = collect(site, &debtor).await {
            let why = match unkept {
                Unkept::Gone(why) => why,
                Unkept::Behind => "somebody else has changed what is stored".to_owned(),
            };
            lines
                .push(format!("what was spent before a budget came is not known, and does not count: {why}"));
        }
    }
    lines
}

async fn collect<S: Site>(site: &S, debtor: &Debtor) -> Result<(), Unkept> {
    let now = site.now();
    let Debtor { book, scope, created, .. } = debtor;
    let reports = site.reports(book, std::slice::from_ref(scope)).await?;
    let unspent = reports.into_iter().flat_map(|report| report.gauges).filter(|reading| reading.used == 0);
    for budget in unspent.filter_map(|reading| reading.budget) {
        let from = budget.counts_from(now);
        let from = created.map_or(from, |created| created.max(from));
        let spent = spent(site, debtor, from, now).await?;
        if !spent.is_zero() {
            site.credit(book, scope, &budget, spent).await?;
        }
    }
    Ok(())
}

async fn spent<S: Site>(site: &S, debtor: &Debtor, from: Time, now: Time) -> Result<NanoDollars, Unkept> {
    let only = vec![Only { dimension: debtor.dimension, value: debtor.name.clone() }];
    let query = SpendQuery { from, to: now + Millis(1), by: Vec::new(), only, limit: 1 };
    Ok(site.keeper().spend(&query).await?.into_iter().map(|row| row.cost).sum())
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

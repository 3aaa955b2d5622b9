//! What was spent before there was a budget for it.
//!
//! ```text
//!   budget of now, none in the books ──▶ store: spend since its period began ──▶ ledger: at least this
//! ```
//! A budget that comes in the middle of its period holds for the whole of it, so that what is enforced and
//! what is shown agree (B5). Asked for organisations, teams, users and keys as a whole: what they spent at
//! one provider, for one model or end user, counts from when that budget came, and so does a tag's spend.
//! So it is for requests that were in flight when it came: they run under the limits of their beginning.
//!
//! A ledger that several gateways share is left out: what each of them has stored is only its own part.

use crate::api::{Keeper, Unkept};
use crate::host::Shared;
use crate::ledger::Ledgers;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tollgate_core::api::{Change, Dimension, Kind, Only, SpendQuery};
use tollgate_core::config::Config;
use tollgate_core::directory::spec::{Around, read_holder, read_key};
use tollgate_core::directory::{Directory, Holder, HolderKind, Key};
use tollgate_core::ledger::Scope;
use tollgate_core::limit::Budget;
use tollgate_core::units::{Millis, NanoDollars, Time};

/// More names than this are not listed in a question: all are asked for.
const MOST_NAMES: usize = 500;

/// Someone with budgets, and what its spend is stored under.
#[derive(Clone, Debug)]
struct Debtor {
    dimension: Dimension,
    name: String,
    scope: Arc<Scope>,
    /// What was spent before was another's of the same name.
    created: Option<Time>,
}

/// A budget whose books may lack what was spent before.
#[derive(Clone, Debug)]
struct Young {
    debtor: Debtor,
    budget: Budget,
}

impl Debtor {
    fn of_key(key: &Key) -> Self {
        let Key { name, scope, created, .. } = key;
        let (dimension, name, scope) = (Dimension::Key, name.clone(), Arc::clone(scope));
        Self { dimension, name, scope, created: *created }
    }

    /// Tags are left out: in what is stored are those too that clients have set, which no limit is for.
    fn of_holder(holder: &Holder) -> Option<Self> {
        let Holder { kind, name, scope, created, .. } = holder;
        let dimension = match kind {
            HolderKind::Organisation => Dimension::Organisation,
            HolderKind::Team => Dimension::Team,
            HolderKind::User => Dimension::User,
            HolderKind::Tag => return None,
        };
        Some(Self { dimension, name: name.clone(), scope: Arc::clone(scope), created: *created })
    }

    fn all(directory: &Directory) -> Vec<Self> {
        let keys = directory.keys_from("").map(|key| Self::of_key(key));
        let holders = HolderKind::ALL.into_iter().flat_map(|kind| directory.holders_from(kind, ""));
        let holders = holders.filter_map(|holder| Self::of_holder(holder));
        keys.chain(holders).filter(|debtor| debtor.scope.limits.has_budget()).collect()
    }

    /// Of what is to be stored under a name that is known already, and how its scope is until then.
    fn changed(change: &Change, directory: &Directory, config: &Config) -> Option<(Self, Arc<Scope>)> {
        let Change { kind, name, spec } = change;
        let (spec, around) = (spec.as_ref()?, Around::stored(config));
        match kind {
            Kind::Key => {
                let before = Arc::clone(&directory.key(name)?.scope);
                Some((Self::of_key(&read_key(spec, &around).ok()?), before))
            }
            Kind::Holder(kind) => {
                let before = Arc::clone(&directory.holder(*kind, name)?.scope);
                Some((Self::of_holder(&read_holder(*kind, spec, &around).ok()?)?, before))
            }
        }
    }
}

impl Young {
    fn from(&self, now: Time) -> Time {
        let from = self.budget.counts_from(now);
        self.debtor.created.map_or(from, |created| created.max(from))
    }
}

/// The same money, whatever the amount.
fn is_like(one: &Budget, other: &Budget) -> bool {
    one.per == other.per && one.reset == other.reset
}

/// Before changes are taken up: budgets that come with them are told what was spent already. A store that
/// does not say stops nothing, and is logged.
pub async fn of_changes<K: Keeper>(keeper: &K, changes: &[Change], shared: &Shared, now: Time) {
    if !is_counted(shared) {
        return;
    }
    for young in added(changes, shared) {
        let Young { debtor, budget } = &young;
        match spent(keeper, &young, now).await {
            Ok(spent) => shared.ledger.credit(&debtor.scope.name, budget, spent, now),
            Err(why) => untold(&why),
        }
    }
}

fn added(changes: &[Change], shared: &Shared) -> Vec<Young> {
    let (config, directory) = (shared.config.load(), shared.directory());
    let changed = changes.iter().filter_map(|change| Debtor::changed(change, &directory, &config));
    let young = changed.flat_map(|(debtor, before)| {
        let scope = Arc::clone(&debtor.scope);
        let new = move |budget: &&Budget| !before.limits.budgets.iter().any(|old| is_like(old, budget));
        let new: Vec<Budget> = scope.limits.budgets.iter().filter(new).cloned().collect();
        new.into_iter().map(move |budget| Young { debtor: debtor.clone(), budget })
    });
    young.collect()
}

/// At the start and when the config was read again: budgets whose books are empty are told what was spent
/// already. A store that does not say stops nothing, and is logged.
pub async fn collect(shared: &Shared) {
    if !is_counted(shared) {
        return;
    }
    let now = shared.clock.now();
    for (question, young) in unspent(shared, now) {
        if let Err(why) = ask_together(shared, question, &young, now).await {
            return untold(&why);
        }
    }
}

/// What is asked for together: one dimension, one beginning.
type Question = (Dimension, Time);

fn unspent(shared: &Shared, now: Time) -> BTreeMap<Question, Vec<Young>> {
    let Ledgers::Alone(own) = &shared.ledger else { return BTreeMap::new() };
    let debtors = Debtor::all(&shared.directory());
    let mut all: BTreeMap<Question, Vec<Young>> = BTreeMap::new();
    for debtor in debtors {
        for reading in own.report(&debtor.scope, now).gauges.into_iter().filter(|reading| reading.used == 0) {
            let Some(budget) = reading.budget else { continue };
            let question = (debtor.dimension, budget.counts_from(now));
            all.entry(question).or_default().push(Young { debtor: debtor.clone(), budget });
        }
    }
    all
}

/// One question tells who has spent anything, which is nobody in most cases; those whose name is younger
/// than their period are asked for again.
async fn ask_together(
    shared: &Shared,
    (dimension, from): Question,
    young: &[Young],
    now: Time,
) -> Result<(), Unkept> {
    let only = |young: &Young| Only { dimension, value: young.debtor.name.clone() };
    let only = if young.len() <= MOST_NAMES { young.iter().map(only).collect() } else { Vec::new() };
    let query = SpendQuery { from, to: now + Millis(1), by: vec![dimension], only, limit: u32::MAX };
    let rows = Keeper::spend(&shared.store, query).await?;
    let spent_by = rows.into_iter().filter_map(|row| Some((row.values.into_iter().next()??, row.cost)));
    let spent_by: HashMap<String, NanoDollars> = spent_by.filter(|(_, cost)| !cost.is_zero()).collect();
    for young in young {
        let Some(most) = spent_by.get(&young.debtor.name) else { continue };
        let spent = if young.from(now) > from { spent(&shared.store, young, now).await? } else { *most };
        shared.ledger.credit(&young.debtor.scope.name, &young.budget, spent, now);
    }
    Ok(())
}

async fn spent<K: Keeper>(keeper: &K, young: &Young, now: Time) -> Result<NanoDollars, Unkept> {
    let only = vec![Only { dimension: young.debtor.dimension, value: young.debtor.name.clone() }];
    let query = SpendQuery { from: young.from(now), to: now + Millis(1), by: Vec::new(), only, limit: 1 };
    Ok(keeper.spend(query).await?.into_iter().map(|row| row.cost).sum())
}

/// Whether the ledger is this process's own: then all there is to count has been stored here.
fn is_counted(shared: &Shared) -> bool {
    match &shared.ledger {
        Ledgers::Alone(_) => true,
        Ledgers::Together { .. } => false,
    }
}

fn untold(Unkept(why): &Unkept) {
    tracing::error!(why, "what was spent before a budget came is not known and does not count");
}

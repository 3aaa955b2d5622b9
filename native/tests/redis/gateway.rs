//! Gateways that share a ledger, and what they ask of it.

use crate::server::Server;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tollgate_core::config::Fail;
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{
    Ask, AskCost, Claim, Entry, Hold, Reading, Refusal, Report, Scope, Settlement, Spent, Standing, Targets,
    Warning,
};
use tollgate_core::limit::calendar::Zone;
use tollgate_core::limit::{Budget, Limits, Period, Reset};
use tollgate_core::price::PerMillion;
use tollgate_core::units::{Estimated, Metered, Millis, NanoDollars, Requests, Time, Tokens};
use tollgate_native::ledger::shared::{Address, Fallback, Patience, Settings, SharedLedger};

pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time(u64::try_from(since.as_millis()).unwrap())
}

/// A gateway's own books, as simple as can be: requests by scope against `rpm`, and tokens and money
/// that were settled. Nothing grows old in them.
#[derive(Default)]
pub(crate) struct OwnBooks {
    pub(crate) scopes: Mutex<HashMap<String, Figures>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) settled: u64,
    pub(crate) tokens: u64,
    pub(crate) spent: u64,
}

impl OwnBooks {
    pub(crate) fn of(&self, scope: &str) -> Figures {
        self.scopes.lock().unwrap().get(scope).copied().unwrap_or_default()
    }
}

impl Fallback for OwnBooks {
    fn reserve(&self, entry: Entry, _: Time) -> Result<Hold, Refusal> {
        let mut scopes = self.scopes.lock().unwrap();
        for claim in &entry.claims {
            let requests = scopes.get(&claim.scope.name).map_or(0, |figures| figures.requests);
            if claim.scope.limits.rpm.is_some_and(|rpm| requests >= rpm.get()) {
                return Err(Refusal::Unavailable { retry_after: Millis(77) });
            }
        }
        for claim in &entry.claims {
            scopes.entry(claim.scope.name.clone()).or_default().requests += 1;
        }
        let output = entry.ask.most_output.0;
        Ok(Hold { entry, output, closed: Targets::NONE, standing: Standing::default() })
    }

    fn settle(&self, hold: Hold, settlement: &Settlement, _: Time) -> Vec<Warning> {
        let mut scopes = self.scopes.lock().unwrap();
        for claim in &hold.entry.claims {
            let figures = scopes.entry(claim.scope.name.clone()).or_default();
            if let Settlement::Settle(spent) = settlement {
                figures.settled += 1;
                figures.tokens += (spent.input.0 + spent.output.0).get();
                figures.spent += spent.cost.get();
            }
        }
        Vec::new()
    }

    fn record(&self, hold: &Hold, _: Time) {
        let mut scopes = self.scopes.lock().unwrap();
        for claim in &hold.entry.claims {
            scopes.entry(claim.scope.name.clone()).or_default().requests += 1;
        }
    }

    fn report(&self, scope: &Scope, _: Time) -> Report {
        let figures = self.of(&scope.name);
        let reading =
            |limit, budget, used| Reading { limit, budget, most: 0, used, held: 0, resets_at: None };
        let mut gauges = vec![
            reading("rpm", None, figures.requests),
            reading("tpm", None, figures.tokens),
            reading("max_requests", None, figures.settled),
            reading("max_tokens", None, figures.tokens),
        ];
        for budget in &scope.limits.budgets {
            gauges.push(reading("budget", Some(budget.clone()), figures.spent));
        }
        Report { scope: scope.name.clone(), gauges }
    }
}

/// A gateway: its shared ledger and its own books.
pub(crate) struct Gateway {
    pub(crate) ledger: SharedLedger,
    pub(crate) own: Arc<OwnBooks>,
}

impl std::ops::Deref for Gateway {
    type Target = SharedLedger;
    fn deref(&self) -> &SharedLedger {
        &self.ledger
    }
}

/// Waits as long as a loaded machine may need: for tests that are not about time.
pub(crate) const PATIENT: Patience = Patience { reserve: Millis(10_000), settle: Millis(10_000) };

pub(crate) fn gateway(server: &Server, name: &str) -> Gateway {
    gateway_with(server, name, PATIENT, Fail::default())
}

pub(crate) fn gateway_with(server: &Server, name: &str, patience: Patience, fail: Fail) -> Gateway {
    let mut settings = Settings::new(Address::parse(&server.url()).unwrap(), "tg", name);
    settings.patience = patience;
    settings.fail = fail;
    with_settings(settings)
}

pub(crate) fn with_settings(settings: Settings) -> Gateway {
    let own = Arc::<OwnBooks>::default();
    let ledger = SharedLedger::new(settings, Arc::clone(&own) as Arc<dyn Fallback>).unwrap();
    Gateway { ledger, own }
}

pub(crate) fn scope(name: &str, limits: Limits) -> Arc<Scope> {
    Arc::new(Scope::new(name, limits))
}

pub(crate) fn rpm(limit: u64) -> Limits {
    Limits { rpm: Some(Requests(limit)), ..Limits::default() }
}

pub(crate) fn tpm(limit: u64) -> Limits {
    Limits { tpm: Some(Tokens(limit)), ..Limits::default() }
}

pub(crate) fn budget(per: Period, reset: Reset, amount: u64) -> Limits {
    let budget = Budget { amount: NanoDollars(amount), per, reset, warn: None };
    Limits { budgets: vec![budget], ..Limits::default() }
}

pub(crate) fn prepaid(amount: u64) -> Limits {
    budget(Period::Never, Reset::Rolling, amount)
}

pub(crate) fn yearly(amount: u64) -> Limits {
    budget(Period::Year, Reset::Calendar(Zone::default()), amount)
}

/// Names for entries that are used once.
pub(crate) fn fresh_id() -> RequestId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    RequestId(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Asks for 10 tokens of input, 90 of output and 100 nano-dollars, of all of these scopes.
pub(crate) fn entry(scopes: &[&Arc<Scope>]) -> Entry {
    let claims = scopes.iter().map(|scope| Claim { scope: Arc::clone(scope), targets: Targets::ALL });
    Entry {
        id: fresh_id(),
        book: Arc::from("acme"),
        claims: claims.collect(),
        targets: Targets(1),
        ask: Ask {
            more: Requests::ZERO,
            input: Estimated(Tokens(10)),
            least_output: Estimated(Tokens(90)),
            most_output: Estimated(Tokens(90)),
            cost: Some(AskCost { fixed: NanoDollars(10), output: PerMillion(1_000_000) }),
        },
        lease: Millis::from_secs(600),
    }
}

pub(crate) fn spent(input: u64, output: u64, cost: u64) -> Settlement {
    Settlement::Settle(Spent {
        input: Metered(Tokens(input)),
        output: Metered(Tokens(output)),
        cost: NanoDollars(cost),
        targets: Targets(1),
    })
}

/// What a refusal says.
pub(crate) fn told(outcome: Result<Hold, Refusal>) -> String {
    match outcome {
        Ok(hold) => format!("granted {}", hold.output),
        Err(Refusal::Unavailable { .. }) => "unavailable".to_owned(),
        Err(Refusal::Limited(limited)) => format!("{:?} {}: {}", limited.code, limited.scope, limited.what),
    }
}

/// Used and held of a scope's only limit.
pub(crate) async fn standing(gateway: &Gateway, scope: &Arc<Scope>) -> (u64, u64) {
    let reports = gateway.report(&Arc::from("acme"), std::slice::from_ref(scope), now()).await;
    let gauge = &reports[0].gauges[0];
    (gauge.used, gauge.held)
}

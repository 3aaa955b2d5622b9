//! What the ledger and the store cost: `cargo run --release -p tollgate --example store_cost [requests]`.
//!
//! Reserves and settles with four scopes, each with limits of every kind, in memory and with the
//! journal, and in Redis where `TOLLGATE_BENCH_REDIS` holds its URL; then keeps so many requests and asks for a page of them and for what they cost.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_core::api::{Deed, Dimension, Only, SpendQuery};
use tollgate_core::cache::CacheUse;
use tollgate_core::count::Basis;
use tollgate_core::directory::{Caller, Key};
use tollgate_core::exchange::{Ending, Record, RequestId, Wasted};
use tollgate_core::ledger::{Ask, AskCost, Claim, Entry, Scope, Settlement, Spent, Targets};
use tollgate_core::limit::{Budget, Limits, Period, Reset};
use tollgate_core::price::Charge;
use tollgate_core::units::{Estimated, Metered, Millis, NanoDollars, Requests, Time, Tokens};
use tollgate_core::usage::{Exclusive, Usage};
use tollgate_native::clock::Clock;
use tollgate_native::ledger::local::LocalLedger;
use tollgate_native::ledger::shared::{Address, Settings, SharedLedger};
use tollgate_native::store::requests::{Outcome, RequestQuery};
use tollgate_native::store::{Setup, Store};

const PAIRS: u128 = 200_000;
const DAY: u64 = 86_400_000;

fn main() {
    let requests = std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(300_000);
    let folder = std::env::temp_dir().join(format!("tollgate-store-cost-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    pairs("in memory", &LocalLedger::in_memory());
    let clock = Clock::start();
    let opened = Store::open(&Setup::new(&folder.join("a.db").to_string_lossy(), seal, clock)).unwrap();
    let ledger = LocalLedger::open(Arc::new(opened.store), opened.books, clock.now(), Default::default())
        .unwrap()
        .ledger;
    pairs("with the journal", &ledger);
    if let Ok(url) = std::env::var("TOLLGATE_BENCH_REDIS") {
        shared(&url, ledger);
    }
    keep(&folder.join("b.db"), requests);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn seal(_: &[u8; 32], _: &Deed) -> [u8; 32] {
    [0; 32]
}

fn scope(name: &str) -> Arc<Scope> {
    let budget = |per| Budget { amount: NanoDollars(1 << 60), per, reset: Reset::Rolling, warn: None };
    let limits = Limits {
        rpm: Some(Requests(1 << 40)),
        tpm: Some(Tokens(1 << 50)),
        concurrency: Some(Requests(1 << 40)),
        budgets: vec![budget(Period::Day), budget(Period::Month)],
        ..Limits::default()
    };
    Arc::new(Scope::new(name, limits))
}

fn pairs(title: &str, ledger: &LocalLedger) {
    let clock = Clock::start();
    let scopes = ["organisation:acme", "team:search", "user:ann", "key:ci"].map(scope);
    let spans = (0..PAIRS).map(|id| {
        let entry = entry(id, &scopes);
        let start = Instant::now();
        let hold = ledger.reserve(entry, clock.now()).unwrap();
        let warnings = ledger.settle(hold, SETTLEMENT, clock.now());
        let span = start.elapsed();
        assert!(warnings.is_empty());
        span
    });
    print(title, spans.collect());
}

/// In Redis, with what the process notes besides; one pair after the other.
fn shared(url: &str, own: LocalLedger) {
    let settings = Settings::new(Address::parse(url).unwrap(), "store-cost", "gateway");
    let clock = Clock::start();
    let ledger = SharedLedger::new(settings, Arc::new(own)).unwrap();
    let scopes = ["organisation:acme", "team:search", "user:ann", "key:ci"].map(scope);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut spans = Vec::new();
    let id = u128::from(std::process::id()) << 64;
    for id in (0..PAIRS / 10).map(|number| id + number) {
        let entry = entry(id, &scopes);
        let start = Instant::now();
        runtime.block_on(async {
            let hold = ledger.reserve(&entry, clock.now()).await.unwrap();
            ledger.settle(hold, SETTLEMENT, clock.now()).await;
        });
        spans.push(start.elapsed());
    }
    print("in Redis", spans);
}

const SETTLEMENT: Settlement = Settlement::Settle(Spent {
    input: Metered(Tokens(900)),
    output: Metered(Tokens(100)),
    cost: NanoDollars(1_000_000),
    targets: Targets::ALL,
});

fn entry(id: u128, scopes: &[Arc<Scope>]) -> Entry {
    let claims = scopes.iter().map(|scope| Claim { scope: Arc::clone(scope), targets: Targets::ALL });
    let ask = Ask {
        input: Estimated(Tokens(1000)),
        most_output: Estimated(Tokens(500)),
        cost: Some(AskCost { fixed: NanoDollars(5_000_000), ..AskCost::default() }),
        ..Ask::default()
    };
    Entry {
        id: RequestId(id),
        book: Arc::from("acme"),
        claims: claims.collect(),
        targets: Targets(1),
        ask,
        lease: Millis::from_secs(600),
    }
}

fn print(title: &str, mut spans: Vec<Duration>) {
    spans.sort_unstable();
    let at = |share: f64| spans[(spans.len() as f64 * share) as usize];
    println!("reserve and settle, {title}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
}

fn keep(path: &Path, requests: u64) {
    let opened = Store::open(&Setup::new(&path.to_string_lossy(), seal, Clock::start())).unwrap();
    let store = opened.store;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let callers: Vec<Arc<Caller>> = (0..1000).map(caller).collect();
    let start = Instant::now();
    let mut handing_over = Duration::ZERO;
    for number in 0..requests {
        let record = record(number, requests, &callers);
        let begun = Instant::now();
        store.record(&record);
        handing_over += begun.elapsed();
        if number % 10_000 == 9_999 {
            runtime.block_on(store.flush()).unwrap();
        }
    }
    runtime.block_on(store.flush()).unwrap();
    let each = |span: Duration| span / u32::try_from(requests).unwrap();
    println!(
        "{requests} requests kept: {:?} each to hand over, {:?} each to write, {} dropped",
        each(handing_over),
        each(start.elapsed()),
        store.dropped()
    );
    let only = vec![Only { dimension: Dimension::Key, value: "key-7".to_owned() }];
    let query = RequestQuery {
        from: Time(0),
        to: Time::NEVER,
        only: only.clone(),
        outcome: Outcome::Any,
        after: None,
        limit: 100,
    };
    let ask =
        |title: &str, rows: usize, start: Instant| println!("{title}: {rows} rows in {:?}", start.elapsed());
    let start = Instant::now();
    ask("a page of one key", runtime.block_on(store.requests(query.clone())).unwrap().len(), start);
    let start = Instant::now();
    let all = RequestQuery { only: Vec::new(), ..query };
    ask("a page of all", runtime.block_on(store.requests(all)).unwrap().len(), start);
    for (title, by, only) in [
        ("spend of all", Vec::new(), Vec::new()),
        ("spend by key", vec![Dimension::Key], Vec::new()),
        ("spend by day and model", vec![Dimension::Day, Dimension::Model], Vec::new()),
        ("spend of a key by day", vec![Dimension::Day], only),
    ] {
        let query = SpendQuery { from: Time(DAY / 2), to: Time::NEVER, by, only, limit: 1000 };
        let start = Instant::now();
        ask(title, runtime.block_on(store.spend(query)).unwrap().len(), start);
    }
}

fn caller(number: u64) -> Arc<Caller> {
    let name = format!("key-{number}");
    let key = Key {
        team: Some(format!("team-{}", number % 20)),
        user: Some(format!("user-{}", number % 200)),
        organisation: Some("acme".to_owned()),
        tags: vec!["batch".to_owned()],
        scope: scope(&name),
        ..Key::new(name, [0; 32])
    };
    Arc::new(Caller { key: Arc::new(key), holders: Vec::new(), token: None, book: Arc::from("acme") })
}

/// Spread evenly over 30 days.
fn record(number: u64, of: u64, callers: &[Arc<Caller>]) -> Record {
    let counts = Exclusive { input: Tokens(900), output: Tokens(100), ..Exclusive::default() };
    Record {
        id: RequestId(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        at: Time(20_000 * DAY + number * 30 * DAY / of),
        surface: "openai.chat",
        caller: callers.get((number * 7919 % 1000) as usize).cloned(),
        end_user: None,
        client_tags: Vec::new(),
        asked: "chat".to_owned(),
        provider: Some("openai".to_owned()),
        model: Some(format!("gpt-{}", number % 5)),
        attempts: 1,
        status: 200,
        fault: None,
        ending: Ending::Complete,
        first_byte: Some(Millis(300)),
        total: Millis(2000),
        usage: Some(Box::new(Usage::from(counts))),
        basis: Basis::Reported,
        wasted: Wasted::default(),
        cost: Charge::Computed(NanoDollars(1_000_000)),
        cache: CacheUse::Off,
        guarded: Vec::new(),
    }
}

use super::super::books::{Act, Done, perform};
use super::*;
use rusqlite::types::Value as Cell;
use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tollgate_core::ledger::{
    Ask, AskCost, Claim, Entry, Hold, Ledger, Refusal, Scope, Settlement, Spent, Targets,
};
use tollgate_core::limit::{Budget, Limits, Percent, Period, Reset};
use tollgate_core::price::PerMillion;
use tollgate_core::units::{Estimated, Metered, Millis, NanoDollars, Requests, Tokens};

/// A database, and what somebody else does to it before the next write.
struct Database {
    connection: rusqlite::Connection,
    before_write: RefCell<Vec<Act>>,
    random: Random,
}

impl Database {
    fn new() -> Self {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let database = Self { connection, before_write: RefCell::default(), random: Random::seeded([7; 32]) };
        for _ in 0..2 {
            ready(database.books().prepare()).unwrap();
        }
        database
    }

    fn books(&self) -> SqlBooks<'_, Self> {
        SqlBooks { sql: self, random: &self.random }
    }

    fn count(&self, table: &str) -> u64 {
        let rows = ready(Sql::run(self, &format!("SELECT count(*) FROM {table}"), Vec::new())).unwrap();
        rows.into_iter().next().and_then(|mut row| row.number()).unwrap()
    }
}

impl Sql for Database {
    async fn run(&self, text: &str, values: Vec<Value>) -> Result<Vec<Row>, Failed> {
        if text == WRITE {
            let others = std::mem::take(&mut *self.before_write.borrow_mut());
            if !others.is_empty() {
                act(self, &others, Time(1000));
            }
        }
        let failed = |error: rusqlite::Error| Failed(error.to_string());
        let mut statement = self.connection.prepare(text).map_err(failed)?;
        let columns = statement.column_count();
        let values = values.into_iter().map(|value| match value {
            Value::Null => Cell::Null,
            Value::Integer(number) => Cell::Integer(number),
            Value::Text(text) => Cell::Text(text),
            Value::Blob(bytes) => Cell::Blob(bytes),
        });
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(failed)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let cells = (0..columns).map(|place| match row.get(place).unwrap() {
                Cell::Null => Value::Null,
                Cell::Integer(number) => Value::Integer(number),
                Cell::Text(text) => Value::Text(text),
                Cell::Blob(bytes) => Value::Blob(bytes),
                Cell::Real(number) => panic!("{number} is no whole number"),
            });
            all.push(cells.collect());
        }
        Ok(all)
    }
}

impl Waiting for Database {
    async fn pause(&self, _: Duration) {}
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

fn act(database: &Database, acts: &[Act], now: Time) -> Vec<Done> {
    ready(perform(&database.books(), acts, now)).unwrap().done
}

fn reserve(database: &Database, entry: &Entry, now: Time) -> Result<Hold, Refusal> {
    match act(database, &[Act::Reserve(entry.clone())], now).pop() {
        Some(Done::Reserved(outcome)) => outcome,
        other => panic!("{other:?}"),
    }
}

fn settle(database: &Database, hold: Hold, settlement: Settlement, now: Time) -> Vec<Warning> {
    match act(database, &[Act::Settle(hold, settlement)], now).pop() {
        Some(Done::Settled(warnings)) => warnings,
        other => panic!("{other:?}"),
    }
}

/// A few numbers after each other that look like chance and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn sometimes(&mut self, number: u64) -> Option<u64> {
        (self.below(3) > 0).then_some(number)
    }
}

fn limits(dice: &mut Dice, warn: Option<Percent>) -> Limits {
    let mut budgets = Vec::new();
    for (per, reset) in [(Period::Never, Reset::Rolling), (Period::Week, Reset::Rolling)] {
        if dice.below(2) == 0 {
            let amount = NanoDollars(20_000 + dice.below(50_000));
            budgets.push(Budget { amount, per, reset, warn });
        }
    }
    Limits {
        rpm: dice.sometimes(40).map(Requests),
        tpm: dice.sometimes(6000).map(Tokens),
        tpm_input: dice.sometimes(3000).map(Tokens),
        tpm_output: dice.sometimes(4000).map(Tokens),
        concurrency: dice.sometimes(6).map(Requests),
        max_requests: dice.sometimes(70).map(Requests),
        max_tokens: dice.sometimes(12_000).map(Tokens),
        budgets,
    }
}

fn entry(dice: &mut Dice, id: u128, scopes: &[Arc<Scope>]) -> Entry {
    let claims = scopes.iter().filter_map(|scope| {
        let targets = if dice.below(3) == 0 { Targets(1 + dice.below(7)) } else { Targets::ALL };
        (dice.below(3) > 0).then(|| Claim { scope: Arc::clone(scope), targets })
    });
    let claims = claims.collect();
    let least = dice.below(60);
    Entry {
        id: RequestId(id),
        book: Arc::from("acme"),
        claims,
        targets: Targets(0b111),
        ask: Ask {
            more: Requests::ZERO,
            input: Estimated(Tokens(dice.below(100))),
            least_output: Estimated(Tokens(least)),
            most_output: Estimated(Tokens(least + dice.below(200))),
            cost: dice.sometimes(1).map(|_| AskCost {
                fixed: NanoDollars(dice.below(500)),
                output: PerMillion(dice.below(9_000_001)),
            }),
        },
        lease: Millis::from_secs(600),
    }
}

fn ending(dice: &mut Dice, hold: &Hold) -> Settlement {
    if dice.below(5) == 0 {
        return Settlement::Release;
    }
    Settlement::Settle(Spent {
        input: Metered(Tokens(dice.below(120))),
        output: Metered(Tokens(dice.below(hold.output.get() + 20))),
        cost: NanoDollars(dice.below(2000)),
        targets: Targets(1 << dice.below(3)),
    })
}

/// A schedule on rows and on core's own ledger. Some entries are never ended; `step` is how much time goes
/// by.
fn compare(seed: u64, step: u64, warn: Option<Percent>) {
    let (mut dice, database, mut core) = (Dice(seed), Database::new(), Ledger::default());
    let names = ["key:a", "user:b", "team:c", "organisation:d"];
    let scopes: Vec<_> =
        names.iter().map(|name| Arc::new(Scope::new(*name, limits(&mut dice, warn)))).collect();
    let (mut open, mut now) = (Vec::new(), Time(1_000_000_000_000));
    for round in 0..120_u64 {
        now = now + Millis(dice.below(step));
        let entry = entry(&mut dice, u128::from(round), &scopes);
        let (here, there) = (core.reserve(entry.clone(), now), reserve(&database, &entry, now));
        assert_eq!(there, here, "seed {seed} round {round}: {entry:?}");
        if let (Ok(here), Ok(there)) = (here, there) {
            open.push((here, there));
        }
        while open.len() > 4 || (!open.is_empty() && dice.below(3) == 0) {
            let place = usize::try_from(dice.below(open.len() as u64)).unwrap();
            let (here, there) = open.swap_remove(place);
            if warn.is_none() && dice.below(6) == 0 {
                let _lost = (here, there);
                continue;
            }
            let settlement = ending(&mut dice, &here);
            let told = core.settle(here, &settlement, now);
            assert_eq!(settle(&database, there, settlement, now), told, "seed {seed} round {round}");
        }
    }
    for scope in &scopes {
        let rows = ready(database.books().read("acme", std::slice::from_ref(&scope.name), now)).unwrap();
        let there = super::super::books::restored(&rows.stored).report(scope, now);
        assert_eq!(there, core.report(scope, now), "seed {seed}");
    }
}

#[test]
fn rows_decide_as_cores_ledger_does() {
    for seed in 0..6 {
        compare(seed, 2000, Some(Percent(60)));
    }
}

#[test]
fn rows_decide_as_cores_ledger_does_when_leases_are_over() {
    for seed in 100..106 {
        compare(seed, 200_000, None);
    }
}

fn one(id: u128, limits: Limits) -> Entry {
    let scope = Arc::new(Scope::new("key:a", limits));
    let mut entry = entry(&mut Dice(7), id, &[]);
    entry.claims = vec![Claim { scope, targets: Targets::ALL }];
    entry
}

#[test]
fn what_somebody_else_has_taken_since_is_seen() {
    let database = Database::new();
    let limits = Limits { rpm: Some(Requests(2)), ..Limits::default() };
    assert!(reserve(&database, &one(1, limits.clone()), Time(1000)).is_ok());
    database.before_write.borrow_mut().push(Act::Reserve(one(2, limits.clone())));
    let refused = reserve(&database, &one(3, limits.clone()), Time(1000));
    assert!(
        matches!(refused, Err(Refusal::Limited(_))),
        "two a minute, and two were there first: {refused:?}"
    );
    assert_eq!(database.count("ledger_entry"), 2);
}

#[test]
fn an_account_that_has_just_begun_is_not_begun_twice() {
    let database = Database::new();
    let limits = Limits { rpm: Some(Requests(1)), ..Limits::default() };
    database.before_write.borrow_mut().push(Act::Reserve(one(1, limits.clone())));
    assert!(reserve(&database, &one(2, limits), Time(1000)).is_err());
}

#[test]
fn an_entry_is_taken_once_and_ended_once() {
    let database = Database::new();
    let limits = Limits { rpm: Some(Requests(2)), concurrency: Some(Requests(9)), ..Limits::default() };
    let entry = one(1, limits.clone());
    let again = reserve(&database, &entry, Time(1000)).unwrap();
    let hold = reserve(&database, &entry, Time(1000)).unwrap();
    assert_eq!(again, hold);
    let spent = Settlement::Settle(Spent { targets: Targets::ALL, ..Spent::default() });
    settle(&database, again, spent, Time(1000));
    settle(&database, hold, spent, Time(1000));
    assert_eq!((database.count("ledger_entry"), database.count("ledger_hold")), (0, 0));
    assert!(reserve(&database, &one(2, limits.clone()), Time(1000)).is_ok());
    assert!(reserve(&database, &one(3, limits), Time(1000)).is_err(), "the first counts as one");
}

#[test]
fn several_go_together_in_their_order() {
    let database = Database::new();
    let limits = Limits { rpm: Some(Requests(2)), ..Limits::default() };
    let acts: Vec<Act> = (1..=3).map(|id| Act::Reserve(one(id, limits.clone()))).collect();
    let granted: Vec<bool> =
        act(&database, &acts, Time(1000)).iter().map(|done| matches!(done, Done::Reserved(Ok(_)))).collect();
    assert_eq!(granted, [true, true, false]);
}

#[test]
fn what_nobody_comes_back_to_is_ended_and_given_up() {
    let database = Database::new();
    let books = database.books();
    let limits = Limits { rpm: Some(Requests(2)), concurrency: Some(Requests(1)), ..Limits::default() };
    let _lost = reserve(&database, &one(1, limits), Time(1000)).unwrap();
    ready(books.upkeep(Time(1000))).unwrap();
    assert_eq!(database.count("ledger_entry"), 1);
    ready(books.upkeep(Time(1000) + Millis::from_secs(700))).unwrap();
    assert_eq!((database.count("ledger_entry"), database.count("ledger_hold")), (0, 0));
    ready(books.upkeep(Time(1000) + Millis::from_secs(1400))).unwrap();
    assert_eq!(database.count("ledger_account"), 0, "a minute after it ended nothing asks for it");
}

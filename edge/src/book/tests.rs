//! A book is what core's ledger is, whenever it is let go of.

use super::*;
use crate::testing::{Lite, ready};
use std::sync::Arc;
use tollgate_core::ledger::{Ask, AskCost, Claim, Entry, Report, Scope, Spent, Targets};
use tollgate_core::limit::calendar::Zone;
use tollgate_core::limit::{Budget, Limits, Period, Reset};
use tollgate_core::price::PerMillion;
use tollgate_core::units::{Estimated, Metered, NanoDollars, Requests, Tokens};

/// Noon of Saturday, 2026-01-03, in UTC.
const NOON: Time = Time(1_767_441_600_000);

fn at(millis: u64) -> Time {
    NOON + Millis(millis)
}

fn scopes() -> Vec<Arc<Scope>> {
    let budget = |dollars: u64, per| Budget {
        amount: NanoDollars(dollars * 1_000_000_000),
        per,
        reset: Reset::Calendar(Zone::default()),
        warn: None,
    };
    let key = Limits { rpm: Some(Requests(7)), concurrency: Some(Requests(3)), ..Limits::default() };
    let team = Limits { tpm: Some(Tokens(2000)), budgets: vec![budget(1, Period::Day)], ..Limits::default() };
    let organisation = Limits { budgets: vec![budget(3, Period::Never)], ..Limits::default() };
    [("key:ci", key), ("team:a", team), ("organisation:acme", organisation)]
        .into_iter()
        .map(|(name, limits)| Arc::new(Scope::new(name, limits)))
        .collect()
}

fn entry(id: u128) -> Entry {
    let claims = scopes().into_iter().map(|scope| Claim { scope, targets: Targets::ALL });
    let output = Estimated(Tokens(50));
    let cost = AskCost { fixed: NanoDollars(40_000_000), output: PerMillion(1_000_000) };
    Entry {
        id: RequestId(id),
        book: Arc::from("acme"),
        claims: claims.collect(),
        targets: Targets::NONE.with(0),
        ask: Ask {
            more: Requests::ZERO,
            input: Estimated(Tokens(100)),
            least_output: output,
            most_output: output,
            cost: Some(cost),
        },
        lease: Millis::from_secs(180),
    }
}

fn reserve(id: u128) -> Order {
    Order::Reserve { key: "ci".to_owned(), entry: Box::new(entry(id)) }
}

fn settle(id: u128) -> Order {
    let spent = Spent {
        input: Metered(Tokens(90)),
        output: Metered(Tokens(id as u64 % 60)),
        cost: NanoDollars(30_000_000 + id as u64),
        targets: Targets::NONE.with(0),
    };
    Order::Settle { id: RequestId(id), settlement: Settlement::Settle(spent) }
}

fn open(sql: &Lite) -> Book<Lite> {
    let Opened { book, garbled } = ready(Book::open(sql.clone())).unwrap();
    assert_eq!(garbled, Vec::<String>::new());
    book
}

fn serve(book: &mut Book<Lite>, order: Order, now: Time) -> Reply {
    ready(book.serve(order, now)).unwrap()
}

fn reports(book: &mut Book<Lite>, now: Time) -> Vec<Report> {
    match serve(book, Order::Report { scopes: scopes() }, now) {
        Reply::Reports(reports) => reports,
        Reply::Held(_) | Reply::Leased(_) | Reply::Refused(_) | Reply::Settled(_) | Reply::Done => {
            panic!("no reports")
        }
    }
}

/// What is done in turn, some of it by entries that were refused, some of it twice.
fn deeds() -> Vec<(Time, Order)> {
    let mut deeds = Vec::new();
    for number in 0..40_u64 {
        let id = u128::from(number);
        deeds.push((at(number * 5000), reserve(id)));
        if number % 5 != 0 && number > 1 {
            deeds.push((at(number * 5000 + 1), settle(id - 1)));
            deeds.push((at(number * 5000 + 2), settle(id - 1)));
        }
        if number % 7 == 0 {
            deeds.push((at(number * 5000 + 3), reserve(id)));
        }
    }
    deeds
}

#[test]
fn a_book_decides_as_a_ledger_does_and_is_the_same_after_each_life() {
    let sql = Lite::default();
    let mut ledger = Ledger::default();
    let mut book = open(&sql);
    for (step, (now, order)) in deeds().into_iter().enumerate() {
        let reply = serve(&mut book, order.clone(), now);
        match order {
            Order::Reserve { entry, .. } => match ledger.reserve(*entry, now) {
                Ok(hold) => assert_eq!(reply, Reply::Held(Held::of(&hold))),
                Err(refusal) => assert_eq!(reply, Reply::Refused(refusal)),
            },
            Order::Settle { id, settlement } => {
                assert_eq!(reply, Reply::Settled(ledger.settle_entry(id, &settlement, now)));
            }
            Order::Report { .. }
            | Order::Bar { .. }
            | Order::Forget { .. }
            | Order::Credit { .. }
            | Order::Lease { .. }
            | Order::Return { .. } => {
                panic!("what is this?")
            }
        }
        if step % 4 == 1 {
            ready(book.checkpoint(now)).unwrap();
            assert!(book.is_stored());
        }
        if step % 3 == 0 {
            book = open(&sql);
        }
        let due: Vec<Report> = scopes().iter().map(|scope| ledger.report(scope, now)).collect();
        assert_eq!(reports(&mut book, now), due, "after step {step}");
    }
    assert!(!reports(&mut book, at(200_000))[1].gauges.is_empty());
}

/// The state after everything, where the object is let go of after so many statements and nobody who was
/// not answered asks again, and where everybody does.
#[test]
fn an_object_that_is_gone_in_the_middle_has_given_nothing_that_it_does_not_know() {
    for patience in 0..400 {
        let sql = Lite::default();
        let mut book = open(&sql);
        let mut ledger = Ledger::default();
        sql.patience.set(patience);
        for (step, (now, order)) in deeds().into_iter().enumerate() {
            let mut reply = ready(book.serve(order.clone(), now));
            if step % 4 == 1 {
                let _ = ready(book.checkpoint(now));
            }
            let unavailable = matches!(reply, Ok(Reply::Refused(Refusal::Unavailable { .. })));
            if reply.is_err() || unavailable || sql.patience.get() == 0 {
                sql.patience.set(u64::MAX);
                book = open(&sql);
                reply = ready(book.serve(order.clone(), now));
            }
            let reply = reply.unwrap();
            match order {
                Order::Reserve { entry, .. } => {
                    assert_eq!(
                        matches!(reply, Reply::Held(_)),
                        ledger.reserve(*entry, now).is_ok(),
                        "{patience}"
                    );
                }
                Order::Settle { id, settlement } => drop(ledger.settle_entry(id, &settlement, now)),
                Order::Report { .. }
                | Order::Bar { .. }
                | Order::Forget { .. }
                | Order::Credit { .. }
                | Order::Lease { .. }
                | Order::Return { .. } => {
                    panic!("what is this?")
                }
            }
            let due: Vec<Report> = scopes().iter().map(|scope| ledger.report(scope, now)).collect();
            assert_eq!(reports(&mut book, now), due, "{patience} statements, step {step}");
        }
    }
}

#[test]
fn what_could_not_be_stored_is_offered_again() {
    let sql = Lite::default();
    let mut book = open(&sql);
    serve(&mut book, reserve(1), at(0));
    sql.patience.set(1);
    assert!(ready(book.checkpoint(at(1))).is_err());
    assert!(!book.is_stored());
    sql.patience.set(u64::MAX);
    serve(&mut book, reserve(2), at(2));
    ready(book.checkpoint(at(3))).unwrap();
    assert!(book.is_stored());
    assert!(ready(sql.run("SELECT 1 FROM notes", Vec::new())).unwrap().is_empty());
    assert_eq!(reports(&mut open(&sql), at(4)), reports(&mut book, at(4)));
}

#[test]
fn a_hold_that_is_not_noted_is_not_given() {
    let sql = Lite::default();
    let mut book = open(&sql);
    sql.patience.set(0);
    assert_eq!(
        serve(&mut book, reserve(1), at(0)),
        Reply::Refused(Refusal::Unavailable { retry_after: Millis(1000) })
    );
    assert!(ready(book.serve(settle(1), at(1))).is_ok(), "it has ended");
    sql.patience.set(u64::MAX);
    assert!(reports(&mut book, at(2))[0].gauges.iter().all(|gauge| gauge.held == 0));
}

#[test]
fn a_settlement_that_is_not_noted_is_asked_for_again() {
    let sql = Lite::default();
    let mut book = open(&sql);
    serve(&mut book, reserve(1), at(0));
    sql.patience.set(0);
    assert!(ready(book.serve(settle(1), at(1))).is_err());
    sql.patience.set(u64::MAX);
    serve(&mut book, settle(1), at(2));
    let spent = |book: &mut Book<Lite>| reports(book, at(3))[2].gauges[0].used;
    assert_eq!((spent(&mut book), spent(&mut open(&sql))), (30_000_001, 30_000_001));
}

#[test]
fn a_barred_key_is_refused_at_once_and_after_a_restart() {
    let sql = Lite::default();
    let mut book = open(&sql);
    serve(&mut book, Order::Bar { key: "ci".to_owned(), with: Some(Code::KeyBlocked) }, at(0));
    for book in [&mut book, &mut open(&sql)] {
        let Reply::Refused(Refusal::Limited(limited)) = serve(book, reserve(1), at(1)) else {
            panic!("it is served")
        };
        assert_eq!(limited.code, Code::KeyBlocked);
    }
    let mut book = open(&sql);
    serve(&mut book, Order::Bar { key: "ci".to_owned(), with: None }, at(2));
    assert!(matches!(serve(&mut book, reserve(1), at(3)), Reply::Held(_)));
    assert!(matches!(serve(&mut open(&sql), reserve(2), at(3)), Reply::Held(_)));
}

#[test]
fn an_entry_nobody_ends_is_charged_in_full_by_its_lease() {
    let sql = Lite::default();
    let mut book = open(&sql);
    serve(&mut book, reserve(1), at(0));
    assert_eq!(book.next_lease(), Some(at(180_000)));
    let mut book = open(&sql);
    ready(book.checkpoint(at(180_001))).unwrap();
    let gauge = reports(&mut book, at(180_001))[2].gauges[0].clone();
    assert_eq!((gauge.held, gauge.used), (0, 40_000_050));
    assert_eq!(book.next_lease(), None);
}

#[test]
fn what_is_garbled_is_told_and_stops_nothing() {
    let sql = Lite::default();
    let mut book = open(&sql);
    serve(&mut book, reserve(1), at(0));
    ready(sql.run("INSERT INTO notes (note) VALUES (x'00')", Vec::new())).unwrap();
    ready(sql.run("INSERT INTO accounts VALUES ('key:x', x'0102')", Vec::new())).unwrap();
    ready(sql.run("INSERT INTO open_entries VALUES ('?', x'01')", Vec::new())).unwrap();
    let Opened { mut book, garbled } = ready(Book::open(sql)).unwrap();
    assert_eq!(garbled.len(), 3, "{garbled:?}");
    assert_eq!(reports(&mut book, at(1))[0].gauges[1].held, 1);
}

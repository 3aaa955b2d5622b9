//! Orders and replies come out as they went in.

use super::*;
use crate::ledger::order::{Held, Order, Reply};

fn all_limits() -> Limits {
    Limits {
        rpm: Some(Requests(5)),
        tpm: Some(Tokens(500)),
        tpm_input: Some(Tokens(400)),
        tpm_output: Some(Tokens(300)),
        concurrency: Some(Requests(4)),
        max_requests: Some(Requests(100)),
        max_tokens: Some(Tokens(10_000)),
        budgets: vec![
            Budget { warn: Some(Percent(80)), ..budget(10, Period::Day) },
            budget(1, Period::Never),
        ],
    }
}

fn orders() -> Vec<Order> {
    let key = scope("key:ci", all_limits());
    let team = scope("team:a", with_budget(budget(7, Period::Month)));
    let leased = Box::new(entry(8, &[&key, &team], tokens(1, 2)));
    vec![
        Order::Lease { key: "ci".to_owned(), entry: leased, spares: vec![RequestId(9), RequestId(10)] },
        Order::Return { spares: vec![RequestId(9)] },
        Order::Settle { id: RequestId(9), settlement: Settlement::Return },
        Order::Reserve { key: "ci".to_owned(), entry: Box::new(entry(7, &[&key, &team], cents(3))) },
        Order::Settle { id: RequestId(7), settlement: spent(1, 2, NanoDollars(3)) },
        Order::Settle { id: RequestId(u128::MAX), settlement: Settlement::Release },
        Order::Report { scopes: vec![key, team] },
        Order::Bar { key: "ci".to_owned(), with: Some(Code::KeyBlocked) },
        Order::Bar { key: "ci".to_owned(), with: None },
        Order::Forget { scopes: vec!["key:ci".to_owned(), String::new()] },
        Order::Credit { scope: "key:ci".to_owned(), budget: budget(3, Period::Week), spent: NanoDollars(9) },
    ]
}

/// Replies as a ledger comes to give them.
fn replies() -> Vec<Reply> {
    let key = scope("key:ci", all_limits());
    let mut ledger = Ledger::default();
    let hold = ledger.reserve(entry(1, &[&key], tokens(10, 20)), at(0)).unwrap();
    let held = Reply::Held(Held::of(&hold));
    let leased = Reply::Leased(vec![Held::of(&hold); 2]);
    let refused = ledger.reserve(entry(2, &[&key], tokens(1000, 1)), at(1)).unwrap_err();
    let warnings = ledger.settle(hold, &spent(1, 1, NanoDollars(9 * DOLLAR)), at(2));
    assert_eq!(warnings.len(), 1);
    vec![
        held,
        leased,
        Reply::Refused(refused),
        Reply::Refused(Refusal::Unavailable { retry_after: Millis(7) }),
        Reply::Settled(warnings),
        Reply::Reports(vec![
            ledger.report(&key, at(3)),
            ledger.report(&scope("x", Limits::default()), at(3)),
        ]),
        Reply::Done,
    ]
}

#[test]
fn an_order_comes_out_as_it_went_in_whatever_follows_it() {
    for order in orders() {
        let mut bytes = Vec::new();
        order.write(&mut bytes);
        let length = bytes.len();
        bytes.extend_from_slice(b"[1,2]");
        let placed = Order::read(&bytes).unwrap();
        assert_eq!((placed.order, placed.length), (order, length));
    }
}

#[test]
fn a_reply_comes_out_as_it_went_in() {
    for reply in replies() {
        assert_eq!(Reply::read(&reply.to_bytes()).unwrap(), reply);
    }
}

#[test]
fn a_hold_is_the_same_on_both_ends() {
    let key = scope("key:ci", all_limits());
    let hold = Ledger::default().reserve(entry(1, &[&key], tokens(10, 20)), at(0)).unwrap();
    assert_eq!(Held::of(&hold).of_entry(hold.entry.clone()), hold);
}

#[test]
fn what_is_cut_or_changed_is_told() {
    for order in orders() {
        let mut bytes = Vec::new();
        order.write(&mut bytes);
        for end in 0..bytes.len() {
            assert!(Order::read(&bytes[..end]).is_err());
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(Order::read(&changed).is_err());
        }
    }
    for reply in replies() {
        let bytes = reply.to_bytes();
        assert!((0..bytes.len()).all(|end| Reply::read(&bytes[..end]).is_err()));
    }
}

#[test]
fn every_limit_of_a_report_has_a_word_that_is_known() {
    let report = Ledger::default().report(&scope("key:ci", all_limits()), at(0));
    assert_eq!(report.gauges.len(), 9);
    assert!(Reply::read(&Reply::Reports(vec![report]).to_bytes()).is_ok());
}

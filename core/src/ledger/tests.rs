use super::*;
use crate::fault::Code;
use crate::limit::calendar::{Zone, written};
use crate::limit::{Budget, Limits, Percent, Period, Reset};
use crate::price::PerMillion;
use crate::units::{Estimated, NanoDollars, Requests, Tokens};

mod journal;
mod money;
mod orders;
mod rates;
mod schedules;

/// Noon of Saturday, 2026-01-03, in UTC.
const NOON: Time = Time(1_767_441_600_000);

const DOLLAR: u64 = 1_000_000_000;

fn at(millis: u64) -> Time {
    NOON + Millis(millis)
}

fn scope(name: &str, limits: Limits) -> Arc<Scope> {
    Arc::new(Scope::new(name, limits))
}

fn budget(dollars: u64, per: Period) -> Budget {
    Budget { amount: NanoDollars(dollars * DOLLAR), per, reset: Reset::Calendar(Zone::default()), warn: None }
}

fn with_budget(budget: Budget) -> Limits {
    Limits { budgets: vec![budget], ..Limits::default() }
}

/// An entry for one target that draws on these scopes for all targets.
fn entry(id: u128, scopes: &[&Arc<Scope>], ask: Ask) -> Entry {
    let claims = scopes.iter().map(|scope| Claim { scope: Arc::clone(scope), targets: Targets::ALL });
    Entry {
        id: RequestId(id),
        book: Arc::from(""),
        claims: claims.collect(),
        targets: Targets::NONE.with(0),
        ask,
        lease: Millis::from_secs(180),
    }
}

/// A prompt of so many tokens with an answer of exactly so many.
fn tokens(input: u64, output: u64) -> Ask {
    let output = Estimated(Tokens(output));
    Ask { input: Estimated(Tokens(input)), least_output: output, most_output: output, ..Ask::default() }
}

/// A call that costs so many cents before any output.
fn cents(cents: u64) -> Ask {
    let cost = AskCost { fixed: NanoDollars(cents * DOLLAR / 100), output: PerMillion(0) };
    Ask { cost: Some(cost), ..tokens(1, 0) }
}

fn spent(input: u64, output: u64, cost: NanoDollars) -> Settlement {
    let (input, output) = (Metered(Tokens(input)), Metered(Tokens(output)));
    Settlement::Settle(Spent { input, output, cost, targets: Targets::ALL })
}

fn paid(cents: u64) -> Settlement {
    spent(1, 0, NanoDollars(cents * DOLLAR / 100))
}

fn limited(result: Result<Hold, Refusal>) -> Limited {
    match result {
        Err(Refusal::Limited(limited)) => *limited,
        Err(Refusal::Unavailable { .. }) => panic!("a ledger in memory is always there"),
        Ok(hold) => panic!("granted: {hold:?}"),
    }
}

/// A limit's reading.
fn reading(ledger: &Ledger, scope: &Scope, limit: &str, now: Time) -> Reading {
    let report = ledger.report(scope, now);
    report.gauges.into_iter().find(|reading| reading.limit == limit).expect("a reading of the limit")
}

#[test]
fn reserving_twice_is_one_reservation_and_settling_twice_is_one_settlement() {
    let key = scope("key:ci", Limits { rpm: Some(Requests(2)), ..with_budget(budget(10, Period::Day)) });
    let mut ledger = Ledger::default();
    let first = ledger.reserve(entry(1, &[&key], cents(100)), at(0)).expect("room");
    let again = ledger.reserve(entry(1, &[&key], cents(100)), at(5)).expect("the same hold");
    assert_eq!(first.output, again.output);
    assert_eq!(reading(&ledger, &key, "rpm", at(5)).used, 1);
    assert_eq!(reading(&ledger, &key, "budget", at(5)).held, DOLLAR);

    ledger.settle(first, &paid(50), at(10));
    ledger.settle(again, &paid(50), at(20));
    let reading = reading(&ledger, &key, "budget", at(20));
    assert_eq!((reading.used, reading.held), (DOLLAR / 2, 0));
    assert_eq!(ledger.account("key:ci").settled, Requests(1));
}

#[test]
fn all_scopes_take_it_or_none_does() {
    let key = scope("key:ci", Limits { rpm: Some(Requests(9)), ..Limits::default() });
    let team = scope("team:search", Limits { rpm: Some(Requests(1)), ..Limits::default() });
    let mut ledger = Ledger::default();
    let _hold = ledger.reserve(entry(1, &[&key, &team], tokens(1, 1)), at(0)).expect("room");
    let refusal = limited(ledger.reserve(entry(2, &[&key, &team], tokens(1, 1)), at(1)));
    assert_eq!(refusal.scope, "team:search");
    assert_eq!(reading(&ledger, &key, "rpm", at(1)).used, 1, "nothing was taken of the key");
}

#[test]
fn a_scope_that_is_named_twice_takes_once() {
    let tag = scope("tag:batch", Limits { rpm: Some(Requests(1)), ..Limits::default() });
    let mut ledger = Ledger::default();
    let _hold = ledger.reserve(entry(1, &[&tag, &tag], tokens(1, 1)), at(0)).expect("room for one");
    assert_eq!(reading(&ledger, &tag, "rpm", at(0)).used, 1);
}

#[test]
fn a_refusal_names_the_limit_that_opens_last() {
    let minute = scope("key:ci", Limits { rpm: Some(Requests(1)), ..Limits::default() });
    let flight = scope("user:ann", Limits { concurrency: Some(Requests(1)), ..Limits::default() });
    let day = scope("team:search", with_budget(budget(1, Period::Day)));
    let all = [&flight, &minute, &day];
    let mut ledger = Ledger::default();
    let _hold = ledger.reserve(entry(1, &all, cents(100)), at(0)).expect("room");
    let refusal = limited(ledger.reserve(entry(2, &all, cents(100)), at(1000)));
    assert_eq!((refusal.scope.as_str(), refusal.code), ("team:search", Code::BudgetExceeded));
    let refusal = limited(ledger.reserve(entry(3, &[&flight, &minute], cents(100)), at(1000)));
    assert_eq!((refusal.scope.as_str(), refusal.code), ("key:ci", Code::RpmExceeded));
    assert_eq!(refusal.opens_in, Some(Millis(59_000)));
    assert_eq!(refusal.what, "1 requests a minute, 0 left, this call takes 1, opens in 59 s");
}

#[test]
fn limits_of_some_targets_close_them_and_refuse_only_when_none_is_left() {
    let key = scope("key:ci", Limits { rpm: Some(Requests(100)), ..Limits::default() });
    let openai = scope("key:ci/provider:openai", Limits { rpm: Some(Requests(1)), ..Limits::default() });
    let azure = scope("key:ci/provider:azure", Limits { rpm: Some(Requests(2)), ..Limits::default() });
    let make = |id| {
        let mut entry = entry(id, &[&key], tokens(1, 1));
        entry.targets = Targets::NONE.with(0).with(1);
        entry.claims.push(Claim { scope: Arc::clone(&openai), targets: Targets::NONE.with(0) });
        entry.claims.push(Claim { scope: Arc::clone(&azure), targets: Targets::NONE.with(1) });
        entry
    };
    let mut ledger = Ledger::default();
    let first = ledger.reserve(make(1), at(0)).expect("both open");
    assert_eq!(first.closed, Targets::NONE);
    let second = ledger.reserve(make(2), at(5_000)).expect("one open");
    assert_eq!(second.closed, Targets::NONE.with(0));
    assert_eq!(reading(&ledger, &openai, "rpm", at(5_000)).used, 1, "nothing taken of a closed one");
    let refusal = limited(ledger.reserve(make(3), at(10_000)));
    assert_eq!(refusal.scope, "key:ci/provider:openai", "either opens at once, the first is named");
    assert_eq!(refusal.opens_in, Some(Millis(50_000)));

    // The first went to azure only: openai's own limit gets everything back, its request too.
    let azure_only = Spent { targets: Targets::NONE.with(1), ..Spent::default() };
    ledger.settle(first, &Settlement::Settle(azure_only), at(11_000));
    assert_eq!(reading(&ledger, &openai, "rpm", at(11_000)).used, 0);
    assert_eq!(ledger.account("key:ci/provider:openai"), Account::default());
    assert_eq!(ledger.account("key:ci/provider:azure").settled, Requests(1));
    // The second reached none: a request of the key, none of azure's.
    ledger.settle(second, &Settlement::Release, at(12_000));
    assert_eq!(reading(&ledger, &azure, "rpm", at(12_000)).used, 1);
    assert_eq!(reading(&ledger, &key, "rpm", at(12_000)).used, 2);
}

#[test]
fn what_is_granted_is_the_most_that_fits_everywhere() {
    let key = scope("key:ci", Limits { tpm: Some(Tokens(1000)), ..Limits::default() });
    let team = scope("team:search", with_budget(budget(1, Period::Day)));
    let ask = Ask {
        more: Requests::ZERO,
        input: Estimated(Tokens(100)),
        least_output: Estimated(Tokens(10)),
        most_output: Estimated(Tokens(4000)),
        cost: Some(AskCost { fixed: NanoDollars(DOLLAR / 2), output: PerMillion(1_000_000 * DOLLAR / 1000) }),
    };
    let mut ledger = Ledger::default();
    assert_eq!(ledger.reserve(entry(1, &[&key], ask), at(0)).expect("room").output, Tokens(900));
    let hold = ledger.reserve(entry(2, &[&team], ask), at(0)).expect("room");
    assert_eq!(hold.output, Tokens(500), "half a dollar at a tenth of a cent each");
    assert_eq!(reading(&ledger, &team, "budget", at(0)).held, DOLLAR);
}

#[test]
fn a9_a_slot_is_freed_on_success_on_release_and_when_the_lease_is_over() {
    let key = scope("key:ci", Limits { concurrency: Some(Requests(1)), ..Limits::default() });
    let mut ledger = Ledger::default();
    let ask = tokens(1, 1);
    for (id, settlement) in [(1, paid(0)), (2, Settlement::Release)] {
        let hold = ledger.reserve(entry(id, &[&key], ask), at(0)).expect("free");
        let refusal = limited(ledger.reserve(entry(9, &[&key], ask), at(0)));
        assert_eq!((refusal.code, refusal.opens_in), (Code::ConcurrencyExceeded, Some(Millis(1000))));
        ledger.settle(hold, &settlement, at(0));
    }
    let _lost = ledger.reserve(entry(3, &[&key], ask), at(0)).expect("free");
    limited(ledger.reserve(entry(4, &[&key], ask), at(179_999)));
    let _hold = ledger.reserve(entry(4, &[&key], ask), at(180_000)).expect("the lease is over");
}

#[test]
fn a9_five_calls_one_after_the_other_leave_room_for_a_sixth() {
    let key = scope("key:ci", Limits { concurrency: Some(Requests(5)), ..Limits::default() });
    let mut ledger = Ledger::default();
    for id in 0..6 {
        let hold = ledger.reserve(entry(id, &[&key], tokens(1, 1)), at(0)).expect("free");
        ledger.settle(hold, &paid(0), at(0));
    }
}

#[test]
fn a_lost_entry_is_charged_in_full_when_its_lease_is_over_and_not_before() {
    let limits = Limits { max_tokens: Some(Tokens(1000)), ..with_budget(budget(1, Period::Day)) };
    let key = scope("key:ci", limits);
    let mut ledger = Ledger::default();
    let ask = Ask { cost: cents(30).cost, ..tokens(100, 50) };
    let lost = ledger.reserve(entry(1, &[&key], ask), at(0)).expect("room");
    ledger.sweep(at(179_999));
    assert_eq!(reading(&ledger, &key, "max_tokens", at(179_999)).held, 150);
    ledger.sweep(at(180_000));
    let tokens = reading(&ledger, &key, "max_tokens", at(180_000));
    assert_eq!((tokens.used, tokens.held), (150, 0));
    assert_eq!(reading(&ledger, &key, "budget", at(180_000)).used, DOLLAR * 3 / 10);
    let Spent { input, output, cost, .. } = lost.in_full();
    assert_eq!(
        (input.0.get() + output.0.get(), cost),
        (150, NanoDollars(DOLLAR * 3 / 10)),
        "as it says itself"
    );
    ledger.settle(lost, &paid(1), at(180_001));
    assert_eq!(reading(&ledger, &key, "budget", at(180_001)).used, DOLLAR * 3 / 10, "it has ended");
}

#[test]
fn limits_for_ever_are_for_ever_and_say_that_they_do_not_open() {
    let limits =
        Limits { max_requests: Some(Requests(2)), max_tokens: Some(Tokens(100)), ..Limits::default() };
    let token = scope("token:7f", limits);
    let mut ledger = Ledger::default();
    for id in 0..2 {
        let hold = ledger.reserve(entry(id, &[&token], tokens(10, 10)), at(0)).expect("room");
        ledger.settle(hold, &Settlement::Release, at(0));
    }
    ledger.sweep(at(400 * 86_400_000));
    let refusal = limited(ledger.reserve(entry(3, &[&token], tokens(10, 10)), at(400 * 86_400_000)));
    assert_eq!((refusal.code, refusal.opens_in), (Code::RpmExceeded, None));
    assert_eq!(refusal.what, "2 requests in all, 0 left, this call takes 1, does not open again");
    let refusal = limited(ledger.reserve(entry(4, &[&token], tokens(99, 2)), at(400 * 86_400_000)));
    assert_eq!(refusal.opens_in, None);
}

#[test]
fn books_with_nothing_left_in_them_are_dropped() {
    let mut ledger = Ledger::default();
    for id in 0..3000 {
        let user =
            scope(&format!("key:ci/end-user:{id}"), Limits { rpm: Some(Requests(1)), ..Limits::default() });
        let hold = ledger.reserve(entry(id, &[&user], tokens(1, 1)), at(0)).expect("room");
        ledger.settle(hold, &paid(0), at(0));
    }
    assert_eq!(ledger.take_changed().stored.len(), 3000);
    for _ in 0..6 {
        ledger.sweep(at(60_000));
    }
    assert_eq!(ledger.take_changed().emptied.len(), 3000);
    assert_eq!(ledger.account("key:ci/end-user:7"), Account::default());
}

#[test]
fn books_with_limits_for_ever_are_kept_until_they_are_forgotten() {
    let limits = Limits { max_requests: Some(Requests(1)), ..Limits::default() };
    let token = scope("token:7f", limits);
    let mut ledger = Ledger::default();
    let hold = ledger.reserve(entry(1, &[&token], tokens(1, 1)), at(0)).expect("room");
    ledger.take_changed();
    ledger.settle(hold, &paid(0), at(1));
    ledger.sweep(at(86_400_000));
    assert_eq!(ledger.account("token:7f").settled, Requests(1));
    ledger.forget("token:7f");
    assert_eq!(ledger.account("token:7f"), Account::default());
    assert_eq!(ledger.take_changed().emptied, ["token:7f"]);
}

#[test]
fn k3_a_limit_that_never_opens_again_says_when_to_come_back_all_the_same() {
    let limits = Limits { max_requests: Some(Requests(0)), ..Limits::default() };
    let key = scope("key:ci", limits);
    let refusal = Ledger::default().reserve(entry(1, &[&key], tokens(1, 1)), at(0)).expect_err("no room");
    let fault = refusal.into_fault();
    assert_eq!((fault.status(), fault.retry_after), (429, Some(Millis::from_secs(3600))));
}

#[test]
fn books_of_tokens_go_when_no_token_can_be_valid_any_more() {
    let limits = Limits { max_requests: Some(Requests(9)), ..with_budget(budget(1, Period::Never)) };
    let used = |ledger: &mut Ledger, id: u128, name: &str, now| {
        let hold = ledger.reserve(entry(id, &[&scope(name, limits.clone())], cents(1)), now).expect("room");
        ledger.settle(hold, &paid(1), now);
    };
    let mut ledger = Ledger::default();
    let longest = Millis::from_secs(3600);
    ledger.expire_tokens(longest);
    for id in 0..100_000 {
        used(&mut ledger, id, &format!("token:ci-{id}"), at(0));
    }
    used(&mut ledger, 100_000, "key:ci", at(0));
    used(&mut ledger, 100_001, "token:late", at(1_800_000));
    assert_eq!(ledger.take_changed().stored.len(), 100_002);
    let sweep = |ledger: &mut Ledger, now| (0..200).for_each(|_| drop(ledger.sweep(now)));
    sweep(&mut ledger, at(longest.get()));
    assert_eq!(ledger.take_changed().emptied.len(), 0, "the clocks of others may be behind");
    assert!(!ledger.has_emptied());
    sweep(&mut ledger, at(longest.get() + 60_000));
    assert!(ledger.has_emptied());
    assert_eq!(ledger.take_changed().emptied.len(), 100_000);
    assert_eq!(ledger.account("token:ci-7"), Account::default());
    assert_eq!(ledger.account("token:late").settled, Requests(1));
    assert_eq!(ledger.account("key:ci").settled, Requests(1), "keys have no such end");
}

#[test]
fn books_of_tokens_go_after_a_restart_too() {
    let limits = Limits { max_requests: Some(Requests(9)), ..Limits::default() };
    let mut first = Ledger::default();
    let hold = first.reserve(entry(1, &[&scope("token:7f", limits)], tokens(1, 1)), at(0)).expect("room");
    first.settle(hold, &paid(0), at(0));
    let mut second = Ledger::default();
    first.take_changed().stored.iter().for_each(|state| second.restore(state).expect("sound"));
    second.expire_tokens(Millis::from_secs(3600));
    second.sweep(at(3_600_000));
    assert_eq!(second.account("token:7f").settled, Requests(1));
    second.sweep(at(3_660_000));
    assert_eq!(second.account("token:7f"), Account::default());
}

#[test]
fn what_is_inside_a_forgotten_scope_is_forgotten_with_it() {
    let limits = Limits { max_requests: Some(Requests(9)), ..Limits::default() };
    let names = ["key:ci", "key:ci/provider:openai", "key:ci/end-user:7", "key:ci2", "team:ci"];
    let scopes = names.map(|name| scope(name, limits.clone()));
    let mut ledger = Ledger::default();
    let hold = ledger.reserve(entry(1, &scopes.each_ref(), tokens(1, 1)), at(0)).expect("room");
    ledger.settle(hold, &paid(0), at(0));
    let open = ledger.reserve(entry(2, &[&scopes[0]], tokens(1, 1)), at(0)).expect("room");
    ledger.forget_all(&["key:ci", "user:none"]);
    let settled = |ledger: &Ledger| names.map(|name| ledger.account(name).settled.get());
    assert_eq!(settled(&ledger), [1, 0, 0, 1, 1], "not while an entry is open");
    ledger.settle(open, &paid(0), at(1));
    ledger.sweep(at(2));
    assert_eq!(settled(&ledger), [0, 0, 0, 1, 1]);
}

#[test]
fn what_another_ledger_granted_is_taken_whatever_the_limits_say() {
    let key = scope("key:ci", Limits { rpm: Some(Requests(1)), ..with_budget(budget(1, Period::Day)) });
    let mut ledger = Ledger::default();
    for id in 0..3 {
        let hold = Ledger::default().reserve(entry(id, &[&key], cents(60)), at(0)).expect("room");
        ledger.record(&hold, at(0));
    }
    assert_eq!(reading(&ledger, &key, "rpm", at(0)).used, 3);
    assert_eq!(reading(&ledger, &key, "budget", at(0)).held, DOLLAR * 18 / 10);
    limited(ledger.reserve(entry(9, &[&key], cents(1)), at(60_000)));
}

#[test]
fn targets_hold_what_they_were_given() {
    let few = Targets::NONE.with(1).with(3);
    assert!(few.holds(3) && !few.holds(2) && Targets::ALL.holds(999));
    assert_eq!(few.without(Targets::NONE.with(1)), Targets::NONE.with(3));
    assert!(few.meets(Targets::ALL) && !few.meets(Targets::NONE));
}

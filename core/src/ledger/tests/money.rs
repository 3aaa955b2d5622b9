//! Budgets.

use super::*;

fn spend(ledger: &mut Ledger, id: u128, scope: &Arc<Scope>, spent: u64, now: Time) -> Vec<Warning> {
    let hold = ledger.reserve(entry(id, &[scope], cents(spent)), now).expect("room");
    ledger.settle(hold, &paid(spent), now)
}

fn rolling(dollars: u64, per: Period) -> Budget {
    Budget { reset: Reset::Rolling, ..budget(dollars, per) }
}

#[test]
fn b1_what_is_spent_is_refused_from_then_on_and_says_when_it_resets() {
    let key = scope("key:ci", with_budget(budget(10, Period::Day)));
    let mut ledger = Ledger::default();
    spend(&mut ledger, 1, &key, 980, at(0));
    let refusal = limited(ledger.reserve(entry(2, &[&key], cents(35)), at(3_600_000)));
    assert_eq!(refusal.code, Code::BudgetExceeded);
    assert_eq!(refusal.opens_in, Some(Millis::from_secs(11 * 3600)));
    let expected =
        "$10 a day, $0.2 left, this call may cost $0.35, opens in 39600 s, resets at 2026-01-04T00:00:00Z";
    assert_eq!(refusal.what, expected);
    let never = limited(ledger.reserve(entry(3, &[&key], cents(1001)), at(3_600_000)));
    assert_eq!(never.opens_in, None);
    assert!(never.what.contains("never fits"), "{}", never.what);
}

#[test]
fn b1_a_call_that_costs_by_output_alone_is_refused_when_nothing_is_left() {
    let key = scope("key:ci", with_budget(budget(1, Period::Day)));
    let mut ledger = Ledger::default();
    spend(&mut ledger, 1, &key, 100, at(0));
    let cost = AskCost { fixed: NanoDollars::ZERO, output: PerMillion(1) };
    let ask = Ask { most_output: Estimated(Tokens(100)), cost: Some(cost), ..Ask::default() };
    limited(ledger.reserve(entry(2, &[&key], ask), at(0)));
}

#[test]
fn b2_of_fifty_at_once_each_worth_a_tenth_of_what_is_left_ten_get_through() {
    let key = scope("key:ci", with_budget(budget(1, Period::Month)));
    let mut ledger = Ledger::default();
    let holds: Vec<Hold> =
        (0..50).filter_map(|id| ledger.reserve(entry(id, &[&key], cents(10)), at(0)).ok()).collect();
    assert_eq!(holds.len(), 10);
    for hold in holds {
        ledger.settle(hold, &paid(10), at(1));
    }
    let reading = reading(&ledger, &key, "budget", at(1));
    assert_eq!((reading.used, reading.held, reading.most), (DOLLAR, 0, DOLLAR));
}

#[test]
fn b3_after_a_thousand_mixed_calls_the_counter_is_the_sum_of_what_was_charged() {
    let key = scope("key:ci", with_budget(budget(1000, Period::Month)));
    let mut ledger = Ledger::default();
    let mut sum = 0;
    for id in 0..1000 {
        let hold = ledger.reserve(entry(id, &[&key], cents(7)), at(0)).expect("room");
        let cost = (id % 9) as u64;
        let settlement = if id % 4 == 0 { Settlement::Release } else { paid(cost) };
        sum += if id % 4 == 0 { 0 } else { cost * DOLLAR / 100 };
        ledger.settle(hold, &settlement, at(1));
    }
    let reading = reading(&ledger, &key, "budget", at(1));
    assert_eq!((reading.used, reading.held), (sum, 0));
    assert_eq!(ledger.account("key:ci").spent, NanoDollars(sum));
}

#[test]
fn b6_every_scope_with_a_budget_is_asked() {
    let names =
        ["key:ci", "user:ann", "team:search", "organisation:acme", "tag:batch", "team:search/end-user:7"];
    for poor in names {
        let scopes: Vec<Arc<Scope>> = names
            .iter()
            .map(|name| scope(name, with_budget(budget(if *name == poor { 1 } else { 100 }, Period::Day))))
            .collect();
        let all: Vec<&Arc<Scope>> = scopes.iter().collect();
        let refusal = limited(Ledger::default().reserve(entry(1, &all, cents(200)), at(0)));
        assert_eq!(refusal.scope, poor);
    }
}

#[test]
fn b10_without_a_budget_no_money_is_refused_and_a_warning_blocks_nothing() {
    let free = scope("key:free", Limits { rpm: Some(Requests(9)), ..Limits::default() });
    let warned = Budget { warn: Some(Percent(1)), ..budget(10, Period::Day) };
    let soft = scope("key:soft", with_budget(warned));
    let mut ledger = Ledger::default();
    spend(&mut ledger, 1, &free, 1_000_000, at(0));
    for id in 2..7 {
        spend(&mut ledger, id, &soft, 200, at(0));
    }
}

#[test]
fn b11_what_costs_nothing_is_still_allowed_when_the_budget_is_spent() {
    let key = scope("key:ci", with_budget(budget(1, Period::Never)));
    let mut ledger = Ledger::default();
    spend(&mut ledger, 1, &key, 100, at(0));
    limited(ledger.reserve(entry(2, &[&key], cents(1)), at(0)));
    spend(&mut ledger, 3, &key, 0, at(0));
    let _hold =
        ledger.reserve(entry(4, &[&key], tokens(5, 5)), at(0)).expect("an unknown price is not asked");
}

#[test]
fn b13_two_answers_that_cross_the_end_of_a_period_are_both_in_the_next() {
    let key = scope("key:ci", with_budget(budget(10, Period::Day)));
    let mut ledger = Ledger::default();
    let midnight = 12 * 3_600_000;
    spend(&mut ledger, 1, &key, 500, at(0));
    let one = ledger.reserve(entry(2, &[&key], cents(200)), at(midnight - 5)).expect("room");
    let two = ledger.reserve(entry(3, &[&key], cents(300)), at(midnight - 5)).expect("room");
    ledger.settle(one, &paid(200), at(midnight + 1));
    ledger.settle(two, &paid(300), at(midnight + 1));
    let reading = reading(&ledger, &key, "budget", at(midnight + 1));
    assert_eq!((reading.used, reading.held), (5 * DOLLAR, 0));
}

#[test]
fn b14_budgets_of_all_scopes_are_full_again_in_their_next_period() {
    let key = scope("key:ci", with_budget(budget(1, Period::Day)));
    let team = scope("team:search", with_budget(budget(1, Period::Week)));
    let mut ledger = Ledger::default();
    let days = |days: u64| at(days * 86_400_000);
    let call = |id| entry(id, &[&key, &team], cents(50));
    let hold = ledger.reserve(call(1), days(0)).expect("room");
    ledger.settle(hold, &paid(50), days(0));
    let hold = ledger.reserve(call(2), days(0)).expect("room");
    ledger.settle(hold, &paid(50), days(0));
    // Saturday is over, the week is not.
    assert_eq!(limited(ledger.reserve(call(3), days(1))).scope, "team:search");
    assert_eq!(reading(&ledger, &key, "budget", days(1)).used, 0);
    let _hold = ledger.reserve(call(4), days(2)).expect("it is Monday");
}

#[test]
fn b15_a_rolling_month_is_thirty_days_wherever_it_begins() {
    let key = scope("key:ci", with_budget(rolling(1, Period::Month)));
    let mut ledger = Ledger::default();
    let month = 30 * 86_400_000;
    spend(&mut ledger, 1, &key, 100, at(0));
    let refusal = limited(ledger.reserve(entry(2, &[&key], cents(1)), at(month - 1)));
    let opens = at(month - 1) + refusal.opens_in.expect("it opens");
    assert!(opens >= at(month) && opens <= at(month + month / 60), "{}", written(opens));
    spend(&mut ledger, 3, &key, 100, opens);
}

#[test]
fn a_rolling_budget_opens_bit_by_bit_and_never_gives_more_than_its_amount_in_its_period() {
    let key = scope("key:ci", with_budget(rolling(1, Period::Hour)));
    let mut ledger = Ledger::default();
    let mut admitted = Vec::new();
    for step in 0..3000 {
        let now = at(step * 7_000);
        if let Ok(hold) = ledger.reserve(entry(step.into(), &[&key], cents(3)), now) {
            ledger.settle(hold, &paid(3), now);
            admitted.push(now);
        }
    }
    let most = admitted
        .iter()
        .map(|first| admitted.iter().filter(|t| t.since(*first) < Millis(3_600_000) && *t >= first).count());
    assert_eq!(most.max(), Some(33));
    assert!(admitted.len() >= 33 * 5, "{} in nearly six hours", admitted.len());
}

#[test]
fn several_budgets_hold_at_once_and_a_prepaid_one_never_resets() {
    let limits =
        Limits { budgets: vec![budget(5, Period::Day), budget(8, Period::Never)], ..Limits::default() };
    let key = scope("key:ci", limits);
    let mut ledger = Ledger::default();
    spend(&mut ledger, 1, &key, 500, at(0));
    limited(ledger.reserve(entry(2, &[&key], cents(100)), at(1)));
    spend(&mut ledger, 3, &key, 300, at(86_400_000));
    let refusal = limited(ledger.reserve(entry(4, &[&key], cents(100)), at(86_400_000)));
    assert_eq!(refusal.what, "$8 in all, $0 left, this call may cost $1, does not open again");
    assert_eq!(refusal.opens_in, None);

    // A top-up is a larger amount.
    let limits =
        Limits { budgets: vec![budget(5, Period::Day), budget(9, Period::Never)], ..Limits::default() };
    spend(&mut ledger, 5, &scope("key:ci", limits), 100, at(86_400_000));
}

#[test]
fn money_passes_a_budget_only_by_what_the_provider_bills_beyond_its_cap() {
    let key = scope("key:ci", with_budget(budget(1, Period::Day)));
    let mut ledger = Ledger::default();
    let hold = ledger.reserve(entry(1, &[&key], cents(100)), at(0)).expect("room");
    ledger.settle(hold, &paid(130), at(0));
    assert_eq!(reading(&ledger, &key, "budget", at(0)).used, DOLLAR * 13 / 10, "what was billed is charged");
    limited(ledger.reserve(entry(2, &[&key], cents(1)), at(0)));
}

#[test]
fn a_warning_is_told_once_in_a_period() {
    let key = scope("key:ci", with_budget(Budget { warn: Some(Percent(80)), ..budget(10, Period::Day) }));
    let mut ledger = Ledger::default();
    assert_eq!(spend(&mut ledger, 1, &key, 799, at(0)), []);
    let warnings = spend(&mut ledger, 2, &key, 1, at(0));
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!((warning.scope.as_str(), warning.spent), ("key:ci", NanoDollars(8 * DOLLAR)));
    assert_eq!(warning.resets_at.map(written).as_deref(), Some("2026-01-04T00:00:00Z"));
    assert_eq!(spend(&mut ledger, 3, &key, 100, at(0)), []);
    assert_eq!(spend(&mut ledger, 4, &key, 900, at(86_400_000)).len(), 1, "the next day");
}

#[test]
fn a_prepaid_budget_warns_again_after_a_top_up() {
    let prepaid = |dollars| {
        scope("key:ci", with_budget(Budget { warn: Some(Percent(50)), ..budget(dollars, Period::Never) }))
    };
    let mut ledger = Ledger::default();
    assert_eq!(spend(&mut ledger, 1, &prepaid(2), 100, at(0)).len(), 1);
    assert_eq!(spend(&mut ledger, 2, &prepaid(2), 50, at(1)).len(), 0);
    assert_eq!(spend(&mut ledger, 3, &prepaid(4), 10, at(2)).len(), 0);
    assert_eq!(spend(&mut ledger, 4, &prepaid(4), 100, at(3)).len(), 1);
}

#[test]
fn a_lost_entry_that_passes_a_threshold_warns_whoever_comes_next() {
    let key = scope("key:ci", with_budget(Budget { warn: Some(Percent(50)), ..budget(1, Period::Never) }));
    let mut ledger = Ledger::default();
    let _lost = ledger.reserve(entry(1, &[&key], cents(60)), at(0)).expect("room");
    limited(ledger.reserve(entry(2, &[&key], cents(60)), at(200_000)));
    assert_eq!(ledger.sweep(at(200_001)).len(), 1);
    assert_eq!(ledger.sweep(at(200_002)).len(), 0);
}

#[test]
fn b5_a_budget_that_comes_late_counts_what_was_spent_before() {
    let day = budget(10, Period::Day);
    let key = scope("key:ci", with_budget(day.clone()));
    let mut ledger = Ledger::default();
    let credit = |ledger: &mut Ledger, dollars, now| {
        ledger.credit("key:ci", &day, NanoDollars(dollars * DOLLAR), now);
        reading(ledger, &key, "budget", now).used / DOLLAR
    };
    assert_eq!(credit(&mut ledger, 0, at(0)), 0);
    assert_eq!(credit(&mut ledger, 4, at(0)), 4);
    assert_eq!(credit(&mut ledger, 4, at(1)), 4, "twice is once");
    assert_eq!(credit(&mut ledger, 3, at(2)), 4, "never less");
    let hold = ledger.reserve(entry(1, &[&key], cents(500)), at(3)).expect("six are left");
    assert_eq!(credit(&mut ledger, 6, at(4)), 6, "what is held is not spent");
    ledger.settle(hold, &paid(300), at(5));
    assert_eq!(credit(&mut ledger, 8, at(6)), 9);
    assert_eq!(limited(ledger.reserve(entry(2, &[&key], cents(101)), at(7))).code, Code::BudgetExceeded);
    assert_eq!(reading(&ledger, &key, "budget", at(12 * 3_600_000)).used, 0, "the next day begins anew");
}

#[test]
fn b5_of_a_rolling_budget_what_is_credited_counts_from_now_on() {
    let week = Budget { reset: Reset::Rolling, ..budget(10, Period::Week) };
    let key = scope("key:ci", with_budget(week.clone()));
    let mut ledger = Ledger::default();
    ledger.credit("key:ci", &week, NanoDollars(9 * DOLLAR), at(0));
    ledger.credit("key:ci", &week, NanoDollars(9 * DOLLAR), at(86_400_000));
    let used = |now| reading(&ledger, &key, "budget", now).used / DOLLAR;
    assert_eq!((used(at(6 * 86_400_000)), used(at(8 * 86_400_000))), (9, 0));
}

#[test]
fn b5_what_is_credited_is_known_after_a_crash() {
    let day = budget(10, Period::Day);
    let key = scope("key:ci", with_budget(day.clone()));
    let note =
        Note::Credited { scope: "key:ci".to_owned(), budget: day, spent: NanoDollars(DOLLAR), at: at(0) };
    let mut bytes = Vec::new();
    note.write(&mut bytes);
    let read = Note::read(&bytes).expect("sound").expect("whole");
    assert_eq!(read, Read { note: note.clone(), length: bytes.len() });
    let mut ledger = Ledger::default();
    ledger.replay(&read.note);
    ledger.replay(&read.note);
    assert_eq!(reading(&ledger, &key, "budget", at(1)).used, DOLLAR);
    assert_eq!(ledger.take_changed().stored.len(), 1);
}

#[test]
fn what_counts_towards_a_budget_begins_with_its_period() {
    let rolling = Budget { reset: Reset::Rolling, ..budget(1, Period::Day) };
    assert_eq!(rolling.counts_from(at(0)), Time(NOON.0 - 86_400_000));
    assert_eq!(budget(1, Period::Day).counts_from(at(0)), Time(NOON.0 - 43_200_000));
    assert_eq!(budget(1, Period::Never).counts_from(at(0)), Time(0));
}

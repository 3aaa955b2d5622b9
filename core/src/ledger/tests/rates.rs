//! Requests and tokens by the minute.

use super::*;

#[test]
fn where_rates_stand_is_told_by_the_closest_of_all_scopes() {
    let reading = |limit, most, used, held| crate::ledger::Reading {
        limit,
        budget: None,
        most,
        used,
        held,
        resets_at: None,
    };
    let report = |gauges| crate::ledger::Report { scope: "key:k".to_owned(), gauges };
    let minute = Millis::from_secs(60);
    let wide =
        report(vec![reading("rpm", 100, 0, 0), reading("tpm_input", 50, 10, 0), reading("budget", 1, 1, 0)]);
    let standing = Standing::of(std::slice::from_ref(&wide));
    assert_eq!(
        standing.requests,
        Some(Level { limit: Requests(100), left: Requests(100), reset: Millis(0) })
    );
    assert_eq!(standing.tokens, Some(Level { limit: Tokens(50), left: Tokens(40), reset: minute }));
    let narrow = report(vec![reading("rpm", 5, 3, 1), reading("tpm", 1000, 0, 300)]);
    let standing = Standing::of(&[wide, narrow]);
    assert_eq!(standing.requests, Some(Level { limit: Requests(5), left: Requests(1), reset: minute }));
    assert_eq!(standing.tokens, Some(Level { limit: Tokens(1000), left: Tokens(700), reset: minute }));
    assert_eq!(Standing::of(&[]), Standing::default());
}

fn of(limits: Limits) -> Arc<Scope> {
    scope("key:ci", limits)
}

fn per_minute(requests: Option<u64>, tokens: Option<u64>) -> Arc<Scope> {
    of(Limits { rpm: requests.map(Requests), tpm: tokens.map(Tokens), ..Limits::default() })
}

#[test]
fn a1_a_limit_of_one_kind_alone_limits() {
    let mut ledger = Ledger::default();
    let requests = scope("key:requests", Limits { rpm: Some(Requests(1)), ..Limits::default() });
    let _hold = ledger.reserve(entry(1, &[&requests], tokens(9, 9)), at(0)).expect("room");
    assert_eq!(limited(ledger.reserve(entry(2, &[&requests], tokens(9, 9)), at(0))).code, Code::RpmExceeded);
    let tpm = scope("key:tokens", Limits { tpm: Some(Tokens(20)), ..Limits::default() });
    let _hold = ledger.reserve(entry(3, &[&tpm], tokens(9, 9)), at(0)).expect("room");
    assert_eq!(limited(ledger.reserve(entry(4, &[&tpm], tokens(9, 9)), at(0))).code, Code::TpmExceeded);
}

#[test]
fn a2_requests_and_tokens_have_windows_of_their_own_and_nobody_waits_longer_than_a_minute() {
    let key = per_minute(Some(500), Some(500_000));
    let mut ledger = Ledger::default();
    // 499 small requests, one a tenth of a second; at 30 s one that takes nearly all tokens.
    for id in 0..499 {
        let ask = if id == 300 { tokens(400_000, 90_000) } else { tokens(10, 10) };
        let _hold =
            ledger.reserve(entry(id, &[&key], ask), at(u64::try_from(id).unwrap() * 100)).expect("room");
    }
    let refusal = limited(ledger.reserve(entry(1000, &[&key], tokens(40_000, 0)), at(59_000)));
    assert_eq!(refusal.code, Code::TpmExceeded);
    let opens_in = refusal.opens_in.expect("windows open");
    let large_one_leaves = 31_000..=31_500;
    assert!(large_one_leaves.contains(&opens_in.get()), "{opens_in}");
    let opens = at(59_000) + opens_in;
    let _hold =
        ledger.reserve(entry(1001, &[&key], tokens(40_000, 0)), opens).expect("it opened when it said");
    // Minute after minute the whole of both limits is there.
    for minute in 3..8 {
        for id in 0..500 {
            let id = u128::from(minute) * 10_000 + id;
            let _hold =
                ledger.reserve(entry(id, &[&key], tokens(999, 1)), at(minute * 60_000)).expect("room");
        }
    }
}

#[test]
fn a7_the_third_prompt_of_seven_tokens_is_over_a_limit_of_fifteen() {
    let key = per_minute(None, Some(15));
    let mut ledger = Ledger::default();
    for id in 0..2 {
        let hold = ledger.reserve(entry(id, &[&key], tokens(7, 0)), at(0)).expect("room");
        ledger.settle(hold, &spent(7, 0, NanoDollars::ZERO), at(10));
    }
    let refusal = limited(ledger.reserve(entry(3, &[&key], tokens(7, 0)), at(20_000)));
    assert_eq!(refusal.what, "15 tokens a minute, 1 left, this call may take 7, opens in 40 s");
}

#[test]
fn a8_a_request_that_reached_nobody_is_a_request_all_the_same() {
    let key = per_minute(Some(1), Some(10));
    let mut ledger = Ledger::default();
    let hold = ledger.reserve(entry(1, &[&key], tokens(5, 5)), at(0)).expect("room");
    ledger.settle(hold, &Settlement::Release, at(0));
    assert_eq!(reading(&ledger, &key, "tpm", at(0)).used, 0, "its tokens are given back");
    assert_eq!(limited(ledger.reserve(entry(2, &[&key], tokens(5, 5)), at(0))).code, Code::RpmExceeded);
}

#[test]
fn a12_a_burst_across_a_minutes_boundary_gets_the_limit_once() {
    let key = per_minute(Some(10), None);
    let mut ledger = Ledger::default();
    let minute = 60_000 - NOON.0 % 60_000;
    let times = (0..40).map(|step| at(minute - 20 + step));
    let granted = times
        .enumerate()
        .filter(|(id, time)| ledger.reserve(entry(*id as u128, &[&key], tokens(1, 1)), *time).is_ok());
    assert_eq!(granted.count(), 10);
}

#[test]
fn a14_a_clock_that_is_thirty_seconds_behind_reopens_nothing() {
    let key = per_minute(Some(1), None);
    let mut ledger = Ledger::default();
    let _hold = ledger.reserve(entry(1, &[&key], tokens(1, 1)), at(30_000)).expect("room");
    for (id, time) in [(2, 0), (3, 60_000), (4, 30_000), (5, 89_999)] {
        limited(ledger.reserve(entry(id, &[&key], tokens(1, 1)), at(time)));
    }
    let _hold = ledger.reserve(entry(6, &[&key], tokens(1, 1)), at(90_000)).expect("a minute is over");
}

#[test]
fn a14_a_clock_that_ran_a_day_ahead_blocks_nobody_for_a_day() {
    let key = per_minute(Some(1), None);
    let mut ledger = Ledger::default();
    let _hold = ledger.reserve(entry(1, &[&key], tokens(1, 1)), at(86_400_000)).expect("room");
    limited(ledger.reserve(entry(2, &[&key], tokens(1, 1)), at(0)));
    limited(ledger.reserve(entry(2, &[&key], tokens(1, 1)), at(59_999)));
    let _hold = ledger.reserve(entry(2, &[&key], tokens(1, 1)), at(60_000)).expect("a minute is over");
}

#[test]
fn k1_a_hundred_at_once_get_through_once() {
    let requests = per_minute(Some(1), None);
    let tokens_only = scope("key:tokens", Limits { tpm: Some(Tokens(100)), ..Limits::default() });
    let money = scope("key:money", with_budget(budget(1, Period::Never)));
    for key in [&requests, &tokens_only, &money] {
        let mut ledger = Ledger::default();
        let ask = Ask { cost: cents(100).cost, ..tokens(60, 40) };
        let granted = (0..100).filter(|id| ledger.reserve(entry(*id, &[key], ask), at(0)).is_ok());
        assert_eq!(granted.count(), 1, "{}", key.name);
    }
}

#[test]
fn what_a_call_really_took_is_what_counts_down_and_up() {
    let key = of(Limits {
        tpm: Some(Tokens(1000)),
        tpm_input: Some(Tokens(600)),
        tpm_output: Some(Tokens(400)),
        ..Limits::default()
    });
    let mut ledger = Ledger::default();
    let first = ledger.reserve(entry(1, &[&key], tokens(100, 400)), at(0)).expect("room");
    assert_eq!(
        limited(ledger.reserve(entry(2, &[&key], tokens(1, 1)), at(0))).what,
        "400 output tokens a minute, 0 left, this call may take 1, opens in 60 s"
    );
    ledger.settle(first, &spent(110, 30, NanoDollars::ZERO), at(1));
    let used = |limit| reading(&ledger, &key, limit, at(1)).used;
    assert_eq!((used("tpm"), used("tpm_input"), used("tpm_output")), (140, 110, 30));
}

#[test]
fn what_can_never_fit_says_so() {
    let key = per_minute(None, Some(100));
    let refusal = limited(Ledger::default().reserve(entry(1, &[&key], tokens(90, 11)), at(0)));
    assert_eq!(refusal.opens_in, Some(Millis(60_000)));
    assert_eq!(refusal.what, "100 tokens a minute, 100 left, this call may take 101 and never fits");
}

#[test]
fn a_changed_limit_keeps_what_was_counted() {
    let mut ledger = Ledger::default();
    for id in 0..5 {
        let _hold =
            ledger.reserve(entry(id, &[&per_minute(Some(10), None)], tokens(1, 1)), at(0)).expect("room");
    }
    limited(ledger.reserve(entry(5, &[&per_minute(Some(5), None)], tokens(1, 1)), at(1)));
    let _hold = ledger.reserve(entry(6, &[&per_minute(Some(6), None)], tokens(1, 1)), at(1)).expect("room");
}

#[test]
fn headers_tell_of_the_tightest_scope_after_this_request() {
    let key = per_minute(Some(10), Some(1000));
    let limits = Limits { rpm: Some(Requests(3)), tpm_output: Some(Tokens(80)), ..Limits::default() };
    let team = scope("team:search", limits);
    let mut ledger = Ledger::default();
    let _hold = ledger.reserve(entry(1, &[&team], tokens(20, 30)), at(0)).expect("room");
    let hold = ledger.reserve(entry(2, &[&key, &team], tokens(20, 30)), at(20_000)).expect("room");
    let minute = Millis(60_000);
    assert_eq!(hold.standing.requests, Some(Level { limit: Requests(3), left: Requests(1), reset: minute }));
    assert_eq!(hold.standing.tokens, Some(Level { limit: Tokens(80), left: Tokens(20), reset: minute }));
    let refused = limited(ledger.reserve(entry(3, &[&key, &team], tokens(20, 30)), at(30_000)));
    let tokens = refused.standing.tokens.map(|level| (level.left, level.reset));
    assert_eq!(tokens, Some((Tokens(20), Millis(50_000))));
}

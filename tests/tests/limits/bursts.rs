//! Many at once.

use crate::setting::{
    Setting, TENTH, assert_limited, assert_usd, at_once, capped, chat, key, tenth, with_status,
};
use tollgate_tests::http::Answer;

fn refused(answers: &[Answer]) -> &Answer {
    answers.iter().find(|answer| answer.status != 200).expect("one was refused")
}

#[test]
fn k1_of_a_hundred_parallel_calls_one_passes_a_limit_of_one_request() {
    let setting = Setting::of_key("rpm = 1");
    let answers = at_once(100, |_| setting.ask("k", &chat("sim/m+head_delay=500")));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (1, 99));
    answers.iter().filter(|answer| answer.status == 429).for_each(|answer| {
        assert_limited(answer, "rpm_exceeded", "key:k");
    });
    assert_eq!(setting.seen(), 1);
}

#[test]
fn k1_of_a_hundred_parallel_calls_one_passes_a_limit_of_one_in_flight() {
    let setting = Setting::of_key("concurrency = 1");
    let answers = at_once(100, |_| setting.ask("k", &chat("sim/m+head_delay=1500")));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (1, 99));
    assert_limited(refused(&answers), "concurrency_exceeded", "key:k");
    assert_eq!(setting.seen(), 1);
    assert_eq!(setting.chat("sim/m").status, 200);
}

#[test]
fn k1_of_a_hundred_parallel_calls_one_passes_a_limit_of_its_tokens() {
    let setting = Setting::of_key("tpm = 1500");
    let answers = at_once(100, |_| setting.ask("k", &capped("sim/m+chars=4000,head_delay=500", 1000)));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (1, 99));
    assert_limited(refused(&answers), "tpm_exceeded", "key:k");
    assert_eq!(setting.seen(), 1);
}

#[test]
fn k1_of_a_hundred_parallel_calls_one_passes_a_budget_of_its_cost() {
    let setting = Setting::of_key("budget = [{ usd = 0.15, per = \"day\" }]");
    let answers = at_once(100, |_| setting.ask("k", &tenth(",head_delay=500")));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 402)), (1, 99));
    assert_limited(refused(&answers), "budget_exceeded", "key:k");
    assert_eq!(setting.seen(), 1);
}

#[test]
fn b2_of_fifty_calls_each_worth_a_tenth_of_what_is_left_ten_are_admitted() {
    let setting = Setting::of_key("budget = [{ usd = 2.02, per = \"month\" }]");
    for _ in 0..10 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    let answers = at_once(50, |_| setting.ask("k", &tenth(",head_delay=500")));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 402)), (10, 40));
    assert_eq!(setting.seen(), 20);
    let spent = setting.settled("key:k", 20);
    assert_usd(spent.usd, 20.0 * TENTH);
    assert_eq!(setting.ask("k", &tenth("")).status, 402);
}

#[test]
fn b2_what_is_admitted_at_once_is_the_same_over_all_keys_of_a_team() {
    let mut config =
        "[[teams]]\nname = \"t\"\nbudget = [{ usd = 1.02, per = \"day\" }]\nrpm = 1000\n".to_owned();
    for at in 0..5 {
        config += &key(&format!("k{at}"), "team = \"t\"\nbudget = [{ usd = 100, per = \"day\" }]");
    }
    let setting = Setting::new(&config);
    let answers = at_once(50, |at| setting.ask(&format!("k{}", at % 5), &tenth(",head_delay=500")));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 402)), (10, 40));
    assert_limited(refused(&answers), "budget_exceeded", "team:t");
    assert_usd(setting.settled("team:t", 10).usd, 10.0 * TENTH);
}

#[test]
fn two_limits_of_unlike_kind_in_two_scopes_admit_what_fits_both() {
    let setting = Setting::new(&format!(
        "[[teams]]\nname = \"t\"\nrpm = 7\n{}{}",
        key("a", "team = \"t\"\nbudget = [{ usd = 0.32, per = \"day\" }]"),
        key("b", "team = \"t\"")
    ));
    let answers = at_once(20, |_| setting.ask("a", &tenth(",head_delay=300")));
    // Three fit the budget; what was refused for it has taken nothing of the team's requests.
    assert_eq!(with_status(&answers, 200), 3);
    let answers = at_once(20, |_| setting.ask("b", &chat("sim/m")));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (4, 16));
}

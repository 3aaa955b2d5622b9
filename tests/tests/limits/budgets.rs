//! Money.

use crate::setting::{
    ADMIN, CHAT, Setting, TENTH, admin, assert_limited, assert_usd, capped, chat, key, question, secret,
    stream, tenth, usd,
};
use serde_json::json;
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::Request;

/// Two calls of a tenth fit in.
const QUARTER: &str = "budget = [{ usd = 0.25, per = \"day\" }]";

#[test]
fn b1_a_spent_budget_refuses_the_next_call_before_the_provider_is_asked() {
    let setting = Setting::of_key(QUARTER);
    let answers: Vec<_> = (0..4).map(|_| setting.ask("k", &tenth(""))).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 402, 402]);
    assert_limited(&answers[2], "budget_exceeded", "key:k");
    let message = answers[2].error()["message"].to_string();
    assert!(message.contains("day") && message.contains("0.25") && message.contains("0.04999"), "{message}");
    assert_eq!(setting.seen(), 2);
    // What still fits is served: 10 tokens are a hundredth of a dollar.
    assert_eq!(setting.ask("k", &capped("sim/m", 10)).status, 200);
}

#[test]
fn b1_what_was_spent_is_known_after_a_restart() {
    let mut setting = Setting::of_key(QUARTER);
    for _ in 0..2 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    assert_usd(setting.settled("key:k", 2).usd, 2.0 * TENTH);
    setting.gateway.signal("TERM");
    setting.gateway.wait();
    setting.restart();
    assert_limited(&setting.ask("k", &tenth("")), "budget_exceeded", "key:k");
    assert_usd(setting.spend("key:k").usd, 2.0 * TENTH);
    assert_eq!(setting.seen(), 2);
}

#[test]
fn every_choice_that_is_asked_for_is_reserved() {
    let setting = Setting::of_key(QUARTER);
    let mut three = question("sim/m+chars=400");
    three["max_tokens"] = json!(100);
    three["n"] = json!(3);
    assert_limited(&setting.ask("k", &Request::post(CHAT, &three)), "budget_exceeded", "key:k");
    three["n"] = json!(2);
    assert_eq!(setting.ask("k", &Request::post(CHAT, &three)).status, 200);
    assert_usd(setting.settled("key:k", 1).usd, usd(2, 200));
}

#[test]
fn a_call_without_a_cap_gets_one_that_the_budget_can_pay() {
    let setting = Setting::of_key(QUARTER);
    let answer = setting.chat("sim/m+chars=40000");
    assert_eq!((answer.status, &answer.json()["choices"][0]["finish_reason"]), (200, &json!("length")));
    let spent = setting.settled("key:k", 1);
    assert!(spent.usd <= 0.25 && spent.usd > 0.2, "{spent:?}");
    assert_eq!(spent.output, setting.bill().output);
}

#[test]
fn b3_what_was_held_is_given_back_on_error_timeout_disconnect_and_4xx() {
    let failures = ["error=bad_request", "status=500", "hangup", "status=429", "cut_after_bytes=20"];
    let mut config =
        key("k", "budget = [{ usd = 100, per = \"day\" }]\nconcurrency = 50\nrpm = 100000\ntpm = 100000000");
    // One attempt each, and no patience: what fails cools its lane down, and others would wait for it.
    for (at, how) in failures.iter().chain(&["head_silence"]).enumerate() {
        config += &format!(
            "[models.fails{at}]\nattempts = 1\ndeadline = \"300ms\"\ntargets = [\"sim/m{at}+chars=400,{how}\"]\n"
        );
    }
    let setting = Setting::new(&config);
    let mut asked = 0;
    for at in 0..40 {
        let model = format!("fails{}", at % failures.len());
        for model in ["two/m+chars=400", &model] {
            asked += 1;
            setting.ask("k", &if at % 4 < 2 { capped(model, 100) } else { stream(model, 100) });
        }
    }
    // The provider may have billed what it never finished, at most all of it.
    let before = setting.ended("key:k", asked);
    let bill = setting.bill();
    assert_eq!((before.requests, before.requests - before.failed), (80, 40));
    assert!(before.usd >= bill.usd() - 1e-9, "less on record than was billed: {before:?} {bill:?}");
    assert!(before.usd <= bill.usd() + 8.0 * TENTH + 0.01, "{before:?} {bill:?}");
    let timed_out = setting.ask("k", &capped("fails5", 100));
    assert_eq!(timed_out.status, 504, "{}", timed_out.text());
    let after = setting.ended("key:k", asked + 1);
    assert!(after.usd - before.usd <= TENTH + 0.001, "a silent upstream: {before:?} {after:?}");
    assert_usd(setting.limit("key:k", "budget").used, after.usd);
}

#[test]
fn b3_after_many_calls_the_counter_is_the_sum_of_what_was_logged() {
    let setting = Setting::of_key("budget = [{ usd = 1000, per = \"day\" }]");
    crate::setting::at_once(8, |at| {
        let mut connection = setting.gateway.connect();
        for turn in 0..40 {
            let request = match (at + turn) % 4 {
                0 => tenth(""),
                1 => stream("sim/m+chars=400", 100),
                2 => stream("claude/m+chars=40", 100),
                _ => tenth(",error=bad_request"),
            };
            connection.ask(&request.key(&secret("k")));
        }
    });
    let spent = setting.ended("key:k", 320);
    let bill = setting.bill();
    assert_eq!((spent.requests, spent.input, spent.output), (320, bill.input, bill.output));
    assert_usd(spent.usd, bill.usd());
    assert_usd(setting.limit("key:k", "budget").used, bill.usd());
}

#[test]
fn b5_what_is_enforced_is_what_is_shown() {
    let setting = Setting::of_key(QUARTER);
    for _ in 0..2 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    assert_usd(setting.settled("key:k", 2).usd, 2.0 * TENTH);
    let info = setting.admin(&Request::get("/key/info?key=k")).json();
    assert_usd(info["info"]["spend"].as_f64().unwrap_or_else(|| panic!("spend in {info}")), 2.0 * TENTH);
    assert_usd(setting.limit("key:k", "budget").used, 2.0 * TENTH);
    let refused = setting.ask("k", &tenth(""));
    assert!(refused.text().contains("0.04999"), "{}", refused.text());
}

#[test]
fn b10_without_a_budget_nothing_is_refused_for_money_and_a_warning_never_blocks() {
    let setting = Setting::new(&format!(
        "{}{}",
        key("k", ""),
        key("warned", "budget = [{ usd = 1, per = \"day\", warn = 10 }]")
    ));
    for _ in 0..5 {
        assert_eq!(setting.ask("k", &capped("sim/m+chars=40000", 10000)).status, 200);
        assert_eq!(setting.ask("warned", &tenth("")).status, 200);
    }
}

#[test]
fn b11_what_costs_nothing_is_served_when_the_budget_is_spent() {
    let setting = Setting::of_key("budget = [{ usd = 0.11, per = \"day\" }]");
    assert_eq!(setting.ask("k", &tenth("")).status, 200);
    assert_eq!(setting.ask("k", &tenth("")).status, 402);
    for request in [capped("free/m+chars=400", 100), chat("free/m"), stream("free/m", 100)] {
        let answer = setting.ask("k", &request);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn b14_each_of_several_budgets_holds() {
    let setting = Setting::of_key(
        "budget = [{ usd = 0.15, per = \"hour\" }, { usd = 0.25, per = \"week\" }, { usd = 9, per = \"year\" }]",
    );
    assert_eq!(setting.ask("k", &tenth("")).status, 200);
    let refused = setting.ask("k", &tenth(""));
    assert_limited(&refused, "budget_exceeded", "hour");
    let gauges = setting.limits("key:k");
    let per: Vec<_> = gauges.iter().map(|gauge| gauge.per.as_str()).collect();
    assert_eq!(per, ["hour", "week", "year"], "{gauges:?}");
}

#[test]
fn b17_the_admin_key_is_no_way_around_limits() {
    let setting = Setting::of_key("");
    for request in [chat("sim/m"), stream("sim/m", 10)] {
        let answer = admin(&setting.gateway, &request);
        assert!(matches!(answer.status, 401 | 403), "{}", answer.text());
        assert!(!answer.text().contains(ADMIN));
    }
    assert_eq!(setting.seen(), 0);
}

#[test]
fn c11_a_model_without_a_price_is_refused_under_a_budget_and_served_without() {
    let setting = Setting::new(&format!("{}{}", key("k", QUARTER), key("rich", "")));
    let refused = setting.chat("odd/no-such-model");
    assert_limited(&refused, "budget_exceeded", "odd/no-such-model");
    assert_eq!(setting.chat("sim/m").status, 200, "other models are unaffected");
    let served = setting.ask("rich", &chat("odd/no-such-model"));
    assert_eq!((served.status, served.header("x-tollgate-cost-usd")), (200, ""));
    eventually("it is on record", || setting.spend("key:rich").requests == 1);
    let spent = setting.spend("key:rich");
    assert_eq!((spent.unpriced, spent.usd, spent.output), (1, 0.0, 4));
}

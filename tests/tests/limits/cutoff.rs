//! A hold that runs out in the middle of a stream.

use crate::setting::{CHAT, Setting, key, question, secret};
use serde_json::json;
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::{Answer, Request};

/// A stream that is to end at 100 tokens and does not: a hundred events of 20 tokens each.
fn overrun(model: &str) -> Request {
    let mut question = question(&format!("{model}/m+chars=8000,events=100,uncapped,drip=5"));
    question["max_tokens"] = json!(100);
    question["stream"] = json!(true);
    question["stream_options"] = json!({"include_usage": true});
    Request::post(CHAT, &question)
}

fn finish(answer: &Answer) -> String {
    let chunks = answer.chunks();
    let reasons = chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str());
    reasons.collect::<Vec<_>>().join(",")
}

#[test]
fn promise_5_a_stream_that_overruns_its_hold_ends_with_length_and_its_upstream_is_cancelled() {
    let limits = ["budget = [{ usd = 0.11, per = \"day\" }]", "tpm = 400"];
    for (model, limit) in ["sim", "claude"].into_iter().flat_map(|model| limits.map(|limit| (model, limit))) {
        let setting = Setting::of_key(limit);
        let answer = setting.ask("k", &overrun(model));
        assert!(answer.is_done(), "{model} {limit}: {}", answer.text());
        assert_eq!(finish(&answer), "length", "{model} {limit}");
        assert!(answer.error().is_null(), "an end, no fault");
        // 100 tokens were paid; five letters a token would be 500.
        let said = answer.said().len();
        assert!((200..1500).contains(&said), "{model} {limit}: {said} bytes came of 100 tokens");
        eventually("the upstream is cancelled", || {
            setting.log().last().is_some_and(|entry| entry["ended"] == "client_closed")
        });
        let spent = setting.settled("key:k", 1);
        assert!(spent.output >= 100, "what came is paid: {spent:?}");
    }
}

#[test]
fn promise_5_an_overrun_that_comes_in_one_piece_is_cut_where_the_hold_ends() {
    for model in ["sim", "claude"] {
        let setting = Setting::of_key("tpm = 400");
        let mut question = question(&format!("{model}/m+chars=8000,events=100,uncapped"));
        question["max_tokens"] = json!(100);
        question["stream"] = json!(true);
        let answer = setting.ask("k", &Request::post(CHAT, &question));
        assert!(answer.is_done() && answer.error().is_null(), "{model}: {}", answer.text());
        assert_eq!(finish(&answer), "length", "{model}");
        let said = answer.said().len();
        assert!((200..1500).contains(&said), "{model}: {said} bytes came of 100 tokens");
        let spent = setting.settled("key:k", 1);
        assert!(spent.output >= 100, "what came is paid: {spent:?}");
    }
}

#[test]
fn promise_5_a_stream_that_keeps_to_its_cap_is_left_alone() {
    let setting = Setting::of_key("budget = [{ usd = 1, per = \"day\" }]\ntpm = 1000");
    for model in ["sim", "claude"] {
        let mut question = question(&format!("{model}/m+chars=8000,events=100"));
        question["max_tokens"] = json!(100);
        question["stream"] = json!(true);
        let answer = setting.ask("k", &Request::post(CHAT, &question));
        assert!(answer.is_done() && answer.said().len() == 400, "{model}: {}", answer.text());
        assert_eq!(finish(&answer), "length");
    }
    let spent = setting.settled("key:k", 2);
    assert_eq!(spent.output, 200);
}

#[test]
fn promise_5_without_limits_on_tokens_or_money_nothing_is_cut() {
    let setting = Setting::of_key("rpm = 100\nconcurrency = 5");
    let answer = setting.ask("k", &overrun("sim"));
    assert!(answer.is_done() && answer.said().len() == 8000, "{}", answer.text());
}

#[test]
fn promise_3_an_overrun_passes_the_budget_by_no_more_than_itself() {
    let setting = Setting::new(&key("k", "budget = [{ usd = 0.55, per = \"day\" }]"));
    let answers = crate::setting::at_once(20, |_| setting.gateway.ask(&overrun("sim").key(&secret("k"))));
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 5);
    let spent = setting.settled("key:k", 5);
    // Five holds of a tenth, each cut soon after it was used up.
    assert!(spent.usd >= 0.5 && spent.usd < 5.0 * 0.4, "{spent:?}");
    assert_eq!(setting.ask("k", &overrun("sim")).status, 402);
}

//! What is consumed is known and stays within what was paid for, whoever leaves and whatever the
//! provider keeps to itself.

use crate::setting::{Setting, body_json, question};
use serde_json::{Value, json};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::Request;

const KEYS: &str = "[[keys]]\nname = \"c\"\nvalue = \"tg-c\"\ntpm = 100_000\n";

fn ask(model: &str, max_tokens: u64) -> Request {
    let mut question = question(model);
    question["stream"] = json!(true);
    question["max_tokens"] = json!(max_tokens);
    Request::post("/v1/chat/completions", &question).header("authorization", "Bearer tg-c")
}

/// What the gateway's metrics say of tokens of this kind, all models together.
fn tokens(setting: &Setting, kind: &str) -> u64 {
    let metrics = setting.gateway.ask(&Request::get("/metrics")).text();
    let ending = format!("kind=\"{kind}\"}} ");
    let lines = metrics.lines().filter(|line| line.starts_with("tollgate_tokens_total{"));
    lines.filter_map(|line| line.split_once(&ending)?.1.parse::<u64>().ok()).sum()
}

#[test]
fn a_stream_that_runs_past_what_was_paid_for_is_ended_well_and_cancelled() {
    let setting = Setting::new(KEYS);
    for provider in ["one", "claude", "gem"] {
        setting.reset();
        let model = format!("{provider}/m+uncapped,chars=8000,events=400,stall_after=200");
        let answer = setting.gateway.ask(&ask(&model, 100));
        assert!(answer.is_done(), "{provider}: {}", answer.text());
        let chunks = answer.chunks();
        let finished: Vec<_> =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
        assert_eq!(finished, ["length"], "{provider}");
        assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]), "{provider}");
        // All 100 tokens that were paid for, of four bytes each; not much beyond, though 400 events came.
        let said = answer.said().len();
        assert!((400..=600).contains(&said), "{provider}: {said}");
        setting.wait_until_ended("client_closed");
    }
}

#[test]
fn an_answer_that_keeps_to_its_cap_is_left_alone() {
    let setting = Setting::new(KEYS);
    for provider in ["one", "claude", "gem"] {
        let answer = setting.gateway.ask(&ask(&format!("{provider}/m+chars=8000"), 100));
        assert!(answer.is_done(), "{provider}: {}", answer.text());
        assert_eq!(answer.said().len(), 400, "{provider}");
        setting.wait_until_ended("completed");
    }
}

#[test]
fn k11_c7_a_client_that_leaves_after_806_deltas_is_metered_for_them() {
    let setting = Setting::new(KEYS);
    let mut client = setting.gateway.connect();
    client.send(&ask("one/gpt-4o+chars=8100,events=810,stall_after=806", 5000).bytes());
    assert_eq!(client.head().status, 200);
    let mut seen = 0;
    while seen < 806 {
        let chunk = client.chunk().expect("more of the stream");
        seen += chunk.windows(9).filter(|part| *part == b"\"content\"").count();
    }
    drop(client);
    eventually("the request is on record", || tokens(&setting, "output") > 0);
    // Ten letters each, of which a token holds eight at the very most.
    assert!((1000..8060).contains(&tokens(&setting, "output")), "{}", tokens(&setting, "output"));
    assert!(tokens(&setting, "input") > 0);
}

#[test]
fn usage_that_a_provider_keeps_to_itself_is_counted() {
    for model in ["one/gpt-4o+usage=none", "claude/m+usage=none", "gem/m+usage=none"] {
        let setting = Setting::new(KEYS);
        let answer = setting.gateway.ask(&ask(model, 100));
        assert!(answer.is_done(), "{model}: {}", answer.text());
        eventually("the request is on record", || tokens(&setting, "output") > 0);
        assert!(tokens(&setting, "input") > 0, "{model}");
    }
}

#[test]
fn c12_usage_is_asked_for_upstream_and_hidden_from_a_client_that_did_not_ask() {
    let setting = Setting::new(KEYS);
    let answer = setting.gateway.ask(&ask("one/m", 100));
    assert_eq!(answer.said(), "You said: hello");
    assert!(answer.chunks().iter().all(|chunk| chunk.get("usage").is_none_or(Value::is_null)));
    assert_eq!(body_json(&setting.last())["stream_options"]["include_usage"], true);
    eventually("the request is on record", || tokens(&setting, "output") > 0);
}

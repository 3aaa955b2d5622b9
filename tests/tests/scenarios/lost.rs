//! What another dialect cannot carry is named, never dropped in silence.

use crate::setting::{Setting, assert_refused, question};
use serde_json::{Value, json};
use tollgate_tests::http::Request;

fn demanding(model: &str) -> Value {
    let mut question = question(model);
    question["seed"] = json!(7);
    question["logit_bias"] = json!({"50256": -100});
    question
}

#[test]
fn what_is_lost_is_named() {
    let setting = Setting::new("");
    for streamed in [false, true] {
        let mut question = demanding("claude/m");
        question["stream"] = json!(streamed);
        let answer = setting.gateway.ask(&Request::post("/v1/chat/completions", &question));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let lost: Vec<&str> = answer.header("x-tollgate-lost").split(", ").collect();
        assert!(lost.contains(&"seed") && lost.contains(&"logit_bias"), "{lost:?}");
    }
    let same = setting.gateway.ask(&Request::post("/v1/chat/completions", &demanding("one/m")));
    assert_eq!((same.status, same.header("x-tollgate-lost")), (200, ""));
}

#[test]
fn strictness_makes_a_loss_a_400_that_reaches_nobody() {
    let setting = Setting::new("");
    let ask = |model: &str| {
        let request = Request::post("/v1/chat/completions", &demanding(model));
        setting.gateway.ask(&request.header("x-tollgate-strict", "true"))
    };
    let refused = ask("claude/m");
    assert_refused(&refused, 400, "invalid_request_error", "unsupported");
    let message = refused.error()["message"].to_string();
    assert!(message.contains("seed") && message.contains("logit_bias"), "{message}");
    assert!(setting.log().is_empty());
    assert_eq!(ask("one/m").status, 200);
    let plain =
        Request::post("/v1/chat/completions", &question("claude/m")).header("x-tollgate-strict", "true");
    assert_eq!(setting.gateway.ask(&plain).status, 200);
}

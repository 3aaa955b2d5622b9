//! What is on record when a client leaves, or nobody counts.

use crate::setting::{CHAT, Setting, assert_usd, chat, question, secret, stream, usd};
use base64::Engine as _;
use serde_json::{Value, json};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::{Answer, Request};

fn last_body(setting: &Setting) -> Value {
    let last = setting.log().pop().expect("a request reached the provider");
    let body =
        base64::engine::general_purpose::STANDARD.decode(last["body_base64"].as_str().expect("a body"));
    serde_json::from_slice(&body.expect("base64")).expect("JSON")
}

/// A stream without a cap.
fn streamed(model: &str) -> Request {
    let mut question = question(model);
    question["stream"] = json!(true);
    Request::post(CHAT, &question)
}

#[test]
fn c12_usage_is_on_record_and_hidden_from_a_client_that_did_not_ask() {
    let setting = Setting::of_key("budget = [{ usd = 100, per = \"day\" }]");
    for model in ["sim/m", "claude/m"] {
        let answer = setting.ask("k", &streamed(model));
        assert!(answer.is_done(), "{}", answer.text());
        let told = |chunk: &Value| {
            !chunk["usage"].is_null() || chunk["choices"].as_array().is_some_and(Vec::is_empty)
        };
        assert!(!answer.chunks().iter().any(told), "{model}: {}", answer.text());
        let mut asking = question(model);
        asking["stream"] = json!(true);
        asking["stream_options"] = json!({"include_usage": true});
        let answer = setting.ask("k", &Request::post(CHAT, &asking));
        let last = answer.chunks().pop().unwrap_or_default();
        assert_eq!(
            (&last["choices"], &last["usage"]["completion_tokens"]),
            (&json!([]), &json!(4)),
            "{model}"
        );
    }
    let spent = setting.settled("key:k", 4);
    assert_eq!((spent.requests, spent.input, spent.output), (4, 8, 16));
    assert_usd(spent.usd, usd(8, 16));
    let setting = Setting::of_key("");
    assert!(setting.ask("k", &streamed("sim/m")).is_done());
    assert_eq!(last_body(&setting)["stream_options"], json!({"include_usage": true}));
    eventually("it is on record", || setting.spend("key:k").output == 4);
}

#[test]
fn c12_a_client_that_asks_for_no_usage_is_heard() {
    let setting = Setting::of_key("");
    let mut body = question("sim/m");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": false, "include_obfuscation": false});
    let answer = setting.ask("k", &Request::post(CHAT, &body));
    assert!(
        answer.is_done() && answer.chunks().iter().all(|chunk| chunk["usage"].is_null()),
        "{}",
        answer.text()
    );
    let options = last_body(&setting)["stream_options"].clone();
    assert_eq!(options, json!({"include_usage": true, "include_obfuscation": false}));
    eventually("it is on record", || setting.spend("key:k").output == 4);
}

#[test]
fn k11_c7_a_client_that_hangs_up_after_806_deltas_is_billed_for_them() {
    // Counted where the model's tokenizer is known; else by an upper estimate, two letters a token.
    for (provider, model, most) in [("sim", "gpt-4o", 820), ("sim", "m", 1700), ("claude", "m", 1700)] {
        let setting = Setting::of_key("");
        let mut client = setting.gateway.connect();
        // A token a delta; after the 806th the provider is silent until its client leaves. Before the
        // deltas go the role (OpenAI), or three events (Anthropic).
        let before = if provider == "sim" { 1 } else { 3 };
        let model = format!("{provider}/{model}+chars=4000,events=1000,stall_after={}", 806 + before);
        client.send(&streamed(&model).key(&secret("k")).bytes());
        let head = client.head();
        assert_eq!(head.status, 200);
        let mut letters = 0;
        while letters < 806 * 4 {
            // Whole events at a time.
            let body = client.chunk().expect("the stream is open");
            letters += Answer { body, ..head.clone() }.said().len();
        }
        drop(client);
        eventually("it is on record", || setting.spend("key:k").requests == 1);
        let spent = setting.spend("key:k");
        // 3,224 letters; the tokenizer makes some 720 tokens of them.
        assert!((700..=most).contains(&spent.output), "{model}: {spent:?}");
        assert!(spent.input >= 2 && spent.input < 100, "{model}: {spent:?}");
        assert_usd(spent.usd, usd(spent.input, spent.output));
        assert_eq!(spent.unpriced, 0);
    }
}

#[test]
fn c7_a_client_that_leaves_before_the_first_token_pays_for_its_prompt() {
    let setting = Setting::of_key("budget = [{ usd = 10, per = \"day\" }]");
    let mut client = setting.gateway.connect();
    client.send(&stream("sim/m+first_silence", 100).key(&secret("k")).bytes());
    eventually("it is with the provider", || setting.seen() == 1);
    drop(client);
    eventually("it is on record", || setting.spend("key:k").requests == 1);
    let spent = setting.ended("key:k", 1);
    assert!(spent.input >= 2 && spent.usd > 0.0 && spent.usd < 0.101, "{spent:?}");
}

#[test]
fn c7_a_stream_that_its_provider_cuts_is_on_record_with_what_came() {
    let setting = Setting::of_key("");
    let answer = setting.ask("k", &streamed("sim/gpt-4o+chars=4000,events=100,cut_after_events=51"));
    assert!(!answer.is_done() && !answer.error().is_null(), "{}", answer.text());
    eventually("it is on record", || setting.spend("key:k").requests == 1);
    let spent = setting.spend("key:k");
    // Fifty deltas of forty letters; the tokenizer makes some 445 tokens of them.
    assert!((430..=520).contains(&spent.output), "{spent:?}");
    assert_eq!(spent.failed, 1);
}

#[test]
fn c9_zeros_that_are_reported_stay_zeros() {
    let setting = Setting::of_key("");
    assert_eq!(setting.chat("sim/m+usage=zero").status, 200);
    assert!(setting.ask("k", &streamed("sim/m+usage=zero")).is_done());
    eventually("both are on record", || setting.spend("key:k").requests == 2);
    let spent = setting.spend("key:k");
    assert_eq!((spent.input, spent.output, spent.usd, spent.unpriced), (0, 0, 0.0, 0));
}

#[test]
fn usage_that_nobody_reports_is_counted() {
    let setting = Setting::of_key("budget = [{ usd = 100, per = \"day\" }]");
    for request in [
        chat("sim/m+usage=none,chars=4000"),
        streamed("sim/m+usage=none,chars=4000"),
        chat("sim/m+usage=null,chars=4000"),
    ] {
        assert_eq!(setting.ask("k", &request).status, 200);
    }
    let spent = setting.settled("key:k", 3);
    // 4,000 letters each: some 890 tokens, by an upper estimate at most 2,000.
    assert!((3 * 880..=3 * 2000).contains(&spent.output) && spent.input >= 6, "{spent:?}");
    assert_usd(spent.usd, usd(spent.input, spent.output));
}

#[test]
fn promise_4_an_answer_that_was_cut_on_its_way_is_charged_as_its_provider_bills_it() {
    let setting = Setting::of_key("budget = [{ usd = 10, per = \"day\" }]");
    // A whole answer is generated before its first byte is sent.
    let answer = setting.ask("k", &crate::setting::tenth(",cut_after_bytes=30"));
    assert_eq!(answer.status, 502, "{}", answer.text());
    let calls = setting.seen() as f64;
    let spent = setting.ended("key:k", 1);
    assert!(spent.usd >= calls * crate::setting::TENTH - 1e-9, "{calls} calls: {spent:?}");
}

#[test]
fn a_repeated_usage_chunk_is_billed_once() {
    let setting = Setting::of_key("");
    assert!(setting.ask("k", &streamed("sim/m+usage=double")).is_done());
    eventually("it is on record", || setting.spend("key:k").requests == 1);
    assert_eq!(setting.spend("key:k").output, 4);
}

#[test]
fn what_a_retry_cost_is_paid_beside_the_answer() {
    let setting = Setting::new(&format!(
        "{}[models.m]\nstrategy = \"ordered\"\ntargets = [\"sim/m+cut_after_bytes=30\"]\nfallbacks = [\"two/m\"]\n",
        crate::setting::key("k", "budget = [{ usd = 10, per = \"day\" }]")
    ));
    let answer = setting.chat("m");
    assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (200, "2"));
    let spent = setting.settled("key:k", 1);
    assert!(
        spent.usd > usd(2, 4) && spent.usd < usd(400, 4),
        "the first prompt may have been billed: {spent:?}"
    );
}

/// A client that takes the first piece of an answer of 300 tokens and leaves, before a provider that bills
/// what nobody hears.
fn leave_early(setting: &Setting, how: &str) {
    let mut client = setting.gateway.connect();
    client.send(&stream(&format!("unheard/m+chars=1200,events=60,{how}"), 500).key(&secret("k")).bytes());
    assert_eq!(client.head().status, 200);
    assert!(client.chunk().is_some(), "the stream has begun");
}

#[test]
fn c8_what_a_provider_writes_for_nobody_is_billed_as_it_reports() {
    let setting = Setting::of_key("budget = [{ usd = 10, per = \"day\" }]");
    leave_early(&setting, "drip=10");
    let spent = setting.ended("key:k", 1);
    assert_eq!(spent.output, 300, "{spent:?}");
    assert_usd(spent.usd, setting.bill().usd());
}

#[test]
fn c8_one_that_falls_silent_then_is_cancelled_and_billed_in_full() {
    let setting = Setting::of_key("budget = [{ usd = 10, per = \"day\" }]");
    leave_early(&setting, "stall_after=20");
    let spent = setting.ended("key:k", 1);
    assert_eq!(spent.output, 500, "{spent:?}");
    eventually("the provider is left", || setting.log().iter().all(|call| call["ended"] == "client_closed"));
}

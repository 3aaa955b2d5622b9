//! Requests, tokens and calls in flight.

use crate::setting::{CHAT, Setting, assert_limited, capped, chat, key, question, retry_after, stream};
use serde_json::json;
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::{Answer, Request};

/// An answer of a thousand tokens, all of them asked for.
fn thousand() -> Request {
    capped("sim/m+chars=4000", 1000)
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[test]
fn a1_a_key_with_only_a_limit_on_requests_is_limited() {
    let setting = Setting::of_key("rpm = 2");
    let answers: Vec<_> = (0..4).map(|_| setting.chat("sim/m")).collect();
    assert_eq!(statuses(&answers), [200, 200, 429, 429]);
    assert_limited(&answers[2], "rpm_exceeded", "key:k");
    assert_eq!(setting.seen(), 2, "a refusal is decided before any upstream call");
}

#[test]
fn a1_a_key_with_only_a_limit_on_tokens_is_limited() {
    let setting = Setting::of_key("tpm = 2500");
    let answers: Vec<_> = (0..4).map(|_| setting.ask("k", &thousand())).collect();
    assert_eq!(statuses(&answers), [200, 200, 429, 429]);
    assert_limited(&answers[2], "tpm_exceeded", "key:k");
    assert_eq!(setting.seen(), 2);
}

#[test]
fn a2_a_full_window_of_one_kind_says_so_and_leaves_the_other_alone() {
    let setting = Setting::new(&format!(
        "{}{}",
        key("few", "rpm = 1\ntpm = 100000"),
        key("short", "rpm = 100\ntpm = 1500")
    ));
    assert_eq!(setting.ask("few", &thousand()).status, 200);
    let refused = setting.ask("few", &thousand());
    assert_limited(&refused, "rpm_exceeded", "key:few");
    // What was refused took no tokens.
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), "98998");
    assert_eq!(setting.ask("short", &thousand()).status, 200);
    let refused = setting.ask("short", &thousand());
    assert_limited(&refused, "tpm_exceeded", "key:short");
    for answer in [&refused, &setting.ask("few", &thousand())] {
        assert!(
            retry_after(answer).is_some_and(|wait| wait <= 60),
            "a2: never for more than a minute: {answer:?}"
        );
    }
}

#[test]
fn a6_tokens_are_counted_on_every_route() {
    let route = "[models.deployed]\ntargets = [\"sim/m+chars=4000\"]\n";
    let setting = Setting::new(&format!("{route}{}", key("k", "tpm = 1000000")));
    let left = |request: &Request| -> u64 {
        let answer = setting.ask("k", request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        eventually("it is settled", || setting.limit("key:k", "tpm").held == 0.0);
        setting.limit("key:k", "tpm").used as u64
    };
    let body = |model: &str| {
        let mut body = question(model);
        body["max_tokens"] = json!(1000);
        body
    };
    let mut used = 0;
    for path in [CHAT, "/openai/v1/chat/completions", "/litellm/chat/completions", "/chat/completions"] {
        let now = left(&Request::post(path, &body("sim/m+chars=4000")));
        assert_eq!(now - used, 1002, "{path}");
        used = now;
    }
    let deployment = "/openai/deployments/deployed/chat/completions";
    let now = left(&Request::post(deployment, &body("deployed")));
    assert_eq!(now - used, 1002, "{deployment}");
    used = now;
    for model in ["sim", "claude", "free"] {
        for request in
            [capped(&format!("{model}/m+chars=4000"), 1000), stream(&format!("{model}/m+chars=4000"), 1000)]
        {
            let now = left(&request);
            assert_eq!(now - used, 1002, "{model}");
            used = now;
        }
    }
}

#[test]
fn a6_input_and_output_can_be_limited_apart() {
    let setting =
        Setting::new(&format!("{}{}", key("in", "tpm_input = 1500"), key("out", "tpm_output = 2500")));
    let ask = |name: &str, request: &Request| setting.ask(name, request);
    let read = capped("sim/m+prompt_tokens=1000", 10);
    let answers: Vec<_> = (0..3).map(|_| ask("in", &read)).collect();
    // What the provider reports is more than what was reserved; the third finds no room.
    assert_eq!(statuses(&answers), [200, 200, 429], "{}", answers[2].text());
    assert_limited(&answers[2], "tpm_exceeded", "key:in");
    assert_eq!(ask("out", &read).status, 200);
    let answers: Vec<_> = (0..3).map(|_| ask("out", &thousand())).collect();
    assert_eq!(statuses(&answers), [200, 200, 429]);
    assert_limited(&answers[2], "tpm_exceeded", "key:out");
}

#[test]
fn a7_of_three_prompts_that_fill_half_the_limit_each_the_third_is_refused() {
    let setting = Setting::of_key("tpm = 15500");
    let mut body = question("sim/gpt-4o");
    body["messages"][0]["content"] = json!("hello ".repeat(4666) + "....");
    body["max_tokens"] = json!(1);
    let ask = || setting.ask("k", &Request::post(CHAT, &body));
    let answers = [ask(), ask(), ask()];
    assert_eq!(answers[0].json()["usage"]["total_tokens"], 7001);
    assert_eq!(statuses(&answers), [200, 200, 429], "{}{}", answers[1].text(), answers[2].text());
    assert_limited(&answers[2], "tpm_exceeded", "key:k");
    assert_eq!(setting.seen(), 2);
}

#[test]
fn a8_requests_that_fail_count_as_requests() {
    let failing = [
        chat("sim/m+error=bad_request"),
        chat("sim/m+status=422"),
        Request::post(CHAT, &json!({"model": "sim/m", "messages": "none"})),
        chat("nobody/has-this"),
        chat("sim/m+status=503"),
    ];
    for (at, request) in failing.iter().enumerate() {
        let setting = Setting::of_key("rpm = 2");
        for _ in 0..2 {
            let answer = setting.ask("k", request);
            assert!(answer.status >= 400 && answer.status != 429, "{at}: {}", answer.text());
        }
        assert_limited(&setting.ask("k", request), "rpm_exceeded", "key:k");
        assert_limited(&setting.chat("sim/fine"), "rpm_exceeded", "key:k");
    }
}

#[test]
fn a8_a_retry_and_a_fallback_are_not_requests_of_their_own() {
    let setting = Setting::new(&format!(
        "{}[models.m]\nstrategy = \"ordered\"\ntargets = [\"sim/m+status=503\"]\nfallbacks = [\"two/m\"]\n",
        key("k", "rpm = 2")
    ));
    let answers: Vec<_> = (0..3).map(|_| setting.chat("m")).collect();
    assert_eq!(statuses(&answers), [200, 200, 429]);
    assert_eq!(answers[0].header("x-tollgate-attempts"), "2");
}

#[test]
fn a9_a_slot_is_freed_on_success_error_and_disconnect() {
    let setting = Setting::of_key("concurrency = 2");
    for how in ["sim/m", "sim/m+error=bad_request", "sim/m+status=500", "sim/m+hangup", "claude/m"] {
        for _ in 0..3 {
            assert_ne!(setting.chat(how).status, 429, "{how}");
            assert_ne!(setting.ask("k", &stream(how, 100)).status, 429, "{how}");
        }
    }
    assert_ne!(setting.ask("k", &Request::raw(CHAT, "{")).status, 429);
    // Two are in flight: in the middle of a stream, and before the head.
    let mut streaming = setting.gateway.connect();
    streaming.send(
        &stream("sim/m+events=8,chars=80,stall_after=4", 100).key(&crate::setting::secret("k")).bytes(),
    );
    assert_eq!(streaming.head().status, 200);
    let seen = setting.seen();
    let mut silent = setting.gateway.connect();
    silent.send(&chat("sim/m+head_silence").key(&crate::setting::secret("k")).bytes());
    eventually("it is with the provider", || setting.seen() == seen + 1);
    assert_limited(&setting.chat("sim/m"), "concurrency_exceeded", "key:k");
    drop(streaming);
    eventually("the first slot is free", || setting.chat("sim/m").status == 200);
    drop(silent);
    eventually("both are", || {
        crate::setting::at_once(2, |_| setting.chat("sim/m+head_delay=50").status) == [200, 200]
    });
}

#[test]
fn a9_five_calls_one_after_the_other_leave_five_slots() {
    let setting = Setting::of_key("concurrency = 5");
    for model in ["sim/m", "claude/m"] {
        for _ in 0..6 {
            assert_eq!(setting.chat(model).status, 200);
            assert_eq!(setting.ask("k", &stream(model, 100)).status, 200);
        }
    }
}

#[test]
fn a9_the_next_call_finds_the_slot_of_the_last_one_free_also_when_its_tokens_were_counted() {
    let setting = Setting::of_key("concurrency = 1\ntpm = 10000000");
    let mut connection = setting.gateway.connect();
    for how in ["", "+usage=none", "+usage=none,chars=4000"] {
        for request in [chat(&format!("sim/m{how}")), stream(&format!("sim/gpt-4o{how}"), 1000)] {
            for _ in 0..5 {
                let answer = connection.ask(&request.clone().key(&crate::setting::secret("k")));
                assert_eq!(answer.status, 200, "{how}: {}", answer.text());
            }
        }
    }
}

#[test]
fn a_refusal_says_how_much_is_left_and_when_it_opens() {
    let setting = Setting::of_key("tpm = 150\nrpm = 50");
    assert_eq!(setting.ask("k", &capped("sim/m", 4)).status, 200);
    let refused = setting.ask("k", &capped("sim/m", 145));
    assert_limited(&refused, "tpm_exceeded", "key:k");
    let message = refused.error()["message"].as_str().unwrap_or_default().to_owned();
    // 2 in and 4 out are used of 150.
    assert!(message.contains("150") && message.contains("144"), "{message}");
    assert!(retry_after(&refused).is_some_and(|wait| (50..=60).contains(&wait)), "{refused:?}");
    // A call that never fits is not told to come back.
    let hopeless = setting.ask("k", &capped("sim/m", 1000));
    assert_limited_for_ever(&hopeless);
}

/// It is refused; whether it says when to come back is left open, since that would not help.
fn assert_limited_for_ever(answer: &Answer) {
    assert!(matches!(answer.status, 400 | 429), "{}", answer.text());
    assert!(
        answer.error()["message"].as_str().is_some_and(|message| message.contains("150")),
        "{}",
        answer.text()
    );
}

#[test]
fn limits_inside_a_key_hold_for_their_model_or_provider_alone() {
    let setting = Setting::new(&format!(
        "{}[models.alias]\ntargets = [\"sim/small\"]\n",
        key("k", "limits = [{ model = \"sim/small\", rpm = 1 }, { provider = \"two\", rpm = 1 }]")
    ));
    assert_eq!(setting.chat("sim/small").status, 200);
    assert_limited(&setting.chat("sim/small"), "rpm_exceeded", "key:k/model:sim/small");
    // Another name for the model does not go around its limit.
    assert_limited(&setting.chat("alias"), "rpm_exceeded", "key:k/model:sim/small");
    assert_eq!(setting.chat("sim/large").status, 200);
    assert_eq!(setting.chat("two/any").status, 200);
    assert_limited(&setting.chat("two/other"), "rpm_exceeded", "key:k/provider:two");
    assert_eq!(setting.chat("claude/any").status, 200);
}

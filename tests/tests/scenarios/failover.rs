//! Fallbacks, retries, cool-downs.

use crate::setting::{Setting, assert_refused, chat, question, stream};
use serde_json::json;
use std::time::{Duration, Instant};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::Request;

fn pair(first: &str) -> Setting {
    Setting::new(&format!(
        "[models.m]\nstrategy = \"ordered\"\ntargets = [\"{first}\"]\nfallbacks = [\"two/good\"]\n"
    ))
}

fn assert_fell_over(setting: &Setting) {
    for answer in setting.both("m") {
        assert_eq!((answer.status, answer.said().as_str()), (200, "You said: hello"), "{answer:?}");
        assert_eq!(
            (answer.header("x-tollgate-provider"), answer.header("x-tollgate-attempts")),
            ("two", "2")
        );
    }
}

#[test]
fn i1_overloaded_falls_over_whole_and_streamed() {
    for first in
        ["one/m+error=overloaded", "claude/m+error=overloaded", "claude/m+status=529", "gem/m+status=503"]
    {
        assert_fell_over(&pair(first));
    }
}

#[test]
fn i1_overloaded_inside_a_stream_before_its_first_token_falls_over() {
    for provider in ["one", "claude", "gem"] {
        let setting = pair(&format!("{provider}/m+error=overloaded,error_after=0"));
        let answer = setting.stream("m");
        assert_eq!(
            (answer.header("x-tollgate-provider"), answer.said().as_str()),
            ("two", "You said: hello"),
            "{provider}"
        );
        assert!(answer.is_done());
    }
}

#[test]
fn i2_another_key_of_the_provider_serves_whole_and_streamed() {
    for (failure, status) in [("401", 401), ("402", 402), ("403", 403), ("429", 429)] {
        let setting = Setting::bare(
            r#"
            [providers.one]
            kind = "openai"
            base_url = "http://{sim}/v1"
            keys = [{ name = "bad", value = "sk-bad", weight = 1000000 }, { name = "good", value = "sk-good" }]
            "#,
        );
        // The first draw all but certainly takes the heavy key; either way the good one answers.
        for answer in setting.both(&format!("one/m+fail_key=sk-bad,status={failure}")) {
            assert_eq!((answer.status, answer.said().as_str()), (200, "You said: hello"), "{status}");
        }
    }
}

#[test]
fn i4_a_shorter_retry_after_does_not_shorten_a_cool_down_and_a_longer_one_extends_it() {
    for [first, second] in [[900, 300], [300, 900]] {
        let setting = Setting::new("[models.m]\nattempts = 1\ndeadline = \"20s\"\ntargets = [\"one/m\"]\n");
        // Both are under way before either is refused.
        let mut clients: Vec<_> = [(first, 300), (second, 900)]
            .map(|(wait, delay)| {
                let mut question = question("m");
                let told = format!("[[sim: status=429; retry_after={wait}; head_delay={delay}]]");
                question["messages"][0]["content"] = told.into();
                let mut client = setting.gateway.connect();
                client.send(&Request::post("/v1/chat/completions", &question).bytes());
                client
            })
            .into();
        for client in &mut clients {
            assert_refused(&client.answer(), 429, "rate_limit_error", "upstream_rate_limited");
        }
        assert_eq!(setting.log().len(), 2);
        let third = setting.chat("m");
        assert_refused(&third, 429, "rate_limit_error", "upstream_rate_limited");
        assert_eq!(third.header("x-tollgate-attempts"), "0");
        assert!((870..=900).contains(&wait(&third)), "{first}, {second}: {third:?}");
    }
}

fn wait(answer: &tollgate_tests::http::Answer) -> u64 {
    answer.header("retry-after").parse().unwrap_or_else(|_| panic!("no retry-after: {answer:?}"))
}

#[test]
fn i5_all_cooling_is_a_429_with_retry_after_and_asks_nobody() {
    let setting = Setting::new(
        "[models.m]\ntargets = [\"one/m+status=429,retry_after=700\", \"two/m+status=429,retry_after=800\"]\n",
    );
    for attempts in ["2", "0", "0"] {
        let answer = setting.chat("m");
        assert_refused(&answer, 429, "rate_limit_error", "upstream_rate_limited");
        assert_eq!(answer.header("x-tollgate-attempts"), attempts);
        assert!((690..=700).contains(&wait(&answer)), "{answer:?}");
    }
    assert_eq!(setting.log().len(), 2);
}

#[test]
fn i5_a_short_cool_down_is_waited_for_within_the_deadline() {
    let setting =
        Setting::new("[models.m]\ntargets = [\"one/m+fail_first=1,id=i5,status=429,retry_after=1\"]\n");
    let start = Instant::now();
    let answer = setting.chat("m");
    assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (200, "2"));
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn i6_as_many_attempts_are_made_as_are_configured() {
    for attempts in [1, 2, 4] {
        let setting = Setting::new(&format!(
            "[models.m]\nattempts = {attempts}\ntargets = [\"one/m+status=500,id=i6\", \"two/m+status=500,id=i6\"]\n\
             fallbacks = [\"three/m+status=500,id=i6\"]\n"
        ));
        let answer = setting.stream("m");
        assert_refused(&answer, 502, "api_error", "upstream_error");
        assert_eq!(answer.header("x-tollgate-attempts"), attempts.to_string());
        assert_eq!(setting.count("i6"), attempts);
    }
}

#[test]
fn i6_success_on_the_third_attempt_takes_three() {
    let setting = Setting::new("[models.m]\nattempts = 5\ntargets = [\"one/m+fail_first=2,id=third\"]\n");
    let answer = setting.chat("m");
    assert_eq!((answer.status, answer.header("x-tollgate-attempts"), setting.count("third")), (200, "3", 3));
}

#[test]
fn i6_a_clients_mistake_is_not_retried() {
    for (failure, status) in
        [("bad_request", 400), ("context_length", 400), ("too_large", 413), ("model_not_found", 404)]
    {
        let setting = pair(&format!("one/m+error={failure},id=once"));
        for answer in setting.both("m") {
            assert_eq!((answer.status, answer.header("x-tollgate-attempts")), (status, "1"), "{failure}");
            assert!(!answer.error()["message"].as_str().unwrap_or_default().is_empty());
        }
        assert_eq!(setting.count("once"), 2);
    }
}

#[test]
fn i7_the_only_deployment_is_not_cooled_to_death() {
    let setting =
        Setting::new("[models.m]\nattempts = 1\ntargets = [\"one/m+fail_first=20,id=i7,status=500\"]\n");
    for _ in 0..20 {
        assert_eq!(setting.chat("m").status, 502);
    }
    let answer = setting.chat("m");
    assert_eq!((answer.status, setting.count("i7")), (200, 21));
}

#[test]
fn k4_statuses_that_pass_are_retried() {
    for status in [408, 409, 425, 500, 502, 503, 504, 529] {
        assert_fell_over(&pair(&format!("one/m+status={status}")));
    }
    for broken in ["hangup", "reset", "status=502,error=html", "status=500,error=empty", "cut_after_bytes=20"]
    {
        let setting = pair(&format!("one/m+{broken}"));
        let answer = setting.chat("m");
        assert_eq!((answer.status, answer.header("x-tollgate-provider")), (200, "two"), "{broken}");
    }
}

#[test]
fn k4_retry_after_is_read_in_seconds_milliseconds_and_in_the_body() {
    for (words, expected) in [("retry_after=77", 77), ("retry_after_ms=76500", 77)] {
        let setting = Setting::new(&format!(
            "[models.m]\ndeadline = \"5s\"\ntargets = [\"one/m+status=429,{words}\"]\n"
        ));
        let answer = setting.chat("m");
        assert_refused(&answer, 429, "rate_limit_error", "upstream_rate_limited");
        assert!((expected - 2..=expected).contains(&wait(&answer)), "{words}: {answer:?}");
    }
}

#[test]
fn k4_the_wait_for_a_retry_ends_when_the_client_leaves() {
    let setting = Setting::new(
        "[models.m]\ndeadline = \"60s\"\ntargets = [\"one/m+status=429,retry_after=9,id=left\"]\n",
    );
    let mut client = setting.gateway.connect();
    client.send(&chat("m").bytes());
    eventually("the first attempt", || setting.count("left") == 1);
    eventually("one in flight", || in_flight(&setting) == 1);
    drop(client);
    // Before the nine seconds are over, or the second attempt would have been made.
    let start = Instant::now();
    eventually("none in flight", || in_flight(&setting) == 0);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(setting.count("left"), 1);
}

/// Requests in progress, as the metrics tell.
pub fn in_flight(setting: &Setting) -> u64 {
    let text = setting.gateway.ask(&Request::get("/metrics")).text();
    let line = text.lines().find(|line| line.starts_with("tollgate_in_flight"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn k5_a_clients_own_400_does_not_walk_the_fallbacks() {
    let setting = Setting::new(
        "[models.m]\ntargets = [\"one/m+error=bad_request\"]\nfallbacks = [\"two/good\", \"three/good\"]\n",
    );
    for answer in setting.both("m") {
        assert_eq!((answer.status, answer.header("x-tollgate-provider")), (400, "one"));
    }
    assert_eq!(setting.log().len(), 2);
}

#[test]
fn k5_the_error_lists_the_attempts() {
    let setting = Setting::new(
        "[models.m]\nstrategy = \"ordered\"\ntargets = [\"one/a+status=500\"]\nfallbacks = [\"two/b+status=503\", \"claude/c+status=529\"]\n",
    );
    for answer in setting.both("m") {
        assert_refused(&answer, 502, "api_error", "upstream_error");
        let message = answer.error()["message"].to_string();
        for part in ["one/a", "500", "two/b", "503", "claude/c", "529"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!answer.text().contains("sk-provider"), "{message}");
        assert!(setting.gateway.said().find("sk-provider").is_none());
    }
}

#[test]
fn k6_a_refused_key_is_left_out_of_later_requests() {
    for status in [401, 402, 403, 429] {
        let setting = Setting::bare(
            r#"
            [providers.one]
            kind = "openai"
            base_url = "http://{sim}/v1"
            keys = [{ name = "bad", value = "sk-bad" }, { name = "good", value = "sk-good" }]
            "#,
        );
        let model = format!("one/m+fail_key=sk-bad,status={status}");
        for _ in 0..20 {
            assert_eq!(setting.chat(&model).status, 200);
        }
        let refused = setting.log().iter().filter(|request| request["status"] == status).count();
        assert!(refused <= 1, "{status}: the refused key was used {refused} times");
    }
}

#[test]
fn k6_a_limit_is_for_one_model_and_a_refusal_for_the_key() {
    let setting = Setting::new("");
    assert_eq!(setting.chat("one/a+status=429,retry_after=900").status, 429);
    assert_eq!(setting.chat("one/b").status, 200);
    assert_eq!(setting.chat("two/a+status=401").status, 502);
    let closed = setting.chat("two/b");
    assert_refused(&closed, 503, "api_error", "no_capacity");
    assert!(wait(&closed) > 0);
    assert!(!closed.text().contains("sk-provider"));
}

#[test]
fn k7_weights_are_honest() {
    const DRAWS: u32 = 3000;
    let setting = Setting::new(
        "[models.m]\ntargets = [{ to = \"one/fast+id=one\", weight = 0.01 }, { to = \"two/fast+id=two\", weight = 0.29 }, \
         { to = \"three/fast+id=three\", weight = 0.57 }]\n",
    );
    let mut clients: Vec<_> = (0..8).map(|_| setting.gateway.connect()).collect();
    let question = chat("m").bytes();
    for _ in 0..DRAWS / 8 {
        clients.iter_mut().for_each(|client| client.send(&question));
        clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
    }
    let all = f64::from(DRAWS);
    for (id, weight) in [("one", 0.01), ("two", 0.29), ("three", 0.57)] {
        let share = weight / 0.87;
        // Six standard deviations: one run in five hundred million.
        let slack = 6.0 * (all * share * (1.0 - share)).sqrt();
        let count = setting.count(id) as f64;
        assert!((count - all * share).abs() <= slack, "{id}: {count} of {all}");
        assert!(count > 0.0, "{id} is never served");
    }
}

#[test]
fn fallbacks_of_the_body_are_honoured_and_do_not_go_upstream() {
    let setting = Setting::new("");
    let mut question = question("one/bad+status=500");
    question["fallbacks"] = json!(["two/worse+status=500", "claude/good"]);
    let answer = setting.gateway.ask(&Request::post("/v1/chat/completions", &question));
    assert_eq!((answer.status, answer.said().as_str()), (200, "You said: hello"));
    assert_eq!((answer.header("x-tollgate-provider"), answer.header("x-tollgate-attempts")), ("claude", "3"));
    for request in setting.log() {
        assert!(crate::setting::body_json(&request)["fallbacks"].is_null());
    }
    assert_eq!(setting.gateway.ask(&stream("one/m")).header("x-tollgate-attempts"), "1");
}

#[test]
fn i3_a_prompt_that_is_too_long_is_told_alike_whoever_says_it() {
    let setting = Setting::new("");
    for provider in ["one", "claude", "gem"] {
        for answer in setting.both(&format!("{provider}/m+error=context_length")) {
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "context_length_exceeded"),
                "{}",
                answer.text()
            );
            assert_eq!(answer.header("x-tollgate-attempts"), "1");
        }
    }
}

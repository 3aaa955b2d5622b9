//! What upstreams are sent at most, and when they want to be asked again.

use crate::setting::{Setting, assert_refused, question};
use serde_json::{Value, json};
use tollgate_tests::http::{Answer, Request};

fn wait(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap_or_else(|_| panic!("no retry-after: {answer:?}"))
}

/// A question whose answer is told to misbehave.
fn told(setting: &Setting, model: &str, directives: &str) -> Answer {
    let mut question: Value = question(model);
    question["messages"][0]["content"] = format!("[[sim: {directives}]]").into();
    setting.gateway.ask(&Request::post("/v1/chat/completions", &question))
}

#[test]
fn a11_four_deployments_of_six_a_minute_serve_twenty_four_calls_and_the_others_get_a_429() {
    let targets: Vec<String> =
        (1..=4).map(|at| format!("{{ to = \"one/deployment-{at}\", rpm = 6 }}")).collect();
    let setting = Setting::new(&format!("[models.m]\ntargets = [{}]\n", targets.join(", ")));
    let mut clients: Vec<_> = (0..30).map(|_| setting.gateway.connect()).collect();
    for client in &mut clients {
        client.send(&Request::post("/v1/chat/completions", &question("m")).bytes());
    }
    let answers: Vec<Answer> = clients.iter_mut().map(|client| client.answer()).collect();
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(served.len(), 24);
    for answer in refused {
        assert_refused(answer, 429, "rate_limit_error", "upstream_rate_limited");
        assert_eq!(answer.header("x-tollgate-attempts"), "0");
        assert!((1..=60).contains(&wait(answer)), "{answer:?}");
    }
    assert_eq!(setting.log().len(), 24, "nothing is sent past a limit");
    assert_eq!(setting.chat("one/deployment-1").status, 200, "the limit is that of the model's target");
}

#[test]
fn a11_a_keys_limit_of_tokens_counts_whole_answers_and_streams() {
    for streamed in [false, true] {
        let mut question = question("one/m");
        if streamed {
            question["stream"] = true.into();
            question["stream_options"] = json!({"include_usage": true});
        }
        let setting = Setting::bare(
            r#"
            [providers.one]
            kind = "openai"
            base_url = "http://{sim}/v1"
            keys = [{ name = "a", value = "sk-a", tpm = 1 }, { name = "b", value = "sk-b", tpm = 1 }]
            "#,
        );
        let ask = || setting.gateway.ask(&Request::post("/v1/chat/completions", &question));
        let served: Vec<u16> = (0..4).map(|_| ask().status).collect();
        assert_eq!(served, [200, 200, 429, 429], "each key once");
        assert_refused(&ask(), 429, "rate_limit_error", "upstream_rate_limited");
    }
}

#[test]
fn k4_a_date_in_retry_after_is_heard() {
    let setting = Setting::new("[models.m]\nattempts = 1\ntargets = [\"one/m\", \"claude/m\", \"gem/m\"]\n");
    for _ in 0..3 {
        let answer = told(&setting, "m", "status=429; retry_after=Fri, 31 Dec 2100 23:59:59 GMT");
        assert_refused(&answer, 429, "rate_limit_error", "upstream_rate_limited");
    }
    let answer = setting.chat("m");
    assert_refused(&answer, 429, "rate_limit_error", "upstream_rate_limited");
    assert_eq!(answer.header("x-tollgate-attempts"), "0");
    assert!((86_000..=86_400).contains(&wait(&answer)), "a day at most: {answer:?}");
}

#[test]
fn an_upstream_that_says_it_was_the_last_answer_for_now_is_left_alone() {
    let setting =
        Setting::new("[models.m]\nstrategy = \"ordered\"\ntargets = [\"one/m\"]\nfallbacks = [\"two/m\"]\n");
    let last = "header=x-ratelimit-remaining-requests: 0; header=x-ratelimit-reset-requests: 55s";
    assert_eq!(told(&setting, "m", last).header("x-tollgate-provider"), "one");
    assert_eq!(setting.chat("m").header("x-tollgate-provider"), "two");
    let alone = setting.chat("one/m");
    assert_refused(&alone, 429, "rate_limit_error", "upstream_rate_limited");
    assert!((50..=55).contains(&wait(&alone)), "{alone:?}");
}

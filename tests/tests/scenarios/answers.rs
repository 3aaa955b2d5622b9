//! Headers, errors and timeouts.

use crate::setting::{Setting, assert_refused, chat};
use std::time::{Duration, Instant};
use tollgate_tests::http::{Answer, Request};

#[test]
fn every_answer_of_an_upstream_says_who_answered() {
    let setting = Setting::new("[models.m]\ntargets = [\"one/gpt-x\"]\n");
    for answer in setting.both("m") {
        let expected = [("provider", "one"), ("model", "gpt-x"), ("attempts", "1"), ("cache", "off")];
        for (name, value) in expected {
            assert_eq!(answer.header(&format!("x-tollgate-{name}")), value, "{name}");
        }
        assert_eq!(answer.header("x-tollgate-request-id").len(), 26);
        assert!(!answer.header("x-tollgate-upstream-id").is_empty(), "{answer:?}");
        assert!(answer.header("x-tollgate-lost").is_empty());
    }
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let setting = Setting::new("");
    let requests = [
        Request::get("/healthz"),
        Request::get("/readyz"),
        Request::get("/v1/models"),
        Request::get("/nowhere"),
        Request::get("/v1/chat/completions"),
        Request::raw("/v1/chat/completions", "{"),
        chat("no-such-model"),
        chat("one/m"),
        chat("one/m+status=500"),
        chat("one/m+error=bad_request"),
        Request::get("/metrics"),
    ];
    let mut ids: Vec<String> = requests
        .iter()
        .map(|request| setting.gateway.ask(request).header("x-tollgate-request-id").to_owned())
        .collect();
    assert!(ids.iter().all(|id| id.len() == 26), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), requests.len());
}

#[test]
fn k3_every_429_and_503_says_when_to_come_back() {
    let setting = Setting::new("[models.m]\nattempts = 1\ntargets = [\"one/m+status=429\"]\n");
    let limited = setting.chat("m");
    assert_refused(&limited, 429, "rate_limit_error", "upstream_rate_limited");
    assert!(seconds(&limited) > 0);
    assert_eq!(setting.chat("two/m+status=401").status, 502);
    let closed = setting.chat("two/m");
    assert_refused(&closed, 503, "api_error", "no_capacity");
    assert!(seconds(&closed) > 0);
}

fn seconds(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap_or(0)
}

#[test]
fn an_upstreams_own_4xx_passes_with_status_and_message() {
    let setting = Setting::new("");
    for provider in ["one", "claude", "gem"] {
        // Google answers a body that is too large with 400.
        let large = if provider == "gem" { 400 } else { 413 };
        let direct = [("bad_request", 400), ("model_not_found", 404), ("too_large", large)];
        for (kind, status) in direct {
            for answer in setting.both(&format!("{provider}/m+error={kind}")) {
                assert_eq!(answer.status, status, "{provider} {kind}: {}", answer.text());
                assert!(
                    answer.error()["message"].as_str().is_some_and(|said| said.len() > 5),
                    "{}",
                    answer.text()
                );
                assert!(answer.error()["type"].is_string());
                assert!(!answer.header("x-tollgate-upstream-id").is_empty(), "{answer:?}");
            }
        }
        let odd = setting.chat(&format!("{provider}/m+status=422"));
        assert_eq!(odd.status, 422, "{provider}: {}", odd.text());
    }
}

#[test]
fn each_clock_ends_a_call_as_a_504_that_says_which() {
    let timeouts = [
        (
            "first",
            "first_byte = \"150ms\", idle = \"20s\", total = \"20s\"",
            "head_silence",
            "upstream_timeout",
            "began",
        ),
        (
            "head",
            "first_byte = \"150ms\", idle = \"20s\", total = \"20s\"",
            "first_silence",
            "upstream_timeout",
            "began",
        ),
        (
            "total",
            "first_byte = \"20s\", idle = \"20s\", total = \"150ms\"",
            "head_silence",
            "upstream_timeout",
            "complete",
        ),
    ];
    for (name, clocks, how, code, says) in timeouts {
        let setting = Setting::bare(&format!(
            "[models.m]\nattempts = 1\ntargets = [\"one/m+{how}\"]\n[providers.one]\nkind = \"openai\"\n\
             base_url = \"http://{{sim}}/v1\"\nkeys = [{{ value = \"k\" }}]\ntimeout = {{ {clocks} }}\n"
        ));
        let start = Instant::now();
        for answer in setting.both("m") {
            assert_refused(&answer, 504, "api_error", code);
            let message = answer.error()["message"].to_string();
            assert!(message.contains("timed out") || message.contains(says), "{name}: {message}");
            assert_eq!(answer.header("x-tollgate-attempts"), "1");
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{name}");
    }
}

#[test]
fn the_idle_clock_runs_inside_whole_answers_too() {
    let setting = Setting::bare(
        "[models.m]\nattempts = 1\ntargets = [\"one/m+chars=2000,drip_bytes=500,drip=15000\"]\n[providers.one]\nkind = \"openai\"\n\
         base_url = \"http://{sim}/v1\"\nkeys = [{ value = \"k\" }]\ntimeout = { first_byte = \"20s\", idle = \"150ms\", total = \"20s\" }\n",
    );
    assert_refused(&setting.chat("m"), 504, "api_error", "upstream_timeout");
}

#[test]
fn the_deadline_ends_a_request_whatever_it_waits_for() {
    let setting = Setting::new(
        "[models.silent]\ndeadline = \"200ms\"\ntargets = [\"one/m+head_silence\"]\n\
         [models.cooling]\ndeadline = \"200ms\"\nattempts = 9\ntargets = [\"two/m+status=500\"]\n\
         [models.streaming]\ndeadline = \"300ms\"\ntargets = [\"three/m+events=4,chars=40,stall_after=3\"]\n",
    );
    for answer in setting.both("silent") {
        assert_refused(&answer, 504, "api_error", "deadline");
    }
    let start = Instant::now();
    let retried = setting.chat("cooling");
    assert!(matches!(retried.status, 502 | 504), "{}", retried.text());
    assert!(start.elapsed() < Duration::from_secs(10));
    let cut = setting.stream("streaming");
    assert_eq!((cut.status, cut.code().as_str()), (200, "deadline"), "{}", cut.text());
}

#[test]
fn what_cannot_be_reached_is_a_502_that_tells_no_secret() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setting = Setting::bare(&format!(
        "[models.m]\nattempts = 2\ntargets = [\"gone/m\"]\n[providers.gone]\nkind = \"openai\"\nbase_url = \"http://{nobody}/v1\"\n\
         keys = [{{ name = \"a\", value = \"sk-very-secret\" }}]\n"
    ));
    let answer = setting.chat("m");
    assert_refused(&answer, 502, "api_error", "upstream_error");
    assert!(answer.error()["message"].to_string().contains("gone/m (key a)"), "{}", answer.text());
    assert!(!answer.text().contains("secret") && !setting.gateway.said().contains("secret"));
}

#[test]
fn pages_of_listed_origins_may_call() {
    let setting = Setting::new("[server]\ncors = { origins = [\"https://app.example\"] }\n");
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/v1/chat/completions")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
    };
    let allowed = setting.gateway.ask(&preflight("https://app.example"));
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, "https://app.example"));
    assert_eq!(allowed.header("access-control-allow-headers"), "authorization,content-type");
    let stranger = setting.gateway.ask(&preflight("https://evil.example"));
    assert!(
        stranger.header("access-control-allow-origin").is_empty() && stranger.status == 405,
        "{stranger:?}"
    );
    let answer = setting.gateway.ask(&chat("one/m").header("origin", "https://app.example"));
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    assert!(answer.header("access-control-expose-headers").contains("x-tollgate-request-id"));
    assert!(setting.chat("one/m").header("access-control-allow-origin").is_empty());
}

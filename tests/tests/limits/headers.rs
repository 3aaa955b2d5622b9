//! What answers say of limits.

use crate::setting::{CHAT, Setting, capped, chat, key, retry_after, secret, stream};
use serde_json::json;
use tollgate_tests::http::{Answer, Request};

const LIMITED: &str = "rpm = 100\ntpm = 100000";

/// Seconds in `1m30.5s`, `250ms`.
fn seconds(text: &str) -> Option<f64> {
    let mut sum = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        let unit =
            rest[digits..].find(|letter: char| letter.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let factor = match &rest[digits..unit] {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum += rest[..digits].parse::<f64>().ok()? * factor;
        rest = &rest[unit..];
    }
    Some(sum)
}

fn assert_told(answer: &Answer, what: &str) {
    for kind in ["requests", "tokens"] {
        let header = |name: &str| answer.header(&format!("x-ratelimit-{name}-{kind}")).to_owned();
        let number = |name: &str| header(name).parse::<u64>().ok();
        let (limit, left) = (number("limit"), number("remaining"));
        assert!(
            limit.is_some() && left.is_some() && left <= limit,
            "{what}: {limit:?} {left:?} in {answer:?}"
        );
        let reset = seconds(&header("reset"));
        assert!(
            reset.is_some_and(|reset| (0.0..=60.0).contains(&reset)),
            "{what}: reset-{kind} in {answer:?}"
        );
    }
}

#[test]
fn k3_every_answer_of_a_limited_key_says_what_is_left() {
    let setting = Setting::new(&format!(
        "{}{}{}{}",
        key("k", LIMITED),
        key("broke", &format!("{LIMITED}\nbudget = [{{ usd = 0.001, per = \"day\" }}]")),
        key("once", "rpm = 1\ntpm = 100000"),
        key("narrow", &format!("{LIMITED}\nroutes = [\"/v1/embeddings\"]")),
    ));
    let answers = [
        ("whole", chat("sim/m")),
        ("stream", stream("sim/m", 100)),
        ("translated", chat("claude/m")),
        ("translated stream", stream("claude/m", 100)),
        ("refused upstream", chat("sim/m+error=bad_request")),
        ("failed upstream", chat("two/m+status=500")),
        ("no such model", chat("nobody/m")),
        ("list of models", Request::get("/v1/models")),
        ("one model", Request::get("/v1/models/sim%2Fnobody")),
        ("wrong method", Request::get(CHAT)),
        ("no route", Request::get("/v1/nothing")),
        ("encoded", chat("sim/m").header("content-encoding", "gzip")),
        ("bad field", Request::post(CHAT, &json!({"model": "sim/m", "messages": 7}))),
    ];
    for (what, request) in answers {
        assert_told(&setting.ask("k", &request), what);
    }
    for request in [chat("sim/m"), Request::get("/v1/models")] {
        let turned = setting.ask("narrow", &request);
        assert_eq!((turned.status, turned.code().as_str()), (403, "key_blocked"), "{}", turned.text());
        assert_told(&turned, "a path that the key may not call");
    }
    let broke = setting.ask("broke", &capped("sim/m", 100));
    assert_eq!(broke.status, 402, "{}", broke.text());
    assert_told(&broke, "without money");
    assert_eq!(setting.ask("once", &chat("sim/m")).status, 200);
    let limited = setting.ask("once", &chat("sim/m"));
    assert_eq!(limited.status, 429);
    assert_told(&limited, "limited");
    assert_eq!(limited.header("x-ratelimit-remaining-requests"), "0");
}

#[test]
fn k3_what_is_left_goes_down_by_what_was_taken() {
    let setting = Setting::new(&format!(
        "[[teams]]\nname = \"t\"\nrpm = 5\ntpm = 1000000\n{}",
        key("k", "team = \"t\"\nrpm = 100\ntpm = 10000")
    ));
    // Of each kind the scope with the least left is told.
    for left in ["4", "3", "2", "1", "0"] {
        let answer = setting.ask("k", &capped("sim/m+chars=400", 100));
        assert_eq!(
            (answer.header("x-ratelimit-limit-requests"), answer.header("x-ratelimit-remaining-requests")),
            ("5", left)
        );
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), "10000");
    }
    let refused = setting.ask("k", &capped("sim/m+chars=400", 100));
    assert_eq!(refused.status, 429);
    // Five answers of 2 and 100 tokens.
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), "9490");
}

#[test]
fn k3_a_key_without_limits_is_told_of_none() {
    let setting = Setting::of_key("");
    let answer = setting.chat("sim/m");
    assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("x-ratelimit")), "{answer:?}");
}

#[test]
fn k3_every_429_and_503_says_when_to_come_back() {
    let keys = [("rpm", "rpm = 1"), ("tpm", "tpm = 150"), ("concurrency", "concurrency = 1")];
    for (name, limit) in keys {
        let setting = Setting::of_key(limit);
        let mut first = setting.gateway.connect();
        first.send(&capped("sim/m+chars=400,first_silence", 100).key(&secret("k")).bytes());
        tollgate_tests::gateway::eventually("it is with the provider", || setting.seen() == 1);
        for request in [capped("sim/m", 100), stream("sim/m", 100)] {
            let answer = setting.ask("k", &request);
            assert_eq!(answer.status, 429, "{name}: {}", answer.text());
            assert_eq!(answer.code(), format!("{name}_exceeded"));
            assert!(retry_after(&answer).is_some_and(|wait| wait <= 60), "{name}: {answer:?}");
            assert_eq!(answer.header("content-type"), "application/json", "a stream's refusal is no stream");
        }
    }
    let setting = Setting::of_key("");
    assert_eq!(setting.chat("two/m+status=401").status, 502);
    let closed = setting.chat("two/m");
    assert_eq!(closed.status, 503);
    assert!(retry_after(&closed).is_some(), "{closed:?}");
}

#[test]
fn the_cost_of_a_whole_answer_is_in_its_head() {
    let setting = Setting::of_key("");
    let answer = setting.chat("sim/m");
    assert_eq!(answer.header("x-tollgate-cost-usd"), "0.004002");
    assert_eq!(setting.chat("free/m").header("x-tollgate-cost-usd"), "0");
    assert_eq!(setting.chat("odd/m").header("x-tollgate-cost-usd"), "", "c11: unknown is not nothing");
}

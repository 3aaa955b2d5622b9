//! The Messages surface before an upstream of its own dialect, where both see each other's bytes, and
//! the counting of tokens before all of them.

use serde_json::{Value, json};
use std::fs;
use tollgate_tests::recordings;
use tollgate_tests::replay::{Answer, Replay, Seen};

const ANSWER: &str = "{ \"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"x_new\":[1e3],\n \"content\":[{\"type\":\"text\",\"text\":\"\\u00e9\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":4,\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,\"ephemeral_1h_input_tokens\":3},\"cache_read_input_tokens\":2,\"output_tokens\":5}}\n";
const BODY: &str = r#"{"model":"m-1","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;

fn asked(replay: &Replay, body: &str) -> Seen {
    replay.run_at("/v1/messages", body.to_owned(), &Answer::whole(200, ANSWER))
}

#[test]
fn k14_a_body_reaches_its_own_upstream_byte_for_byte() {
    let body = r#"{ "x_first":null,"model" : "m-1","max_tokens":9, "cache_control":{"type":"ephemeral","ttl":"1h"},
        "system":[{"type":"text","text":"s\u00e9\/","cache_control":{"ttl":"1h","type":"ephemeral"}}],
        "messages":[{"role":"user","content":[{"type":"hologram","x":1.0},{"type":"text","text":"a"}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"EuYB"},{"type":"tool_use","id":"t","name":"f","input":{ "b" : 1e0 }}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","cache_control":{"type":"ephemeral"}}]},
        {"role":"system","content":"later"}],
        "tools":[{"name":"zeta","input_schema":{"type":"object"}},{"name":"f","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}]}"#;
    let seen = asked(&Replay::new("anthropic", "m-1"), body);
    assert_eq!(
        (seen.status, &seen.sent[0].body[..], &seen.body[..]),
        (200, body.as_bytes(), ANSWER.as_bytes())
    );
    let renamed = asked(&Replay::new("anthropic", "served").alias("m-1"), body);
    assert_eq!(renamed.sent[0].body, body.replace("\"m-1\"", "\"served\""));
    assert!(seen.headers.contains_key("request-id"));
    let usage = seen.record.unwrap().usage.unwrap();
    let counts =
        [usage.fresh_input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output];
    assert_eq!(counts.map(|tokens| tokens.get()), [3, 2, 1, 3, 5]);
}

#[test]
fn k14_versions_and_betas_are_the_clients_together_with_the_configs_and_none_is_invented() {
    let plain = asked(&Replay::new("anthropic", "m-1"), BODY).sent.remove(0).headers;
    assert_eq!(plain["anthropic-version"], "2023-06-01");
    assert!(!plain.contains_key("anthropic-beta"));
    let client = Replay::new("anthropic", "m-1")
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "a-1, b-2")
        .header("anthropic-beta", "c-3");
    let sent = asked(&client, BODY).sent.remove(0).headers;
    assert_eq!(sent["anthropic-version"], "2026-10-21");
    assert_eq!(sent.get_all("anthropic-beta").iter().collect::<Vec<_>>(), ["a-1, b-2", "c-3"]);
    let terms = r#"headers = { "anthropic-beta" = "b-2,d-4" }"#.to_owned();
    let both = asked(&Replay { terms, ..client }, BODY).sent.remove(0).headers;
    assert_eq!(both.get_all("anthropic-beta").iter().collect::<Vec<_>>(), ["a-1,b-2,c-3,d-4"]);
}

#[test]
fn every_mount_serves_it_with_and_without_a_version() {
    for mount in ["", "/openai", "/anthropic", "/genai", "/bedrock", "/litellm", "/langchain"] {
        for version in ["", "/v1"] {
            let target = format!("{mount}{version}/messages?beta=true");
            let seen = Replay::new("anthropic", "m-1").run_at(&target, BODY, &Answer::whole(200, ANSWER));
            assert_eq!((seen.status, &seen.body[..]), (200, ANSWER.as_bytes()), "{target}");
        }
    }
}

#[test]
fn recorded_requests_reach_their_own_upstream_unchanged() {
    for path in recordings::files("anthropic") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(case) = name.strip_suffix(".request.json") else { continue };
        let body = fs::read_to_string(&path).unwrap();
        let model = serde_json::from_str::<Value>(&body).unwrap()["model"].as_str().unwrap().to_owned();
        let beside = |ending: &str| fs::read(path.with_file_name(format!("{case}{ending}"))).ok();
        let answer = match (beside(".response.sse"), beside(".response.json")) {
            (Some(stream), _) => Answer::stream(stream),
            (None, Some(whole)) => Answer::whole(200, whole),
            (None, None) => continue,
        };
        let failed = name.contains("-err");
        for size in [1, 100, usize::MAX] {
            let cut = answer.clone().cut(size.min(1 << 20));
            let seen = Replay::new("anthropic", &model).run_at("/v1/messages", body.clone(), &cut);
            assert_eq!(seen.sent[0].body, body, "{name}");
            if !failed {
                assert_eq!(
                    (seen.status, &seen.body),
                    (200, &answer.pieces.concat().into()),
                    "{name} by {size}"
                );
            }
        }
    }
}

fn counted(kind: &'static str, body: &Value, answer: &Answer) -> Seen {
    Replay::new(kind, "gpt-4o").run_at("/v1/messages/count_tokens", body.to_string(), answer)
}

#[test]
fn c10_an_upstream_of_this_dialect_counts_and_others_are_counted_for() {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
    let theirs = Answer::whole(200, "{\"input_tokens\": 77}");
    let seen = counted("anthropic", &body, &theirs);
    assert_eq!((seen.status, &seen.body[..]), (200, &b"{\"input_tokens\": 77}"[..]));
    assert_eq!(seen.sent[0].uri.path(), "/base/messages/count_tokens");
    assert_eq!(seen.sent[0].body, body.to_string());
    let record = seen.record.unwrap();
    assert_eq!((record.usage, record.cost.amount().map(|cost| cost.0)), (None, Some(0)), "it is free");
    for kind in ["openai", "gemini"] {
        let seen = counted(kind, &body, &theirs);
        assert_eq!((seen.status, seen.sent.len()), (200, 0), "{kind}");
        let told: Value = serde_json::from_slice(&seen.body).unwrap();
        assert!(told["input_tokens"].is_u64(), "{told}");
        assert!(seen.headers.contains_key("x-tollgate-basis"));
    }
}

#[test]
fn an_upstream_that_cannot_count_is_counted_for_and_one_that_knows_no_such_model_is_heard() {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
    let seen = counted("anthropic", &body, &Answer::whole(404, "<html>not here</html>"));
    assert_eq!((seen.status, seen.sent.len()), (200, 1));
    assert!(seen.headers.contains_key("x-tollgate-basis"));
    let unknown = r#"{"type":"error","error":{"type":"not_found_error","message":"model: gpt-4o"}}"#;
    let seen = counted("anthropic", &body, &Answer::whole(404, unknown));
    assert_eq!(seen.status, 404);
}

#[test]
fn what_cannot_be_counted_is_refused_by_its_field() {
    for (kind, answer) in [("anthropic", "{}"), ("openai", "{}")] {
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "text"}]}]});
        let seen = counted(kind, &body, &Answer::whole(200, answer));
        let told: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((seen.status, seen.sent.len()), (400, 0));
        assert_eq!(told["error"]["details"]["param"], "messages[0].content[0].text");
    }
}
